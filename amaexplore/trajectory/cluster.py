"""Blocks of a store made by the workers of a Dask cluster, wherever they are and whichever of them die.

Every block goes to its own place in one file that all workers see, and depends on the others only through integers
counted beforehand; so the file is the same to the last bit, and a block whose worker died is simply made again.
"""

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import AmaError, InputError

__all__ = ["connect", "finished", "give_up", "ingest_on", "on_cluster"]

PATIENCE = 600.0  # s without any worker: one may come back, or come up in the queue of a batch system
LOOK = 0.05  # s between two looks at what has come
SAY = 1.0  # s between two words to who waits


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
    told = _Told(client, progress, len(bounds), 1 if job.unwrapper is None or len(bounds) == 1 else 2)
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
    finally:
        give_up(client, futures)


def finished(client, futures, tell=None):
    """The futures of a cluster as they end well, in any order.

    Parameters
    ----------
    client : distributed.Client
    futures : list of distributed.Future
    tell : callable (text), optional
        Called about every second while nothing comes, with what is wrong or ``None``; may raise to stop.

    Yields
    ------
    distributed.Future

    Raises
    ------
    AmaError
        One of them ended every worker that took it on, no worker is left for ten minutes, or the scheduler is gone.
    """
    from distributed import as_completed

    coming = as_completed(futures)
    said = manned = time.monotonic()
    while not coming.is_empty():
        if coming.has_ready():
            for future in coming.next_batch(block=False):
                with _deaths_told():
                    future.result()  # a failure is raised here, at once
                yield future
            continue
        now = time.monotonic()
        if now - said > SAY:
            said, wrong = now, None
            if client.scheduler_info()["workers"]:
                manned = now
            else:
                wrong = "the Dask cluster has no workers left; start some with 'dask worker ADDRESS'"
            if now - manned > PATIENCE:
                raise AmaError(f"Waited for {PATIENCE:.3g} s: {wrong}, and begin anew.")
            if tell is not None:
                tell(wrong)
        time.sleep(LOOK)


def give_up(client, futures):
    """Cancel what is left of some work, where there is still somebody to tell."""
    if client.status == "running":
        client.cancel(futures)


@contextmanager
def _deaths_told():
    """Say in a sentence that a piece of work ended every worker that took it on, or that the scheduler went away."""
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        yield
    except KilledWorker as error:
        last = getattr(error.last_worker, "address", error.last_worker)
        raise AmaError(
            f"A piece of this work ended {error.allowed_failures + 1} workers of the Dask cluster, the last at {last}; look into "
            "what it said, most often that memory ran out, and give the workers more of it or start fewer."
        ) from None
    except FutureCancelledError:
        raise AmaError(
            "The Dask scheduler went away, or gave this work up, before it was done; look into what it said, start it anew, and "
            "begin again."
        ) from None


class _Told:
    """Progress over a few rounds of tasks."""

    def __init__(self, client, progress, n_blocks, n_rounds):
        self.client, self.progress, self.total, self.done = client, progress, n_blocks * n_rounds, 0

    def each(self, futures, text):
        """Results in the order of the futures, told as they come."""
        for _ in finished(self.client, futures, lambda wrong: self._tell(wrong or text)):
            self.done += 1
            self._tell(f"{text}: {self.done} of {self.total}")
        return [future.result() for future in futures]

    def _tell(self, text):
        if self.progress is not None:
            self.progress(min(1.0, self.done / self.total), text)


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
