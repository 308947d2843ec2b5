"""R, P and F of the nanoparticle over time."""

import numpy as np
from bokeh.models import ColumnDataSource, Span

from .style import AXIS_COLOURS, COLOURS, decimated, finish_legend, hover, new_figure

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
        self.other = ColumnDataSource({"t": [], "x": [], "y": [], "z": []})
        for name, colour in AXIS_COLOURS.items():
            self.root.line("t", name, source=self.other, color=colour, line_width=1.1, alpha=0.75, line_dash=[5, 3])
        self.cursor = Span(
            dimension="height", location=0, line_color=COLOURS["vermilion"], line_width=2, visible=False,
            editable=True, hover_line_color=COLOURS["purple"], hover_line_alpha=1.0, tags=["live"],
        )  # fmt: skip
        """The moment that is looked at; can be dragged."""
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

    def update(self, series, replica=0, other=None, name=""):
        """Draw a series (`OrderParameters`), or nothing; dashed, that of another subset of the name given."""
        title, label, _ = QUANTITIES[self.quantity]
        found = _columns(series, self.quantity, replica)
        self.other.data = _columns(other, self.quantity, replica) or _EMPTY
        if found is None:
            self.source.data = _EMPTY
            self.root.title.text = f"{title}: not in the data"
            return
        values = getattr(series, self.quantity)
        if values.ndim == 3:
            title += f", replica {replica + 1} of {len(values)}"
        if len(self.other.data["t"]):
            title += f", dashed: {name}"
        self.source.data = found
        self.root.title.text = title
        self.root.yaxis.axis_label = label
        self.tool.tooltips = self._rows()


_EMPTY: dict[str, list] = {"t": [], "x": [], "y": [], "z": []}


def _columns(series, quantity, replica):
    """Columns of a plot of one quantity, or None where the series lacks it."""
    values = None if series is None else getattr(series, quantity)
    if values is None:
        return None
    values = values[replica] if values.ndim == 3 else values
    t, xyz = decimated(np.asarray(series.time, dtype=float), np.asarray(values, dtype=float))
    return {"t": t, "x": xyz[:, 0], "y": xyz[:, 1], "z": xyz[:, 2]}
