"""The memory kernel's running integral from correlation functions: a Volterra equation, step by step."""

import numpy as np

from .compile import kernel

__all__ = ["solve_scalar", "solve_tensor"]


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
            for b in range(3):
                first = second = third = 0.0
                for j in range(1, n):
                    first += out[a, 0, j] * scratch[0, b, shift + j]
                    second += out[a, 1, j] * scratch[1, b, shift + j]
                    third += out[a, 2, j] * scratch[2, b, shift + j]
                correction = 0.0
                for c in range(3):
                    correction += kernel_start[a, c] * derivative[c, b, n]
                right[a, b] = -drift[a, b, n] - step * (first + second + third) - end * correction
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
