"""The atoms in three dimensions, on the page: drawn by our own few lines, so that nothing is fetched from a network."""

import time
from pathlib import Path

import anywidget
import numpy as np
import traitlets

from ..errors import AmaError
from .scene import BATHS, WHOLES, Scene

__all__ = ["MoleculeView"]

PATIENCE = 2.0  # seconds without an answer after which a page is taken to be gone


class MoleculeView(anywidget.AnyWidget):
    """Atoms that can be turned, picked with a click or a brush, and followed through time.

    What is sent is the newest of each kind, once the page has drawn what it was sent before.

    Parameters
    ----------
    label : str
        What it shows, for screen readers.
    """

    _esm = Path(__file__).parent / "molecule_view.js"
    _css = Path(__file__).parent / "molecule_view.css"

    label = traitlets.Unicode("The atoms; the nanoparticle is coloured").tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)
    bath = traitlets.Enum(BATHS, "shown").tag(sync=True)
    whole = traitlets.Enum(WHOLES, "atom").tag(sync=True)
    n_frames = traitlets.Int(0).tag(sync=True)
    frame = traitlets.Int(0)
    """Which of the frames that have positions is shown."""

    def __init__(self, **options):
        super().__init__(**options)
        self.scene = None
        self._views = set()
        self._pending = {}
        self._serial = 0
        self._waiting_since = None
        self._picked = lambda text: None
        self._moved = lambda time: None
        self.failures = []
        """What pages reported as errors while drawing."""
        self.on_msg(self._answer)
        self.observe(lambda _change: self._again(), "bath")

    def on_picked(self, listener):
        """Call ``listener(selection)`` when atoms were picked."""
        self._picked = listener

    def on_moved(self, listener):
        """Call ``listener(time)`` when another frame is asked for on the page, ps."""
        self._moved = listener

    # -- what is shown ---------------------------------------------------------------------------------

    def show(self, data, subset):
        """Show a trajectory with its nanoparticle; None for nothing."""
        if data is None or subset is None:
            self.scene, self.caption = None, ""
            return
        if self.scene is not None and self.scene.data is data and self.scene.subset is subset:
            return
        self._make(data, subset)

    def _again(self):
        if self.scene is not None:
            self._make(self.scene.data, self.scene.subset)

    def _make(self, data, subset):
        try:
            self.scene = Scene(data, subset, self.bath)
        except AmaError as error:
            self.scene, self.problem = None, str(error)
            return
        self.problem, self.caption, self.n_frames = "", self.scene.caption, self.scene.n_frames
        self.frame = min(self.frame, self.n_frames - 1)
        self._send_scene()

    def explain(self, sentence):
        """Say why there is nothing to see."""
        self.scene, self.problem = None, sentence

    def show_time(self, time):
        """Show the frame nearest to a time, ps."""
        if self.scene is None:
            return
        frame = self.scene.frame_at(time)
        if frame != self.frame:
            self.frame = frame
            self._send_frame()

    @property
    def time(self):
        """Of the frame that is shown, ps."""
        return None if self.scene is None else self.scene.time(self.frame)

    # -- towards the page ------------------------------------------------------------------------------

    def _send_scene(self):
        scene = self.scene
        self._pending.pop("frame", None)
        self._queue("scene", [scene.colours, scene.radii, scene.chosen, scene.positions(self.frame)])

    def _send_frame(self):
        # a scene that still waits takes the newer frame along
        if "scene" in self._pending:
            self._send_scene()
        else:
            self._queue("frame", [self.scene.positions(self.frame)])

    def _queue(self, kind, arrays):
        if not self._views:
            return
        box = self.scene.box(self.frame)
        content = {
            "kind": kind,
            "frame": self.frame,
            "time": f"{self.scene.time(self.frame):.5g} ps",
            "box": None if box is None else [float(x) for x in np.ravel(box)],
        }
        self._pending.pop(kind, None)
        self._pending[kind] = (content, [memoryview(np.ascontiguousarray(array)).cast("B") for array in arrays])
        if self._waiting_since is None or time.monotonic() - self._waiting_since > PATIENCE:
            self._flush()

    def _flush(self):
        pending, self._pending = list(self._pending.values()), {}
        for content, buffers in pending:
            self._serial += 1
            self._waiting_since = time.monotonic()
            self.send(content | {"serial": self._serial}, buffers)

    # -- from the page ---------------------------------------------------------------------------------

    def _answer(self, _widget, content, _buffers):
        kind = content.get("kind")
        if kind == "hello":
            self._views.add(content.get("view"))
            if self.scene is not None:
                self._send_scene()
        elif kind == "bye":
            self._views.discard(content.get("view"))
        elif kind == "failed":
            self.failures.append(content.get("message", ""))
        elif kind == "drawn" and content.get("serial") == self._serial:
            self._waiting_since = None
            self._flush()
        elif kind == "frame" and self.scene is not None:
            self._frame_asked(content.get("frame"))
        elif kind == "pick" and self.scene is not None:
            text = self.scene.picked(content.get("atoms", ()), content.get("mode", "toggle"), self.whole)
            if text is not None:
                self._picked(text)

    def _frame_asked(self, frame):
        if not isinstance(frame, int | float):
            return
        frame = int(min(max(frame, 0), self.n_frames - 1))
        moved, self.frame = frame != self.frame, frame
        # asked is answered, even where nothing has moved: the page waits for it
        self._send_frame()
        if moved:
            self._moved(self.time)
