"""Two threads of our own that share a row between them.

Each owns a slice of the time axis, so that every number is summed by one thread in one order: results do not
depend on how many threads there are. (numba's own ``parallel=True`` aborts when two Python threads enter it.)
"""

import os
from concurrent.futures import ThreadPoolExecutor

__all__ = ["n_threads", "share"]

MOST_THREADS = 4  # memory feeds no more
WORTH_SHARING = 400_000  # elements; below, handing over takes longer than half of the work
ALIGNMENT = 16  # elements; slices begin on cache lines

_pool = None


def n_threads():
    """Threads that share a job: the processors this process may use, at most four, or ``AMAEXPLORE_THREADS``."""
    wanted = os.environ.get("AMAEXPLORE_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, MOST_THREADS)


def share(work, length, size=WORTH_SHARING):
    """Call ``work(low, high)`` for slices that cover 0 to ``length``, side by side where the job is large.

    Parameters
    ----------
    work : callable
        Must be safe to run on disjoint slices at once and release the interpreter lock to gain from it.
    length : int
    size : float
        Elements read in all.
    """
    parts = min(n_threads(), -(-length // ALIGNMENT)) if size >= WORTH_SHARING else 1
    if parts < 2:
        work(0, length)
        return
    step = -(-length // (parts * ALIGNMENT)) * ALIGNMENT
    bounds = [(low, min(low + step, length)) for low in range(0, length, step)]
    try:
        others = [_executor().submit(work, low, high) for low, high in bounds[1:]]
    except RuntimeError:  # the program has ended and takes no new work
        work(0, length)
        return
    try:
        work(*bounds[0])
    finally:
        for other in others:
            other.result()


def _executor():
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=max(1, n_threads() - 1), thread_name_prefix="amaexplore-rows")
    return _pool


def _forget_pool():
    global _pool
    _pool = None


# threads do not survive a fork; without this the child would wait for them for ever
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
