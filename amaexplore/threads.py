"""How many threads linear algebra may use."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

__all__ = ["one_blas_thread"]

_lock = threading.Lock()
_inside = 0
_limit = None


@cache
def _controller():
    # numpy and scipy carry a BLAS each; both must be loaded to be found
    import scipy.linalg  # noqa: F401 (loaded for its BLAS, not for a name)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


@cache
def _keeper():
    """The one thread that sets numbers of threads: the library ignores, silently, any other that tries meanwhile."""
    return ThreadPoolExecutor(1, thread_name_prefix="amaexplore-blas")


@contextmanager
def one_blas_thread():
    """Within this block numpy's and scipy's linear algebra run on the calling thread alone.

    The matrices here have a few hundred rows: a second thread gains little on an idle machine, and on a busy one
    (a browser drawing what was just computed) the threads wait for each other, fifty times longer than the work takes.
    It also sums in another order, so that the last digits of a result would depend on what else is going on.

    The number of threads mostly belongs to the process, not to the caller: the first block that is entered limits it
    and the last one that is left gives it back, however the blocks of several threads overlap. Where it belongs to
    the caller (OpenMP), each block sets its own.
    """
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = _keeper().submit(_controller().limit, limits=1).result()
        _inside += 1
    try:
        with _controller().select(threading_layer="openmp").limit(limits=1):
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _keeper().submit(_limit.restore_original_limits).result()
