"""Analysis -> one HTML page with numbers, plots and warnings that opens without a network."""

import html
import json
from datetime import UTC, datetime

from . import __version__
from .errors import AmaError
from .files import write_text

__all__ = ["write_report"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p.lead { color: #555; margin-top: .2rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; padding: .15rem 1.5rem .15rem 0; vertical-align: top; }
td { padding: .15rem 0; } ul { padding-left: 1.2rem; } li { margin: .3rem 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(540px, 1fr)); gap: 1rem; }
details { margin: 1.5rem 0; } pre { overflow-x: auto; background: #f6f6f6; padding: .8rem; font-size: 12px; }
"""


def write_report(analysis, path, *, predictions=None, source=None, topology=None):
    """Write the report of an analysis.

    Parameters
    ----------
    analysis : Analysis
    path : str or Path
        An ``.html`` file; replaced in one go when everything is there.
    predictions : sequence of Prediction, optional
        The densities to show; default those that `Analysis.predict` makes of itself.
    source : Trajectory or OrderParameters, optional
        What the analysis came from, for the citations.
    topology : str or Path, optional

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The folder does not exist or cannot be written to.
    """
    from .files import writable_target

    path = writable_target(path)
    figures, missing, shown = _figures(analysis, predictions)
    write_text(path, _page(analysis, figures, missing, _methods(analysis, shown, source, topology)))
    return path


def _methods(analysis, predictions, source, topology):
    from .methods import bibtex, methods_paragraph

    words = html.escape(methods_paragraph(analysis, predictions, source, topology))
    entries = html.escape(bibtex(analysis, source, topology))
    return f"<h2>Methods</h2><p>{words}</p><details><summary>BibTeX</summary><pre>{entries}</pre></details>"


def _figures(analysis, predictions):
    """Titled figures of all that was computed, sentences for what was not, and the densities shown."""
    from .correlation import force_correlation, momentum_correlation
    from .plots import figure_of

    series = analysis.series
    wanted = [("Order parameters R, P, F over time", lambda: series)]
    wanted.append((f"Thermal-average force along {analysis.axis}", lambda: analysis.mean_force))
    if series.has("momentum"):
        wanted.append(("Momentum correlation ⟨P(0)P(s)⟩", lambda: momentum_correlation(series)))
    if series.has("net_force"):
        wanted.append(("Force correlation ⟨δF(0)δF(s)⟩", lambda: force_correlation(series)))
    wanted += [
        ("γ: running integral (28)", lambda: analysis.gamma),
        ("εθ: running integral (55)", lambda: analysis.theta),
    ]
    regimes = ("smoluchowski", "fokker-planck") if analysis.regime == "both" else (analysis.regime,)
    shown = []

    def density(regime):
        prediction = analysis.predict(regime) if predictions is None else given.get(regime)
        if prediction is None:
            return None
        shown.append(prediction)
        return prediction

    given = {prediction.regime: prediction for prediction in predictions or ()}
    wanted += [(f"Reduced density, {regime}", lambda regime=regime: density(regime)) for regime in regimes]
    figures, missing = [], []
    for title, compute in wanted:
        try:
            result = compute()
            if result is not None:
                figures.append((title, figure_of(result)))
        except AmaError as reason:
            missing.append(f"{title}: {reason}")
    return figures, missing, shown


def _page(analysis, figures, missing, methods):
    from bokeh.embed import components
    from bokeh.resources import INLINE

    script, divs = components([figure for _, figure in figures]) if figures else ("", [])
    plots = "".join(f"<section><h2>{html.escape(title)}</h2>{div}</section>" for (title, _), div in zip(figures, divs))
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in analysis.summary()
    )
    notes = [notice.message for notice in analysis.warnings] + missing
    notices = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    files = ", ".join(str(file) for file in analysis.input["files"]) or "data made in memory"
    document = html.escape(json.dumps(analysis.to_dict(), indent=1, ensure_ascii=False))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>amaexplore: {html.escape(analysis.series.label or "series")}</title>
<style>{_STYLE}</style>{INLINE.render()}</head><body>
<h1>All-atom multiscale analysis of {html.escape(analysis.series.label or "the given series")}</h1>
<p class="lead">{html.escape(files)} · amaexplore {__version__} · {datetime.now(UTC):%Y-%m-%d %H:%M} UTC</p>
<h2>Results</h2><table>{rows}</table>
{f"<h2>Notes</h2><ul>{notices}</ul>" if notices else ""}
<div class="plots">{plots}</div>
{methods}
<details><summary>All numbers as JSON</summary><pre>{document}</pre></details>
{script}</body></html>
"""
