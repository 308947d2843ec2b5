"""f^th(R) along an axis, by its three routes."""

import numpy as np
from bokeh.models import Band, ColumnDataSource, Range1d, Span, Whisker

from .style import COLOURS, finish_legend, hover, new_figure

__all__ = ["MeanForcePlot"]

UNIT = "kJ/mol/nm"


class MeanForcePlot:
    """Binned conditional mean, force-matched spline, density route, and the mean over the run."""

    def __init__(self, compact=False):
        self.root = new_figure("Mean force f^th(R)", "R (nm)", f"f^th ({UNIT})", compact=compact)
        names = ("R", "value", "low", "high", "std")
        self.binned, self.density, self.spline = (ColumnDataSource({n: [] for n in names}) for _ in range(3))
        blue, orange, green = COLOURS["blue"], COLOURS["orange"], COLOURS["green"]
        self.root.add_layout(Span(dimension="width", location=0.0, line_color=COLOURS["grey"], line_width=1))
        self.root.add_layout(
            Band(
                base="R", lower="low", upper="high", source=self.spline, fill_color=green, fill_alpha=0.25, line_alpha=0
            )
        )
        spline = self.root.line("R", "value", source=self.spline, color=green, line_width=2, legend_label="spline")
        points = []
        for source, colour, marker, label in (
            (self.density, orange, "diamond", "k_BT ∂ln ρ/∂R"),
            (self.binned, blue, "circle", "⟨F⟩ at given R"),
        ):
            self.root.add_layout(
                Whisker(base="R", lower="low", upper="high", source=source, line_color=colour, line_alpha=0.6)
            )
            points.append(
                self.root.scatter("R", "value", source=source, marker=marker, size=6, color=colour, legend_label=label)
            )
        for whisker in self.root.select(Whisker):
            whisker.upper_head = whisker.lower_head = None
        hover(
            self.root,
            [spline, *points],
            [
                ("R", "@R{0.0000} nm"),
                ("f^th", f"@value{{0.00}} ± @std{{0.00}} {UNIT}"),
                ("equations", "(19), (22), (47)"),
            ],
        )
        self.root.y_range = Range1d(-1.0, 1.0)
        finish_legend(self.root)
        self.root.legend[0].orientation = "horizontal"

    def update(self, result):
        """Draw a `MeanForce`, or nothing."""
        if result is None or len(result.positions) == 0:
            for source in (self.binned, self.density, self.spline):
                source.data = {name: [] for name in source.data}
            what = (
                "not in the data" if result is None else f"{result.constant:.3g} {UNIT} on average, positions unknown"
            )
            self.root.title.text = f"Mean force: {what}"
            return
        self._fill(self.binned, result.positions, result.values, result.values_std)
        self._fill(self.density, result.positions, result.from_density, result.from_density_std)
        self._fill(self.spline, result.positions, result.combined, result.combined_std)
        self._frame(result)
        self.root.title.text = f"Mean force f^th({result.axis})"
        self.root.xaxis.axis_label = f"R along {result.axis} (nm)"

    def _frame(self, result):
        """A vertical range that one bin of a handful of frames cannot blow up."""
        spread = result.values_std[np.isfinite(result.values_std)]
        scale = 2.5 * float(np.median(spread)) if len(spread) else 0.0
        curve = result.combined[np.isfinite(result.combined)]
        if len(curve) and (scale or np.ptp(curve)):
            low, high = min(0.0, curve.min()) - scale, max(0.0, curve.max()) + scale
            # room for the legend
            self.root.y_range.update(start=float(low), end=float(high + 0.25 * (high - low)))

    @staticmethod
    def _fill(source, positions, values, std):
        known = np.isfinite(values)
        values, std = values[known], np.nan_to_num(std[known])
        source.data = {"R": positions[known], "value": values, "low": values - std, "high": values + std, "std": std}
