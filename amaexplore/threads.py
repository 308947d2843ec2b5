"""How many threads linear algebra may use."""

from contextlib import contextmanager
from functools import cache

__all__ = ["one_blas_thread"]


@cache
def _controller():
    # numpy and scipy carry a BLAS each; both must be loaded to be found
    import scipy.linalg  # noqa: F401 (loaded for its BLAS, not for a name)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_blas_thread():
    """Within this block numpy's and scipy's linear algebra run on the calling thread alone.

    The matrices here have a few hundred rows: a second thread gains little on an idle machine, and on a busy one
    (a browser drawing what was just computed) the threads wait for each other, fifty times longer than the work takes.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield
