"""R, P and F of the nanoparticle over time."""

import numpy as np
from bokeh.models import ColumnDataSource, Span

from .style import AXIS_COLOURS, decimated, finish_legend, hover, new_figure

__all__ = ["QUANTITIES", "SeriesPlot"]

QUANTITIES = {
    "centre_of_mass": ("Centre of mass R(t)", "R (nm)", "(1)"),
    "momentum": ("Momentum P(t)", "P (u nm/ps)", "(2)"),
    "net_force": ("Net force F(t)", "F (kJ/mol/nm)", "(12)"),
}


class SeriesPlot:
    """One of R, P, F against time, its three components.

    Parameters
    ----------
    quantity : str
        A key of `QUANTITIES`; may be changed, followed by `update`.
    """

    def __init__(self, quantity="centre_of_mass", compact=False):
        self.quantity = quantity
        title, label, _ = QUANTITIES[quantity]
        self.root = new_figure(title, "time (ps)", label, compact=compact)
        self.source = ColumnDataSource({"t": [], "x": [], "y": [], "z": []})
        lines = [
            self.root.line("t", name, source=self.source, color=colour, line_width=1.2, alpha=0.9, legend_label=name)
            for name, colour in AXIS_COLOURS.items()
        ]
        self.cursor = Span(dimension="height", location=0, line_color="#7F8790", line_dash="dotted", visible=False)
        self.root.add_layout(self.cursor)
        self.tool = hover(self.root, lines[:1], self._rows(), mode="vline")
        finish_legend(self.root, "top_left")
        self.root.legend[0].orientation = "horizontal"

    def _rows(self):
        _, label, equation = QUANTITIES[self.quantity]
        unit = label[label.index("(") + 1 : -1]
        return [
            ("time", "@t{0.000} ps"),
            *((axis, f"@{axis}{{0.0000}} {unit}") for axis in "xyz"),
            ("equation", equation),
        ]

    def update(self, series, replica=0):
        """Draw a series (`OrderParameters`), or nothing."""
        title, label, _ = QUANTITIES[self.quantity]
        values = None if series is None else getattr(series, self.quantity)
        if values is None:
            self.source.data = {"t": [], "x": [], "y": [], "z": []}
            self.root.title.text = f"{title}: not in the data"
            return
        if values.ndim == 3:
            title += f", replica {replica + 1} of {len(values)}"
            values = values[replica]
        t, xyz = decimated(np.asarray(series.time, dtype=float), np.asarray(values, dtype=float))
        self.source.data = {"t": t, "x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2]}
        self.root.title.text = title
        self.root.yaxis.axis_label = label
        self.tool.tooltips = self._rows()
