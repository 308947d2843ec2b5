"""Correlation functions, and their running integrals with the window at which they are read."""

import numpy as np
from bokeh.models import Band, BoxAnnotation, ColumnDataSource, Range1d, Span, Whisker

from ..coefficients import Theta
from .style import COLOURS, finish_legend, hover, new_figure

__all__ = ["CorrelationPlot", "RunningPlot", "WindowMark"]

MOST_POINTS = 600
COMPARED_DASH = [5, 3]
"""How what belongs to a second subset is drawn."""

KINDS = {
    "momentum": ("⟨P(0)·P(s)⟩", COLOURS["blue"], "u² nm²/ps²", "integrand of (28)"),
    "force": ("⟨δF(0)·δF(s)⟩", COLOURS["vermilion"], "(kJ/mol/nm)²", "integrand of (55)"),
}


def _thinned(n):
    """Indices of at most `MOST_POINTS` lags, dense where correlation functions change: near zero."""
    if n <= MOST_POINTS:
        return np.arange(n)
    early = np.arange(MOST_POINTS // 2)
    late = np.geomspace(early[-1] + 1, n - 1, MOST_POINTS // 2).round().astype(int)
    return np.unique(np.concatenate([early, late]))


class WindowMark:
    """The window on a plot: shaded from zero to t0, with an edge that can be dragged.

    Listen to ``edge.on_change("location", ...)`` for what the mouse does.
    """

    def __init__(self, plot):
        self.shade = BoxAnnotation(left=0.0, right=0.0, fill_color=COLOURS["sky"], fill_alpha=0.16, level="underlay")
        self.edge = Span(
            dimension="height",
            location=0.0,
            line_color=COLOURS["blue"],
            line_width=2,
            editable=True,
            hover_line_color=COLOURS["vermilion"],
            hover_line_alpha=1.0,
            tags=["live"],
            visible=False,
        )
        plot.add_layout(self.shade)
        plot.add_layout(self.edge)

    def move(self, window):
        """Put it at a window in ps, or away (None)."""
        shown = window is not None
        self.shade.visible = self.edge.visible = shown
        if shown:
            self.shade.right = self.edge.location = float(window)


class CorrelationPlot:
    """Momentum and force correlation over their values at zero, with error bands and the window."""

    def __init__(self, compact=False):
        self.root = new_figure("Correlation functions", "lag s (ps)", "C(s) / C(0)", compact=compact)
        self.sources, self.others, lines = {}, {}, []
        for name, (label, colour, unit, equation) in KINDS.items():
            source = ColumnDataSource({key: [] for key in ("s", "c", "low", "high", "raw", "std")})
            self.root.add_layout(
                Band(
                    base="s", lower="low", upper="high", source=source, fill_color=colour, fill_alpha=0.2, line_alpha=0
                )
            )
            line = self.root.line("s", "c", source=source, color=colour, line_width=1.8, legend_label=label)
            rows = [
                ("s", "@s{0.000} ps"),
                (label, f"@raw{{0.000 a}} ± @std{{0.000 a}} {unit} per axis"),
                ("equation", equation),
            ]
            hover(self.root, [line], rows, mode="mouse")
            self.sources[name] = source
            lines.append(line)
            self.others[name] = ColumnDataSource({"s": [], "c": []})
            self.root.line("s", "c", source=self.others[name], color=colour, line_width=1.6, line_dash=COMPARED_DASH)
        self.root.add_layout(Span(dimension="width", location=0.0, line_color=COLOURS["grey"], line_width=1))
        self.window = WindowMark(self.root)
        self.root.x_range = Range1d(0.0, 1.0)
        finish_legend(self.root)

    def update(self, curves, window=None, longest=None, others=None):
        """Draw correlation functions by kind (a dict of `CorrelationFunction`) and the window in ps; dashed, those of another subset."""
        self._update_others(others or {})
        reach = []
        for name, source in self.sources.items():
            curve = (curves or {}).get(name)
            if curve is None:
                source.data = {key: [] for key in source.data}
                continue
            chosen = _thinned(len(curve.lags))
            raw, std = curve.isotropic[chosen], curve.isotropic_std[chosen]
            # a single group has no error
            std = np.nan_to_num(std)
            scale = abs(curve.isotropic[0]) or 1.0
            source.data = {
                "s": curve.lags[chosen],
                "c": raw / scale,
                "low": (raw - std) / scale,
                "high": (raw + std) / scale,
                "raw": raw,
                "std": std,
            }
            reach.append(curve.lags[-1])
        self.window.move(window)
        if reach:
            self.root.x_range.update(start=0.0, end=float(longest or max(reach)))

    def _update_others(self, others):
        for name, source in self.others.items():
            curve = others.get(name)
            chosen = [] if curve is None else _thinned(len(curve.lags))
            source.data = {
                "s": [] if curve is None else curve.lags[chosen],
                "c": [] if curve is None else curve.isotropic[chosen] / (abs(curve.isotropic[0]) or 1.0),
            }


class RunningPlot:
    """A coefficient against where its integral ends: band, chosen window, value with error bar."""

    def __init__(self, compact=False):
        self.root = new_figure("Running integral", "window t₀ (ps)", "", compact=compact)
        self.source = ColumnDataSource({key: [] for key in ("t", "value", "low", "high", "std")})
        self.point = ColumnDataSource({key: [] for key in ("t", "value", "low", "high", "std")})
        colour = COLOURS["blue"]
        self.band = Band(
            base="t", lower="low", upper="high", source=self.source, fill_color=colour, fill_alpha=0.22, line_alpha=0
        )
        self.root.add_layout(self.band)
        self.line = self.root.line("t", "value", source=self.source, color=colour, line_width=1.8)
        self.level = Span(
            dimension="width", location=0.0, line_color=COLOURS["grey"], line_dash="dashed", visible=False
        )
        self.root.add_layout(self.level)
        self.window = WindowMark(self.root)
        self.root.add_layout(
            Whisker(
                base="t", lower="low", upper="high", source=self.point, line_color=COLOURS["vermilion"], line_width=2
            )
        )
        marker = self.root.scatter(
            "t", "value", source=self.point, size=9, color=COLOURS["vermilion"], line_color="white", level="overlay"
        )
        self.tool = hover(self.root, [self.line, marker], [], mode="mouse")
        self.other = ColumnDataSource({key: [] for key in ("t", "value", "low", "high")})
        self.other_point = ColumnDataSource({key: [] for key in ("t", "value", "low", "high")})
        purple = COLOURS["purple"]
        self.root.add_layout(
            Band(
                base="t", lower="low", upper="high", source=self.other, fill_color=purple, fill_alpha=0.18, line_alpha=0
            )
        )
        self.root.line("t", "value", source=self.other, color=purple, line_width=1.8, line_dash=COMPARED_DASH)
        self.root.add_layout(
            Whisker(base="t", lower="low", upper="high", source=self.other_point, line_color=purple, line_width=2)
        )
        self.root.scatter("t", "value", source=self.other_point, size=9, color=purple, marker="diamond")
        self.root.x_range = Range1d(0.0, 1.0)
        self.root.y_range = Range1d(0.0, 1.0)

    def update(self, coefficient, longest=None, other=None, name=""):
        """Draw a `Gamma` or `Theta` (θ in raw units, εθ), or nothing; dashed, that of another subset of the name given."""
        self._update_other(other if coefficient is not None else None)
        if coefficient is None:
            self.source.data = {key: [] for key in self.source.data}
            self.point.data = {key: [] for key in self.point.data}
            self.window.move(None)
            self.level.visible = False
            self.root.title.text = "Running integral: not in the data"
            return
        force = isinstance(coefficient, Theta)
        symbol, equation = ("εθ", "(55)") if force else ("γ", "(28)")
        unit = "u² nm²/ps³" if force else "u² nm²/ps"
        lags, value, std = _running(coefficient)
        self.source.data = {"t": lags, "value": value, "low": value - std, "high": value + std, "std": std}
        at, error = coefficient.isotropic_raw, np.nan_to_num(coefficient.isotropic_raw_std)
        self.point.data = {
            "t": [coefficient.window],
            "value": [at],
            "low": [at - error],
            "high": [at + error],
            "std": [error],
        }
        self.window.move(coefficient.window)
        self.level.update(location=float(at), visible=True)
        reach = float(longest or coefficient.lags[-1])
        self.root.x_range.update(start=0.0, end=reach)
        self._frame(lags, value, at, error, reach)
        against = (
            f"“{coefficient.estimator}”, dashed: {name}"
            if other is not None
            else f"estimator “{coefficient.estimator}”"
        )
        self.root.title.text = f"{symbol}(t₀), {against}"
        self.root.yaxis.axis_label = f"{symbol} ({unit})"
        self.tool.tooltips = [
            ("t₀", "@t{0.000} ps"),
            (symbol, f"@value{{0.000 a}} ± @std{{0.000 a}} {unit} per axis"),
            ("equation", equation),
        ]

    def _update_other(self, other):
        if other is None:
            self.other.data = {key: [] for key in self.other.data}
            self.other_point.data = {key: [] for key in self.other_point.data}
            return
        lags, value, std = _running(other)
        self.other.data = {"t": lags, "value": value, "low": value - std, "high": value + std}
        at, error = other.isotropic_raw, np.nan_to_num(other.isotropic_raw_std)
        self.other_point.data = {"t": [other.window], "value": [at], "low": [at - error], "high": [at + error]}

    def _frame(self, lags, value, at, error, reach):
        """A vertical range that early transients and late noise cannot blow up, and that does not jump."""
        seen = value[(lags <= reach) & (lags > 0)]
        if len(seen) == 0:
            return
        low, high = np.percentile(seen, [2, 98])
        others = [*self.other_point.data["low"], *self.other_point.data["high"]]
        low, high = min(low, at - error, 0.0, *others), max(high, at + error, *others)
        margin = 0.12 * (high - low or 1.0)
        wanted = (low - (margin if low < 0 else 0.0), high + margin)
        start, end = self.root.y_range.start, self.root.y_range.end
        inside = start <= low and high <= end and (end - start) < 2.0 * (wanted[1] - wanted[0])
        if not inside:
            self.root.y_range.update(start=float(wanted[0]), end=float(wanted[1]))


def _running(coefficient):
    """Lags, running coefficient and its error in raw units, thinned, where they are known."""
    factor = coefficient.epsilon if isinstance(coefficient, Theta) else 1.0
    chosen = _thinned(len(coefficient.lags))
    value = factor * coefficient.running_isotropic[chosen]
    std = np.nan_to_num(factor * coefficient.running_isotropic_std[chosen])
    known = np.isfinite(value)
    return coefficient.lags[chosen][known], value[known], std[known]
