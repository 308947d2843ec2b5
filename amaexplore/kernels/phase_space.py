"""Implicit steps of a block-tridiagonal system: Hermite functions of momentum × functions of position."""

import numpy as np

from .compile import kernel

__all__ = ["eliminate", "step"]


@kernel(fastmath=False)
def eliminate(blocks, above, below, inverse, raising, carried, symmetric):
    """Eliminate from the highest even Hermite level downwards; S_e = blocks[e] − above[e] S_{e+1}⁻¹ below[e+1].

    Parameters
    ----------
    blocks, above, below : ndarray, shape (n_even, k, k)
        Of an even level to itself, and from the even level above and below it; ``blocks`` is overwritten by S.
    inverse, raising, carried : ndarray, shape (n_even, k, k)
        S_e⁻¹, above[e] S_{e+1}⁻¹ and S_e⁻¹ below[e].
    symmetric : bool
        Whether below[e+1] is above[e] transposed and each block its own transpose: a product a level is saved.
    """
    last = blocks.shape[0] - 1
    for e in range(last, -1, -1):
        if e < last:
            raising[e] = np.dot(above[e], inverse[e + 1])
            blocks[e] -= np.dot(raising[e], below[e + 1])
        inverse[e] = np.linalg.inv(blocks[e])
        if e < last and symmetric:
            carried[e + 1] = raising[e].T
        if e > 0 and not symmetric:
            carried[e] = np.dot(inverse[e], below[e])


@kernel(fastmath=False)
def step(inverse, raising, carried, odd, outer, inner, tau, residue, state, out):
    """out += Re[residue (τA − pole)⁻¹ state], odd levels eliminated exactly.

    Parameters
    ----------
    inverse, raising, carried : ndarray, shape (n_even, k, k)
        From `eliminate`; all real where the pole is.
    odd : ndarray, shape (n_even, k)
        1/(−nτγ − pole) of the odd levels n.
    outer, inner : ndarray, shape (2k, k)
        What an odd level gives to the even ones below (rows :k) and above it; what an odd level takes from the even
        ones above (rows :k) and below it.
    tau : float
    residue : float or complex
    state, out : ndarray, shape (2 n_even, k)
    """
    n_even, k = odd.shape
    # functions along the first axis, so that a product with a real matrix sees complex numbers as pairs of columns
    flow = np.empty((k, n_even), dtype=odd.dtype)
    for e in range(n_even):
        for i in range(k):
            flow[i, e] = odd[e, i] * state[2 * e + 1, i]
    given = np.dot(outer, flow.view(np.float64)).view(odd.dtype)
    right = np.empty((n_even, k), dtype=odd.dtype)
    for e in range(n_even):
        upper, lower = tau * np.sqrt(2.0 * e + 1.0), tau * np.sqrt(2.0 * e)
        for i in range(k):
            right[e, i] = state[2 * e, i] - upper * given[i, e]
            if e > 0:
                right[e, i] -= lower * given[k + i, e - 1]
    for e in range(n_even - 2, -1, -1):
        right[e] -= np.dot(raising[e], right[e + 1])
    even = np.empty((n_even, k), dtype=odd.dtype)
    for e in range(n_even):
        even[e] = np.dot(inverse[e], right[e])
        if e > 0:
            even[e] -= np.dot(carried[e], even[e - 1])
    solved = np.empty((k, n_even), dtype=odd.dtype)
    for e in range(n_even):
        for i in range(k):
            solved[i, e] = even[e, i]
    taken = np.dot(inner, solved.view(np.float64)).view(odd.dtype)
    for e in range(n_even):
        upper, lower = tau * np.sqrt(2.0 * e + 2.0), tau * np.sqrt(2.0 * e + 1.0)
        for i in range(k):
            force = lower * taken[k + i, e]
            if e + 1 < n_even:
                force += upper * taken[i, e + 1]
            out[2 * e, i] += (residue * even[e, i]).real
            out[2 * e + 1, i] += (residue * (flow[i, e] - odd[e, i] * force)).real
