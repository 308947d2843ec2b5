"""Implicit steps along one axis of a grid of several: all lines at once, the recurrences side by side."""

import numpy as np

from .compile import kernel

__all__ = ["cayley", "factor_lines", "solve_lines"]


@kernel(fastmath=False)
def factor_lines(rise, fall, loss_first, loss_last, scale, ring):
    """Factors of 1 − scale Q for every line; nothing is subtracted, so solutions keep the sign of what they solve.

    Parameters
    ----------
    rise, fall : ndarray, shape (n, n_lines)
        Rates i → i+1 and back; row n−1 closes a ring.
    loss_first, loss_last : ndarray, shape (n_lines,)
    scale : float, ps
    ring : bool

    Returns
    -------
    inverse, up, border : ndarray, shape (n, n_lines)
        Pivots' inverses, eliminated upper diagonal, and on a ring what a unit in the last cell adds to the others.
    """
    n, m = rise.shape
    size = n - 1 if ring else n
    inverse, up, border = np.empty((n, m)), np.empty((n, m)), np.zeros((n, m))
    for i in range(size):
        for j in range(m):
            pivot = 1.0 + scale * rise[i, j]
            if i > 0:
                # fall from here, less what comes back through the cells eliminated below
                pivot += scale * fall[i - 1, j] * (1.0 - scale * rise[i - 1, j] * inverse[i - 1, j])
            else:
                pivot += scale * loss_first[j]
                if ring:
                    pivot += scale * fall[n - 1, j]
            if i == n - 1:
                pivot += scale * loss_last[j]
            inverse[i, j] = 1.0 / pivot
            up[i, j] = scale * fall[i, j] / pivot
    if ring:
        for j in range(m):
            border[0, j] = scale * rise[n - 1, j] * inverse[0, j]
        for i in range(1, size):
            for j in range(m):
                right = scale * rise[i - 1, j] * border[i - 1, j]
                if i == size - 1:
                    right += scale * fall[i, j]
                border[i, j] = right * inverse[i, j]
        if size == 1:
            for j in range(m):
                border[0, j] += scale * fall[0, j] * inverse[0, j]
        for i in range(size - 2, -1, -1):
            for j in range(m):
                border[i, j] += up[i, j] * border[i + 1, j]
        for j in range(m):
            pivot = 1.0 + scale * (rise[n - 1, j] + fall[n - 2, j])
            pivot -= scale * (fall[n - 1, j] * border[0, j] + rise[n - 2, j] * border[n - 2, j])
            inverse[n - 1, j] = 1.0 / pivot
    return inverse, up, border


@kernel
def solve_lines(rise, fall, inverse, up, border, scale, ring, state, out):
    """out = (1 − scale Q)⁻¹ state for every line; ``state`` and ``out`` have shape (n, n_lines)."""
    n, m = state.shape
    size = n - 1 if ring else n
    first, factors = state[0], inverse[0]
    row = out[0]
    for j in range(m):
        row[j] = first[j] * factors[j]
    for i in range(1, size):
        row, before, given, rates, factors = out[i], out[i - 1], state[i], rise[i - 1], inverse[i]
        for j in range(m):
            row[j] = (given[j] + scale * rates[j] * before[j]) * factors[j]
    for i in range(size - 2, -1, -1):
        row, after, factors = out[i], out[i + 1], up[i]
        for j in range(m):
            row[j] += factors[j] * after[j]
    if ring:
        for j in range(m):
            out[n - 1, j] = (
                state[n - 1, j] + scale * (fall[n - 1, j] * out[0, j] + rise[n - 2, j] * out[n - 2, j])
            ) * inverse[n - 1, j]
        for i in range(size):
            for j in range(m):
                out[i, j] += border[i, j] * out[n - 1, j]


@kernel
def cayley(solved, state):
    """state ← 2 solved − state, which makes (1 + cQ)(1 − cQ)⁻¹ of (1 − cQ)⁻¹; transposed into the result.

    Returns
    -------
    ndarray, shape (n_lines, n)
    """
    n, m = state.shape
    out = np.empty((m, n))
    for i0 in range(0, n, 16):
        for j0 in range(0, m, 16):
            for i in range(i0, min(i0 + 16, n)):
                for j in range(j0, min(j0 + 16, m)):
                    out[j, i] = 2.0 * solved[i, j] - state[i, j]
    return out
