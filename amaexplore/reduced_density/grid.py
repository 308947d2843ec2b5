"""Cells along one axis, and what happens at its ends."""

from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError

__all__ = ["BOUNDARIES", "Grid", "as_grids"]

BOUNDARIES = ("reflecting", "absorbing", "periodic")
MOST_CELLS = 1_000_000


@dataclass(frozen=True)
class Grid:
    """Equal cells along one axis.

    Parameters
    ----------
    lower, upper : float, nm (or u nm/ps along a momentum axis)
        Outer edges of the first and the last cell.
    n_cells : int
    boundary : str or tuple of two str
        ``"reflecting"`` (nothing passes), ``"absorbing"`` (what arrives is lost) or ``"periodic"``; a pair
        gives the lower and the upper end.

    Raises
    ------
    InputError
        Ends that are not finite or not ascending, fewer than two cells, an unknown boundary.

    Examples
    --------
    >>> Grid(-1.0, 1.0, 4).centres.tolist()
    [-0.75, -0.25, 0.25, 0.75]
    """

    lower: float
    upper: float
    n_cells: int
    boundary: str | tuple[str, str] = field(default="reflecting")

    def __post_init__(self):
        try:
            lower, upper, n_cells = float(self.lower), float(self.upper), int(self.n_cells)
        except (TypeError, ValueError):
            raise InputError(
                f"A grid needs two numbers and a count of cells; got {self.lower!r}, {self.upper!r}, {self.n_cells!r}."
            ) from None
        if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
            raise InputError(f"A grid needs finite ends with lower < upper; got {lower:g} and {upper:g}.")
        if n_cells != self.n_cells or not 2 <= n_cells <= MOST_CELLS:
            raise InputError(f"A grid needs a whole number of cells from 2 to {MOST_CELLS}; got {self.n_cells!r}.")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        object.__setattr__(self, "n_cells", n_cells)
        object.__setattr__(self, "boundary", _checked_boundary(self.boundary))

    @property
    def ends(self):
        """The boundary at the lower and at the upper end."""
        return (self.boundary, self.boundary) if isinstance(self.boundary, str) else self.boundary

    @property
    def periodic(self):
        """Whether the last cell is the first one's neighbour."""
        return self.boundary == "periodic"

    @property
    def absorbing(self):
        """Whether probability can leave."""
        return "absorbing" in self.ends

    @property
    def length(self):
        """Distance between the ends."""
        return self.upper - self.lower

    @property
    def width(self):
        """Width of a cell."""
        return self.length / self.n_cells

    @property
    def edges(self):
        """ndarray, shape (n_cells + 1,)."""
        return np.linspace(self.lower, self.upper, self.n_cells + 1)

    @property
    def centres(self):
        """ndarray, shape (n_cells,)."""
        return self.lower + self.width * (np.arange(self.n_cells) + 0.5)

    @property
    def shape(self):
        """(n_cells,), so that a single grid can stand where a tuple of grids may."""
        return (self.n_cells,)

    def cell_of(self, position):
        """Index of the cell that holds ``position``.

        Raises
        ------
        InputError
            The position lies outside.
        """
        if not self.lower <= position <= self.upper:
            raise InputError(f"Position {position:g} lies outside the grid from {self.lower:g} to {self.upper:g}.")
        return min(int((position - self.lower) / self.width), self.n_cells - 1)

    def scaled(self, factor):
        """The same cells with all lengths times ``factor``."""
        return Grid(self.lower * factor, self.upper * factor, self.n_cells, self.boundary)


def _checked_boundary(boundary):
    ends = (boundary, boundary) if isinstance(boundary, str) else boundary
    try:
        ends = tuple(ends)
    except TypeError:
        ends = (boundary,)
    if len(ends) != 2 or any(end not in BOUNDARIES for end in ends):
        raise InputError(
            f"boundary is {', '.join(BOUNDARIES)}, or a pair of them for the lower and the upper end; got {boundary!r}."
        )
    if ends[0] == ends[1]:
        return ends[0]
    if "periodic" in ends:
        raise InputError(f"One end alone cannot be periodic; got {boundary!r}.")
    return ends


def as_grids(grid):
    """A tuple of grids from one `Grid` or from one per axis.

    Raises
    ------
    InputError
        Anything else.
    """
    if isinstance(grid, Grid):
        return (grid,)
    try:
        grids = tuple(grid)
    except TypeError:
        grids = ()
    if not 1 <= len(grids) <= 3 or not all(isinstance(axis, Grid) for axis in grids):
        raise InputError(f"grid is a Grid, or a tuple of one to three of them; got {grid!r}.")
    return grids
