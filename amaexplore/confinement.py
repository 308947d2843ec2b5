"""Whether the nanoparticle stays in a bounded region: there f^th(R) must be taken off, and τ_R is a relaxation time."""

from dataclasses import dataclass

import numpy as np

from .uncertainty import jackknife_std

__all__ = ["Confinement", "confinement"]

FEWEST_PIECES = 4
FEWEST_FRAMES = 16
# limits of the ratio of displacements, two standard errors included; free diffusion gives 2, confinement 1. Of free
# particles they take 1 in 100 for confined, measured on random walks
LIMIT_OF_ALL, LIMIT_OF_ALL_FEW, LIMIT_OF_EACH, LIMIT_OF_ONE = 1.7, 1.6, 1.8, 1.5
SUSPICIOUS = 1.5


@dataclass(frozen=True, eq=False)
class Confinement:
    """What the mean squared displacement says.

    Parameters
    ----------
    axes : ndarray of bool, shape (3,)
        Along which axes the particle stays in a bounded region, beyond doubt.
    variance : ndarray, shape (3,), nm²
        Of the position about its mean over everything; NaN without positions.
    ratio : float
        Mean squared displacement over half a run to that over a quarter, all axes: 2 for free diffusion, 1 when
        confined; NaN where unknown.
    """

    axes: np.ndarray
    variance: np.ndarray
    ratio: float

    @property
    def suspected(self):
        """No axis is confined beyond doubt, but the displacement grows less than by diffusion."""
        return not self.axes.any() and self.ratio < SUSPICIOUS


def confinement(series):
    """Along which axes the particle stays in a bounded region, by its mean squared displacement.

    Free diffusion doubles the displacement between a quarter and a half of a run, confinement leaves it as it
    is. All axes together count as confined when the ratio is below 1.7 (1.6 for few runs) by two standard errors over
    replicas and axes; one axis alone when its own is below 1.5. Runs are cut so that there are at least four pieces.

    Parameters
    ----------
    series : OrderParameters

    Returns
    -------
    Confinement
    """
    nowhere = np.zeros(3, dtype=bool)
    if not series.has("centre_of_mass"):
        return Confinement(nowhere, np.full(3, np.nan), float("nan"))
    position = series.replicas("centre_of_mass")
    position = position[:, np.isfinite(position).all(axis=(0, 2))]
    n_frames = position.shape[1]
    variance = position[:, :: max(1, n_frames // 2000)].var(axis=(0, 1)) if n_frames else np.full(3, np.nan)
    pieces = _pieces(position)
    if pieces is None:
        return Confinement(nowhere, variance, float("nan"))
    length = pieces.shape[1]
    near, far = (np.square(pieces[:, lag:] - pieces[:, :-lag]).mean(axis=1) for lag in (length // 4, length // 2))
    total = near.sum(axis=0)
    if not (total > 0).all():
        return Confinement(nowhere, variance, float("nan"))
    each = far.sum(axis=0) / total
    few = len(pieces) < 2 * FEWEST_PIECES
    # one axis has no other to lend it groups: with few pieces its error is a guess
    alone = each + 2.0 * jackknife_std((far.sum(axis=0) - far) / (total - near)) < LIMIT_OF_ONE
    # axes on their own scale, so that a wide one does not hide a narrow one
    near, far = (near / total).ravel(), (far / total).ravel()
    ratio = far.sum() / 3.0
    upper = ratio + 2.0 * jackknife_std((far.sum() - far) / (3.0 - near))
    together = (upper < (LIMIT_OF_ALL_FEW if few else LIMIT_OF_ALL)) & (each < LIMIT_OF_EACH)
    return Confinement(together | (alone & (not few)), variance, float(ratio))


def _pieces(position):
    """At least four stretches of some hundred positions each, (n_pieces, n, 3), or None where they are too short."""
    n_replicas, n_frames, _ = position.shape
    per_replica = -(-FEWEST_PIECES // n_replicas)
    length = n_frames // per_replica
    if length < FEWEST_FRAMES:
        return None
    return position[:, : per_replica * length].reshape(-1, length, 3)[:, :: max(1, length // 400)]
