"""Drawing a density on a figure with the mouse: the page follows the hand, the kernel gets the finished curve."""

import json

import numpy as np
from bokeh.models import ColumnDataSource, CustomJS, Span

from .style import COLOURS

__all__ = ["Sketch"]

N_BINS = 48

_DRAW = """
// every gesture is followed from its start, since word that drawing is allowed may come while the hand moves already
const lower = x_range.start, upper = x_range.end;
const at = (x) => Math.min(Math.max(Math.round((x - lower) / (upper - lower) * (n - 1)), 0), n - 1);
const k = at(cb_obj.x), height = Math.max(cb_obj.y, 0);
if (cb_obj.event_name === "panstart" || !source.heights) {
  source.heights = new Array(n).fill(0);
  source.last = [k, height];
}
const [from, before] = source.last;
// the hand may jump over several bins between two reports
for (let step = 0; step <= Math.abs(k - from); step++) {
  const share = k === from ? 1 : step / Math.abs(k - from);
  source.heights[from + Math.sign(k - from) * step] = before + share * (height - before);
}
source.last = [k, height];
const ended = cb_obj.event_name === "panend", heights = source.heights;
if (ended) source.heights = null;
if (!line.visible) return;
const places = heights.map((_, i) => lower + (upper - lower) * i / (n - 1));
source.data = { R: places, W: [...heights] };
if (ended) {
  const points = places.map((place, i) => [Number(place.toPrecision(5)), Number(heights[i].toPrecision(4))]);
  mail.name = JSON.stringify(points);
  // by then the density itself is drawn, on its own scale
  setTimeout(() => { source.data = { R: [], W: [] }; }, 700);
}
"""


class Sketch:
    """A line that the mouse draws on a figure while it is enabled.

    Parameters
    ----------
    plot : bokeh.plotting.figure
        With ranges of its own; dragging must not be taken by another tool.
    """

    def __init__(self, plot):
        self.source = ColumnDataSource({"R": [], "W": []})
        self.line = plot.line("R", "W", source=self.source, color=COLOURS["blue"], line_width=3, visible=False)
        # carries the finished curve as text: it draws nothing
        self.mail = Span(dimension="height", location=0.0, visible=False, tags=["live"])
        plot.add_layout(self.mail)
        arguments = {"line": self.line, "source": self.source, "mail": self.mail, "x_range": plot.x_range, "n": N_BINS}
        for event in ("panstart", "pan", "panend"):
            plot.js_on_event(event, CustomJS(args=arguments, code=_DRAW))

    @property
    def enabled(self):
        """Whether the mouse draws."""
        return self.line.visible

    @enabled.setter
    def enabled(self, value):
        self.line.visible = bool(value)
        if not value:
            self.source.data = {"R": [], "W": []}

    def on_drawn(self, listener):
        """Call ``listener(points)`` with [[R, W], ...], without the empty ends, when a curve is finished."""

        def arrived(_attr, _old, new):
            points = trimmed(new)
            if points:
                listener(points)

        self.mail.on_change("name", arrived)


def trimmed(text):
    """The points of a finished curve with one zero on either side; empty where nothing was drawn above zero."""
    try:
        table = np.array(json.loads(text or "[]"), dtype=float)
    except (TypeError, ValueError):
        return []
    if table.ndim != 2 or table.shape[1] != 2 or not np.isfinite(table).all():
        return []
    filled = np.flatnonzero(table[:, 1] > 0.0)
    if len(filled) == 0:
        return []
    chosen = table[max(filled[0] - 1, 0) : filled[-1] + 2]
    return chosen.tolist() if len(chosen) > 1 else []
