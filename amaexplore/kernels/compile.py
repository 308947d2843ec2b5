"""One place that says how kernels are compiled."""

import numba

__all__ = ["kernel"]

# Without 'nnan' and 'ninf': a NaN that came in must come out. Reassociation lets the loops vectorise.
_FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def kernel(function=None, *, fastmath=True):
    """Compile without the interpreter lock, cached on disk where a writable place exists.

    Kernels compile on first call. The cache lies beside the package, else in numba's per-user directory,
    else (read-only home and package) there is none and each process compiles for itself.
    """
    if function is None:
        return lambda wrapped: kernel(wrapped, fastmath=fastmath)
    options = {"nogil": True, "fastmath": _FASTMATH if fastmath else False}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # numba found no place to write a cache
        return numba.njit(**options)(function)
