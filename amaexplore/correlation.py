"""Time correlation functions of momentum and net force, as 3 × 3 tensors with their standard errors."""

from dataclasses import dataclass, field

import numpy as np

from .errors import InputError, Notice
from .kernels.correlation import both_directions, pair_sums
from .results import Result
from .uncertainty import block_bounds, delete_one, jackknife_std

__all__ = [
    "CorrelationFunction",
    "GroupedCorrelation",
    "force_correlation",
    "group_correlation",
    "momentum_correlation",
]

FEWEST_GROUPS = 10
"""Replicas count as groups; fewer than this are cut into blocks, so that at least this many groups give an error."""

_UNITS = {"momentum": "u² nm²/ps²", "force": "(kJ/mol/nm)²"}


@dataclass(frozen=True, eq=False, repr=False)
class CorrelationFunction(Result):
    """⟨A_a(0) A_b(s)⟩ of the momentum or of the net force.

    Parameters
    ----------
    lags : ndarray, shape (n_lags,), ps
    values, values_std : ndarray, shape (n_lags, 3, 3)
        ``values[s, a, b]`` is ⟨A_a(0) A_b(s)⟩, over all pairs of frames that far apart; one standard error.
    quantity : str
        ``"momentum"`` or ``"force"``.
    unit : str
    mean_subtracted : ndarray, shape (3,)
        What was taken off the series first; zeros where nothing was.
    n_groups : int
        Independent groups (replicas, or blocks of them) behind the standard errors.
    warnings : tuple of Notice
    """

    lags: np.ndarray
    values: np.ndarray
    values_std: np.ndarray
    quantity: str
    unit: str
    mean_subtracted: np.ndarray
    n_groups: int
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def isotropic(self):
        """A third of the trace, shape (n_lags,)."""
        return np.trace(self.values, axis1=1, axis2=2) / 3.0

    @property
    def isotropic_std(self):
        """Standard error of `isotropic`, the three axes taken as independent; shape (n_lags,)."""
        return np.sqrt(np.square(np.diagonal(self.values_std, axis1=1, axis2=2)).sum(axis=1)) / 3.0

    @property
    def trace(self):
        """⟨A(0) · A(s)⟩, the paper's dot product, shape (n_lags,)."""
        return np.trace(self.values, axis1=1, axis2=2)

    def scaled(self, epsilon):
        """The same of the paper's scaled variables: ⟨ΠΠ⟩ = ε⟨PP⟩, ⟨ff⟩ = ⟨FF⟩/ε, equations (32) and (33).

        Parameters
        ----------
        epsilon : float
            The factor ε = m̂/m.

        Returns
        -------
        CorrelationFunction

        Raises
        ------
        InputError
            ``epsilon`` is not a positive number.
        """
        if not (np.isfinite(epsilon) and epsilon > 0):
            raise InputError(f"epsilon must be a positive number; got {epsilon!r}.")
        factor = epsilon if self.quantity == "momentum" else 1.0 / epsilon
        root = np.sqrt(factor)
        return CorrelationFunction(
            lags=self.lags,
            values=factor * self.values,
            values_std=factor * self.values_std,
            quantity=self.quantity,
            unit=self.unit,
            mean_subtracted=root * self.mean_subtracted,
            n_groups=self.n_groups,
            warnings=self.warnings,
        )

    def summary(self):
        return [
            ("correlation of", self.quantity),
            ("lags", f"{len(self.lags)} up to {self.lags[-1]:.6g} ps"),
            ("at lag 0", f"{self.isotropic[0]:.5g} {self.unit} per axis"),
            ("groups", str(self.n_groups)),
        ]


@dataclass(frozen=True, eq=False)
class GroupedCorrelation:
    """Sums of products, kept apart by group so that any group can be left out.

    Parameters
    ----------
    forward, backward : ndarray, shape (n_groups, 3, 3, n_lags)
        Σ_i A_a(i) B_b(i+s) and Σ_i A_a(i+s) B_b(i).
    counts : ndarray, shape (n_groups, n_lags)
        Pairs in each sum.
    """

    forward: np.ndarray
    backward: np.ndarray
    counts: np.ndarray

    @property
    def n_groups(self):
        """Replicas times blocks of each."""
        return len(self.forward)

    def stacked(self, sums=None, axes_as_groups=False):
        """Mean over all groups, followed by the means with one group left out.

        Parameters
        ----------
        sums : ndarray, shape (n_groups, 3, 3, n_lags), optional
            Any linear combination of the sums; default ``forward``.
        axes_as_groups : bool
            Average over the three axes as well, each axis of each group a group of its own.

        Returns
        -------
        ndarray, shape (1 + n_groups, 3, 3, n_lags) or (1 + 3 n_groups, 1, 1, n_lags)
        """
        return stacked_means(self.forward if sums is None else sums, self.counts, axes_as_groups)


def stacked_means(sums, counts, axes_as_groups=False):
    """Mean over all groups, followed by the means with one group left out; see `GroupedCorrelation.stacked`.

    Parameters
    ----------
    sums : ndarray, shape (n_groups, 3, 3, n_lags)
    counts : ndarray, shape (n_groups, n_lags)
    axes_as_groups : bool
    """
    n_lags = sums.shape[-1]
    if axes_as_groups:
        sums = np.diagonal(sums, axis1=1, axis2=2).swapaxes(1, 2).reshape(-1, 1, 1, n_lags)
        counts = np.repeat(counts, 3, axis=0)
    counts = counts.reshape(-1, 1, 1, n_lags)
    mean = sums.sum(axis=0) / counts.sum(axis=0)
    if len(sums) < 2:
        return mean[np.newaxis]
    return np.concatenate([mean[np.newaxis], delete_one(sums, counts)])


def pair_counts(n_replicas, n_frames, n_lags, n_blocks):
    """Pairs of frames behind each correlation sum, shape (n_replicas · n_blocks, n_lags)."""
    bounds = block_bounds(n_frames, n_blocks)
    pairs = np.clip(np.minimum(bounds[1:, None], n_frames - np.arange(n_lags)) - bounds[:-1, None], 0, None)
    return np.tile(pairs, (n_replicas, 1)).astype(float)


def n_blocks_for(n_replicas, n_frames):
    """Blocks per replica: one where replicas are many, else enough for ten groups, none shorter than four frames."""
    if n_replicas >= FEWEST_GROUPS:
        return 1
    return max(1, min(-(-FEWEST_GROUPS // n_replicas), n_frames // 4))


def group_correlation(first, second, n_lags, n_blocks=None):
    """Correlation sums of two series, grouped by replica and block.

    Parameters
    ----------
    first, second : ndarray, shape (n_replicas, n_frames, 3)
        The same object twice for an autocorrelation.
    n_lags : int
    n_blocks : int, optional
        Blocks per replica.

    Returns
    -------
    GroupedCorrelation
    """
    n_replicas, n_frames, _ = first.shape
    n_blocks = n_blocks or n_blocks_for(n_replicas, n_frames)
    bounds = block_bounds(n_frames, n_blocks)
    one = np.ascontiguousarray(first.transpose(0, 2, 1))
    two = one if second is first else np.ascontiguousarray(second.transpose(0, 2, 1))
    if n_blocks == 1:
        forward, backward = both_directions(one, two, n_lags)
    else:
        shape = (n_replicas * n_blocks, 3, 3, n_lags)
        forward = pair_sums(one, two, n_lags, bounds).reshape(shape)
        backward = forward if two is one else pair_sums(two, one, n_lags, bounds).reshape(shape)
        backward = backward.swapaxes(1, 2)
    return GroupedCorrelation(forward, backward, pair_counts(n_replicas, n_frames, n_lags, n_blocks))


def momentum_correlation(series, max_lag=None):
    """Momentum autocorrelation ⟨P_a(0) P_b(s)⟩, the integrand of γ, equation (28), per pair of axes.

    Parameters
    ----------
    series : OrderParameters
        With momentum; one run or several replicas.
    max_lag : float, ps, optional
        Default: a quarter of a replica.

    Returns
    -------
    CorrelationFunction
        u² nm²/ps². No mean is taken off: at equilibrium it is zero.

    Raises
    ------
    MissingFieldError, UnevenTimesError, InputError
        No velocities; uneven times; a lag that is not positive or longer than the data.

    Notes
    -----
    Every pair of frames counts once (unbiased normalisation), by FFT in O(n log n). The standard error is a
    delete-one jackknife over replicas, or over blocks of starting times where replicas are fewer than ten;
    for blocks shorter than the memory of the series it is too small.

    Examples
    --------
    >>> import numpy as np
    >>> from amaexplore import OrderParameters
    >>> series = OrderParameters.from_arrays(timestep=1.0, mass=1.0, momentum=np.ones((8, 3)))
    >>> momentum_correlation(series, max_lag=2.0).values[:, 0, 0].tolist()
    [1.0, 1.0, 1.0]
    """
    return _autocorrelation(series, "momentum", "momentum", max_lag, subtract_mean=False)


def force_correlation(series, max_lag=None, subtract_mean=True):
    """Force autocorrelation ⟨δF_a(0) δF_b(s)⟩, the integrand of εθ, equation (55), per pair of axes.

    Parameters
    ----------
    series : OrderParameters
        With net force.
    max_lag : float, ps, optional
        Default: a quarter of a replica.
    subtract_mean : bool
        Take the mean over all frames and replicas off first, δF = F − ⟨F⟩.

    Returns
    -------
    CorrelationFunction
        (kJ/mol/nm)² = u² nm²/ps⁴.

    Raises
    ------
    MissingFieldError, UnevenTimesError, InputError
        As `momentum_correlation`.
    """
    return _autocorrelation(series, "force", "net_force", max_lag, subtract_mean)


def _autocorrelation(series, quantity, name, max_lag, subtract_mean):
    series = series.even(name)
    n_lags = lags_within(series, max_lag)
    values = series.replicas(name)
    mean = values.mean(axis=(0, 1)) if subtract_mean else np.zeros(3)
    values = values - mean
    groups = group_correlation(values, values, n_lags)
    stacked = groups.stacked()
    return CorrelationFunction(
        lags=series.timestep * np.arange(n_lags),
        values=np.moveaxis(stacked[0], -1, 0).copy(),
        values_std=np.moveaxis(jackknife_std(stacked[1:]), -1, 0).copy(),
        quantity=quantity,
        unit=_UNITS[quantity],
        mean_subtracted=mean,
        n_groups=groups.n_groups,
    )


def lags_within(series, max_lag):
    """Number of lags from 0 to ``max_lag``, which must be a positive time within the data.

    Raises
    ------
    InputError
    """
    if max_lag is None:
        return max(2, series.n_frames // 4 + 1)
    return lag_index(series.timestep, series.n_frames, max_lag, "max_lag") + 1


def lag_index(timestep, n_frames, time, name):
    """The lag nearest to ``time``, checked: a finite positive number, at least one step, within the data.

    Raises
    ------
    InputError
    """
    try:
        value = float(time)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a time in ps; got {time!r}.") from None
    longest = timestep * (n_frames - 2 if n_frames > 2 else 1)
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"{name} must be a positive time in ps, at most {longest:.6g} ps here; got {value!r}.")
    index = round(value / timestep)
    if index > max(1, n_frames - 2):
        raise InputError(
            f"{name} = {value:.6g} ps is longer than the data allow: each run lasts {timestep * (n_frames - 1):.6g} ps. "
            f"Give at most {longest:.6g} ps, better a tenth of it."
        )
    if index < 1:
        raise InputError(f"{name} = {value:.6g} ps is less than half the time between frames ({timestep:.6g} ps).")
    return index
