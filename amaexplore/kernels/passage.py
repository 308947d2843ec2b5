"""The double integrals of mean first-passage times, by a recurrence that neither overflows nor cancels."""

import numpy as np

from .compile import kernel

__all__ = ["outflow_time"]


@kernel(fastmath=False)
def outflow_time(points, energy, out):
    """out(y) = e^{u(y)} ∫_low^y e^{−u} dz, u linear between the points.

    Parameters
    ----------
    points, energy, out : ndarray, shape (n,)
        From the reflecting end upwards. Infinite where it exceeds the largest number.
    """
    out[0] = 0.0
    for i in range(1, points.shape[0]):
        width = points[i] - points[i - 1]
        rise = energy[i] - energy[i - 1]
        if rise > 700.0:
            out[i] = np.inf
            continue
        if abs(rise) < 1e-6:
            growth, part = 1.0 + rise, width * (1.0 + 0.5 * rise)
        else:
            growth, part = np.exp(rise), width * np.expm1(rise) / rise
        out[i] = out[i - 1] * growth + part
