"""W at the output times: what the solvers return."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import InputError, Notice
from ..results import Result
from ..units import thermal_energy
from .grid import Grid, as_grids

__all__ = ["DensityFan", "PhaseSpaceDensity", "ReducedDensity"]


@dataclass(frozen=True, eq=False, repr=False)
class ReducedDensity(Result):
    """W(R, t) on the cells of a grid.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    values : ndarray, shape (n_times, *cells), 1/nm^d
    grid : Grid, or tuple of Grid for several axes
    temperature : float, K
    diagnostics : dict
        How it was made: scheme, drift of probability, lowest value, clipped mass.
    warnings : tuple of Notice
    """

    times: np.ndarray
    values: np.ndarray
    grid: Grid | tuple
    temperature: float = float("nan")
    diagnostics: dict = field(default_factory=dict)
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def grids(self):
        """One grid per axis."""
        return as_grids(self.grid)

    @property
    def cell_volume(self):
        """nm^d."""
        return float(np.prod([grid.width for grid in self.grids]))

    @cached_property
    def probability(self):
        """Total probability at each time; ndarray (n_times,)."""
        return self.values.reshape(len(self.times), -1).sum(axis=1) * self.cell_volume

    @cached_property
    def mean(self):
        """⟨R⟩ of what is left; ndarray (n_times,), or (n_times, d) for several axes, nm."""
        means = np.stack([self._along(k) @ grid.centres for k, grid in enumerate(self.grids)], axis=-1)
        return means[:, 0] if len(self.grids) == 1 else means

    @cached_property
    def variance(self):
        """Variance of R; ndarray (n_times,), or the covariance (n_times, d, d) for several axes, nm²."""
        if len(self.grids) == 1:
            distance = self.grids[0].centres - self.mean[:, None]
            return np.einsum("tx,tx->t", self._along(0), distance**2)
        return self._covariance()

    def _covariance(self):
        d = len(self.grids)
        covariance = np.empty((len(self.times), d, d))
        for a in range(d):
            for b in range(a, d):
                centred_a = self.grids[a].centres - self.mean[:, a, None]
                if a == b:
                    value = np.einsum("tx,tx->t", self._along(a), centred_a**2)
                else:
                    centred_b = self.grids[b].centres - self.mean[:, b, None]
                    value = np.einsum("txy,tx,ty->t", self._plane(a, b), centred_a, centred_b)
                covariance[:, a, b] = covariance[:, b, a] = value
        return covariance

    def _weights(self, keep):
        others = tuple(1 + k for k in range(len(self.grids)) if k not in keep)
        weights = self.values.sum(axis=others)
        totals = weights.reshape(len(self.times), -1).sum(axis=1)
        return weights / np.maximum(totals, 1e-300).reshape(-1, *[1] * len(keep))

    def _along(self, axis):
        return self._weights((axis,))

    def _plane(self, a, b):
        return self._weights((a, b))

    def marginal(self, *axes):
        """W of some axes alone, the others integrated out; a `ReducedDensity`.

        Parameters
        ----------
        *axes : int

        Returns
        -------
        ReducedDensity

        Raises
        ------
        InputError
            No axes, twice the same, or one that is not there.
        """
        count = len(self.grids)
        if not axes or len(set(axes)) != len(axes) or not all(axis in range(count) for axis in axes):
            raise InputError(f"marginal takes distinct axes among 0 to {count - 1}; got {axes}.")
        others = tuple(k for k in range(count) if k not in axes)
        volume = float(np.prod([self.grids[k].width for k in others])) if others else 1.0
        values = self.values.sum(axis=tuple(1 + k for k in others)) * volume
        order = np.argsort(np.argsort(axes))
        values = np.transpose(values, (0, *(1 + order)))
        grids = tuple(self.grids[k] for k in axes)
        return ReducedDensity(
            self.times,
            values,
            grids[0] if len(grids) == 1 else grids,
            self.temperature,
            self.diagnostics,
            self.warnings,
        )

    def moments(self, order, *, central=False):
        """⟨Rᵏ⟩ for k = ``order``, per axis; about the mean if ``central``. Shape as `mean`.

        Parameters
        ----------
        order : int
        central : bool

        Returns
        -------
        ndarray, shape (n_times,), or (n_times, d) on several axes; nm to the power of ``order``
        """
        columns = []
        for k, grid in enumerate(self.grids):
            mean = self.mean if len(self.grids) == 1 else self.mean[:, k]
            distance = grid.centres - (mean[:, None] if central else 0.0)
            columns.append(np.sum(self._along(k) * distance**order, axis=1))
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=-1)

    def quantile(self, probability):
        """Positions below which the given share of the probability lies, one axis only; linear within a cell.

        Parameters
        ----------
        probability : float or array_like, 0 to 1

        Returns
        -------
        ndarray, shape (n_times,) or (n_times, n_probabilities), nm

        Raises
        ------
        InputError
            More than one axis, or a probability outside 0 to 1.
        """
        if len(self.grids) != 1:
            raise InputError("Quantiles need one axis; take .marginal(axis) first.")
        wanted = np.atleast_1d(np.asarray(probability, dtype=float))
        if not ((wanted >= 0.0) & (wanted <= 1.0)).all():
            raise InputError(f"Quantiles are asked for probabilities from 0 to 1; got {probability!r}.")
        cumulative = np.concatenate([np.zeros((len(self.times), 1)), np.cumsum(self._along(0), axis=1)], axis=1)
        cumulative /= np.maximum(cumulative[:, -1:], 1e-300)
        edges = self.grids[0].edges
        found = np.stack([np.interp(wanted, row, edges) for row in cumulative])
        return found[:, 0] if np.ndim(probability) == 0 else found

    def free_energy(self, floor=1e-12):
        """−k_BT ln W, kJ/mol, zero at each frame's highest density; NaN where W is below ``floor`` of it.

        Parameters
        ----------
        floor : float
            Relative to the highest density of the frame.

        Returns
        -------
        ndarray, kJ/mol, shape of ``values``

        Raises
        ------
        InputError
            The density carries no temperature.
        """
        if not np.isfinite(self.temperature):
            raise InputError("This density carries no temperature; free_energy needs one.")
        flat = self.values.reshape(len(self.times), -1)
        relative = flat / np.maximum(flat.max(axis=1, keepdims=True), 1e-300)
        safe = np.where(relative > floor, relative, np.nan)
        return (-thermal_energy(self.temperature) * np.log(safe)).reshape(self.values.shape)

    def at(self, time):
        """W at one time between frames, linear in time; ndarray of the cells' shape.

        Parameters
        ----------
        time : float, ps

        Returns
        -------
        ndarray of the cells' shape, 1/nm^d

        Raises
        ------
        InputError
            The time is outside the frames.
        """
        if not self.times[0] <= time <= self.times[-1]:
            raise InputError(f"Time {time:g} ps is not between the frames, {self.times[0]:g} to {self.times[-1]:g} ps.")
        after = int(np.clip(np.searchsorted(self.times, time), 1, max(len(self.times) - 1, 1)))
        if len(self.times) == 1:
            return self.values[0]
        first, last = self.times[after - 1], self.times[after]
        share = (time - first) / (last - first) if last > first else 1.0
        return (1.0 - share) * self.values[after - 1] + share * self.values[after]

    def scaled(self, epsilon):
        """The same density of Φ = √ε R against time in ps, on a grid of Φ: W̃(Φ) = W(R)/√ε per axis."""
        root = np.sqrt(_check_epsilon(epsilon))
        grids = tuple(grid.scaled(root) for grid in self.grids)
        return ReducedDensity(
            self.times,
            self.values / root ** len(grids),
            grids[0] if len(grids) == 1 else grids,
            self.temperature,
            {**self.diagnostics, "epsilon": float(epsilon)},
            self.warnings,
        )

    def summary(self):
        cells = " × ".join(str(grid.n_cells) for grid in self.grids)
        rows = [
            ("frames", f"{len(self.times)} from {self.times[0]:.4g} to {self.times[-1]:.4g} ps"),
            ("cells", cells),
            ("probability", f"{self.probability[-1]:.12g} at the end"),
        ]
        return rows + [(key.replace("_", " "), _text(value)) for key, value in self.diagnostics.items()]

    @classmethod
    def from_dict(cls, document):
        return super().from_dict(_revive_grids(document, ("grid",)))


def drawn_together(sequences, takes):
    """Samples of coefficients, one dict per sample.

    Parameters
    ----------
    sequences : dict
        Name of a coefficient -> sequence of its samples, or None.
    takes : str
        How the sentence begins that says what was expected.

    Raises
    ------
    InputError
        None is given, or they differ in length.
    """
    given = {name: list(values) for name, values in sequences.items() if values is not None}
    counts = {len(values) for values in given.values()}
    if len(counts) != 1 or counts == {0}:
        raise InputError(
            f"{takes}, mean_forces or potentials as sequences of the same length; got lengths {sorted(counts) or 'none'}."
        )
    return [dict(zip(given, entries)) for entries in zip(*given.values())]


@dataclass(frozen=True, eq=False, repr=False)
class DensityFan(Result):
    """W for samples of uncertain coefficients.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    values, values_std : ndarray, shape (n_times, *cells), 1/nm^d
        Mean and standard deviation over the samples: the error that the coefficients' errors put on W.
    samples : ndarray, shape (n_samples, n_times, *cells)
    grid : Grid or tuple of Grid
    temperature : float, K
    """

    times: np.ndarray
    values: np.ndarray
    values_std: np.ndarray
    samples: np.ndarray
    grid: Grid | tuple
    temperature: float

    @classmethod
    def of(cls, densities):
        """From densities on the same grid at the same times; at least two.

        Parameters
        ----------
        densities : sequence of ReducedDensity

        Returns
        -------
        DensityFan

        Raises
        ------
        InputError
            Fewer than two densities.
        """
        if len(densities) < 2:
            raise InputError(f"A fan needs at least two samples; got {len(densities)}.")
        samples = np.stack([density.values for density in densities])
        first = densities[0]
        std = samples.std(axis=0, ddof=1)
        return cls(first.times, samples.mean(axis=0), std, samples, first.grid, first.temperature)

    def quantile(self, probability):
        """Quantiles of W over the samples, cell by cell; shape (*probability.shape, n_times, *cells)."""
        return np.quantile(self.samples, probability, axis=0)

    def summary(self):
        spread = float(self.values_std.max() / self.values.max())
        return [("samples", str(len(self.samples))), ("largest spread", f"{100 * spread:.2g} % of the highest density")]

    @classmethod
    def from_dict(cls, document):
        return super().from_dict(_revive_grids(document, ("grid",)))


@dataclass(frozen=True, eq=False, repr=False)
class PhaseSpaceDensity(Result):
    """W(R, P, t) on position × momentum cells.

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
    values : ndarray, shape (n_times, n_R, n_P), 1/(nm · u nm/ps)
    grid : Grid
        Along R, nm.
    momentum_grid : Grid
        Along P, u nm/ps.
    mass : float, u
    temperature : float, K
    diagnostics : dict
    warnings : tuple of Notice
    """

    times: np.ndarray
    values: np.ndarray
    grid: Grid
    momentum_grid: Grid
    mass: float
    temperature: float
    diagnostics: dict = field(default_factory=dict)
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def cell_volume(self):
        """nm · u nm/ps."""
        return self.grid.width * self.momentum_grid.width

    def frame(self, index):
        """W(R, P) at one time; ndarray (n_R, n_P)."""
        return self.values[index]

    @cached_property
    def probability(self):
        """Total probability at each time; ndarray (n_times,)."""
        return self.values.sum(axis=(1, 2)) * self.cell_volume

    def marginal(self, axis):
        """W of position or of momentum alone.

        Parameters
        ----------
        axis : str
            ``"position"`` or ``"momentum"``.

        Returns
        -------
        ReducedDensity

        Raises
        ------
        InputError
            Another axis.
        """
        if axis == "position":
            values, grid = self.values.sum(axis=2) * self.momentum_grid.width, self.grid
        elif axis == "momentum":
            values, grid = self.values.sum(axis=1) * self.grid.width, self.momentum_grid
        else:
            raise InputError(f'marginal is of "position" or "momentum"; got {axis!r}.')
        return ReducedDensity(self.times, values, grid, self.temperature, self.diagnostics, self.warnings)

    @cached_property
    def mean(self):
        """⟨R⟩ and ⟨P⟩; ndarray (n_times, 2)."""
        return np.stack([self.marginal("position").mean, self.marginal("momentum").mean], axis=-1)

    @cached_property
    def covariance(self):
        """Covariance of (R, P); ndarray (n_times, 2, 2)."""
        position, momentum = self.marginal("position"), self.marginal("momentum")
        weights = self.values * (self.cell_volume / np.maximum(self.probability, 1e-300))[:, None, None]
        mixed = np.einsum("tij,i,j->t", weights, self.grid.centres, self.momentum_grid.centres)
        mixed -= position.mean * momentum.mean
        return np.stack(
            [np.stack([position.variance, mixed], axis=-1), np.stack([mixed, momentum.variance], axis=-1)], axis=-2
        )

    def scaled(self, epsilon):
        """The same density of Φ = √ε R and Π = √ε P: W̃(Φ, Π) = W(R, P)/ε, on scaled grids."""
        root = np.sqrt(_check_epsilon(epsilon))
        return PhaseSpaceDensity(
            self.times,
            self.values / root**2,
            self.grid.scaled(root),
            self.momentum_grid.scaled(root),
            self.mass,
            self.temperature,
            {**self.diagnostics, "epsilon": float(epsilon)},
            self.warnings,
        )

    def summary(self):
        rows = [
            ("frames", f"{len(self.times)} from {self.times[0]:.4g} to {self.times[-1]:.4g} ps"),
            ("cells", f"{self.grid.n_cells} × {self.momentum_grid.n_cells}"),
            ("probability", f"{self.probability[-1]:.12g} at the end"),
        ]
        return rows + [(key.replace("_", " "), _text(value)) for key, value in self.diagnostics.items()]

    @classmethod
    def from_dict(cls, document):
        return super().from_dict(_revive_grids(document, ("grid", "momentum_grid")))


def _check_epsilon(epsilon):
    if not np.isfinite(epsilon) or epsilon <= 0.0:
        raise InputError(f"epsilon must be a positive number; got {epsilon!r}.")
    return float(epsilon)


def _text(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _revive_grids(document, names):
    document = dict(document)
    for name in names:
        grid = document.get(name)
        if isinstance(grid, dict):
            document[name] = _revive_grid(grid)
        elif isinstance(grid, list | tuple):
            document[name] = tuple(_revive_grid(axis) if isinstance(axis, dict) else axis for axis in grid)
    return document


def _revive_grid(document):
    boundary = document.get("boundary", "reflecting")
    return Grid(**{**document, "boundary": boundary if isinstance(boundary, str) else tuple(boundary)})
