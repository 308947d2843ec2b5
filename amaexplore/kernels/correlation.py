"""Correlation sums by fast Fourier transform, per replica and per block of starting times."""

from itertools import pairwise

import numpy as np
from scipy import fft

__all__ = ["both_directions", "even_sums", "odd_sums", "pair_sums", "spectrum_of"]


def both_directions(first, second, n_lags):
    """Σ_i A_a(i) B_b(i+s) and Σ_i A_a(i+s) B_b(i) of whole replicas, for s = 0 ... n_lags − 1.

    Parameters
    ----------
    first, second : ndarray, shape (n_replicas, n_components, n_frames)
        Pass the same object twice for an autocorrelation, which then costs 6 instead of 9 transforms.
    n_lags : int

    Returns
    -------
    forward, backward : ndarray, shape (n_replicas, n_components, n_components, n_lags)
    """
    n_replicas, n_components, n_frames = first.shape
    length = fft.next_fast_len(n_frames + n_lags - 1, real=True)
    spectrum = fft.rfft(first, length)
    other = spectrum if second is first else fft.rfft(second, length)
    forward = np.empty((n_replicas, n_components, n_components, n_lags))
    backward = np.empty_like(forward)
    for a in range(n_components):
        for b in range(a if second is first else 0, n_components):
            sums = fft.irfft(np.conj(spectrum[:, a]) * other[:, b], length)
            forward[:, a, b] = sums[:, :n_lags]
            backward[:, a, b, 0] = sums[:, 0]
            backward[:, a, b, 1:] = sums[:, : length - n_lags : -1]
            if second is first:
                forward[:, b, a], backward[:, b, a] = backward[:, a, b], forward[:, a, b]
    return forward, backward


def pair_sums(first, second, n_lags, bounds):
    """Σ A_a(i) B_b(i+s) over the starting times i of each block, for s = 0 ... n_lags − 1.

    Blocks of starting times add up to the whole exactly, which blocks cut out of the series do not.

    Parameters
    ----------
    first, second : ndarray, shape (n_replicas, n_components, n_frames)
    n_lags : int
    bounds : ndarray of int, shape (n_blocks + 1,)

    Returns
    -------
    ndarray, shape (n_replicas, n_blocks, n_components, n_components, n_lags)
    """
    n_replicas, n_components, _ = first.shape
    n_blocks = len(bounds) - 1
    length = fft.next_fast_len(int(np.diff(bounds).max()) + 2 * n_lags, real=True)
    out = np.empty((n_replicas, n_blocks, n_components, n_components, n_lags))
    for block, (start, stop) in enumerate(pairwise(bounds)):
        spectrum = np.conj(fft.rfft(first[:, :, start:stop], length))
        other = fft.rfft(second[:, :, start : stop + n_lags - 1], length)
        # one call for all pairs of components: for short blocks the calls cost more than the transforms
        out[:, block] = fft.irfft(spectrum[:, :, None] * other[:, None], length)[..., :n_lags]
    return out


def spectrum_of(values, n_lags):
    """Padded Fourier transform along time, for `even_sums` and `odd_sums`.

    Parameters
    ----------
    values : ndarray, shape (n_replicas, n_components, n_frames)
    n_lags : int

    Returns
    -------
    ndarray of complex, shape (n_replicas, n_components, n_frequencies)
    """
    return fft.rfft(values, _padded(values.shape[-1], n_lags))


def _padded(n_frames, n_lags):
    return fft.next_fast_len(n_frames + n_lags - 1, real=True)


def even_sums(spectrum, n_frames, n_lags):
    """½ Σ_i [A_a(i) A_b(i+s) + A_b(i) A_a(i+s)], shape (n_replicas, n_components, n_components, n_lags)."""
    return _from_spectra(lambda a, b: (np.conj(spectrum[:, a]) * spectrum[:, b]).real, spectrum, n_frames, n_lags)


def odd_sums(first, second, n_frames, n_lags):
    """Σ_i of ½[B_a(i+s) A_b(i) − A_a(i+s) B_b(i)], made symmetric in a and b.

    With A the momentum and B the force this is the time derivative of the momentum correlation, from six
    transforms: the part of the cross spectrum that is odd in time is its imaginary part.
    """

    def cross(a, b):
        total = np.conj(first[:, a]) * second[:, b]
        if a != b:
            total = 0.5 * (total + np.conj(first[:, b]) * second[:, a])
        return 1j * total.imag

    return _from_spectra(cross, first, n_frames, n_lags)


def _from_spectra(product, spectrum, n_frames, n_lags):
    n_replicas, n_components, _ = spectrum.shape
    length = _padded(n_frames, n_lags)
    out = np.empty((n_replicas, n_components, n_components, n_lags))
    for a in range(n_components):
        for b in range(a, n_components):
            out[:, a, b] = fft.irfft(product(a, b), length)[:, :n_lags]
            out[:, b, a] = out[:, a, b]
    return out
