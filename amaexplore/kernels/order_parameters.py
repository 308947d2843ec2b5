"""Sums over the atoms of a subset, frame by frame."""

import numpy as np

from .compile import kernel

__all__ = ["weighted_sum"]


def weighted_sum(values, indices, weights):
    """Σ_i w_i A_i over the chosen atoms, in double precision.

    Parameters
    ----------
    values : ndarray, shape (n_frames, n_atoms, 3)
    indices : ndarray of int, shape (n_chosen,)
    weights : ndarray, shape (n_chosen,)

    Returns
    -------
    ndarray, shape (n_frames, 3)
    """
    out = np.empty((len(values), 3))
    _weighted_sum(values, indices, weights, out)
    return out


@kernel(fastmath=False)
def _weighted_sum(values, indices, weights, out):
    for frame in range(values.shape[0]):
        x = y = z = 0.0
        for n in range(indices.shape[0]):
            i = indices[n]
            w = weights[n]
            x += w * values[frame, i, 0]
            y += w * values[frame, i, 1]
            z += w * values[frame, i, 2]
        out[frame, 0] = x
        out[frame, 1] = y
        out[frame, 2] = z
