"""Implicit steps and eigenvalues of tridiagonal generators, the steps also on a ring.

A generator Q has columns that sum to at most zero and no negative off-diagonal element. Row i reads
``lower[i]`` = Q[i, i−1], ``diagonal[i]``, ``upper[i]`` = Q[i, i+1]; on a ring lower[0] couples to the last cell and
upper[n−1] to the first.
"""

import numpy as np

from .compile import kernel

__all__ = ["below_zero", "count_below", "lowest_eigenvalues", "march", "schedule"]


@kernel
def schedule(times, per_frame, smallest, spread, speed, relaxed):
    """Step sizes up to each time, and which frame each completes (−1: none).

    Parameters
    ----------
    times : ndarray, shape (n_times,), ps
        Ascending, above zero.
    per_frame : int
        Steps for one of the longest that would be accurate.
    smallest : float, ps
        The first step is no longer.
    spread, speed, relaxed : float
        D, the velocity of what is carried round a ring, and the time from which on nothing is left to be carried (zero
        where nothing circulates): until then a step moves the density by less than half its width.

    Returns
    -------
    steps : ndarray, shape (n_steps,), ps
    frames : ndarray of int, shape (n_steps,)
    """
    steps, frames = np.empty(4 * times.shape[0] + 64), np.empty(4 * times.shape[0] + 64, dtype=np.int64)
    filled, before = 0, 0.0
    for k in range(times.shape[0]):
        time, first = times[k], filled
        while time - before > 0.0:
            remaining = time - before
            longest = 0.25 * before
            if before < relaxed:
                longest = min(longest, 0.5 * np.sqrt(spread * before) / speed)
            longest = max(longest, smallest) / per_frame
            count, size = max(int(np.ceil(remaining / longest * (1.0 - 1e-9))), 1), 0.0
            if count > 8 * per_frame:
                # longer steps will do on the way
                count, size = 4 * per_frame, longest
            else:
                size = remaining / count
            if filled + count >= steps.shape[0]:
                more = filled + count
                steps, frames = np.append(steps, np.empty(more)), np.append(frames, np.empty(more, dtype=np.int64))
            steps[filled : filled + count], frames[filled : filled + count] = size, -1
            filled += count
            before = time if size * count >= remaining * (1.0 - 1e-12) else before + size * count
        if filled == first:
            # the same time again: repeat the frame by a step of no length
            if filled == steps.shape[0]:
                steps, frames = np.append(steps, np.empty(filled)), np.append(frames, np.empty(filled, dtype=np.int64))
            steps[filled] = 0.0
            filled += 1
        frames[filled - 1] = k
    return steps[:filled].copy(), frames[:filled].copy()


@kernel(fastmath=False)
def below_zero(values):
    """Of each row, the sum of what is below zero, as a positive number, and its lowest value over its highest.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n)

    Returns
    -------
    negative, ratios : ndarray, shape (n_rows,)
    """
    negative, ratios = np.empty(values.shape[0]), np.empty(values.shape[0])
    for r in range(values.shape[0]):
        row = values[r]
        low, high = row[0], row[0]
        for i in range(row.shape[0]):
            low, high = min(low, row[i]), max(high, row[i])
        below = 0.0
        if low < 0.0:
            for i in range(row.shape[0]):
                below -= min(row[i], 0.0)
        negative[r] = below
        ratios[r] = low / max(high, 1e-300)
    return negative, ratios


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
    low_re, low_im = np.empty((n, n_poles)), np.empty((n, n_poles))
    x_re, x_im = np.empty((n, n_poles)), np.empty((n, n_poles))
    border = np.zeros((n, n_poles), dtype=np.complex128)
    schur = np.zeros(n_poles, dtype=np.complex128)
    state = start.copy()
    tau = 0.0
    for s in range(steps.shape[0]):
        if abs(steps[s] - tau) > 1e-11 * tau:
            tau = steps[s]
            _factor(lower, diagonal, upper, size, tau, poles, inv_re, inv_im, up_re, up_im, low_re, low_im)
            if ring:
                factors = (inv_re, inv_im, up_re, up_im, low_re, low_im)
                _factor_border(lower, diagonal, upper, tau, poles, factors, x_re, x_im, border, schur)
        _forward(size, state, inv_re, inv_im, low_re, low_im, x_re, x_im)
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
def _factor(lower, diagonal, upper, size, tau, poles, inv_re, inv_im, up_re, up_im, low_re, low_im):
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
            low_re[i, k] = tau * lower[i] * inv_re[i, k] if i > 0 else 0.0
            low_im[i, k] = tau * lower[i] * inv_im[i, k] if i > 0 else 0.0


@kernel
def _forward(size, state, inv_re, inv_im, low_re, low_im, x_re, x_im):
    """Each cell waits for the one before it: what it waits for stays in registers, and is one product long."""
    n_poles = x_re.shape[1]
    for first in range(0, n_poles, 2):
        # two poles side by side fill each other's waiting; one alone is paired with itself
        j, k = first, min(first + 1, n_poles - 1)
        a_re = a_im = b_re = b_im = 0.0
        for i in range(size):
            a_re, a_im = (
                state[i] * inv_re[i, j] - (low_re[i, j] * a_re - low_im[i, j] * a_im),
                state[i] * inv_im[i, j] - (low_re[i, j] * a_im + low_im[i, j] * a_re),
            )
            b_re, b_im = (
                state[i] * inv_re[i, k] - (low_re[i, k] * b_re - low_im[i, k] * b_im),
                state[i] * inv_im[i, k] - (low_re[i, k] * b_im + low_im[i, k] * b_re),
            )
            x_re[i, j], x_im[i, j] = a_re, a_im
            x_re[i, k], x_im[i, k] = b_re, b_im


@kernel
def _backward(size, up_re, up_im, x_re, x_im):
    n_poles = x_re.shape[1]
    for first in range(0, n_poles, 2):
        j, k = first, min(first + 1, n_poles - 1)
        a_re = a_im = b_re = b_im = 0.0
        for i in range(size - 1, -1, -1):
            a_re, a_im = (
                x_re[i, j] - (up_re[i, j] * a_re - up_im[i, j] * a_im),
                x_im[i, j] - (up_re[i, j] * a_im + up_im[i, j] * a_re),
            )
            b_re, b_im = (
                x_re[i, k] - (up_re[i, k] * b_re - up_im[i, k] * b_im),
                x_im[i, k] - (up_re[i, k] * b_im + up_im[i, k] * b_re),
            )
            x_re[i, j], x_im[i, j] = a_re, a_im
            x_re[i, k], x_im[i, k] = b_re, b_im


@kernel
def _factor_border(lower, diagonal, upper, tau, poles, factors, x_re, x_im, border, schur):
    """border = (inner block)⁻¹ (coupling to the last cell), and the last cell's pivot after elimination."""
    n = lower.shape[0]
    inv_re, inv_im, up_re, up_im, low_re, low_im = factors
    column = np.zeros(n)
    column[0] += tau * lower[0]
    column[n - 2] += tau * upper[n - 2]
    _forward(n - 1, column, inv_re, inv_im, low_re, low_im, x_re, x_im)
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
