"""Kernels compiled in the background, so that nobody waits for the compiler at the first selection.

Compiled kernels are kept on disk (see `kernels.compile`): this takes seconds once after an installation and nothing
afterwards, unless there is no place to keep them.
"""

import threading

import numpy as np

__all__ = ["interpreter_is_leaving", "warm_up"]

_lock = threading.Lock()
_thread = None


def warm_up():
    """Start compiling what a first selection and its store need, once per process.

    Returns
    -------
    threading.Thread
    """
    global _thread
    with _lock:
        if _thread is None:
            # not a daemon: a compiler must not be cut off while the interpreter takes itself apart
            _thread = threading.Thread(target=_compile, args=(_steps(),), name="amaexplore-warm-up")
            _thread.start()
        return _thread


def interpreter_is_leaving():
    """Whether the program has ended and only waits for its threads: time for those to stop."""
    return not threading.main_thread().is_alive()


def _compile(steps):
    for step in steps:
        if interpreter_is_leaving():
            return
        step()


def _steps():
    """Calls with next to no data, of the types that trajectories in single precision have."""
    from ..kernels.assembly import join_contacts
    from ..kernels.order_parameters import weighted_sum
    from ..kernels.store import accumulate, expand_plan, fill_rows, plan_levels
    from .store import prefix_rows, read_only

    edges, change = np.array([0, 1, 2]), np.array([1, 0], dtype=np.int8)
    levels = np.zeros(2, dtype=np.int8)
    chosen, ones = np.arange(2), np.ones(2)
    rows = read_only(np.zeros((2, 48), dtype=np.float32))
    values = np.zeros((4, 2, 3), dtype=np.float32)
    return [
        lambda: weighted_sum(values, chosen, ones),
        lambda: accumulate(rows, chosen, ones, np.zeros(48), 0, 48),
        lambda: accumulate(read_only(np.zeros((2, 48))), chosen, ones, np.zeros(48), 0, 48),
        lambda: plan_levels(change, edges, 2.0, levels),
        lambda: expand_plan(change, edges, levels),
        lambda: fill_rows(values.reshape(4, -1), np.zeros((2, 3, 16), dtype=np.float32), 0, 0, 2),
        lambda: prefix_rows(rows, ones, edges),
        lambda: join_contacts(
            np.zeros((2, 3)),
            np.eye(3),
            np.ones(3, dtype=np.int64),
            chosen,
            np.array([0, 2]),
            chosen,
            0.1,
            chosen.copy(),
            np.zeros((2, 3), dtype=np.int64),
            100,
        ),
    ]
