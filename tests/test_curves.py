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


def test_phase_space_has_a_picture():
    grid = ama.Grid(-1.0, 1.0, 60)
    equation = ama.FokkerPlanck(grid, mass=500.0, friction=300.0, potential=lambda R: 20.0 * R**2, temperature=240.0)
    density = equation.evolve(("gaussian", 0.2, 0.15), [0.0, 1.0])
    sources = density.plot(time=1.0).select(ColumnDataSource)
    image = next(source.data for source in sources if "image" in source.data)
    np.testing.assert_allclose(image["image"][0], density.values[1].T, rtol=1e-5, atol=1e-9)
    assert image["dw"] == pytest.approx([2.0])
    assert image["dh"] == pytest.approx([density.momentum_grid.length])


def test_ticks_of_a_logarithmic_axis_of_one_decade():
    """Bokeh's own would be 0.5 and 1."""
    short = curves(np.array([0.08, 0.3, 1.0]), {"y": np.array([1.0, 2.0, 3e4])}, x_scale="log", y_scale="log")
    assert {0.1, 0.2, 0.5, 1.0} <= set(short.xaxis[0].ticker.ticks)
    assert not hasattr(short.yaxis[0].ticker, "ticks")
