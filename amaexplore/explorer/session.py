"""Session: what the user chose and what follows from it, without a single widget.

Choices are traits; results are computed from them by a dependency graph in a background thread. The choices
are one small JSON document, which can be saved, shared and loaded, and undone step by step.
"""

import json
import time
from pathlib import Path

import traitlets

from .. import __version__
from ..errors import InputError
from ..order_parameters import OrderParameters
from . import steps
from .graph import Graph
from .live import LiveSource

__all__ = ["CHOICES", "RESULTS", "Session"]

CHOICES = (
    "source",
    "frames",
    "selection",
    "subsets",
    "compared",
    "typical_mass",
    "temperature",
    "regime",
    "estimator",
    "window",
    "axis",
    "initial",
    "boundary",
    "span",
    "horizon",
    "fan",
    "paths",
    "target",
    "what_if",
)
RESULTS = tuple(node.name for node in steps.NODES)

DEFAULT_SOURCE = {"kind": "demo", "name": "argon-nanoparticle"}
ONE_GESTURE = 1.0  # seconds within which changes of one choice count as one step of undo
MOST_UNDO = 200


class Session(traitlets.HasTraits):
    """The state of the explorer.

    Parameters
    ----------
    data : Trajectory or OrderParameters, optional
        Data already in memory. Without it ``source`` says where to get it; default the embedded demo.
    **choices
        Any of the choices below.

    Attributes
    ----------
    source : dict
        ``{"kind": "demo", "name": ...}``, ``{"kind": "files", "files": [...], "topology": ...}`` or
        ``{"kind": "given"}``.
    frames : list of int
        ``[start, stop, step]`` as of a slice, counted over all frames; empty: all of them.
    selection : str
        The nanoparticle; empty: the one the data suggest.
    subsets : dict of str
        Selections kept by name.
    compared : str
        The name of the kept subset whose numbers are shown beside those of ``selection``; empty: none.
    typical_mass : float or None, u
        m̂; None: the mean atomic mass.
    temperature : float or None, K
        None: measured.
    regime : str
        ``"smoluchowski"``, ``"fokker-planck"`` or ``"both"``.
    estimator : str or None
        None: the best the data allow.
    window : float or None, ps
        t0; None: proposed.
    axis : str or list of three floats
        ``"x"``, ``"y"``, ``"z"``, or a direction.
    initial : dict
        ``{"mean": nm, "std": nm}`` of a Gaussian, ``{"kind": "data"}``, ``{"kind": "drawn", "points": [[R, W], ...]}``;
        empty: chosen from the data.
    boundary : str
        ``"reflecting"``, ``"absorbing"`` or ``"periodic"``.
    span : list of two floats, nm
        Where the density lives; empty: chosen from data, initial state and horizon.
    horizon : float or None, ps
        How far the density is followed; None: chosen from the relaxation times.
    fan : bool
        Whether the errors of γ, θ and f^th are propagated into the density.
    paths : bool
        Whether single particles that follow the equations are drawn.
    target : float or None, nm
        The place whose mean first-passage times are wanted.
    what_if : bool
        Whether heavier and lighter particles are compared, with the same forces.

    Examples
    --------
    >>> import numpy as np
    >>> import amaexplore as ama
    >>> walk = np.random.default_rng(0).normal(size=(2000, 3))
    >>> series = ama.OrderParameters.from_arrays(timestep=0.1, mass=10.0, momentum=walk)
    >>> session = ama.Session(series, window=1.0)
    >>> session.result("gamma").window
    1.0
    """

    source = traitlets.Dict(DEFAULT_SOURCE)
    frames = traitlets.List(traitlets.Int())
    selection = traitlets.Unicode("")
    subsets = traitlets.Dict(key_trait=traitlets.Unicode(), value_trait=traitlets.Unicode())
    compared = traitlets.Unicode("")
    typical_mass = traitlets.Float(None, allow_none=True)
    temperature = traitlets.Float(None, allow_none=True)
    regime = traitlets.Unicode("both")
    estimator = traitlets.Unicode(None, allow_none=True)
    window = traitlets.Float(None, allow_none=True)
    axis = traitlets.Union([traitlets.Unicode(), traitlets.List(traitlets.Float())], default_value="x")
    initial = traitlets.Dict()
    boundary = traitlets.Unicode("reflecting")
    span: traitlets.List = traitlets.List()
    horizon = traitlets.Float(None, allow_none=True)
    fan = traitlets.Bool(False)
    paths = traitlets.Bool(False)
    target = traitlets.Float(None, allow_none=True)
    what_if = traitlets.Bool(False)

    results = RESULTS
    view = traitlets.Dict()
    """How the page looks at it (which quantity, which time, theme): part of the document, not of undo."""
    settled = traitlets.Bool(False)
    """Whether all results are up to date (or known to be unavailable)."""

    def __init__(self, data=None, **choices):
        self._deliver = lambda call: call()
        self._listeners = []
        self._past, self._future = [], []
        self._applying = False
        self._last_change = (None, 0.0)
        self.data_in_memory = _data_given(data)
        self.files_within = None
        """A `steps.Folder` that files must lie in; None: anywhere, as for whoever writes Python."""
        unknown = sorted(set(choices) - set(CHOICES))
        if unknown:
            raise InputError(f"Session got unknown choices {', '.join(unknown)}; known are {', '.join(CHOICES)}.")
        if data is not None:
            choices = {"source": {"kind": "given"}} | choices
        try:
            super().__init__(**choices)
        except traitlets.TraitError as error:
            raise InputError(f"Session: {error}") from None
        self.graph = Graph(steps.NODES, self._inputs, self._node_changed)
        self.live = LiveSource(self)
        """The simulation that goes on behind this session, if any: a `live.LiveSource`."""
        self.observe(self._choice_changed, names=list(CHOICES))

    # -- results ---------------------------------------------------------------------------------------

    def start(self):
        """Begin to compute in the background."""
        self.graph.start()
        return self

    def wait(self, timeout=None):
        """Block until every result is up to date or known to be unavailable; returns whether that is so."""
        return self.graph.wait(timeout)

    def stop(self):
        """End the background work; for good."""
        self.live.leave()
        self.graph.stop()

    def result(self, name, timeout=None):
        """An up-to-date result, waited for.

        Parameters
        ----------
        name : str
            One of `RESULTS`.
        timeout : float, s, optional
            How long to wait; without it, as long as it takes.

        Returns
        -------
        object
            Which, the names of `RESULTS` say.

        Raises
        ------
        InputError
            It cannot be computed; the sentence of the step that caused it.
        """
        self._known(name)
        self.graph.wait(timeout, name)
        state = self.graph.state(name)
        if state.status != "fresh":
            raise InputError(self.graph.cause(name) or f"{name} is not there: {state.status}.")
        return self.graph.value(name)

    def latest(self, name):
        """The last value of a result, which may be stale (see `state`), or None."""
        self._known(name)
        return self.graph.value(name)

    def state(self, name):
        """How a result stands: a `State` with status, message and fraction."""
        self._known(name)
        return self.graph.state(name)

    def cancel(self):
        """Stop what is being computed."""
        self.graph.cancel()

    def retry(self):
        """Compute again what failed or was stopped."""
        self.graph.retry()

    def on_result(self, listener):
        """Call ``listener(name)`` whenever the value or the state of a result has changed.

        Where `deliver_through` was given a loop, the call comes in that loop, else in the thread that works.
        """
        self._listeners.append(listener)

    def deliver_through(self, deliver):
        """How calls of listeners reach the thread they belong to.

        Parameters
        ----------
        deliver : callable
            ``deliver(call)``, for example ``loop.call_soon_threadsafe``.
        """
        self._deliver = deliver

    def deliver(self, call):
        """Make a call in the thread that listeners belong to."""
        self._deliver(call)

    def analysis(self):
        """Everything as an `Analysis`, the very object `amaexplore.analyze` returns; waited for."""
        self.wait()
        series = self.result("series")
        return steps.as_analysis(
            {name: self.graph.value(name) for name in RESULTS if self.state(name).status == "fresh"},
            self.choices(),
            series,
        )

    # -- choices ---------------------------------------------------------------------------------------

    def choices(self):
        """The choices as a dict of plain values."""
        return {name: getattr(self, name) for name in CHOICES}

    def choose(self, **choices):
        """Set several choices at once, as one step of undo.

        Raises
        ------
        InputError
            An unknown choice, or a value of the wrong type.
        """
        unknown = sorted(set(choices) - set(CHOICES))
        if unknown:
            raise InputError(f"Unknown choices {', '.join(unknown)}; known are {', '.join(CHOICES)}.")
        before = self.choices()
        self._applying = True
        try:
            for name, value in choices.items():
                setattr(self, name, value)
        except traitlets.TraitError as error:
            raise InputError(f"{error!s:.300}") from None
        finally:
            self._applying = False
            changed = [name for name in CHOICES if getattr(self, name) != before[name]]
            if changed:
                self._remember(before, tuple(changed))
                self.graph.touch(*changed)

    def use(self, data):
        """Work on a trajectory or series in memory."""
        self.data_in_memory = data
        if self.source == {"kind": "given"}:
            self.graph.touch("source")
        else:
            self.source = {"kind": "given"}

    def rename_source(self, source):
        """Say otherwise where the present data come from; not a change that could be undone."""
        self._applying = True
        try:
            self.source = source
        finally:
            self._applying = False
        self.graph.touch("source")

    def new_step(self):
        """Make the next change a step of undo of its own, however soon after the last one it comes: a click, not a drag."""
        self._last_change = (None, 0.0)

    def undo(self):
        """Go back by one change of choices; returns whether there was one."""
        return self._travel(self._past, self._future)

    def redo(self):
        """Take back the last undo; returns whether there was one."""
        return self._travel(self._future, self._past)

    @property
    def can_undo(self):
        """Whether there is a change to go back by."""
        return bool(self._past)

    @property
    def can_redo(self):
        """Whether there is an undone change."""
        return bool(self._future)

    # -- the document ----------------------------------------------------------------------------------

    def to_dict(self):
        """The whole state as one small JSON document."""
        return {"amaexplore": __version__, "choices": self.choices(), "view": dict(self.view)}

    @classmethod
    def from_dict(cls, document, data=None):
        """The inverse of `to_dict`.

        Parameters
        ----------
        document : dict
        data : Trajectory or OrderParameters, optional
            Needed where the session worked on data in memory.

        Returns
        -------
        Session

        Raises
        ------
        InputError
            Not such a document; what is unknown is named.
        """
        session = cls(data)
        session.apply(document)
        session._past.clear()
        return session

    def apply(self, document):
        """Take the choices of a document, as one step of undo; those it does not name stay as they are.

        Parameters
        ----------
        document : dict
            As `to_dict` gives it.

        Raises
        ------
        InputError
            Not such a document, or one of a session on data in memory that are not here.
        """
        if not isinstance(document, dict) or not isinstance(document.get("choices"), dict):
            raise InputError("This is not a session: expected a document with the key 'choices', as to_dict makes it.")
        choices = dict(document["choices"])
        if choices.get("source") == {"kind": "given"} and self.data_in_memory is None:
            raise InputError(
                "This session worked on data in memory, which its document does not hold; give data= when loading it."
            )
        self.choose(**choices)
        if isinstance(document.get("view"), dict):
            self.view = dict(document["view"])

    def save(self, path):
        """Write the state as JSON; returns the path."""
        from ..files import writable_target, write_text

        path = writable_target(path)
        write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def load(cls, path, data=None):
        """The session that `save` wrote.

        Parameters
        ----------
        path : str or Path
        data : Trajectory or OrderParameters, optional
            Needed where the session worked on data in memory.

        Returns
        -------
        Session

        Raises
        ------
        InputError
            There is no such file, or it holds something else.
        """
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"The session file {path} cannot be read: {error.strerror or error}.") from None
        except ValueError:
            raise InputError(f"The file {path} is not a session: it holds no JSON.") from None
        return cls.from_dict(document, data)

    # -- inside ----------------------------------------------------------------------------------------

    def _inputs(self):
        return self.choices() | {
            "data_in_memory": self.data_in_memory,
            "live": self.live,
            "files_within": self.files_within,
        }

    def _known(self, name):
        if name not in RESULTS:
            raise InputError(f"There is no result {name!r}; there are {', '.join(RESULTS)}.")

    def _choice_changed(self, change):
        if self._applying:
            return
        before = self.choices() | {change["name"]: change["old"]}
        self._remember(before, (change["name"],))
        self.graph.touch(change["name"])

    def _remember(self, before, names):
        last, when = self._last_change
        now = time.monotonic()
        self._last_change = (names, now)
        self._future.clear()
        # a slider that is being dragged is one step, not a hundred
        if self._past and last == names and now - when < ONE_GESTURE:
            return
        self._past.append(before)
        del self._past[:-MOST_UNDO]

    def _travel(self, origin, target):
        if not origin:
            return False
        wanted, here = origin.pop(), self.choices()
        self._applying = True
        try:
            for name in CHOICES:
                setattr(self, name, wanted[name])
        finally:
            self._applying = False
        target.append(here)
        self._last_change = (None, 0.0)
        self.graph.touch(*(name for name in CHOICES if here[name] != wanted[name]))
        return True

    def _node_changed(self, name):
        def tell():
            self.settled = self.graph.settled
            for listener in self._listeners:
                listener(name)

        self._deliver(tell)


def _data_given(data):
    if data is None or isinstance(data, OrderParameters):
        return data
    from ..trajectory.trajectory import Trajectory

    if not isinstance(data, Trajectory):
        raise InputError(
            f"The data are a Trajectory or OrderParameters; got {type(data).__name__}. Read files first, with amaexplore.load(...) or "
            "amaexplore.load_series(...)."
        )
    return data
