"""Grids: cells, ends, and what is refused."""

import numpy as np
import pytest

from amaexplore import Grid, InputError
from amaexplore.reduced_density.grid import as_grids


def test_cells_tile_the_axis():
    grid = Grid(-1.0, 2.0, 30)
    assert grid.width == pytest.approx(0.1)
    np.testing.assert_allclose(grid.edges[:-1] + 0.5 * grid.width, grid.centres, atol=1e-15)
    assert grid.ends == ("reflecting", "reflecting")
    assert not grid.absorbing
    assert not grid.periodic


def test_cell_of_holds_its_position():
    grid = Grid(0.0, 1.0, 7)
    for position in (0.0, 0.1, 0.5, 0.999, 1.0):
        k = grid.cell_of(position)
        assert grid.edges[k] <= position <= grid.edges[k + 1]
    with pytest.raises(InputError, match="outside"):
        grid.cell_of(1.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 0.0, 10), "lower < upper"),
        ((0.0, np.inf, 10), "finite"),
        ((0.0, 1.0, 1), "whole number"),
        ((0.0, 1.0, 2.5), "whole number"),
        (("a", 1.0, 2), "two numbers"),
        ((0.0, 1.0, 10, "open"), "boundary is"),
        ((0.0, 1.0, 10, ("periodic", "absorbing")), "One end alone"),
    ],
)
def test_bad_grids_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Grid(*arguments)


def test_two_ends_may_differ():
    grid = Grid(0.0, 1.0, 10, ("reflecting", "absorbing"))
    assert grid.absorbing
    assert Grid(0.0, 1.0, 10, ("absorbing", "absorbing")).boundary == "absorbing"


def test_as_grids():
    grid = Grid(0.0, 1.0, 4)
    assert as_grids(grid) == (grid,)
    assert as_grids([grid, grid]) == (grid, grid)
    for wrong in (3, [], [grid] * 4, "grid"):
        with pytest.raises(InputError, match="grid is a Grid"):
            as_grids(wrong)
