"""Kernels compiled ahead of their first use, in a process of its own, so that nobody on the page waits for a compiler.

The process asks a session for every result of a small made-up system and ends. Compiled kernels are kept on disk
(see `kernels.compile`), so this happens once after an installation.
"""

import hashlib
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np

from ..errors import AmaError
from ..files import write_text
from ..units import BOLTZMANN

fcntl = import_module("fcntl") if os.name == "posix" else None

__all__ = ["compile_ahead", "exercise"]

PATIENCE = 300.0
"""s; after that long for one result the process gives up."""
_lock = threading.Lock()
_started = False


def compile_ahead():
    """Start the process, once from here, unless an earlier one has done its work.

    Returns
    -------
    subprocess.Popen or None
    """
    global _started
    with _lock:
        if _started or _stamp().exists():
            return None
        _started = True
    try:
        _stamp().parent.mkdir(parents=True, exist_ok=True)
        # -P: the package that runs here is found by its path, not by where the user happens to be
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # the end of a kernel ends all of its group; this goes on for the next page
            start_new_session=True,
        )  # fmt: skip
    except OSError:
        # nowhere to note that it was done, or no second process: kernels compile when they are first called
        return None
    # nobody else waits for it
    threading.Thread(target=process.wait, name="amaexplore-compile-ahead", daemon=True).start()
    return process


def exercise():
    """Every result of the explorer once, on a small made-up system.

    Returns
    -------
    list of str
        The results that were computed.
    """
    from .session import Session

    done = []
    session = Session(_system(), selection="index 0 to 2", fan=True, paths=True, what_if=True, target=0.5)
    try:
        for name in session.results:
            try:
                session.result(name, PATIENCE)
                done.append(name)
            except AmaError:
                # such as a comparison where nothing is compared: nothing to compile
                continue
    finally:
        session.stop()
    return done


def _system(n_atoms=5, n_frames=3000, seed=1):
    """Free atoms whose momenta forget exponentially, in single precision as files hold them."""
    from scipy.signal import lfilter

    from ..trajectory.trajectory import Trajectory

    rng = np.random.default_rng(seed)
    mass, temperature, rate, step = 40.0, 300.0, 0.5, 0.1
    forget = np.exp(-rate * step)
    kicks = rng.normal(scale=np.sqrt(BOLTZMANN * temperature / mass * (1 - forget**2)), size=(n_frames, n_atoms, 3))
    velocities = lfilter([1.0], [1.0, -forget], kicks, axis=0)
    positions = np.arange(n_atoms)[:, None] + np.cumsum(velocities, axis=0) * step
    forces = mass * np.gradient(velocities, step, axis=0)
    arrays = {"positions": positions, "velocities": velocities, "forces": forces}
    return Trajectory.from_arrays(
        masses=np.full(n_atoms, mass), timestep=step, **{k: v.astype(np.float32) for k, v in arrays.items()}
    )


def _stamp():
    """The file that says that it was done, named by all that the compiled kernels depend on."""
    import numba
    import platformdirs

    folder = Path(__file__).resolve().parents[1]
    newest = max(path.stat().st_mtime_ns for path in (folder / "kernels").glob("*.py"))
    text = repr((str(folder), newest, numba.__version__, sys.version))
    digest = hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
    return Path(platformdirs.user_cache_dir("amaexplore", appauthor=False)) / f"compiled-{digest}.txt"


@contextmanager
def _one_at_a_time():
    """Wait for another process that does the same, where the system has such locks; else both do it."""
    if fcntl is None:
        yield
        return
    with open(_stamp().with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main():
    """Compile what is not compiled yet, and note that it was done."""
    if hasattr(os, "nice"):
        os.nice(19)
    _stamp().parent.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time():
        if not _stamp().exists():
            write_text(_stamp(), "\n".join(exercise()) + "\n")


if __name__ == "__main__":
    main()
