"""The correlation window: where a running integral is read, with the reason in a sentence."""

from dataclasses import dataclass

import numpy as np

from .uncertainty import jackknife_std

__all__ = ["LaterLags", "WindowProposal", "axes_std", "later_lags", "propose_maximum", "propose_plateau"]

FIRST_CANDIDATE = 3  # lags; before that the end corrections of the integrals still matter
WELL_DETERMINED = 0.1  # of the value read: error of the change up to which a later lag is asked
MOST_ERRORS = 2.5  # by which the later lags may differ; 0-2 of 100 exact systems exceed it
CANDIDATE_RATIO = 1.08  # of one candidate to the one before, so that the choice does not depend on the longest lag


@dataclass(frozen=True)
class WindowProposal:
    """Where to read a running integral.

    Parameters
    ----------
    index : int
        Lag index at which it is read.
    found : bool
        Whether the rule was satisfied; otherwise ``index`` is the least bad choice.
    reason : str
        A sentence.
    """

    index: int
    found: bool
    reason: str


def axes_std(left_out):
    """Standard error of an average over axes, each axis with its own jackknife.

    Parameters
    ----------
    left_out : ndarray, shape (n_groups, n_axes, ...)
        Estimates per axis with one group left out.

    Returns
    -------
    ndarray, shape (...)
        Axes count as independent, so that n_axes (n_groups − 1) degrees of freedom stand behind it.
    """
    n_groups, n_axes = left_out.shape[:2]
    std = jackknife_std(left_out, dof=max(1, n_axes * (n_groups - 1)))
    return np.sqrt(np.square(std).sum(axis=0)) / n_axes


def propose_plateau(lags, curve, left_out, last=None):
    """The smallest t after which the running integral stays put until 2t, by the 2σ-doubling rule.

    |G(t′) − G(t)| ≤ 2σ for all t′ in (t, 2t], with σ the jackknife error of that very difference (the
    errors of G(t′) and G(t) are strongly correlated, so that it is much smaller than either). G is read
    at 2t, where what is left of the rise is smaller still.

    Parameters
    ----------
    lags : ndarray, shape (n_lags,), ps
    curve : ndarray, shape (n_lags,)
    left_out : ndarray, shape (n_groups, n_axes, n_lags)
        The running integrals per axis with one group left out.
    last : int, optional
        Largest index at which it may be read; default the last lag.

    Returns
    -------
    WindowProposal
    """
    last = len(lags) - 1 if last is None else last
    first = min(FIRST_CANDIDATE, max(1, last // 2))
    if last // 2 < first:
        return WindowProposal(max(1, last), False, f"only {last} lags are there, too few to look for a plateau")
    n_candidates = 1 + int(np.log(last // 2 / first) / np.log(CANDIDATE_RATIO))
    candidates = np.unique((first * CANDIDATE_RATIO ** np.arange(n_candidates)).round().astype(int))
    least, best = np.inf, int(candidates[-1])
    for start in candidates:
        later = slice(start + 1, 2 * start + 1)
        spread = axes_std(left_out[:, :, later] - left_out[:, :, start, None])
        worst = np.max(np.abs(curve[later] - curve[start]) / np.maximum(spread, 1e-300))
        if worst <= 2.0:
            reason = (
                f"plateau: from {lags[start]:.4g} to {lags[2 * start]:.4g} ps the running integral changes by less than "
                f"twice the error of the change; read at {lags[2 * start]:.4g} ps"
            )
            return WindowProposal(int(2 * start), True, reason)
        if worst < least:
            least, best = worst, int(start)
    reason = (
        f"no plateau up to {lags[last]:.4g} ps: the running integral keeps changing by more than twice the error of the "
        f"change; least so ({least:.1f} errors) after {lags[best]:.4g} ps, so it is read at {lags[2 * best]:.4g} ps"
    )
    return WindowProposal(2 * best, False, reason)


def propose_maximum(lags, curve):
    """Where the running integral is largest: a lower bound on the window error for a particle of finite mass.

    Returns
    -------
    WindowProposal
    """
    index = max(1, int(np.nanargmax(curve)))
    found = index < len(lags) - 1
    if found:
        reason = f"maximum of the running integral, at {lags[index]:.4g} ps"
    else:
        reason = f"the running integral still rises at the last lag, {lags[index]:.4g} ps: no maximum"
    return WindowProposal(index, found, reason)


def propose_before_decay(lags, curve, left_out):
    """For a plain running integral: a plateau before its maximum where there is one, else the maximum.

    A plain integral of ⟨FF⟩ of a free particle, or of ⟨PP⟩ of a trapped one, decays to zero in the end;
    that zero is flat too, and must not be taken for the plateau. One that overshoots and then stays high, such as ∫⟨PP⟩
    of an atom caged by its neighbours, is read where it changes least.

    Returns
    -------
    WindowProposal
    """
    top = propose_maximum(lags, curve)
    plateau = propose_plateau(lags, curve, left_out)
    # caging makes ∫⟨PP⟩ of an atom in a liquid overshoot its plateau by a third; half the maximum is decay
    if plateau.found and curve[plateau.index] >= 0.5 * curve[top.index]:
        return plateau
    # an integral that stays high to the end has overshot and not decayed: its maximum is no bound on anything
    if not top.found or curve[-max(1, len(curve) // 4) :].mean() >= 0.5 * curve[top.index]:
        return plateau
    return WindowProposal(
        top.index, False, f"no plateau: the running integral rises and decays again; {top.reason}, is a lower bound"
    )


@dataclass(frozen=True)
class LaterLags:
    """How the running integral goes on after the lag at which it is read.

    Parameters
    ----------
    start, stop : int
        Lag indices of the stretch compared, both included.
    change, std : float
        Mean over the stretch minus the value read, and the error of that difference.
    """

    start: int
    stop: int
    change: float
    std: float

    @property
    def significant(self):
        """Whether the change is more than noise."""
        return bool(abs(self.change) > MOST_ERRORS * self.std)


def later_lags(curve, left_out, index):
    """The later half of the lags that are still well determined, compared with the value at ``index``.

    One mean over a stretch is one question, so its error need not allow for many; the difference is
    jackknifed as such, because the errors of both are strongly correlated.

    Parameters
    ----------
    curve : ndarray, shape (n_lags,)
    left_out : ndarray, shape (n_groups, n_axes, n_lags)
    index : int

    Returns
    -------
    LaterLags or None
        None where fewer than a quarter of ``index`` later lags are well determined.
    """
    if len(left_out) < 2 or index + 1 >= len(curve):
        return None
    spread = axes_std(left_out[..., index + 1 :] - left_out[..., index, None])
    loose = np.flatnonzero(~(spread <= WELL_DETERMINED * abs(curve[index])))
    stop = index + (int(loose[0]) if loose.size else len(spread))
    if stop < 1.25 * index:
        return None
    start = (index + stop) // 2
    change = curve[start : stop + 1].mean() - curve[index]
    std = axes_std(left_out[..., start : stop + 1].mean(axis=-1) - left_out[..., index])
    return LaterLags(start, stop, float(change), float(std))
