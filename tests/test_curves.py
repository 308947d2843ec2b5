"""Curves in the project's style, and pictures under a cell."""

import numpy as np
import pytest
from bokeh.models import Band, ColumnDataSource

import amaexplore as ama
from amaexplore.plots import curves, show


def test_every_line_is_drawn_with_its_data():
    x = np.linspace(0.0, 1.0, 5)
    figure = curves(x, {"plain": x**2, "band": (x, 0.1 * np.ones(5)), "own": (2 * x, x, None)}, marks={"level": 0.5})
    drawn = [r.data_source.data for r in figure.renderers]
    np.testing.assert_array_equal(drawn[0]["y"], x**2)
    np.testing.assert_array_equal(drawn[1]["high"], x + 0.1)
    np.testing.assert_array_equal(drawn[2]["x"], 2 * x)
    assert len(figure.select(Band)) == 1
    assert [item.label.value for item in figure.legend[0].items] == ["plain", "band", "own", "level"]


def test_points_have_error_bars():
    figure = curves([1.0, 2.0], {"data": ([1.0, 2.0], [0.1, 0.2])}, points=["data"])
    assert len(figure.renderers) == 2
    assert not figure.select(Band)


def test_show_takes_results_and_figures(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=2.0, momentum=rng.normal(size=(50, 3)))
    one, two = show(series), show(curves([0, 1], {"a": [0, 1]}), ama.momentum_correlation(series))
    assert one.layout.height == "230px"
    assert two.figure.select(ColumnDataSource)
    one.close()
    two.close()


def test_a_thing_without_a_picture():
    with pytest.raises(AttributeError):
        show(3)
