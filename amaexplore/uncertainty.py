"""Standard errors from correlated data: blocks, delete-one jackknife, autocorrelation time, few groups.

Everything rests on one idea. The data fall into groups that are independent enough (replicas, or blocks
of one run long against its memory); a number computed with one group left out shows how much that group
matters, and the scatter of those numbers is the standard error, whatever the formula of the number.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from .errors import InputError, InsufficientDataError

__all__ = [
    "AutocorrelationTime",
    "block_bounds",
    "correlation_time",
    "delete_one",
    "jackknife_std",
    "mean_with_error",
    "student_factor",
]

FEWEST_CORRELATION_TIMES = 30


def delete_one(sums, counts):
    """Means over all groups but one, for each group in turn.

    Parameters
    ----------
    sums : ndarray, shape (n_groups, ...)
        Sum over the samples of each group.
    counts : ndarray, broadcastable to ``sums``
        Number of samples of each group.

    Returns
    -------
    ndarray, shape (n_groups, ...)
        NaN where all samples are in the group that is left out.
    """
    others = np.broadcast_to(counts.sum(axis=0) - counts, sums.shape)
    out = np.full(sums.shape, np.nan)
    return np.divide(sums.sum(axis=0) - sums, others, out=out, where=others > 0)


def jackknife_std(estimates, axis=0, dof=None):
    """Standard error from delete-one estimates: √((n−1)/n Σ(x_k − x̄)²), widened for few groups.

    Parameters
    ----------
    estimates : ndarray
        The number computed with one group left out, along ``axis``.
    dof : int, optional
        Degrees of freedom of this variance, n − 1 unless more is known; see `student_factor`.

    Returns
    -------
    ndarray or float
        NaN for a single group: no error can be had from it.
    """
    estimates = np.asarray(estimates)
    n_groups = estimates.shape[axis]
    if n_groups < 2:
        return np.full(np.delete(estimates.shape, axis), np.nan)
    scatter = np.square(estimates - estimates.mean(axis=axis, keepdims=True)).sum(axis=axis)
    return np.sqrt(scatter * (n_groups - 1) / n_groups) * student_factor(n_groups - 1 if dof is None else dof)


@lru_cache
def student_factor(dof):
    """By how much ± one standard error must grow to hold 68.27 % when the error itself comes from few groups.

    The ratio of the quantiles of Student's t and of the normal distribution: 1.84 for one degree of
    freedom, 1.06 for nine, 1 for many.

    Examples
    --------
    >>> round(student_factor(9), 3)
    1.059
    """
    return float(special.stdtrit(dof, special.ndtr(1.0))) if dof < 1000 else 1.0


def block_bounds(n_frames, n_blocks):
    """Edges of ``n_blocks`` consecutive blocks of nearly equal length, shape (n_blocks + 1,)."""
    return np.linspace(0, n_frames, n_blocks + 1).round().astype(int)


@dataclass(frozen=True)
class AutocorrelationTime:
    """How long a series remembers, in frames.

    Parameters
    ----------
    integrated : float
        τ_int = ½ + Σ_{k≥1} ρ(k), at least ½; n/(2 τ_int) is the number of independent samples.
    n_effective : float
        Over all replicas.
    window : int
        Lag at which the sum was cut: the first k ≥ 5 τ_int(k).
    """

    integrated: float
    n_effective: float
    window: int


def correlation_time(values, mean=None):
    """Integrated autocorrelation time of one observable, with Sokal's self-consistent window.

    Parameters
    ----------
    values : ndarray, shape (n_frames,) or (n_replicas, n_frames)
    mean : float, optional
        Where it is known exactly (zero for a momentum); otherwise the mean of all values is used.

    Returns
    -------
    AutocorrelationTime
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    n_frames = values.shape[1]
    centred = values - (values.mean() if mean is None else mean)
    padded = 2 ** int(np.ceil(np.log2(2 * n_frames)))
    power = np.abs(np.fft.rfft(centred, padded, axis=1)) ** 2
    correlation = np.fft.irfft(power.mean(axis=0))[:n_frames] / np.arange(n_frames, 0, -1)
    if correlation[0] <= 0:
        return AutocorrelationTime(0.5, float(values.size), 0)
    integrated = np.cumsum(correlation / correlation[0]) - 0.5
    lags = np.arange(n_frames)
    cut = lags >= 5.0 * integrated
    cut[0] = False
    window = int(np.argmax(cut)) if cut.any() else n_frames - 1
    time = max(0.5, float(integrated[window]))
    return AutocorrelationTime(time, values.size / (2.0 * time), window)


def mean_with_error(values, axis_name="the series"):
    """Mean of a correlated series and its standard error √(2 τ_int/n) σ.

    Parameters
    ----------
    values : ndarray, shape (n_frames,) or (n_replicas, n_frames)
    axis_name : str
        What it is, for the message.

    Returns
    -------
    mean, std : float
    time : AutocorrelationTime

    Raises
    ------
    InsufficientDataError
        Fewer than about 30 correlation times: the error would itself be a guess.
    """
    values = np.atleast_2d(np.asarray(values, dtype=float))
    if not np.isfinite(values).all():
        raise InputError(f"{axis_name} holds values that are not finite; leave those frames out.")
    time = correlation_time(values)
    if time.n_effective < FEWEST_CORRELATION_TIMES / 2:
        raise InsufficientDataError(
            f"{axis_name.capitalize()} is {values.shape[1]} frames long in {len(values)} runs, only "
            f"{values.size / time.integrated:.0f} correlation times of {time.integrated:.3g} frames; an average needs about "
            f"{FEWEST_CORRELATION_TIMES}. Use a longer run or more replicas."
        )
    return float(values.mean()), float(values.std() / np.sqrt(time.n_effective)), time
