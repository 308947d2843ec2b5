"""Correlation sums by fast Fourier transform, per replica and per block of starting times."""

from itertools import pairwise

import numpy as np
from scipy import fft

from .compile import kernel

__all__ = [
    "SHORTEST_PIECE",
    "both_directions",
    "even_sums",
    "fits",
    "odd_sums",
    "pair_sums",
    "spectrum_of",
    "total_sums",
]

SHORTEST_PIECE = 512  # frames; shorter ones spend their time on overhead


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
    """Padded Fourier transforms along time of consecutive pieces, for `even_sums` and `odd_sums`.

    Short pieces keep every transform in the cache, and their products add up before the transform back, of
    which one short one is left per pair of components. A piece padded with zeros to twice its length, and
    the next one likewise but shifted by half of that, together are the stretch its later partners lie in.

    Parameters
    ----------
    values : ndarray, shape (n_replicas, n_components, n_frames)
    n_lags : int

    Returns
    -------
    ndarray of complex, shape (n_replicas, n_components, n_pieces, n_frequencies)
    """
    n_replicas, n_components, n_frames = values.shape
    piece, length = _pieces(n_frames, n_lags)
    n_pieces = -(-n_frames // piece)
    padded = np.zeros((n_replicas, n_components, n_pieces * piece))
    padded[..., :n_frames] = values
    return fft.rfft(padded.reshape(n_replicas, n_components, n_pieces, piece), length)


def fits(spectrum, n_frames, n_lags):
    """Whether a spectrum of several pieces is the one `spectrum_of` makes for this many lags."""
    piece, length = _pieces(n_frames, n_lags)
    return piece < n_frames and spectrum.shape[2:] == (-(-n_frames // piece), length // 2 + 1)


def _pieces(n_frames, n_lags):
    """Length of a piece and of its transform."""
    piece = max(SHORTEST_PIECE, 1 << (n_lags - 1).bit_length())
    if 2 * piece < n_frames:
        return piece, 2 * piece
    return n_frames, fft.next_fast_len(n_frames + n_lags - 1, real=True)


@kernel
def _with_next(spectrum, k, out):
    """Spectrum of piece k followed by piece k + 1: a shift by half the length is a factor of (−1)^f."""
    n_components, n_pieces, n_frequencies = spectrum.shape
    for a in range(n_components):
        for f in range(n_frequencies):
            out[a, f] = spectrum[a, k, f]
        if k + 1 < n_pieces:
            for f in range(0, n_frequencies, 2):
                out[a, f] += spectrum[a, k + 1, f]
            for f in range(1, n_frequencies, 2):
                out[a, f] -= spectrum[a, k + 1, f]


@kernel
def _even_products(spectrum, later, out):
    n_replicas, n_components, n_pieces, n_frequencies = spectrum.shape
    for r in range(n_replicas):
        for k in range(n_pieces):
            _with_next(spectrum[r], k, later)
            for a in range(n_components):
                for b in range(a, n_components):
                    x, y, ex, ey, o = spectrum[r, a, k], spectrum[r, b, k], later[a], later[b], out[r, a, b]
                    for f in range(n_frequencies):
                        o[f] += 0.5 * (np.conj(x[f]) * ey[f] + np.conj(y[f]) * ex[f])


@kernel
def _odd_products(first, second, later_first, later_second, out):
    n_replicas, n_components, n_pieces, n_frequencies = first.shape
    for r in range(n_replicas):
        for k in range(n_pieces):
            _with_next(first[r], k, later_first)
            _with_next(second[r], k, later_second)
            for a in range(n_components):
                for b in range(a, n_components):
                    xa, xb, ya, yb = first[r, a, k], first[r, b, k], second[r, a, k], second[r, b, k]
                    exa, exb, eya, eyb = later_first[a], later_first[b], later_second[a], later_second[b]
                    o = out[r, a, b]
                    for f in range(n_frequencies):
                        o[f] += 0.25 * (
                            np.conj(xa[f]) * eyb[f]
                            + np.conj(xb[f]) * eya[f]
                            - np.conj(ya[f]) * exb[f]
                            - np.conj(yb[f]) * exa[f]
                        )


def even_sums(spectrum, n_frames, n_lags):
    """½ Σ_i [A_a(i) A_b(i+s) + A_b(i) A_a(i+s)], shape (n_replicas, n_components, n_components, n_lags)."""
    products = _nothing(spectrum)
    _even_products(spectrum, np.empty_like(spectrum[0, :, 0]), products)
    return _from_products(products, n_frames, n_lags)


def total_sums(spectrum, n_frames, n_lags):
    """Σ_i A(i)·A(i+s), added up over replicas and components, shape (n_lags,)."""
    power = np.square(spectrum.real).sum(axis=(0, 1, 2)) + np.square(spectrum.imag).sum(axis=(0, 1, 2))
    if spectrum.shape[2] > 1:
        cross = np.einsum("rakf,rakf->f", np.conj(spectrum[:, :, :-1]), spectrum[:, :, 1:])
        cross[1::2] *= -1.0
        power = power + cross
    _, length = _pieces(n_frames, n_lags)
    return fft.irfft(power, length)[:n_lags]


def odd_sums(first, second, n_frames, n_lags):
    """Σ_i of ½[B_a(i+s) A_b(i) − A_a(i+s) B_b(i)], made symmetric in a and b.

    With A the momentum and B the force this is the time derivative of the momentum correlation.
    """
    products = _nothing(first)
    one = np.empty_like(first[0, :, 0])
    _odd_products(first, second, one, np.empty_like(one), products)
    return _from_products(products, n_frames, n_lags)


def _nothing(spectrum):
    n_replicas, n_components, _, n_frequencies = spectrum.shape
    return np.zeros((n_replicas, n_components, n_components, n_frequencies), dtype=complex)


def _from_products(products, n_frames, n_lags):
    n_replicas, n_components = products.shape[:2]
    _, length = _pieces(n_frames, n_lags)
    out = np.empty((n_replicas, n_components, n_components, n_lags))
    for a in range(n_components):
        out[:, a, a:] = fft.irfft(products[:, a, a:], length)[..., :n_lags]
        out[:, a + 1 :, a] = out[:, a, a + 1 :]
    return out
