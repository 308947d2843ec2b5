"""exp(tQ)b for a tridiagonal Q and many times t at once, by a rational Chebyshev approximation.

On the negative real axis exp(x) ≈ α₀ + 2 Re Σ_k α_k/(x − θ_k), k = 1..7, to 2e-14 [1]_: every time and every pole
is one independent tridiagonal solve, and times lie side by side in memory so that the recurrences vectorise.

References
----------
.. [1] M. Pusa, Nucl. Sci. Eng. 169, 155 (2011), and the corrected coefficients in arXiv:1206.2880.
"""

import numpy as np

from .compile import kernel

__all__ = ["LIMIT", "POLES", "RESIDUES", "exponential"]

POLES = np.array([
    -8.8977731864688888199 + 16.630982619902085304j,
    -3.7032750494234480603 + 13.656371871483268171j,
    -0.2087586382501301251 + 10.991260561901260913j,
    3.9933697105785685194 + 6.0048316422350373178j,
    5.0893450605806245066 + 3.5888240290270065102j,
    5.6231425727459771248 + 1.1940690463439669766j,
    2.2697838292311127097 + 8.4617379730402214019j,
])  # fmt: skip
RESIDUES = np.array([
    -7.1542880635890672853e-5 + 1.4361043349541300111e-4j,
    9.4390253107361688779e-3 - 1.7184791958483017511e-2j,
    -3.7636003878226968717e-1 + 3.3518347029450104214e-1j,
    -23.498232091082701191 - 5.8083591297142074004j,
    46.933274488831293047 + 45.643649768827760791j,
    -27.875161940145646468 - 102.14733999056451434j,
    4.8071120988325088907 - 1.3209793837428723881j,
])  # fmt: skip
LIMIT = 1.8321743782540412751e-14
"""Values at infinity."""

BLOCK = 16  # times side by side: their scratch rows for a few hundred cells stay in the second-level cache


@kernel
def exponential(lower, diagonal, upper, start, times, poles, residues, limit, out):
    """out[t] = exp(times[t] Q) start.

    Parameters
    ----------
    lower, diagonal, upper : ndarray, shape (n,)
        Q[i, i−1], Q[i, i], Q[i, i+1]; lower[0] and upper[n−1] are not read.
    start : ndarray, shape (n,)
    times : ndarray, shape (n_times,)
        All positive.
    poles, residues : ndarray of complex, shape (n_poles,)
    limit : float
    out : ndarray, shape (n_times, n)
    """
    n = start.shape[0]
    size = BLOCK
    up_re, up_im = np.empty((n, size)), np.empty((n, size))
    right_re, right_im = np.empty((n, size)), np.empty((n, size))
    total = np.empty((n, size))
    rate = np.empty(size)
    for first in range(0, times.shape[0], size):
        width = min(size, times.shape[0] - first)
        for t in range(size):
            rate[t] = 1.0 / times[first + min(t, width - 1)]
        for i in range(n):
            for t in range(size):
                total[i, t] = limit * start[i]
        for k in range(poles.shape[0]):
            pole_re, pole_im = poles[k].real, poles[k].imag
            twice_re, twice_im = 2.0 * residues[k].real, 2.0 * residues[k].imag
            _eliminate(lower, diagonal, upper, start, rate, pole_re, pole_im, up_re, up_im, right_re, right_im)
            _substitute(up_re, up_im, right_re, right_im, twice_re, twice_im, total)
        for t in range(width):
            row = out[first + t]
            for i in range(n):
                row[i] = total[i, t]


@kernel
def _eliminate(lower, diagonal, upper, start, rate, pole_re, pole_im, up_re, up_im, right_re, right_im):
    n, size = up_re.shape
    for i in range(n):
        a = lower[i] if i > 0 else 0.0
        above = max(i - 1, 0)
        c_re, c_im, d_re, d_im = up_re[i], up_im[i], right_re[i], right_im[i]
        e_re, e_im, g_re, g_im = up_re[above], up_im[above], right_re[above], right_im[above]
        diagonal_i, upper_i, start_i = diagonal[i], upper[i], start[i]
        if i == 0:
            for t in range(size):
                m_re = diagonal_i - pole_re * rate[t]
                m_im = -pole_im * rate[t]
                inverse = 1.0 / (m_re * m_re + m_im * m_im)
                c_re[t] = upper_i * m_re * inverse
                c_im[t] = -upper_i * m_im * inverse
                d_re[t] = start_i * rate[t] * m_re * inverse
                d_im[t] = -start_i * rate[t] * m_im * inverse
        else:
            for t in range(size):
                m_re = diagonal_i - pole_re * rate[t] - a * e_re[t]
                m_im = -pole_im * rate[t] - a * e_im[t]
                inverse = 1.0 / (m_re * m_re + m_im * m_im)
                b_re = start_i * rate[t] - a * g_re[t]
                b_im = -a * g_im[t]
                c_re[t] = upper_i * m_re * inverse
                c_im[t] = -upper_i * m_im * inverse
                d_re[t] = (b_re * m_re + b_im * m_im) * inverse
                d_im[t] = (b_im * m_re - b_re * m_im) * inverse


@kernel
def _substitute(up_re, up_im, right_re, right_im, twice_re, twice_im, total):
    n, size = up_re.shape
    last_re, last_im = right_re[n - 1], right_im[n - 1]
    for t in range(size):
        total[n - 1, t] += twice_re * last_re[t] - twice_im * last_im[t]
    for i in range(n - 2, -1, -1):
        c_re, c_im, d_re, d_im = up_re[i], up_im[i], right_re[i], right_im[i]
        x_re, x_im = right_re[i + 1], right_im[i + 1]
        sums = total[i]
        for t in range(size):
            re = d_re[t] - (c_re[t] * x_re[t] - c_im[t] * x_im[t])
            im = d_im[t] - (c_re[t] * x_im[t] + c_im[t] * x_re[t])
            d_re[t] = re
            d_im[t] = im
            sums[t] += twice_re * re - twice_im * im
