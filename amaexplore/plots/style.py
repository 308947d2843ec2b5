"""How every figure looks: colours that the colour-blind tell apart, units on every axis, two themes."""

from dataclasses import dataclass

import numpy as np
from bokeh.models import ColorBar, HoverTool
from bokeh.plotting import figure

__all__ = ["AXIS_COLOURS", "COLOURS", "THEMES", "Theme", "apply_theme", "decimated", "new_figure", "shades"]

# Okabe and Ito's set, which stays distinguishable with every common colour blindness
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermilion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "grey": "#7F8790",
}
AXIS_COLOURS = {"x": COLOURS["blue"], "y": COLOURS["orange"], "z": COLOURS["green"]}

# sampled from matplotlib's "cividis" (CC0), which was made for the colour-blind: dark blue to yellow
_CIVIDIS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip


@dataclass(frozen=True)
class Theme:
    """Colours of what surrounds the data."""

    background: str
    text: str
    quiet: str
    grid: str
    shade: str


THEMES = {
    "light": Theme("#ffffff", "#1d2733", "#5b6673", "#e6eaee", "#0072B2"),
    "dark": Theme("#151b23", "#e6edf3", "#9aa7b4", "#2a333d", "#56B4E9"),
}


def new_figure(title, x_label, y_label, *, compact=False, **options):
    """An empty figure in the style of the project.

    Parameters
    ----------
    title, x_label, y_label : str
        Labels carry their units.
    compact : bool
        For the explorer: fills what room it is given and hides its tools until they are wanted.
    """
    size = (
        {"sizing_mode": "stretch_both", "min_height": 120}
        if compact
        else {"sizing_mode": "stretch_width", "height": 320}
    )
    plot = figure(
        title=title,
        x_axis_label=x_label,
        y_axis_label=y_label,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,
        active_scroll=None,
        **size | options,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.toolbar_inner = True
    plot.min_border_right = 12
    plot.min_border_top = 2
    plot.min_border_bottom = 2
    plot.title.text_font_size = "12.5px"
    plot.title.text_font_style = "bold"
    plot.outline_line_color = None
    for axis in plot.axis:
        axis.axis_label_text_font_style = "normal"
        axis.axis_label_text_font_size = "11.5px"
        axis.major_label_text_font_size = "10.5px"
        axis.axis_label_standoff = 4
        axis.minor_tick_line_color = None
        axis.major_tick_in = 0
        axis.major_tick_out = 4
    if "y_range" not in options:
        plot.yaxis.ticker.desired_num_ticks = 5
    # in the explorer the page's paper shines through
    plot.tags = ["clear"] if compact else []
    apply_theme(plot, "light")
    return plot


def finish_legend(plot, location="top_right"):
    """A legend that is readable over the data and takes little room."""
    if not plot.legend:
        return
    legend = plot.legend[0]
    legend.location = location
    legend.click_policy = "hide"
    legend.label_text_font_size = "10.5px"
    legend.glyph_height = 12
    legend.glyph_width = 16
    legend.label_height = 12
    legend.spacing = 1
    legend.padding = 4
    legend.margin = 4
    legend.border_line_color = None
    legend.background_fill_alpha = 0.75


def apply_theme(plot, name):
    """Colour what surrounds the data for a light or a dark page."""
    theme = THEMES[name]
    clear = "clear" in plot.tags
    plot.background_fill_color = plot.border_fill_color = None if clear else theme.background
    plot.title.text_color = theme.text
    for axis in plot.axis:
        axis.axis_label_text_color = theme.quiet
        axis.major_label_text_color = theme.quiet
        axis.axis_line_color = theme.grid
        axis.major_tick_line_color = theme.grid
    for grid in plot.grid:
        grid.grid_line_color = theme.grid
    for legend in plot.legend:
        legend.background_fill_color = theme.background
        legend.label_text_color = theme.text
    for bar in plot.select(ColorBar):
        bar.background_fill_color = None
        bar.title_text_color = bar.major_label_text_color = theme.quiet


def hover(plot, renderers, rows, **options):
    """Add a tool that explains the numbers under the mouse: rows of (name, Bokeh field text)."""
    tool = HoverTool(renderers=list(renderers), tooltips=rows, point_policy="snap_to_data", **options)
    plot.add_tools(tool)
    return tool


def shades(n):
    """``n`` colours from dark to light, for an ordered quantity such as time."""
    # the lightest is too faint on white
    places = np.linspace(0.0, 0.86, n) if n > 1 else np.array([0.0])
    return [_CIVIDIS[min(len(_CIVIDIS) - 1, round(place * (len(_CIVIDIS) - 1)))] for place in places]


def palette(n=256):
    """The same scale in ``n`` steps, for heat maps."""
    corners = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _CIVIDIS], dtype=float)
    places = np.linspace(0, len(corners) - 1, n)
    channels = [np.interp(places, np.arange(len(corners)), corners[:, k]) for k in range(3)]
    return [f"#{int(r):02x}{int(g):02x}{int(b):02x}" for r, g, b in zip(*channels)]


def decimated(times, values, most=1200):
    """A long series with few points that draws the same: minimum and maximum of each stretch.

    Parameters
    ----------
    times : ndarray, shape (n,)
    values : ndarray, shape (n, k)
    most : int

    Returns
    -------
    times : ndarray, shape (m,), m ≤ most
    values : ndarray, shape (m, k)
    """
    n = len(times)
    if n <= most:
        return times, values
    stretch = -(-n // (most // 2))
    n_stretches = n // stretch
    body = values[: n_stretches * stretch].reshape(n_stretches, stretch, -1)
    finite = np.isfinite(body)
    low = np.where(finite, body, np.inf).min(axis=1)
    high = np.where(finite, body, -np.inf).max(axis=1)
    out = np.stack([low, high], axis=1).reshape(2 * n_stretches, -1)
    out[~np.isfinite(out)] = np.nan
    starts = times[: n_stretches * stretch].reshape(n_stretches, stretch)
    return np.stack([starts[:, 0], starts[:, stretch // 2]], axis=1).ravel(), out
