"""The Gibbs hypothesis, equations (20), (23), (48): does the time average converge to one thermal average?"""

from dataclasses import dataclass, field

import numpy as np
from scipy import special

from .errors import InputError, Notice
from .order_parameters import SERIES
from .results import Result
from .uncertainty import correlation_time

__all__ = ["GibbsCheck", "gibbs_check"]


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
    if quantity not in SERIES:
        raise InputError(f"quantity must be one of {', '.join(SERIES)}; got {quantity!r}.")
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
        p_value = float(special.fdtrc(dof, known, chi_square))
        # one replica's three axes, Bonferroni over replicas at one in a thousand; against the median, which it cannot
        # move, and which has an error of its own, π/2 of that of the mean
        error = replica_std * np.sqrt(1.0 + np.pi / (2.0 * n_replicas))
        own_squares = np.square((means - np.median(means, axis=0)) / error).sum(axis=1)
        stuck = tuple(np.flatnonzero(special.fdtrc(3, known, own_squares / 3.0) < 1e-3 / n_replicas).tolist())
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
