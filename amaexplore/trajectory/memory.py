"""How much memory may be used: half of what the machine has, or what ``AMAEXPLORE_MEMORY`` says."""

import ctypes
import mmap
import os
import re
from functools import cache
from pathlib import Path

import numpy as np

from ..errors import FormatError, InputError

__all__ = [
    "frame_by_frame",
    "give_back",
    "held_frames",
    "let_go",
    "mapped_file",
    "memory_budget",
    "parse_size",
    "require_whole",
]

PIECE = 2**24  # bytes of a mapped file between two times of letting go
LARGE_PAGE = 2**21  # bytes that come along with the first that is read
_FACTORS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_size(text):
    """Bytes in a text such as ``4G``, ``500 MB``, ``1.5GiB`` (powers of 1024) or ``200000000``.

    Raises
    ------
    InputError
        The text is not a positive size.

    Examples
    --------
    >>> parse_size("1.5 GB") == 1.5 * 2**30
    True
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(?:I?B)?\s*", str(text).upper())
    if match is None or float(match[1]) <= 0:
        raise InputError(f"The memory size {text!r} is not understood; give a number with K, M, G or T, such as 4G.")
    return int(float(match[1]) * _FACTORS[match[2]])


def memory_budget():
    """Bytes that stores, buffers and stop tables may take: ``AMAEXPLORE_MEMORY``, else half of the memory here.

    "Here" is the machine, or the container where that is smaller.
    """
    wanted = os.environ.get("AMAEXPLORE_MEMORY")
    if wanted:
        return parse_size(wanted)
    return _memory_here() // 2


def mapped_file(array):
    """The memory map of a file that an array is a view of, or ``None``: what is in it need not stay in memory.

    A map into which changes are written that the file does not get (numpy's mode ``"c"``) is none: they would be lost.
    """
    if not isinstance(array, np.ndarray):
        return None
    is_file = not array.flags.writeable
    while array is not None and not isinstance(array, mmap.mmap):
        if isinstance(array, np.memmap):
            is_file = array.mode != "c"
        array = getattr(array, "_mmap", None) or getattr(array, "base", None)
    return array if is_file else None


def require_whole(mapped, path=None):
    """Refuse a map (or ``None``) of a file that somebody has cut since: the system ends a program that reads behind the end.

    Raises
    ------
    FormatError
    """
    if mapped is not None and mapped.size() < len(mapped):
        name = "The file behind these data" if path is None else str(path)
        raise FormatError(f"{name} has become shorter since it was opened; make it whole and load the data again.")


def let_go(array):
    """Let the pages of an array that is mapped from a file leave this process; they are read again where they are needed.

    Without this a pass over a large file would look like, and where memory is short be, the whole of it in memory.

    Raises
    ------
    FormatError
        The file has become shorter, see `require_whole`.
    """
    mapped = mapped_file(array)
    require_whole(mapped)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def give_back():
    """Return to the machine what this process has freed but still keeps for itself.

    The C library keeps freed memory, for each thread on its own, in case it is wanted again: the process would stay as large as
    its largest job, times the threads that had one. Takes a few milliseconds; does nothing where there is no way to ask for it.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim():
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # no GNU C library here
        return None


def held_frames(values):
    """Which frames of a field (n_frames, n_atoms, 3) hold it: those whose first number is not NaN."""
    if mapped_file(values) is None or not values.flags.c_contiguous:
        return np.isfinite(values[:, 0, 0])
    require_whole(mapped_file(values))
    held = np.empty(len(values), dtype=bool)
    size = max(1, PIECE // values[0].nbytes)
    for first in range(0, len(values), size):
        held[first : first + size] = np.isfinite(values[first : first + size, 0, 0])
        let_go(values)
    return held


def frame_by_frame(values, frames):
    """The frames of a field (n_frames, n_atoms, 3) one after the other, each let go after it has been used."""
    size, passed = max(LARGE_PAGE, values.dtype.itemsize * int(np.prod(values.shape[1:]))), 0
    require_whole(mapped_file(values))
    for frame in frames:
        yield values[frame]
        passed += size
        if passed > PIECE:
            let_go(values)
            passed = 0
    let_go(values)


def _memory_here():
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        here = 8 * 2**30  # no way to ask: what a small laptop has
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        here = min(here, int(text))
    return here
