"""The Python that reproduces what is on the page."""

from .pictures import N_MODES, initial_of
from .steps import DENSITY_CELLS, DENSITY_TIMES, PHASE_SPACE_CELLS

__all__ = ["reproduce"]


def reproduce(session):
    """A script that computes the numbers of a session anew.

    Parameters
    ----------
    session : Session

    Returns
    -------
    str
        Python; data in memory are named ``data`` there and must be at hand.
    """
    lines = ["import amaexplore as ama", ""]
    lines += _source(session)
    lines += ["", *_analysis(session), "print(analysis.text())"]
    lines += _compared(session)
    lines += _densities(session)
    lines += _pictures(session)
    return "\n".join(lines) + "\n"


def _source(session):
    lines = _loaded(session)
    if session.frames:
        lines.append(f"data = data.frames(slice({', '.join(map(repr, session.frames))}))")
    return lines


def _loaded(session):
    source = session.source
    if source["kind"] == "demo":
        settings = {name: source[name] for name in ("seed", "duration", "stride") if source.get(name) is not None}
        return [f"data = ama.demo({_arguments(source['name'], **settings)})"]
    if source["kind"] == "files":
        files = source["files"][0] if len(source["files"]) == 1 else list(source["files"])
        if session.latest("subset") is None and session.state("subset").status == "fresh":
            options = {name: source[name] for name in ("units", "timestep", "mass") if source.get(name)}
            return [f"data = ama.load_series({_arguments(files, **options)})"]
        options = {name: source[name] for name in ("topology", "units", "timestep") if source.get(name)}
        return [f"data = ama.load({_arguments(files, **options)})"]
    return ["# data: the trajectory or series that was handed to ama.explore(data)"]


def _analysis(session):
    return [f"analysis = {_analyze(session, session.selection or None)}"]


def _compared(session):
    """The second subset, where one is shown beside the first."""
    if not session.compared or session.compared not in session.subsets:
        return []
    return [f"compared = {_analyze(session, session.subsets[session.compared])}"]


def _analyze(session, selection):
    options = {"select": selection, "regime": session.regime, "axis": session.axis}
    options |= {name: getattr(session, name) for name in ("window", "estimator", "temperature", "typical_mass")}
    given = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
    return f"ama.analyze(data, {given})"


def _densities(session):
    lines = []
    wanted = {"smoluchowski": DENSITY_CELLS, "fokker-planck": PHASE_SPACE_CELLS}
    for regime, n_cells in wanted.items():
        if session.regime not in (regime, "both"):
            continue
        options = {"boundary": session.boundary, "n_times": DENSITY_TIMES, "n_cells": n_cells}
        if session.initial:
            options["initial"] = initial_of(session.initial)
        if session.horizon is not None:
            options["horizon"] = session.horizon
        if session.span:
            options["lower"], options["upper"] = session.span
        name = regime.replace("-", "_")
        lines += [f"{name} = analysis.predict({_arguments(regime, **options)})"]
    return ["", *lines]


def _pictures(session):
    """What else is on the page: the other estimators, the Gibbs hypothesis, and what follows from the densities."""

    def there(name):
        return session.state(name).status == "fresh" and session.latest(name) is not None

    lines, imports = [], []
    if there("estimators"):
        lines.append(f"estimators = analysis.correlations.table({session.window!r})")
    if there("gibbs"):
        imports.append("from amaexplore.gibbs import gibbs_check")
        lines.append("gibbs = gibbs_check(analysis.series)")
    if there("modes"):
        lines.append(f"rates, modes = smoluchowski.equation.relaxation_modes({N_MODES})")
    if there("passage"):
        lines.append(f"passage = smoluchowski.first_passage({session.target!r})")
    if there("fans"):
        fans = session.latest("fans")
        lines.append("fans = {" + ", ".join(f"{name!r}: {name}.fan()" for name in fans) + "}")
    if there("paths"):
        paths = session.latest("paths")
        lines.append("paths = {" + ", ".join(f"{name!r}: {name}.sample_paths()" for name in paths) + "}")
    if there("masses"):
        imports.append("from amaexplore.prediction import mass_ladder")
        lines.append("masses = mass_ladder(fokker_planck, analysis.series.epsilon)")
    return ["", *imports, *lines] if lines else []


def _arguments(*positional, **named):
    return ", ".join([*map(repr, positional), *(f"{name}={value!r}" for name, value in named.items())])
