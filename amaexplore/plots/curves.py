"""Any curves in the project's style, and how a picture gets into a notebook without a network."""

import numpy as np
from bokeh.models import Band, ColumnDataSource, FixedTicker, PrintfTickFormatter, Span

from .style import COLOURS, finish_legend, hover, new_figure

__all__ = ["curves", "show"]

ORDER = ("blue", "vermilion", "green", "orange", "purple", "sky", "grey")


def curves(
    x,
    lines,
    *,
    title="",
    x_label="",
    y_label="",
    points=(),
    dashed=(),
    marks=None,
    x_scale="linear",
    y_scale="linear",
    height=320,
    legend="top_right",
    **options,
):
    """Curves over one abscissa as a Bokeh figure, each with its error band where it has one.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Used by every line that does not bring its own.
    lines : dict
        Name -> y, (y, y_std) or (x, y, y_std); ``None`` for no error.
    title, x_label, y_label : str
        With units.
    points, dashed : sequence of str
        Names drawn as dots, or as dashed lines.
    marks : dict, optional
        Name -> y of a horizontal line.
    x_scale, y_scale : str
        ``"linear"`` or ``"log"``.
    height : int
    legend : str
        Bokeh's location of the legend.
    **options
        Of the Bokeh figure, such as ``x_range``.

    Returns
    -------
    bokeh.plotting.figure

    Examples
    --------
    >>> figure = curves([0.0, 1.0], {"y = x": [0.0, 1.0]}, x_label="x", y_label="y")
    >>> len(figure.renderers)
    1
    """
    plot = new_figure(title, x_label, y_label, height=height, x_axis_type=x_scale, y_axis_type=y_scale, **options)
    renderers = []
    for index, (name, line) in enumerate(lines.items()):
        colour = COLOURS[ORDER[index % len(ORDER)]]
        own_x, y, std = _parts(x, line)
        source = ColumnDataSource({"x": own_x, "y": y, "low": y - std, "high": y + std})
        if name in points:
            renderers.append(plot.scatter("x", "y", source=source, size=6, color=colour, legend_label=name))
            plot.segment("x", "low", "x", "high", source=source, color=colour, line_width=1.2)
        else:
            dash = "dashed" if name in dashed else "solid"
            renderers.append(
                plot.line("x", "y", source=source, color=colour, line_width=1.8, line_dash=dash, legend_label=name)
            )
            if std.any():
                band = Band(base="x", lower="low", upper="high", source=source, fill_color=colour, fill_alpha=0.2)
                band.line_alpha = 0
                plot.add_layout(band)
    for index, (name, level) in enumerate((marks or {}).items()):
        colour = COLOURS[ORDER[(len(lines) + index) % len(ORDER)]]
        plot.add_layout(Span(dimension="width", location=float(level), line_color=colour, line_dash="dashed"))
        # a span has no place in the legend, and does not count for the range: one point of a line does both
        plot.line([float(own_x[0])], [float(level)], color=colour, line_dash="dashed", legend_label=name)
    hover(plot, renderers, [(x_label or "x", "@x"), (y_label or "y", "@y")], mode="mouse")
    for axis, scale, ends in (
        (plot.xaxis, x_scale, _ends(renderers, "x")),
        (plot.yaxis, y_scale, _ends(renderers, "y")),
    ):
        # over little more than a decade the usual ticks are two, at most
        if scale == "log" and ends[0] > 0.0 and ends[1] < 30.0 * ends[0]:
            axis.ticker = FixedTicker(ticks=_one_two_five(*ends))
            axis.formatter = PrintfTickFormatter(format="%g")
    finish_legend(plot, legend)
    return plot


def _ends(renderers, name):
    values = np.concatenate([[], *(renderer.data_source.data[name] for renderer in renderers)])
    values = values[np.isfinite(values)]
    return (values.min(), values.max()) if len(values) else (0.0, 0.0)


def _one_two_five(low, high):
    """1, 2 and 5 times every power of ten, from a little below ``low`` to a little above ``high``."""
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    return [float(f"{step}e{decade}") for decade in decades for step in (1, 2, 5)]


def _parts(x, line):
    parts = line if isinstance(line, tuple) else (line,)
    if len(parts) == 3:
        x, y, std = parts
    elif len(parts) == 2:
        y, std = parts
    else:
        y, std = parts[0], None
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    std = np.zeros_like(y) if std is None else np.nan_to_num(np.broadcast_to(np.asarray(std, dtype=float), y.shape))
    return x, y, std


def show(*pictures, columns=None, label=""):
    """Show results or Bokeh figures under a notebook cell; works without a network in every Jupyter front end.

    Parameters
    ----------
    *pictures : Result or Bokeh figure
        Results are drawn by their own ``plot``.
    columns : int, optional
        Side by side in so many columns; default, up to two.
    label : str
        What is shown, for screen readers.

    Returns
    -------
    FigureView
        A widget: the last value of a cell is displayed.
    """
    from bokeh.layouts import gridplot
    from bokeh.models import LayoutDOM

    from ..explorer.figure_view import FigureView

    drawn = [picture if isinstance(picture, LayoutDOM) else picture.plot() for picture in pictures]
    if len(drawn) == 1:
        layout = drawn[0]
    else:
        layout = gridplot(
            drawn, ncols=columns or min(2, len(drawn)), sizing_mode="stretch_width", toolbar_location=None
        )
    height = _height(layout)
    return FigureView(layout, label=label, layout={"height": f"{height}px", "width": "100%"})


def _height(layout):
    """Pixels a picture needs, from the figures in it."""
    from bokeh.models import Column, GridPlot

    if isinstance(layout, GridPlot):
        rows = {}
        for child, row, *_ in layout.children:
            rows[row] = max(rows.get(row, 0), _height(child))
        return sum(rows.values()) + 20
    if isinstance(layout, Column):
        return sum(_height(child) for child in layout.children) + 10
    return int(layout.height or 320)
