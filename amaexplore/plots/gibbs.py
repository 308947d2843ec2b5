"""The Gibbs hypothesis as a picture: does the time average of the force settle, as (20), (23) and (48) assume?"""

import numpy as np
from bokeh.models import Band, ColumnDataSource, Range1d, Span

from .style import AXIS_COLOURS, COLOURS, finish_legend, hover, new_figure

__all__ = ["GibbsPlot"]


class GibbsPlot:
    """Running mean of F with its error √(2τ_int/t) σ, per axis; one point per replica at the right."""

    def __init__(self, compact=False):
        self.root = new_figure(
            "Running mean of F", "averaged over (ps)", "⟨F⟩ (kJ/mol/nm)", compact=compact, x_axis_type="log"
        )
        self.sources, lines = {}, []
        self.replicas = ColumnDataSource({"t": [], "value": [], "colour": [], "label": []})
        for name, colour in AXIS_COLOURS.items():
            source = ColumnDataSource({key: [] for key in ("t", "mean", "low", "high", "std")})
            band = Band(base="t", lower="low", upper="high", source=source, fill_color=colour, fill_alpha=0.16)
            band.line_alpha = 0
            self.root.add_layout(band)
            lines.append(self.root.line("t", "mean", source=source, color=colour, line_width=1.6, legend_label=name))
            self.sources[name] = source
        points = self.root.scatter("t", "value", source=self.replicas, size=5, color="colour", alpha=0.7)
        self.root.add_layout(Span(dimension="width", location=0.0, line_color=COLOURS["grey"], line_width=1))
        hover(
            self.root,
            lines,
            [("first", "@t{0.00 a} ps"), ("⟨F⟩", "@mean{0.000 a} ± @std{0.000 a} kJ/mol/nm"),
             ("equations", "(20), (23), (48)")],
        )  # fmt: skip
        hover(self.root, [points], [("replica", "@label"), ("⟨F⟩", "@value{0.000 a} kJ/mol/nm")])
        self.root.x_range = Range1d(0.1, 1.0)
        self.root.y_range = Range1d(-1.0, 1.0)
        finish_legend(self.root)
        self.root.legend[0].orientation = "horizontal"

    def update(self, check):
        """Draw a `GibbsCheck`, or nothing."""
        if check is None:
            for source in (*self.sources.values(), self.replicas):
                source.data = {name: [] for name in source.data}
            self.root.title.text = "Running mean of F: not in the data"
            return
        for k, source in enumerate(self.sources.values()):
            mean, std = check.running[:, k], check.running_std[:, k]
            source.data = {"t": check.times, "mean": mean, "low": mean - std, "high": mean + std, "std": std}
        several = len(check.replica_means) > 1
        means = check.replica_means if several else np.zeros((0, 3))
        self.replicas.data = {
            "t": np.full(means.size, check.times[-1]),
            "value": means.ravel(),
            "colour": list(AXIS_COLOURS.values()) * len(means),
            "label": [f"{k + 1}, {axis}" for k in range(len(means)) for axis in "xyz"],
        }
        self.root.x_range.update(start=float(check.times[0]), end=float(check.times[-1]))
        # the first instants would press the rest flat
        seen = check.times >= max(5.0 * check.correlation_time, 0.005 * check.times[-1])
        reach = float((np.abs(check.running) + check.running_std)[seen].max())
        reach = max(reach, float(np.abs(means).max(initial=0.0))) or 1.0
        self.root.y_range.update(start=-1.1 * reach, end=1.3 * reach)
        words = "one run" if not several else f"{len(means)} replicas, χ²/n = {check.chi_square:.2g}"
        self.root.title.text = f"Gibbs hypothesis: mean of F, {words}"
