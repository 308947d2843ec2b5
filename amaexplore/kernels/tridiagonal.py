"""Implicit steps and eigenvalues of tridiagonal generators, the steps also on a ring.

A generator Q has columns that sum to at most zero and no negative off-diagonal element. Row i reads
``lower[i]`` = Q[i, i−1], ``diagonal[i]``, ``upper[i]`` = Q[i, i+1]; on a ring lower[0] couples to the last cell and
upper[n−1] to the first.
"""

import numpy as np

from .compile import kernel

__all__ = ["count_below", "lowest_eigenvalues", "march"]


@kernel
def march(lower, diagonal, upper, ring, start, steps, frames, poles, residues, out):
    """Rational steps y ← Σ_k Re[residues_k (τQ − poles_k)⁻¹ y], all poles side by side in one sweep.

    Parameters
    ----------
    lower, diagonal, upper : ndarray, shape (n,)
    ring : bool
    start : ndarray, shape (n,)
    steps : ndarray, shape (n_steps,)
        τ of each step; neighbours equal to rounding share a factorisation.
    frames : ndarray of int, shape (n_steps,)
        Row of ``out`` that the state after this step fills; −1 for none.
    poles, residues : ndarray of complex, shape (n_poles,)
        Of one of each complex pair, its residue doubled.
    out : ndarray, shape (n_frames, n)
    """
    n = start.shape[0]
    size = n - 1 if ring else n  # on a ring the last cell borders the rest
    n_poles = poles.shape[0]
    inv_re, inv_im = np.empty((n, n_poles)), np.empty((n, n_poles))
    up_re, up_im = np.empty((n, n_poles)), np.empty((n, n_poles))
    x_re, x_im = np.empty((n, n_poles)), np.empty((n, n_poles))
    border = np.zeros((n, n_poles), dtype=np.complex128)
    schur = np.zeros(n_poles, dtype=np.complex128)
    state = start.copy()
    tau = 0.0
    for s in range(steps.shape[0]):
        if abs(steps[s] - tau) > 1e-11 * tau:
            tau = steps[s]
            _factor(lower, diagonal, upper, size, tau, poles, inv_re, inv_im, up_re, up_im)
            if ring:
                _factor_border(
                    lower, diagonal, upper, tau, poles, inv_re, inv_im, up_re, up_im, x_re, x_im, border, schur
                )
        for k in range(n_poles):
            x_re[0, k] = state[0] * inv_re[0, k]
            x_im[0, k] = state[0] * inv_im[0, k]
        _forward(lower, size, tau, state, inv_re, inv_im, x_re, x_im)
        _backward(size, up_re, up_im, x_re, x_im)
        if ring:
            _close_ring(lower, upper, tau, state, border, schur, x_re, x_im)
        for i in range(n):
            total = 0.0
            for k in range(n_poles):
                total += residues[k].real * x_re[i, k] - residues[k].imag * x_im[i, k]
            state[i] = total
        if frames[s] >= 0:
            out[frames[s]] = state


@kernel
def _factor(lower, diagonal, upper, size, tau, poles, inv_re, inv_im, up_re, up_im):
    for i in range(size):
        for k in range(poles.shape[0]):
            m_re = tau * diagonal[i] - poles[k].real
            m_im = -poles[k].imag
            if i > 0:
                m_re -= tau * lower[i] * up_re[i - 1, k]
                m_im -= tau * lower[i] * up_im[i - 1, k]
            norm = 1.0 / (m_re * m_re + m_im * m_im)
            inv_re[i, k] = m_re * norm
            inv_im[i, k] = -m_im * norm
            up_re[i, k] = tau * upper[i] * inv_re[i, k] if i < size - 1 else 0.0
            up_im[i, k] = tau * upper[i] * inv_im[i, k] if i < size - 1 else 0.0


@kernel
def _forward(lower, size, tau, state, inv_re, inv_im, x_re, x_im):
    for i in range(1, size):
        a = tau * lower[i]
        for k in range(x_re.shape[1]):
            b_re = state[i] - a * x_re[i - 1, k]
            b_im = -a * x_im[i - 1, k]
            x_re[i, k] = b_re * inv_re[i, k] - b_im * inv_im[i, k]
            x_im[i, k] = b_re * inv_im[i, k] + b_im * inv_re[i, k]


@kernel
def _backward(size, up_re, up_im, x_re, x_im):
    for i in range(size - 2, -1, -1):
        for k in range(x_re.shape[1]):
            x_re[i, k] -= up_re[i, k] * x_re[i + 1, k] - up_im[i, k] * x_im[i + 1, k]
            x_im[i, k] -= up_re[i, k] * x_im[i + 1, k] + up_im[i, k] * x_re[i + 1, k]


@kernel
def _factor_border(lower, diagonal, upper, tau, poles, inv_re, inv_im, up_re, up_im, x_re, x_im, border, schur):
    """border = (inner block)⁻¹ (coupling to the last cell), and the last cell's pivot after elimination."""
    n = lower.shape[0]
    column = np.zeros(n)
    column[0] += tau * lower[0]
    column[n - 2] += tau * upper[n - 2]
    for k in range(poles.shape[0]):
        x_re[0, k] = column[0] * inv_re[0, k]
        x_im[0, k] = column[0] * inv_im[0, k]
    _forward(lower, n - 1, tau, column, inv_re, inv_im, x_re, x_im)
    _backward(n - 1, up_re, up_im, x_re, x_im)
    for k in range(poles.shape[0]):
        for i in range(n - 1):
            border[i, k] = complex(x_re[i, k], x_im[i, k])
        schur[k] = (
            tau * diagonal[n - 1] - poles[k] - tau * (upper[n - 1] * border[0, k] + lower[n - 1] * border[n - 2, k])
        )


@kernel
def _close_ring(lower, upper, tau, state, border, schur, x_re, x_im):
    n = lower.shape[0]
    for k in range(x_re.shape[1]):
        first = complex(x_re[0, k], x_im[0, k])
        last = complex(x_re[n - 2, k], x_im[n - 2, k])
        end = (state[n - 1] - tau * (upper[n - 1] * first + lower[n - 1] * last)) / schur[k]
        for i in range(n - 1):
            shift = border[i, k] * end
            x_re[i, k] -= shift.real
            x_im[i, k] -= shift.imag
        x_re[n - 1, k] = end.real
        x_im[n - 1, k] = end.imag


@kernel(fastmath=False)
def count_below(shift, rise, fall, first, out_of_last):
    """How many eigenvalues of −Q lie below ``shift``.

    Q is a birth-death generator; the pivots of −Q − shift by the differential stationary transform, which never
    subtracts two rates and so keeps the relative accuracy of the smallest eigenvalue (a passage over 30 k_BT).

    Parameters
    ----------
    shift : float
    rise, fall : ndarray, shape (n − 1,)
        Rates from cell i to i+1, and from i+1 to i.
    first, out_of_last : float
        Rates out of the grid at its two ends.
    """
    n = rise.shape[0] + 1
    count = 0
    s = first - shift
    for i in range(n):
        q = rise[i] if i < n - 1 else out_of_last
        pivot = q + s
        if abs(pivot) < 1e-150:
            pivot = -1e-150
        if pivot < 0.0:
            count += 1
        if i < n - 1:
            s = fall[i] * (s / pivot) - shift
    return count


@kernel(fastmath=False)
def lowest_eigenvalues(rise, fall, first, out_of_last, upper_bound, out):
    """The smallest eigenvalues of −Q, each to full relative accuracy, by bisection on the count."""
    tiny = 1e-290
    for k in range(out.shape[0]):
        low, high = tiny, upper_bound
        if count_below(low, rise, fall, first, out_of_last) > k:
            out[k] = 0.0
            continue
        if k > 0 and out[k - 1] > low:
            low = out[k - 1] * (1.0 - 1e-12)
        # first by factors, then by halves
        while high > 4.0 * low:
            middle = np.sqrt(low) * np.sqrt(high)
            if count_below(middle, rise, fall, first, out_of_last) > k:
                high = middle
            else:
                low = middle
        while high - low > 4e-16 * high:
            middle = 0.5 * (low + high)
            if middle <= low or middle >= high:
                break
            if count_below(middle, rise, fall, first, out_of_last) > k:
                high = middle
            else:
                low = middle
        out[k] = 0.5 * (low + high)
