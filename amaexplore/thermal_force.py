"""The thermal-average force f^th(R) along an axis, by three routes that must agree.

(The file is not called mean_force, because the function of that name is part of the public face.)
"""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.interpolate import BSpline

from .confinement import confinement
from .errors import InputError, InsufficientDataError, Notice
from .force_matching import CellSums, bin_edges, fit_force
from .results import Result, format_value
from .uncertainty import FEWEST_CORRELATION_TIMES, correlation_time

__all__ = ["MeanForce", "axis_direction", "mean_force"]


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
    left_out : ndarray, shape (n_groups, n_coefficients)
        The spline's coefficients with each group left out: the errors along R with all their correlations.
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
    left_out: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def at(self, position):
        """f^th at positions along the axis, kJ/mol/nm: the spline, constant beyond the data.

        Parameters
        ----------
        position : float or ndarray, nm

        Returns
        -------
        float or ndarray, kJ/mol/nm
            Of the shape of ``position``.
        """
        if len(self.coefficients) == 0:
            return np.full(np.shape(position), self.constant)
        inside = np.clip(position, self.knots[0], self.knots[-1])
        return self._spline(inside)

    def __call__(self, position):
        return self.at(position)

    def sample(self, rng):
        """The same profile with another draw of its statistical error, for propagating it into densities.

        Parameters
        ----------
        rng : numpy.random.Generator

        Returns
        -------
        MeanForce
            Its spline is drawn from the Gaussian whose covariance is the delete-one jackknife's; itself where fewer
            than two groups leave the error unknown.
        """
        n_groups = len(self.left_out)
        if n_groups < 2 or self.left_out.size == 0:
            return self
        deviations = self.left_out - self.left_out.mean(axis=0)
        drawn = np.sqrt((n_groups - 1) / n_groups) * (rng.standard_normal(n_groups) @ deviations)
        return replace(self, coefficients=self.coefficients + drawn)

    def scaled(self, epsilon):
        """The same in the paper's variables: f^th = ε^-½ F^th against Φ = ε^½ R, equations (31) and (33).

        Energies are the same in both: −∫ f^th dΦ = −∫ F^th dR.

        Parameters
        ----------
        epsilon : float

        Returns
        -------
        MeanForce

        Raises
        ------
        InputError
            ``epsilon`` is not a positive number.
        """
        if not (np.isfinite(epsilon) and epsilon > 0):
            raise InputError(f"epsilon must be a positive number; got {epsilon!r}.")
        root = np.sqrt(epsilon)
        lengths = ("bins", "positions", "knots")
        forces = ("values", "from_density", "combined", "constant")
        changes = {name: root * getattr(self, name) for name in lengths}
        changes |= {name + end: getattr(self, name + end) / root for name in forces for end in ("", "_std")}
        return replace(self, coefficients=self.coefficients / root, left_out=self.left_out / root, **changes)

    def potential(self, position):
        """U(R) = −∫ f^th dR, kJ/mol, zero at its lowest point among the bins' centres.

        Parameters
        ----------
        position : float or ndarray, nm

        Returns
        -------
        float or ndarray, kJ/mol
            Of the shape of ``position``.
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

    if not confinement(series).axes[np.abs(direction) > 1e-6].all():
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
    sums = CellSums(position, force, momentum, bin_edges(bins, position))
    fit = fit_force(sums, intervals)
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
        left_out=fit.left_out,
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
