"""Whether the nanoparticle stays in a bounded region: there f^th(R) must be taken off, and τ_R is a relaxation time."""

import numpy as np

from .uncertainty import jackknife_std

__all__ = ["confined_axes"]


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
