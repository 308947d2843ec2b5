"""A small dependency graph that recomputes what a change has made stale, in the background.

Nodes know their inputs and how to compute; the graph knows what is stale. A worker thread per lane takes the
first stale node of its lane whose needs are there, so that what is quick never waits for what is slow. A change
while it works makes its result worthless: the job is told to stop at its next report of progress, and whatever it
returns is dropped, so that the newest request wins.
"""

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import AmaError, Cancelled
from ..trajectory.memory import give_back

__all__ = ["SETTLED", "Graph", "Node", "State"]

REPORT_INTERVAL = 0.1  # seconds between progress reports that are passed on
LONG = 0.3  # seconds of work after which a few milliseconds to give memory back do not count
SETTLED = frozenset({"fresh", "failed", "waiting", "cancelled"})


@dataclass(frozen=True)
class Node:
    """One result and how it comes about.

    Parameters
    ----------
    name : str
    compute : callable
        ``compute(values, progress)`` with a dict of the choices and results it asked for.
    choices : tuple of str
        What the user sets.
    needs : tuple of str
        Results without which it cannot be computed.
    uses : tuple of str
        Results it takes into account; ``None`` where they could not be had.
    title : str
        What people call it.
    lane : str
        Nodes of different lanes are computed at the same time.
    patience : float, s
        How long its inputs must have been still before it is begun: for what is too slow to follow a slider.
    """

    name: str
    compute: Callable
    choices: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    title: str = ""
    lane: str = "main"
    patience: float = 0.0


@dataclass(frozen=True)
class State:
    """How a node stands.

    Parameters
    ----------
    status : str
        ``"stale"``, ``"working"``, ``"fresh"``, ``"failed"``, ``"waiting"`` (for another that failed) or ``"cancelled"``.
    message : str
        A sentence: what failed, what is waited for, how far the work is.
    fraction : float
        Of the work, 0 to 1.
    """

    status: str = "stale"
    message: str = ""
    fraction: float = 0.0


@dataclass
class _Slot:
    node: Node
    state: State = State()
    value: object = None
    version: int = 0
    seconds: float = 0.0
    traceback: str = ""
    started: float = field(default=0.0, repr=False)
    touched: float = field(default=0.0, repr=False)
    last_report: float = field(default=0.0, repr=False)


class Graph:
    """Nodes in the order in which they are worth computing.

    Parameters
    ----------
    nodes : sequence of Node
        Each after those it needs; where several are stale the earlier goes first.
    choices : callable
        Returns the present choices as a dict.
    changed : callable
        ``changed(name)``, whenever the state or the value of a node has changed.
    """

    def __init__(self, nodes, choices, changed):
        self._slots = {node.name: _Slot(node) for node in nodes}
        self._choices = choices
        self._changed = changed
        self._condition = threading.Condition()
        self._lanes = tuple(dict.fromkeys(node.lane for node in nodes))
        self._workers = {}
        # news that is being told: who waits for a result finds it on the page as well
        self._telling = []
        self._stopping = False
        self._started = False

    # -- asking ----------------------------------------------------------------------------------------

    def value(self, name):
        """The last computed value; see `state` for whether it still holds."""
        return self._slots[name].value

    def state(self, name):
        """The `State` of a node."""
        return self._slots[name].state

    def seconds(self, name):
        """How long the last computation took."""
        return self._slots[name].seconds

    def cause(self, name):
        """The sentence of the node that made this one fail or wait."""
        slot = self._slots[name]
        if slot.state.status == "waiting":
            for need in self._blockers(slot):
                return self.cause(need)
        return slot.state.message

    def stopped(self, name):
        """Whether a node is missing because it, or what it is made of, was cancelled."""
        slot = self._slots[name]
        if slot.state.status == "waiting":
            return any(self.stopped(need) for need in self._blockers(slot))
        return slot.state.status == "cancelled"

    def _blockers(self, slot):
        """What keeps a node from being computed: needs that cannot be had, and anything that was cancelled."""
        missing = ("failed", "waiting", "cancelled")
        needs = [need for need in slot.node.needs if self._slots[need].state.status in missing]
        # what was merely stopped may yet come: without it the node would give another answer, or none
        return needs + [use for use in slot.node.uses if self.stopped(use)]

    def title(self, name):
        """What people call a node."""
        return self._slots[name].node.title

    def working_for(self, name):
        """Seconds since a node is being worked on; 0 where it is not."""
        slot = self._slots[name]
        return time.monotonic() - slot.started if slot.state.status == "working" else 0.0

    def traceback(self, name):
        """Of the last failure that was not the user's, as text."""
        return self._slots[name].traceback

    @property
    def settled(self):
        """Whether nothing is stale or being worked on."""
        return all(slot.state.status in SETTLED for slot in self._slots.values())

    def downstream(self, names):
        """Nodes that a change of these choices or nodes makes stale, in order."""
        reached = set(names)
        for slot in self._slots.values():
            node = slot.node
            if reached.intersection(node.choices + node.needs + node.uses):
                reached.add(node.name)
        return [name for name in self._slots if name in reached]

    # -- changing --------------------------------------------------------------------------------------

    def start(self):
        """Begin to work; before that changes only mark what is stale."""
        self._started = True
        self._wake()

    def touch(self, *names):
        """Mark everything downstream of these choices (or nodes) stale, and recompute it."""
        stale = self.downstream(names)
        with self._condition:
            for name in stale:
                slot = self._slots[name]
                slot.version += 1
                slot.touched = time.monotonic()
                slot.state = State("stale")
            # one that waits for quiet starts to count anew
            self._condition.notify_all()
        for name in stale:
            self._changed(name)
        self._wake()

    def cancel(self):
        """Stop what is being worked on; it stays undone until one of its inputs changes."""
        with self._condition:
            stopped = [slot for slot in self._slots.values() if slot.state.status == "working"]
            for slot in stopped:
                slot.version += 1
                slot.state = State("cancelled", "Stopped; change something or press Retry to go on.")
        for slot in stopped:
            self._changed(slot.node.name)
        self._wake()

    def retry(self):
        """Take up what was cancelled or failed."""
        self.touch(*(name for name, slot in self._slots.items() if slot.state.status in ("cancelled", "failed")))

    def wait(self, timeout=None, name=None):
        """Block until everything, or one node, is settled and ``changed`` has been told; returns whether it is."""
        self.start()
        own = threading.get_ident()

        def done():
            settled = self.settled if name is None else self._slots[name].state.status in SETTLED
            # a listener may ask too: it does not wait for itself
            return settled and not any(thread != own and name in (None, told) for thread, told in self._telling)

        with self._condition:
            return self._condition.wait_for(lambda: done() or self._stopping, timeout) and done()

    def stop(self):
        """End the worker; for good."""
        with self._condition:
            self._stopping = True
            for slot in self._slots.values():
                slot.version += 1
            self._condition.notify_all()

    # -- working ---------------------------------------------------------------------------------------

    def _wake(self):
        """Start a worker in every lane that has something to do and none yet."""
        with self._condition:
            if not self._started or self._stopping:
                return
            for lane in self._lanes:
                if lane not in self._workers and any(
                    slot.state.status == "stale" and slot.node.lane == lane for slot in self._slots.values()
                ):
                    worker = threading.Thread(target=self._work, args=(lane,), name=f"amaexplore-{lane}", daemon=True)
                    self._workers[lane] = worker
                    worker.start()

    def _work(self, lane):
        try:
            while self._turn(lane):
                pass
        except BaseException:
            # a listener failed: the next change gives the lane a new worker
            with self._condition:
                self._workers.pop(lane, None)
            raise

    def _turn(self, lane):
        """One step of a worker; returns whether there may be another."""
        with self._condition:
            blocked = self._block()
            slot = self._next(lane)
            if slot is not None:
                rest = slot.touched + slot.node.patience - time.monotonic()
                if rest > 0:
                    self._condition.wait(rest)
                    return True
                version = slot.version
                values = self._inputs(slot.node)
                slot.state = State("working")
                slot.started = time.monotonic()
            elif not blocked:
                del self._workers[lane]
                self._condition.notify_all()
                return False
            for name in blocked:
                self._announce(name)
        for name in blocked:
            self._tell(name)
        if slot is not None:
            self._changed(slot.node.name)
            self._run(slot, version, values)
            del values
            if time.monotonic() - slot.started > LONG:
                give_back()
            # what came out may be what another lane waits for
            self._wake()
        return True

    def _announce(self, name):
        """Note, under the lock in which a node settles, that this thread will tell of it."""
        self._telling.append((threading.get_ident(), name))

    def _tell(self, name):
        try:
            self._changed(name)
        finally:
            with self._condition:
                self._telling.remove((threading.get_ident(), name))
                self._condition.notify_all()

    def _block(self):
        """Mark the stale nodes whose needs cannot be had; returns their names."""
        blocked = []
        for slot in self._slots.values():
            if slot.state.status != "stale":
                continue
            for need in self._blockers(slot):
                other = self._slots[need]
                # the first cause, not the chain of those waiting
                text = other.state.message if other.state.status == "waiting" else f"Waits for {other.node.title}."
                slot.state = State("waiting", text)
                blocked.append(slot.node.name)
                self._condition.notify_all()
                break
        return blocked

    def _next(self, lane):
        if self._stopping:
            return None
        for slot in self._slots.values():
            node = slot.node
            if (
                node.lane == lane
                and slot.state.status == "stale"
                and all(self._slots[name].state.status == "fresh" for name in node.needs)
                and all(self._slots[name].state.status in SETTLED for name in node.uses)
            ):
                return slot
        return None

    def _inputs(self, node):
        values = {name: value for name, value in self._choices().items() if name in node.choices}
        for name in node.needs + node.uses:
            slot = self._slots[name]
            values[name] = slot.value if slot.state.status == "fresh" else None
        return values

    def _run(self, slot, version, values):
        name = slot.node.name

        def progress(fraction, text=""):
            now = time.monotonic()
            with self._condition:
                if slot.version != version:
                    raise Cancelled("Something newer was asked for.")
                if now - slot.last_report < REPORT_INTERVAL:
                    return
                slot.last_report = now
                slot.state = State("working", text, float(fraction))
            self._changed(name)

        started = time.perf_counter()
        value, trace = None, ""
        try:
            value = slot.node.compute(values, progress)
            state = State("fresh", "", 1.0)
        except Cancelled:
            state = State("cancelled", "Stopped; change something or press Retry to go on.")
        except AmaError as error:
            state = State("failed", str(error))
        except Exception as error:  # a fault of ours must not freeze the page: it is shown, and kept in full
            trace = traceback.format_exc()
            state = State("failed", f"Unexpected {type(error).__name__}: {error}. This is a fault of the program.")
        with self._condition:
            if slot.version != version:
                return
            slot.seconds = time.perf_counter() - started
            slot.state, slot.traceback = state, trace
            slot.value = value
            self._announce(name)
        self._tell(name)
