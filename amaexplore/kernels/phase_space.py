"""Implicit steps of a block-tridiagonal system: Hermite functions of momentum × functions of position."""

import numpy as np

from .compile import kernel

__all__ = ["factor", "step"]


@kernel(fastmath=False)
def factor(damping, down, up, tau, pole, inverse, carried):
    """Eliminate from the highest Hermite function downwards: inverse[n] = S_n⁻¹, carried[n] = τ S_n⁻¹ L_n.

    S_n = −nτΓ − pole − τ² U_n S_{n+1}⁻¹ L_{n+1}, with L_n = √n down[n % 2] from level n−1 and U_n = √(n+1) up[n % 2]
    from level n+1.

    Parameters
    ----------
    damping, down, up : ndarray, shape (2, k, k)
        For even and odd levels.
    tau : float
    pole : complex
    inverse, carried : ndarray of complex, shape (n_levels, k, k)
    """
    n_levels, k = inverse.shape[0], inverse.shape[1]
    for n in range(n_levels - 1, -1, -1):
        parity = n % 2
        block = (-n * tau) * damping[parity] + np.zeros((k, k), dtype=np.complex128)
        if n < n_levels - 1:
            block -= (tau * np.sqrt(n + 1.0)) * np.dot(up[parity] + 0j, carried[n + 1])
        for i in range(k):
            block[i, i] -= pole
        inverse[n] = np.linalg.inv(block)
        if n > 0:
            carried[n] = (tau * np.sqrt(float(n))) * np.dot(inverse[n], down[parity] + 0j)


@kernel(fastmath=False)
def step(inverse, carried, up, tau, residue, state, out):
    """out += Re[residue (τA − pole)⁻¹ state].

    Parameters
    ----------
    inverse, carried : ndarray, shape (n_levels, k, k)
        From `factor`.
    up : ndarray of complex, shape (2, k, k)
    tau : float
    residue : complex
    state, out : ndarray, shape (n_levels, k)
    """
    n_levels, k = state.shape
    partial = np.empty((n_levels, k), dtype=np.complex128)
    right = np.empty(k, dtype=np.complex128)
    for n in range(n_levels - 1, -1, -1):
        if n < n_levels - 1:
            right[:] = state[n] - (tau * np.sqrt(n + 1.0)) * np.dot(np.ascontiguousarray(up[n % 2]), partial[n + 1])
        else:
            right[:] = state[n] + 0j
        partial[n] = np.dot(inverse[n], right)
    for n in range(n_levels):
        if n > 0:
            partial[n] -= np.dot(carried[n], partial[n - 1])
        for i in range(k):
            out[n, i] += (residue * partial[n, i]).real
