"""What a figure shows, as a table: CSV of all its curves, images row by row."""

import csv
import io

import numpy as np
from bokeh.models import Plot

__all__ = ["csv_of"]


def csv_of(figure):
    """The data of a figure as CSV; axis labels, with their units, stand in the first line.

    Parameters
    ----------
    figure : bokeh.model.Model
        A figure, or a layout of figures.

    Returns
    -------
    str
    """
    blocks = [_figure(plot) for plot in figure.select(Plot)]
    return "\n".join(block for block in blocks if block)


def _figure(plot):
    columns, images = {}, []
    legend = {id(r): item.label["value"] for box in plot.legend for item in box.items for r in item.renderers}
    seen = set()
    for number, renderer in enumerate(plot.renderers):
        source = getattr(renderer, "data_source", None)
        if source is None or id(source) in seen:
            continue
        seen.add(id(source))
        name = legend.get(id(renderer)) or f"{type(renderer.glyph).__name__.lower()} {number + 1}"
        if "image" in source.data:
            images.append((name, source.data))
            continue
        for key, values in source.data.items():
            if len(values):
                for part, column in _columns(values):
                    columns[f"{name}: {key}{part}"] = column
    title = f"# {plot.title.text}; x: {plot.xaxis[0].axis_label}; y: {plot.yaxis[0].axis_label}\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if columns:
        writer.writerow(columns)
        for row in range(max(map(len, columns.values()))):
            writer.writerow([_cell(values[row]) if row < len(values) else "" for values in columns.values()])
    for name, data in images:
        _image(writer, name, data)
    return title + text.getvalue() if text.getvalue() else ""


def _columns(values):
    """A column as it is; one of arrays, as several lines have it, as one column each."""
    if isinstance(values[0], np.ndarray | list | tuple):
        return [(f" {k + 1}", np.asarray(column)) for k, column in enumerate(values)]
    return [("", values)]


def _cell(value):
    return value if isinstance(value, str) else repr(float(value))


def _image(writer, name, data):
    for k, image in enumerate(data["image"]):
        n_y, n_x = image.shape
        x = data["x"][k] + data["dw"][k] * (np.arange(n_x) + 0.5) / n_x
        y = data["y"][k] + data["dh"][k] * (np.arange(n_y) + 0.5) / n_y
        writer.writerow([f"{name}: y \\ x", *(repr(float(value)) for value in x)])
        for place, row in zip(y, image):
            writer.writerow([repr(float(place)), *(repr(float(value)) for value in row)])
