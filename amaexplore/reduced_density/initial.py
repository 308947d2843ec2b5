"""The density at time zero, on the cells, from whatever the user gives."""

import numpy as np
from scipy.special import ndtr

from ..errors import InputError, Notice

__all__ = ["check_times", "density_of_samples", "drawn_density", "initial_density"]

LEAST_INSIDE = 1e-3


def check_times(times):
    """Times in ps as an array.

    Raises
    ------
    InputError
        Not numbers, negative, or not ascending.
    """
    try:
        times = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        raise InputError(f"times are numbers in ps; got {times!r}.") from None
    if times.ndim != 1 or times.size == 0:
        raise InputError(f"times are a list of at least one number in ps; got an array of shape {times.shape}.")
    if not np.isfinite(times).all():
        raise InputError("times must be finite numbers in ps.")
    if times[0] < 0.0:
        raise InputError(f"times count from the initial density and cannot be negative; the first is {times[0]:g} ps.")
    if (np.diff(times) < 0.0).any():
        first = int(np.argmax(np.diff(times) < 0.0))
        raise InputError(f"times must ascend; {times[first]:g} ps is followed by {times[first + 1]:g} ps. Sort them.")
    return times


def initial_density(grids, initial):
    """Cell values that sum to one with the cells' volumes.

    Parameters
    ----------
    grids : tuple of Grid
    initial : array_like of the cells' shape, callable of the positions, or ("gaussian", mean, std)
        A callable gets one array of positions per axis. What is given need not be normalised. Several axes take
        one mean and one std each.

    Returns
    -------
    density : ndarray
    warnings : tuple of Notice

    Raises
    ------
    InputError
        Wrong shape, negative, not finite, or (almost) nothing inside the grid.
    """
    volume = float(np.prod([grid.width for grid in grids]))
    if isinstance(initial, tuple | list) and len(initial) == 3 and isinstance(initial[0], str):
        density, inside = _gaussian(grids, *initial)
    else:
        density, inside = _values(grids, initial), 1.0
    total = density.sum() * volume
    if total <= 0.0:
        raise InputError("The initial density is zero on every cell; it has to lie inside the grid.")
    notices = ()
    if inside < 1.0 - 1e-6:
        notices = (
            Notice(
                "initial_outside",
                f"{1.0 - inside:.2g} of the initial density lies outside the grid; the rest was normalised. Use a wider grid.",
            ),
        )
    return density / total, notices


def drawn_density(points):
    """A density through points drawn by hand, as a callable of R for ``initial``.

    Parameters
    ----------
    points : sequence of (R, W), nm and any unit
        At least two; W below zero counts as zero. Straight lines between them, smoothed over a thirtieth of their
        width, nothing beyond them.

    Returns
    -------
    callable

    Raises
    ------
    InputError
        Fewer than two places, or nothing above zero.
    """
    try:
        table = np.array(points, dtype=float)
    except (TypeError, ValueError):
        table = np.zeros(0)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2 or not np.isfinite(table).all():
        raise InputError("A drawn density needs at least two points (R, W) of finite numbers.")
    table = table[np.argsort(table[:, 0], kind="stable")]
    places, heights = table[:, 0], np.maximum(table[:, 1], 0.0)
    if places[-1] <= places[0] or heights.max() <= 0.0:
        raise InputError("A drawn density needs points at different R, and at least one above zero.")
    width = (places[-1] - places[0]) / 30.0

    def density(position):
        offsets = np.linspace(-3.0, 3.0, 31)
        weights = np.exp(-0.5 * offsets**2)
        shifted = np.asarray(position, dtype=float)[..., None] + width * offsets
        return np.interp(shifted, places, heights, left=0.0, right=0.0) @ (weights / weights.sum())

    return density


def density_of_samples(samples):
    """A smooth density of positions that were met, as a callable of R for ``initial``.

    Parameters
    ----------
    samples : array_like, nm

    Returns
    -------
    callable
        Gaussian kernels of Silverman's width.

    Raises
    ------
    InputError
        Fewer than two different positions.
    """
    samples = np.asarray(samples, dtype=float).ravel()
    samples = samples[np.isfinite(samples)]
    if len(samples) < 2 or np.ptp(samples) == 0.0:
        raise InputError("An initial state from the data needs at least two different positions.")
    quartiles = np.subtract(*np.percentile(samples, [75, 25])) / 1.349
    spread = min(samples.std(), quartiles) if quartiles > 0.0 else samples.std()
    width = 0.9 * spread * min(len(samples), 2000) ** -0.2
    counts, edges = np.histogram(samples, bins=400, range=(samples.min(), samples.max()))
    centres = 0.5 * (edges[1:] + edges[:-1])

    def density(position):
        distance = (np.asarray(position, dtype=float)[..., None] - centres) / width
        return np.exp(-0.5 * np.minimum(distance**2, 1400.0)) @ (counts / len(samples))

    return density


def _values(grids, initial):
    shape = tuple(grid.n_cells for grid in grids)
    if callable(initial):
        positions = np.meshgrid(*(grid.centres for grid in grids), indexing="ij")
        try:
            initial = initial(*positions)
        except (TypeError, ValueError) as error:
            raise InputError(f"The initial density could not be evaluated on the grid's positions: {error}.") from error
    try:
        density = np.array(initial, dtype=float)
    except (TypeError, ValueError):
        raise InputError(
            f'initial is an array of cell values, a callable, or ("gaussian", mean, std); got {type(initial).__name__}.'
        ) from None
    if density.shape != shape:
        raise InputError(f"The initial density has shape {density.shape}, but the grid has {shape} cells.")
    if not np.isfinite(density).all():
        raise InputError(f"The initial density is not finite in {int((~np.isfinite(density)).sum())} cells.")
    if density.min() < 0.0:
        if density.min() < -1e-9 * density.max():
            raise InputError(f"A density cannot be negative; the lowest initial value is {density.min():.3g}.")
        density = np.maximum(density, 0.0)
    return density


def _gaussian(grids, kind, mean, std):
    if kind != "gaussian":
        raise InputError(f'The only named initial density is ("gaussian", mean, std); got {kind!r}.')
    try:
        means = np.broadcast_to(np.asarray(mean, dtype=float), (len(grids),))
        stds = np.broadcast_to(np.asarray(std, dtype=float), (len(grids),))
    except (TypeError, ValueError):
        raise InputError(
            f"A Gaussian needs one mean and one std per axis ({len(grids)}); got {mean!r} and {std!r}."
        ) from None
    density, inside = np.ones(()), 1.0
    for grid, axis_mean, axis_std in zip(grids, means, stds, strict=True):
        along, part = gaussian_on(grid, float(axis_mean), float(axis_std))
        density = np.multiply.outer(density, along)
        inside *= part
    return density, inside


def gaussian_on(grid, mean, std):
    """A Gaussian along one axis and the share of it that lies inside.

    Where the cells resolve it these are values at the centres, whose mean and variance on the cells are those of
    the Gaussian to rounding; where they do not, its integrals over the cells.
    """
    if not (np.isfinite(mean) and np.isfinite(std)) or std < 0.0:
        raise InputError(f"A Gaussian needs a finite mean and a std of at least zero; got {mean:g} and {std:g}.")
    if grid.periodic:
        return _wrapped(grid, mean, std), 1.0
    inside = _share(grid, mean, std)
    if inside < LEAST_INSIDE:
        raise InputError(
            f"The initial density (mean {mean:.4g}, std {std:.3g}) lies outside the grid from {grid.lower:.4g} to "
            f"{grid.upper:.4g}: only {inside:.1g} of it is inside. Move it, or widen the grid."
        )
    return _profile(grid, grid.centres - mean, std), inside


def _share(grid, mean, std):
    if std == 0.0:
        return float(grid.lower <= mean <= grid.upper)
    return float(ndtr((grid.upper - mean) / std) - ndtr((grid.lower - mean) / std))


def _profile(grid, distance, std):
    if std >= grid.width:
        return np.exp(-0.5 * np.minimum((distance / std) ** 2, 1400.0))
    if std < 1e-3 * grid.width:
        # a spike is shared between the two nearest cells such that its mean stays where it is
        return np.maximum(0.0, 1.0 - np.abs(distance) / grid.width)
    upper, lower = (distance + 0.5 * grid.width) / std, (distance - 0.5 * grid.width) / std
    # from the nearer tail, so that small differences are not lost
    return np.where(lower > 0.0, ndtr(-lower) - ndtr(-upper), ndtr(upper) - ndtr(lower))


def _wrapped(grid, mean, std):
    reach = int(np.ceil(8.0 * std / grid.length)) + 1
    if reach > 50:
        return np.ones(grid.n_cells)
    start = (mean - grid.lower) % grid.length + grid.lower
    images = start + grid.length * np.arange(-reach, reach + 1)
    return sum(_profile(grid, grid.centres - image, std) for image in images)
