"""Forces summed in cells of R, and the spline that matches them: what the routes to f^th(R) share."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import BSpline

from .correlation import n_blocks_for
from .errors import InputError
from .uncertainty import block_bounds, delete_one, jackknife_std
from .units import BOLTZMANN

__all__ = ["CellSums", "SplineFit", "bin_edges", "fit_force", "force_field"]

FINE_CELLS = 240  # the data are summed in cells this fine before any fit
# degree of the force and number of intervals: a constant, a harmonic well, then cubic splines of the potential
SPLINE_CHOICES = ((0, 1), (1, 1), (2, 1), (2, 2), (2, 4), (2, 6), (2, 10), (2, 16))
SPLINE_DEGREE = 2
FEWEST_IN_BIN = 5


def bin_edges(bins, position):
    low, high = float(position.min()), float(position.max())
    if high - low <= 1e-12 * max(1.0, abs(low)):
        # held in place: one narrow bin around the position
        low, high = low - 0.5e-3, high + 0.5e-3
        bins = 1 if bins is None or np.ndim(bins) == 0 else bins
    if bins is None:
        bins = int(np.clip(np.sqrt(position.size) / 5.0, 2, 20))
    if np.ndim(bins) == 0:
        if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or not 1 <= bins <= 10_000:
            raise InputError(f"bins must be a number of bins from 1 to 10000, or edges in nm; got {bins!r}.")
        return np.linspace(low, high, int(bins) + 1)
    edges = np.asarray(bins, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        raise InputError(
            "bins given as edges must be at least two finite numbers in nm, each larger than the one before."
        )
    if not ((position >= edges[0]) & (position <= edges[-1])).any():
        raise InputError(
            f"No frame has its position between {edges[0]:.4g} and {edges[-1]:.4g} nm; the data run from {low:.4g} to {high:.4g} nm."
        )
    return edges


class CellSums:
    """Sums over the frames in fine cells of R, per group: all that the three routes need."""

    def __init__(self, position, force, momentum, edges):
        self.edges = edges
        self.centres = 0.5 * (edges[1:] + edges[:-1])
        n_replicas, n_frames = position.shape
        n_blocks = n_blocks_for(n_replicas, n_frames)
        bounds = block_bounds(n_frames, n_blocks)
        block = np.searchsorted(bounds, np.arange(n_frames), side="right") - 1
        group = (np.arange(n_replicas)[:, None] * n_blocks + block).ravel()
        self.n_groups = n_replicas * n_blocks
        position, force = position.ravel(), force.ravel()
        inside = (position >= edges[0]) & (position <= edges[-1])
        position, force, group = position[inside], force[inside], group[inside]
        # fine cells refine the bins, so that bins are sums of cells
        per_bin = max(1, FINE_CELLS // len(self.centres))
        self.per_bin = per_bin
        fine = np.interp(np.arange(per_bin * len(self.centres) + 1) / per_bin, np.arange(len(edges)), edges)
        self.cells = 0.5 * (fine[1:] + fine[:-1])
        self.even = bool(np.ptp(np.diff(edges)) <= 1e-9 * (edges[-1] - edges[0]))
        if self.even:
            # even cells need no search
            cell = ((position - fine[0]) * (len(self.cells) / (fine[-1] - fine[0]))).astype(np.intp)
        else:
            cell = np.searchsorted(fine, position, side="right") - 1
        cell = np.clip(cell, 0, len(self.cells) - 1)
        index = group * len(self.cells) + cell

        def summed(weights=None):
            total = np.bincount(index, weights, minlength=self.n_groups * len(self.cells))
            return total.reshape(self.n_groups, -1).astype(float)

        self.n, self.force = summed(), summed(force)
        self.momentum = None
        if momentum is not None:
            momentum = momentum.ravel()[inside]
            self.momentum = summed(momentum)
            self.momentum2 = summed(momentum**2).sum(axis=1)
            self.momentum_force = summed(momentum * force).sum(axis=1)

    def _binned(self, cells):
        return cells.reshape(self.n_groups, -1, self.per_bin).sum(axis=2)

    @property
    def counts(self):
        """Frames in each bin."""
        return self._binned(self.n).sum(axis=0)

    def binned_force(self):
        """Conditional mean of F in each bin and its standard error; NaN where fewer than a few frames."""
        force, n = self._binned(self.force), self._binned(self.n)
        enough = n.sum(axis=0) >= FEWEST_IN_BIN
        mean = np.divide(force.sum(axis=0), n.sum(axis=0), out=np.full(n.shape[1], np.nan), where=enough)
        std = np.full(n.shape[1], np.nan)
        for bin_ in np.flatnonzero(enough & ((n > 0).sum(axis=0) >= 2)):
            visited = n[:, bin_] > 0
            std[bin_] = jackknife_std(delete_one(force[visited, bin_], n[visited, bin_]))
        return mean, std

    def density_force(self, temperature):
        """k_BT ∂ ln ρ/∂R by central differences of ln(counts/width), and its standard error."""
        n = self._binned(self.n)
        total = n.sum(axis=0)
        out, std = np.full(len(total), np.nan), np.full(len(total), np.nan)
        if len(total) < 3 or not np.isfinite(temperature):
            return out, std
        widths = np.diff(self.edges)
        distance = self.centres[2:] - self.centres[:-2]

        def slope(counts):
            safe = np.where(counts >= FEWEST_IN_BIN, counts, np.nan)
            return (
                BOLTZMANN * temperature * (np.log(safe / widths)[..., 2:] - np.log(safe / widths)[..., :-2]) / distance
            )

        out[1:-1] = slope(total)
        std[1:-1] = jackknife_std(slope(total - n)) if self.n_groups > 1 else np.nan
        return out, std


@dataclass(frozen=True, eq=False)
class SplineFit:
    knots: np.ndarray
    coefficients: np.ndarray
    at_bins: np.ndarray
    at_bins_std: np.ndarray
    left_out: np.ndarray
    """Coefficients with each group left out, (n_groups, n_coefficients)."""


def fit_force(sums, intervals):
    """Least squares of the force on B-splines of R (and on P), the number of intervals by cross-validation."""
    total = sums.n.sum(axis=0)
    occupied = np.flatnonzero(total)
    low, high = sums.cells[occupied[0]], sums.cells[occupied[-1]]
    if high <= low:  # held in place
        mean, left_out = sums.force.sum() / total.sum(), delete_one(sums.force.sum(axis=1), sums.n.sum(axis=1))
        std = jackknife_std(left_out) if sums.n_groups > 1 else np.nan
        n_bins = len(sums.centres)
        knots = np.array([sums.edges[0], sums.edges[-1]])
        return SplineFit(knots, np.array([mean]), np.full(n_bins, mean), np.full(n_bins, std), left_out[:, None])
    # no more intervals than bins, nor than the occupied cells can carry
    most = max(1, min(len(sums.centres), len(occupied) // 4))
    choices = [(SPLINE_DEGREE, intervals)] if intervals else [pair for pair in SPLINE_CHOICES if pair[1] <= most]
    best, worse = None, 0
    for degree, n in choices:
        fit = _SplineSystem(sums, degree, n, low, high)
        if best is None or fit.prediction_error < best.prediction_error:
            best, worse = fit, 0
        else:
            worse += 1
        # finer splines that predict worse three times running will not predict better
        if worse == 3:
            break
    left_out = best.at(sums.centres, best.left_out)
    std = jackknife_std(left_out) if sums.n_groups > 1 else np.full(len(sums.centres), np.nan)
    at_bins = best.at(sums.centres, best.solution[None])[0]
    return SplineFit(best.knots, best.solution[: best.n_basis], at_bins, std, best.left_out[:, : best.n_basis])


class _SplineSystem:
    """Normal equations of one choice of knots, for all data and with each group left out."""

    def __init__(self, sums, degree, n_intervals, low, high):
        self.degree = degree
        inner = np.linspace(low, high, int(n_intervals) + 1)
        self.knots = np.concatenate([[low] * degree, inner, [high] * degree])
        self.n_basis = len(self.knots) - degree - 1
        self.low, self.high = low, high
        if sums.even and low == sums.cells[0] and high == sums.cells[-1]:
            # even cells look alike on every axis
            basis = _even_basis(degree, int(n_intervals), len(sums.cells))
        else:
            basis = self._basis(sums.cells)
        matrices = (basis.T * sums.n[:, None, :]) @ basis
        rights = sums.force @ basis
        if sums.momentum is not None:
            cross = sums.momentum @ basis
            size = self.n_basis + 1
            wider = np.zeros((sums.n_groups, size, size))
            wider[:, :-1, :-1], wider[:, -1, :-1], wider[:, :-1, -1] = matrices, cross, cross
            wider[:, -1, -1] = sums.momentum2
            matrices = wider
            rights = np.concatenate([rights, sums.momentum_force[:, None]], axis=1)
        whole = matrices.sum(axis=0)
        # a cell of the basis nobody visited is kept at zero by a ridge far below any statistical error
        ridge = 1e-9 * np.trace(whole) / len(whole) * np.eye(len(whole))
        self.solution = np.linalg.solve(whole + ridge, rights.sum(axis=0))
        others = whole - matrices + ridge
        self.left_out = np.linalg.solve(others, (rights.sum(axis=0) - rights)[..., None])[..., 0]
        if sums.n_groups < 2:
            self.left_out = self.solution[None]
        quadratic = ((self.left_out[:, None, :] @ matrices)[:, 0] * self.left_out).sum(axis=1)
        self.prediction_error = float((quadratic - 2.0 * (self.left_out * rights).sum(axis=1)).sum())

    def _basis(self, positions):
        inside = np.clip(positions, self.low, self.high)
        return BSpline.design_matrix(inside, self.knots, self.degree).toarray()

    def at(self, positions, solutions):
        """Forces at ``positions`` for each solution, shape (n_solutions, n_positions)."""
        return solutions[:, : self.n_basis] @ self._basis(positions).T


@lru_cache(maxsize=64)
def _even_basis(degree, n_intervals, n_cells):
    """B-splines on [0, 1] at ``n_cells`` even places, both ends among them."""
    knots = np.concatenate([[0.0] * degree, np.linspace(0.0, 1.0, n_intervals + 1), [1.0] * degree])
    basis = BSpline.design_matrix(np.linspace(0.0, 1.0, n_cells), knots, degree).toarray()
    basis.flags.writeable = False
    return basis


def force_field(series, axes):
    """F^th(R) at every frame along the chosen axes, each its own force-matched spline; zero along the others.

    Parameters
    ----------
    series : OrderParameters
        With centre of mass and net force, without missing frames.
    axes : sequence of int

    Returns
    -------
    ndarray, shape (n_replicas, n_frames, 3), kJ/mol/nm
    """
    position, force = series.replicas("centre_of_mass"), series.replicas("net_force")
    out = np.zeros_like(force)
    for axis in axes:
        sums = CellSums(position[..., axis], force[..., axis], None, bin_edges(None, position[..., axis]))
        fit = fit_force(sums, None)
        spline = BSpline(fit.knots, fit.coefficients, len(fit.knots) - len(fit.coefficients) - 1)
        # cells are fine against any change of the force
        cells = spline(np.clip(sums.cells, fit.knots[0], fit.knots[-1]))
        out[..., axis] = np.interp(position[..., axis], sums.cells, cells)
    return out
