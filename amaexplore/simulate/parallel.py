"""Independent simulations, spread over the machine's cores or a Dask cluster; the results do not depend on which."""

import os
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np

from ..errors import AmaError, InputError
from ..trajectory.cluster import finished, give_up
from .progress import report

__all__ = ["job_seed", "run_jobs"]


def job_seed(seed, *place):
    """A seed for one job out of the user's seed and the job's own numbers, whatever runs beside it."""
    return int(np.random.SeedSequence([int(seed), *map(int, place)]).generate_state(1)[0])


def run_jobs(function, jobs, *, workers=None, client=None, progress=None, text="simulating"):
    """Call ``function(job, progress)`` for every job, in any order and anywhere; return the results in the order of the jobs.

    Parameters
    ----------
    function : callable
        A module-level function of a job and of a progress callable or None (given to it in this process only).
    jobs : list
        Each holds all its job needs (its seed included) and can be pickled.
    workers : int, optional
        Processes on this machine; default one per core, at most one per job. 1: no further process is started.
    client : distributed.Client, optional
        A Dask cluster instead.
    progress : callable, optional
        Called after each job, and during one in this process; may raise to cancel the rest.

    Returns
    -------
    list
    """
    if client is not None:
        return _on_cluster(function, jobs, client, progress, text)
    workers = _worker_count(workers, len(jobs))
    if workers == 1:
        results = []
        for n, job in enumerate(jobs):
            results.append(function(job, _share_of(progress, n, len(jobs), text)))
            report(progress, (n + 1) / len(jobs), text)
        return results
    return _in_processes(function, jobs, workers, progress, text)


def _worker_count(workers, n_jobs):
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if int(workers) < 1:
        raise InputError(f"workers must be at least 1; got {workers!r}.")
    return min(int(workers), n_jobs)


def _in_processes(function, jobs, workers, progress, text):
    # spawn: OpenMM's and numba's threads do not survive a fork
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    futures = [pool.submit(function, job, None) for job in jobs]
    try:
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            report(progress, 1.0 - len(waiting) / len(jobs), text)
        return [future.result() for future in futures]
    except BrokenProcessPool:
        raise AmaError(
            "The simulation's processes ended unexpectedly. In a script, start them under 'if __name__ == \"__main__\":', "
            "or pass workers=1 to run without further processes."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _on_cluster(function, jobs, client, progress, text):
    # pure=False: the scheduler must not take two jobs for one
    futures = client.map(function, jobs, [None] * len(jobs), pure=False)
    done = 0

    def tell(wrong=None):
        report(progress, done / len(jobs), wrong or text)

    try:
        for _ in finished(client, futures, tell):
            done += 1
            tell()
        return [future.result() for future in futures]
    finally:
        give_up(client, futures)


def _share_of(progress, n, n_jobs, text):
    """The progress of one job as a part of that of all."""
    if progress is None:
        return None
    return lambda fraction, _text="": progress((n + fraction) / n_jobs, text)
