"""The memory kernel's running integral from correlation functions: a Volterra equation, step by step."""

import numpy as np

from .compile import kernel

__all__ = ["discrete_memory", "solve_scalar", "solve_tensor"]


@kernel
def _solve_scalar(drift, derivative, norm, kernel_start, step, scratch, out):
    end = step * step / 12.0 * kernel_start
    n_lags = drift.shape[0]
    # scratch holds the derivative back to front, so that both factors of the sum are read forwards
    for n in range(n_lags):
        scratch[n_lags - 1 - n] = derivative[n]
    out[0] = 0.0
    for n in range(1, n_lags):
        shift = n_lags - 1 - n
        total = 0.0
        for j in range(1, n):
            total += out[j] * scratch[shift + j]
        out[n] = (-drift[n] - step * total - end * derivative[n]) / norm


@kernel
def _solve_scalars(drift, derivative, norm, kernel_start, step, scratch, out):
    for k in range(drift.shape[0]):
        _solve_scalar(drift[k], derivative[k], norm[k], kernel_start[k], step, scratch, out[k])


@kernel
def _solve_tensor(drift, derivative, inverse_norm, kernel_start, step, scratch, out):
    end = step * step / 12.0
    n_lags = drift.shape[2]
    right = np.empty((3, 3))
    for c in range(3):
        for b in range(3):
            for n in range(n_lags):
                scratch[c, b, n_lags - 1 - n] = derivative[c, b, n]
    out[:, :, 0] = 0.0
    for n in range(1, n_lags):
        shift = n_lags - 1 - n
        for a in range(3):
            # three sums at once, so that each G is read once for them
            x = y = z = 0.0
            for j in range(1, n):
                g, h, k = out[a, 0, j], out[a, 1, j], out[a, 2, j]
                i = shift + j
                x += g * scratch[0, 0, i] + h * scratch[1, 0, i] + k * scratch[2, 0, i]
                y += g * scratch[0, 1, i] + h * scratch[1, 1, i] + k * scratch[2, 1, i]
                z += g * scratch[0, 2, i] + h * scratch[1, 2, i] + k * scratch[2, 2, i]
            right[a, 0], right[a, 1], right[a, 2] = x, y, z
            for b in range(3):
                correction = 0.0
                for c in range(3):
                    correction += kernel_start[a, c] * derivative[c, b, n]
                right[a, b] = -drift[a, b, n] - step * right[a, b] - end * correction
        for a in range(3):
            for b in range(3):
                total = 0.0
                for c in range(3):
                    total += right[a, c] * inverse_norm[c, b]
                out[a, b, n] = total


@kernel
def _solve_tensors(drift, derivative, inverse_norm, kernel_start, step, scratch, out):
    for k in range(drift.shape[0]):
        _solve_tensor(drift[k], derivative[k], inverse_norm[k], kernel_start[k], step, scratch, out[k])


def solve_scalar(drift, derivative, norm, force_norm, kernel_start, step):
    """G with −C_δ(t) = G(t) C_P(0) + ∫₀ᵗ G(s) Ċ_P(t−s) ds, trapezoid with Gregory's end correction.

    Parameters
    ----------
    drift, derivative : ndarray, shape (n_batch, n_lags)
        C_δ and Ċ_P.
    norm, force_norm, kernel_start : ndarray, shape (n_batch,)
        C_P(0), ⟨FF⟩(0) and κ₀ = ⟨δF F⟩(0)/C_P(0).
    step : float

    Returns
    -------
    ndarray, shape (n_batch, n_lags)
    """
    out = np.empty(drift.shape)
    corrected = norm - step**2 / 12.0 * force_norm
    _solve_scalars(
        np.ascontiguousarray(drift),
        np.ascontiguousarray(derivative),
        corrected,
        np.ascontiguousarray(kernel_start),
        step,
        np.empty(drift.shape[1]),
        out,
    )
    return out


def solve_tensor(drift, derivative, norm, force_norm, kernel_start, step):
    """The same for 3 × 3 tensors, G multiplying from the left.

    Parameters
    ----------
    drift, derivative : ndarray, shape (n_batch, 3, 3, n_lags)
    norm, force_norm, kernel_start : ndarray, shape (n_batch, 3, 3)
    step : float

    Returns
    -------
    ndarray, shape (n_batch, 3, 3, n_lags)
    """
    out = np.empty(drift.shape)
    inverse = np.linalg.inv(norm - step**2 / 12.0 * force_norm)
    _solve_tensors(
        np.ascontiguousarray(drift),
        np.ascontiguousarray(derivative),
        inverse,
        np.ascontiguousarray(kernel_start),
        step,
        np.empty((3, 3, drift.shape[3])),
        out,
    )
    return out


@kernel
def _discrete_memory(correlation, omega, out):
    n_lags = correlation.shape[1]
    for k in range(correlation.shape[0]):
        total = 0.0
        for n in range(n_lags - 1):
            value = correlation[k, n + 1]
            for j in range(n):
                value -= omega[j] * correlation[k, n - j]
            omega[n] = value / correlation[k, 0]
            total += omega[n]
            out[k, n + 1] = total


def discrete_memory(correlation):
    """Running sum of Ω with C(n+1) = Σ_{k≤n} Ω_k C(n−k), Mori's equation in discrete time.

    Parameters
    ----------
    correlation : ndarray, shape (n_batch, n_lags)

    Returns
    -------
    ndarray, shape (n_batch, n_lags)
        Element n holds Ω_0 + ... + Ω_{n−1}; the first is zero.
    """
    correlation = np.ascontiguousarray(correlation)
    out = np.zeros(correlation.shape)
    _discrete_memory(correlation, np.empty(correlation.shape[1]), out)
    return out
