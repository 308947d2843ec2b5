"""The thermal-average force f^th(R) along an axis, by three routes that must agree.

(The file is not called mean_force, because the function of that name is part of the public face.)
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from scipy.interpolate import BSpline

from .correlation import n_blocks_for
from .errors import InputError, InsufficientDataError, Notice
from .results import Result, format_value
from .uncertainty import (
    FEWEST_CORRELATION_TIMES,
    block_bounds,
    correlation_time,
    delete_one,
    jackknife_std,
)
from .units import BOLTZMANN

__all__ = ["GibbsCheck", "MeanForce", "confined_axes", "gibbs_check", "mean_force"]

FINE_CELLS = 400  # the data are summed in cells this fine before any fit
# degree of the force and number of intervals: a constant, a harmonic well, then cubic splines of the potential
SPLINE_CHOICES = ((0, 1), (1, 1), (2, 1), (2, 2), (2, 4), (2, 6), (2, 10), (2, 16))
SPLINE_DEGREE = 2
FEWEST_IN_BIN = 5


@dataclass(frozen=True, eq=False, repr=False)
class MeanForce(Result):
    """f^th(R) along one axis, with its three routes side by side.

    Parameters
    ----------
    axis : str
        ``"x"``, ``"y"``, ``"z"``, or the direction as text.
    direction : ndarray, shape (3,)
        Unit vector of the axis.
    bins : ndarray, shape (n_bins + 1,), nm
        Edges.
    positions : ndarray, shape (n_bins,), nm
        Centres of the bins.
    counts : ndarray, shape (n_bins,)
        Frames in each.
    values, values_std : ndarray, shape (n_bins,), kJ/mol/nm
        Conditional mean of F given R. NaN where a bin holds too few frames.
    from_density, from_density_std : ndarray, shape (n_bins,), kJ/mol/nm
        k_BT ∂ ln ρ/∂R, for R in equilibrium. NaN where unknown.
    combined, combined_std : ndarray, shape (n_bins,), kJ/mol/nm
        The force-matched potential's force: −∂U/∂R of the cubic spline U fitted to all forces. The best
        of the three, and what `at` and `potential` evaluate; the other two are not mixed in.
    knots, coefficients : ndarray
        Of the spline of the force.
    constant, constant_std : float, kJ/mol/nm
        Mean of F over the whole run, the time average of equation (23).
    correlation_time : float, ps
        Integrated autocorrelation time of F behind ``constant_std``.
    temperature : float, K
    agreement : float
        χ² per bin between the binned mean and the spline; about 1 where they agree.
    n_groups : int
    warnings : tuple of Notice
    """

    axis: str
    direction: np.ndarray
    bins: np.ndarray
    positions: np.ndarray
    counts: np.ndarray
    values: np.ndarray
    values_std: np.ndarray
    from_density: np.ndarray
    from_density_std: np.ndarray
    combined: np.ndarray
    combined_std: np.ndarray
    knots: np.ndarray
    coefficients: np.ndarray
    constant: float
    constant_std: float
    correlation_time: float
    temperature: float
    agreement: float
    n_groups: int
    warnings: tuple[Notice, ...] = field(default=())

    def at(self, position):
        """f^th at positions along the axis, kJ/mol/nm: the spline, constant beyond the data.

        Parameters
        ----------
        position : float or ndarray, nm
        """
        if len(self.coefficients) == 0:
            return np.full(np.shape(position), self.constant)
        inside = np.clip(position, self.knots[0], self.knots[-1])
        return self._spline(inside)

    def __call__(self, position):
        return self.at(position)

    def potential(self, position):
        """U(R) = −∫ f^th dR, kJ/mol, zero at its lowest point among the bins' centres.

        Parameters
        ----------
        position : float or ndarray, nm
        """
        return self._energy(position) - np.min(self._energy(self.positions))

    @property
    def _spline(self):
        return BSpline(self.knots, self.coefficients, len(self.knots) - len(self.coefficients) - 1)

    def _energy(self, position):
        position = np.asarray(position, dtype=float)
        inside = np.clip(position, self.knots[0], self.knots[-1])
        # beyond the data the force is constant, so the potential is linear
        return -self._spline.antiderivative()(inside) - self.at(position) * (position - inside)

    def summary(self):
        rows = [("axis", self.axis), ("mean over the run", format_value(self.constant, self.constant_std, "kJ/mol/nm"))]
        if len(self.positions):
            rows.append(("bins", f"{len(self.positions)} from {self.bins[0]:.4g} to {self.bins[-1]:.4g} nm"))
            rows.append(("binned against spline", f"χ² per bin {self.agreement:.2g} (about 1 where they agree)"))
        return rows


def mean_force(series, axis="x", bins=None, temperature=None, *, relaxing=False, intervals=None):
    """f^th(R) along an axis: force-matched spline, binned conditional mean, and equilibrium density.

    Parameters
    ----------
    series : OrderParameters
        With net force; without centre of mass only the mean over the run can be had.
    axis : str, int or array_like of shape (3,)
        ``"x"``, ``"y"``, ``"z"``, 0 to 2, or a direction.
    bins : int or array_like of edges, nm, optional
        Default: 20, fewer where the data are few.
    temperature : float, K, optional
        For the density route; default the series' own, else that of the particle's momentum.
    relaxing : bool
        The data relax towards equilibrium: fit F = f^th(R) − λP, so that the drag on a drifting particle is not
        taken for mean force. Needs momentum.
    intervals : int, optional
        Intervals of the spline; default by leaving out one group at a time.

    Returns
    -------
    MeanForce

    Raises
    ------
    MissingFieldError
        No forces.
    InputError
        An axis, bins or temperature that make no sense.
    InsufficientDataError
        Fewer than about 30 correlation times of the force.

    Notes
    -----
    The spline U(R) minimises Σ|F + ∂U/∂R|² over all frames; the number of its intervals is the one that predicts
    best the groups left out. Errors are delete-one jackknives over replicas, or blocks of them, so that the
    autocorrelation of F and of R is in them.
    """
    direction, name = axis_direction(axis)
    force = series.replicas("net_force")
    names = ["net_force"] + [n for n in ("centre_of_mass",) if series.has(n)] + (["momentum"] if relaxing else [])
    for needed in names:
        series.require(needed)
    complete = np.all([np.isfinite(series.replicas(n)).all(axis=(0, 2)) for n in names], axis=0)
    if complete.sum() < 2:
        raise InputError(f"Only {complete.sum()} frames hold {', '.join(names)}; a mean force needs at least 2.")
    force = force[:, complete] @ direction
    notices = []
    if temperature is None:
        temperature = series.temperature
        if temperature is None and series.has("momentum"):
            temperature = series.kinetic_temperature
    elif not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature must be a positive number of K; got {temperature!r}.")
    temperature = float("nan") if not temperature else float(temperature)

    if intervals is not None and (isinstance(intervals, bool) or intervals not in range(1, 201)):
        raise InputError(f"intervals must be a number from 1 to 200; got {intervals!r}.")
    time = correlation_time(force)
    if 2.0 * time.n_effective < FEWEST_CORRELATION_TIMES:
        raise InsufficientDataError(
            f"The force was followed for only {2.0 * time.n_effective:.0f} of its correlation times ({force.size} frames in "
            f"all); a mean needs about {FEWEST_CORRELATION_TIMES}. Use a longer run or more replicas."
        )
    step = float(np.median(np.diff(series.time[complete])))
    shared = dict(
        axis=name,
        direction=direction,
        constant=float(force.mean()),
        constant_std=float(force.std() / np.sqrt(time.n_effective)),
        correlation_time=time.integrated * step,
        temperature=temperature,
    )
    if not series.has("centre_of_mass"):
        notices.append(
            Notice(
                "no_positions", "The data hold no positions: only the mean force over the run is known, not f^th(R)."
            )
        )
        empty = np.zeros(0)
        profile = dict.fromkeys(_PROFILE, empty) | {"agreement": float("nan"), "n_groups": 0}
        return MeanForce(**shared, **profile, warnings=tuple(notices))

    if not confined_axes(series)[0][np.abs(direction) > 1e-6].all():
        notices.append(
            Notice(
                "not_confined",
                "The position does not settle within these data (a free particle, or a well wider than the run is long): "
                "the profile then shows a pull of about −k_BT (R − ⟨R⟩)/σ_R² that comes from the spreading, not from a mean "
                "force.",
                "info",
            )
        )
    position = series.replicas("centre_of_mass")[:, complete] @ direction
    momentum = series.replicas("momentum")[:, complete] @ direction if relaxing else None
    sums = _CellSums(position, force, momentum, _edges(bins, position))
    fit = _fit(sums, intervals)
    binned, binned_std = sums.binned_force()
    density, density_std = sums.density_force(temperature)
    spread = binned_std
    known = np.isfinite(binned) & np.isfinite(spread) & (spread > 0)
    agreement = (
        float(np.mean(((binned - fit.at_bins) / np.where(known, spread, 1.0))[known] ** 2)) if known.any() else np.nan
    )
    return MeanForce(
        **shared,
        bins=sums.edges,
        positions=sums.centres,
        counts=sums.counts,
        values=binned,
        values_std=binned_std,
        from_density=density,
        from_density_std=density_std,
        combined=fit.at_bins,
        combined_std=fit.at_bins_std,
        knots=fit.knots,
        coefficients=fit.coefficients,
        agreement=agreement,
        n_groups=sums.n_groups,
        warnings=tuple(notices),
    )


_PROFILE = (
    "bins",
    "positions",
    "counts",
    "values",
    "values_std",
    "from_density",
    "from_density_std",
    "combined",
    "combined_std",
    "knots",
    "coefficients",
)


def axis_direction(axis):
    """Unit vector and name of an axis.

    Parameters
    ----------
    axis : str, int or array_like of shape (3,)

    Returns
    -------
    direction : ndarray, shape (3,)
    name : str

    Raises
    ------
    InputError
    """
    names = "xyz"
    if isinstance(axis, str) and axis.lower() in names and len(axis) == 1:
        axis = names.index(axis.lower())
    if isinstance(axis, int | np.integer) and not isinstance(axis, bool) and 0 <= axis <= 2:
        return np.eye(3)[axis], names[axis]
    try:
        vector = np.asarray(axis, dtype=float)
    except (TypeError, ValueError):
        vector = np.zeros(0)
    if vector.shape != (3,) or not np.isfinite(vector).all() or not np.any(vector):
        raise InputError(f"axis must be 'x', 'y', 'z', 0, 1, 2 or a direction of three numbers; got {axis!r}.")
    direction = vector / np.linalg.norm(vector)
    return direction, "(" + ", ".join(f"{x:.4g}" for x in direction) + ")"


def _edges(bins, position):
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


class _CellSums:
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
        if np.ptp(np.diff(edges)) <= 1e-9 * (edges[-1] - edges[0]):
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
class _SplineFit:
    knots: np.ndarray
    coefficients: np.ndarray
    at_bins: np.ndarray
    at_bins_std: np.ndarray


def _fit(sums, intervals):
    """Least squares of the force on B-splines of R (and on P), the number of intervals by cross-validation."""
    total = sums.n.sum(axis=0)
    occupied = np.flatnonzero(total)
    low, high = sums.cells[occupied[0]], sums.cells[occupied[-1]]
    if high <= low:  # held in place
        mean, left_out = sums.force.sum() / total.sum(), delete_one(sums.force.sum(axis=1), sums.n.sum(axis=1))
        std = jackknife_std(left_out) if sums.n_groups > 1 else np.nan
        n_bins = len(sums.centres)
        knots = np.array([sums.edges[0], sums.edges[-1]])
        return _SplineFit(knots, np.array([mean]), np.full(n_bins, mean), np.full(n_bins, std))
    # no more intervals than bins, nor than the occupied cells can carry
    most = max(1, min(len(sums.centres), len(occupied) // 4))
    choices = [(SPLINE_DEGREE, intervals)] if intervals else [pair for pair in SPLINE_CHOICES if pair[1] <= most]
    fits = [_SplineSystem(sums, degree, n, low, high) for degree, n in choices]
    best = fits[0] if len(fits) == 1 else min(fits, key=lambda fit: fit.prediction_error)
    left_out = best.at(sums.centres, best.left_out)
    std = jackknife_std(left_out) if sums.n_groups > 1 else np.full(len(sums.centres), np.nan)
    return _SplineFit(best.knots, best.solution[: best.n_basis], best.at(sums.centres, best.solution[None])[0], std)


class _SplineSystem:
    """Normal equations of one choice of knots, for all data and with each group left out."""

    def __init__(self, sums, degree, n_intervals, low, high):
        self.degree = degree
        inner = np.linspace(low, high, int(n_intervals) + 1)
        self.knots = np.concatenate([[low] * degree, inner, [high] * degree])
        self.n_basis = len(self.knots) - degree - 1
        self.low, self.high = low, high
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


def confined_axes(series):
    """Along which axes the particle stays in a bounded region, by its mean squared displacement.

    Free diffusion doubles the displacement between a quarter and a half of a run, confinement leaves it as it
    is. All axes together count as confined when the ratio is below 1.7 by two standard errors (over replicas, or
    over pieces where these are fewer than eight, and axes); one axis alone when its own is below 1.5. Of free
    particles these limits take fewer than one in a hundred for confined.

    Parameters
    ----------
    series : OrderParameters

    Returns
    -------
    confined : ndarray of bool, shape (3,)
    variance : ndarray, shape (3,), nm²
        Of the position about its mean over everything; NaN without positions.
    """
    none = np.zeros(3, dtype=bool), np.full(3, np.nan)
    if not series.has("centre_of_mass"):
        return none
    position = series.replicas("centre_of_mass")
    position = position[:, np.isfinite(position).all(axis=(0, 2))]
    n_replicas, n_frames, _ = position.shape
    variance = position[:, :: max(1, n_frames // 2000)].var(axis=(0, 1))
    n_pieces = -(-8 // n_replicas)
    length = n_frames // n_pieces
    if length < 16:
        return none[0], variance
    # a few hundred points a piece tell where it wanders
    pieces = position[:, : n_pieces * length].reshape(-1, length, 3)[:, :: max(1, length // 400)]
    length = pieces.shape[1]
    near, far = (np.square(pieces[:, lag:] - pieces[:, :-lag]).mean(axis=1) for lag in (length // 4, length // 2))
    total = near.sum(axis=0)
    if not (total > 0).all():
        return none[0], variance
    ratio = far.sum(axis=0) / total
    alone = ratio + 2.0 * jackknife_std((far.sum(axis=0) - far) / (total - near)) < 1.5
    # axes on their own scale, so that a wide one does not hide a narrow one
    near, far = (near / total).ravel(), (far / total).ravel()
    pooled = far.sum() / 3.0 + 2.0 * jackknife_std((far.sum() - far) / (3.0 - near))
    return alone | ((pooled < 1.7) & (ratio < 1.8)), variance


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
        sums = _CellSums(position[..., axis], force[..., axis], None, _edges(None, position[..., axis]))
        fit = _fit(sums, None)
        spline = BSpline(fit.knots, fit.coefficients, len(fit.knots) - len(fit.coefficients) - 1)
        # cells are fine against any change of the force
        cells = spline(np.clip(sums.cells, fit.knots[0], fit.knots[-1]))
        out[..., axis] = np.interp(position[..., axis], sums.cells, cells)
    return out


# -- does the time average converge? ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class GibbsCheck(Result):
    """Whether time averages converge to one thermal average, equations (20), (23), (48).

    Parameters
    ----------
    quantity : str
    times : ndarray, shape (n_times,), ps
        Length of run averaged over.
    running, running_std : ndarray, shape (n_times, 3)
        Mean over the first part of every run, with its error √(2 τ_int/t) σ.
    replica_means, replica_std : ndarray, shape (n_replicas, 3)
    chi_square : float
        Σ (replica mean − common mean)²/error² per degree of freedom, about 1 where replicas agree. NaN for one run.
    p_value : float
        Chance of one at least as large if all replicas sample the same ensemble.
    stuck : tuple of int
        Replicas that differ from the common mean by more than chance allows.
    correlation_time : float, ps
        Largest of the three axes.
    warnings : tuple of Notice
    """

    quantity: str
    times: np.ndarray
    running: np.ndarray
    running_std: np.ndarray
    replica_means: np.ndarray
    replica_std: np.ndarray
    chi_square: float
    p_value: float
    stuck: tuple
    correlation_time: float
    warnings: tuple[Notice, ...] = field(default=())

    def summary(self):
        rows = [("time average of", self.quantity.replace("_", " "))]
        if np.isfinite(self.p_value):
            rows.append(
                (
                    "replicas",
                    f"χ² per degree of freedom {self.chi_square:.3g} (hoped for: about 1), p = {self.p_value:.2g}",
                )
            )
        rows.append(("stuck replicas", ", ".join(map(str, self.stuck)) or "none"))
        return rows


def gibbs_check(series, quantity="net_force", n_times=100):
    """The Gibbs hypothesis in pictures and numbers: the running mean with its error, and replicas against each other.

    Parameters
    ----------
    series : OrderParameters
    quantity : str
        ``"net_force"``, ``"momentum"`` or ``"centre_of_mass"``.
    n_times : int

    Returns
    -------
    GibbsCheck

    Raises
    ------
    MissingFieldError, InputError

    Notes
    -----
    The memory of the quantity is measured within each run about that run's own mean, so that a replica stuck elsewhere
    cannot hide behind a long correlation time. Where F = dP/dt of a free particle the mean force converges faster
    than the error says, as the correlation integrates to zero.
    """
    if quantity not in _SERIES:
        raise InputError(f"quantity must be one of {', '.join(_SERIES)}; got {quantity!r}.")
    series.require(quantity)
    even = series.even(quantity)
    values = even.replicas(quantity)
    n_replicas, n_frames, _ = values.shape
    own = values.mean(axis=1, keepdims=True)
    found = [correlation_time((values - own)[..., axis], mean=0.0) for axis in range(3)]
    # taking each run's own mean off lowers its correlation by 2τ/n at every lag: put it back over the window summed
    memory = np.array([time.integrated * (1.0 + (2 * time.window + 1) / n_frames) for time in found])
    variance = np.square(values - own).mean(axis=(0, 1)) / np.maximum(1.0 - 2.0 * memory / n_frames, 0.2)
    lengths = np.unique(np.geomspace(1, n_frames, n_times).round().astype(int))
    running = np.cumsum(values.mean(axis=0), axis=0)[lengths - 1] / lengths[:, None]
    running_std = np.sqrt(variance * np.minimum(1.0, 2.0 * memory / lengths[:, None]) / n_replicas)
    replica_std = np.broadcast_to(np.sqrt(variance * np.minimum(1.0, 2.0 * memory / n_frames)), (n_replicas, 3))
    means = values.mean(axis=1)
    chi_square = p_value = float("nan")
    stuck, notices = (), []
    if n_replicas > 1 and (replica_std > 0).all():
        squares = np.square((means - means.mean(axis=0)) / replica_std)
        dof = 3 * (n_replicas - 1)
        chi_square = float(squares.sum() / dof)
        # the error itself is estimated: the correlation time is known to √(2(2W+1)/N), so F instead of χ²
        known = float(sum(n_replicas * n_frames / (2 * time.window + 1) for time in found))
        p_value = float(stats.f.sf(chi_square, dof, known))
        # one replica's three axes, Bonferroni over replicas at one in a thousand; against the median, which it cannot
        # move, and which has an error of its own, π/2 of that of the mean
        error = replica_std * np.sqrt(1.0 + np.pi / (2.0 * n_replicas))
        own_squares = np.square((means - np.median(means, axis=0)) / error).sum(axis=1)
        stuck = tuple(np.flatnonzero(stats.f.sf(own_squares / 3.0, 3, known) < 1e-3 / n_replicas).tolist())
        if stuck or p_value < 1e-3:
            notices.append(
                Notice(
                    "replicas_disagree",
                    f"The time averages of the {n_replicas} replicas differ by more than their errors (χ² per degree of freedom "
                    f"{chi_square:.3g}, p = {p_value:.1g}"
                    + (f"; stuck: {', '.join(map(str, stuck))}" if stuck else "")
                    + "): they do not sample one ensemble, so the Gibbs hypothesis fails on this time scale.",
                )
            )
    return GibbsCheck(
        quantity=quantity,
        times=lengths * even.timestep,
        running=running,
        running_std=running_std,
        replica_means=means,
        replica_std=np.array(replica_std),
        chi_square=chi_square,
        p_value=p_value,
        stuck=stuck,
        correlation_time=float(max(memory) * even.timestep),
        warnings=tuple(notices),
    )


_SERIES = ("net_force", "momentum", "centre_of_mass")
