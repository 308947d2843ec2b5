"""Blocks of a store made by the workers of a Dask cluster, wherever they are and whichever of them die.

Every block goes to its own place in one file that all workers see, and depends on the others only through integers
counted beforehand; so the file is the same to the last bit, and a block whose worker died is simply made again.
"""

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import AmaError, InputError

__all__ = ["connect", "deadly_work_told", "ingest_on", "on_cluster"]


def connect(address):
    """A client of the Dask scheduler at an address such as ``tcp://host:8786``.

    Raises
    ------
    InputError
        Dask distributed is not installed, or nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            "Clusters need Dask distributed; install it with: pip install 'amaexplore[cluster]'."
        ) from None
    try:
        return Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address!r} ({error}); start one with 'dask scheduler' and give its address."
        ) from None


def ingest_on(address, files, topology=None, **options):
    """`amaexplore.ingest` with the workers of the scheduler at ``address``; what ``amaexplore ingest --cluster`` calls.

    Parameters
    ----------
    address : str or None
        ``None``: on this machine alone.
    files, topology, **options
        As for `amaexplore.ingest`.
    """
    from .ingest import ingest

    if address is None:
        return ingest(files, topology, **options)
    with connect(address) as client:
        return ingest(files, topology, client=client, **options)


def on_cluster(client, job, bounds, progress=None):
    """What `BlockJob.write` of every block returns (but its images), each made by some worker.

    Parameters
    ----------
    client : distributed.Client
    job : BlockJob
    bounds : sequence of (int, int)
    progress : callable (fraction, text), optional
        May raise to stop; work under way is then cancelled.
    """
    _check_workers(client, job)
    blocks = range(len(bounds))
    told = _Told(progress, len(bounds), 1 if job.unwrapper is None or len(bounds) == 1 else 2)
    futures = []
    # a task that hands on the job: unlike scattered data it can be made again when the workers that hold it die
    shared = client.submit(_handed_on, replace(job, unwrapper=None), pure=False)
    try:
        states = [None] * len(bounds)
        if job.unwrapper is not None:
            states[0] = job.unwrapper.start()
            futures = [client.submit(_scan, shared, block, pure=False) for block in blocks[:-1]]
            for block, scanned in zip(blocks, told.each(futures, "finding periodic images")):
                states[block + 1] = states[block].after(scanned)
        futures = [client.submit(_write, shared, block, states[block], pure=False) for block in blocks]
        return list(told.each(futures, "writing blocks"))
    except BaseException:
        client.cancel(futures)
        raise


@contextmanager
def deadly_work_told():
    """Say in a sentence that a piece of work ended every worker that took it on, until the scheduler gave it up.

    Raises
    ------
    AmaError
    """
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker as error:
        last = getattr(error.last_worker, "address", error.last_worker)
        raise AmaError(
            f"A piece of this work ended {error.allowed_failures + 1} workers of the Dask cluster, the last at {last}; look into "
            "what it said, most often that memory ran out, and give the workers more of it or start fewer."
        ) from None


class _Told:
    """Progress over a few rounds of tasks."""

    def __init__(self, progress, n_blocks, n_rounds):
        self.progress, self.total, self.done = progress, n_blocks * n_rounds, 0

    def each(self, futures, text):
        """Results in the order of the futures, told as they come."""
        from distributed import as_completed

        with deadly_work_told():
            for future in as_completed(futures):
                future.result()  # a failure is raised here, at once
                self.done += 1
                if self.progress is not None:
                    self.progress(min(1.0, self.done / self.total), f"{text}: {self.done} of {self.total}")
            return [future.result() for future in futures]


def _handed_on(job):
    return job


def _scan(job, block):
    return job.scan(block)


def _write(job, block, images):
    return job.write(block, images)[:2]


def _check_workers(client, job):
    """All workers see the sidecar that is being written, or the file that is read.

    Raises
    ------
    InputError
        There is none, or some see another file system.
    """
    path = job.layout.path
    size = os.stat(path).st_size
    seen = client.run(_sees, path)
    if not seen:
        raise InputError("The cluster has no workers; start some with 'dask worker ADDRESS'.")
    blind = [address for address, found in seen.items() if found != size]
    if blind:
        raise InputError(
            f"{len(blind)} of {len(seen)} workers ({blind[0]}, ...) do not see {Path(path).parent}; give directory= on a file "
            "system that all machines share."
        )


def _sees(path):
    return Path(path).stat().st_size if Path(path).is_file() else None
