"""How much memory may be used: half of what the machine has, or what ``AMAEXPLORE_MEMORY`` says."""

import os
import re
from pathlib import Path

from ..errors import InputError

__all__ = ["memory_budget", "parse_size"]

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


def _memory_here():
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    else:
        here = 8 * 2**30  # no way to ask: what a small laptop has
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        here = min(here, int(text))
    return here
