"""How Bokeh figures reach the page: the only module that knows.

A `FigureView` is a widget around one Bokeh figure. BokehJS travels once per kernel, out of the installed
bokeh package, so that nothing is fetched from a network. What changes in the figure is gathered, the newest
value of each property kept, and sent when the page has drawn what it was sent before: a fast producer
never floods a slow page. A page that reloads asks again and is given the figure as it is now.
"""

import asyncio
import time
from functools import cache
from pathlib import Path

import anywidget
import bokeh
import traitlets
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.document.events import ColumnDataChangedEvent, ModelChangedEvent
from ipywidgets import Widget, widget_serialization

__all__ = ["FigureView"]

PATIENCE = 2.0  # seconds without an answer after which a page is taken to be gone


class _BokehRuntime(Widget):
    """Holds the text of BokehJS for the pages of this kernel."""

    version = traitlets.Unicode(bokeh.__version__).tag(sync=True)
    source = traitlets.Unicode().tag(sync=True)


@cache
def _bokeh_source():
    folder = Path(bokeh.__file__).parent / "server" / "static" / "js"
    return (folder / "bokeh.min.js").read_text(encoding="utf-8")


_runtimes: dict = {}


def _runtime():
    """The runtime of this kernel; made again where a test closed all widgets."""
    if "one" not in _runtimes or _runtimes["one"].comm is None:
        _runtimes["one"] = _BokehRuntime(source=_bokeh_source())
    return _runtimes["one"]


class FigureView(anywidget.AnyWidget):
    """A Bokeh figure on the page, redrawn in place whenever the figure changes.

    Models tagged ``"live"`` report what the reader does to them with the mouse back to Python; listen with
    Bokeh's own ``on_change``.

    Parameters
    ----------
    figure : bokeh.model.Model
        A figure or layout.
    label : str
        What it shows, for screen readers.
    """

    _esm = Path(__file__).parent / "figure_view.js"
    _css = """
    .amaexplore-figure { width: 100%; height: 100%; min-height: 0; position: relative; }
    .amaexplore-save { position: absolute; right: 2px; bottom: 0; z-index: 4; font-size: 11px; opacity: 0.35; }
    .amaexplore-figure:hover > .amaexplore-save, .amaexplore-save:focus-within, .amaexplore-save[open] { opacity: 1; }
    .amaexplore-save summary { list-style: none; cursor: pointer; padding: 0 5px; font-size: 13px; }
    .amaexplore-save > div { position: absolute; right: 2px; bottom: 20px; display: flex; gap: 2px; }
    .amaexplore-save button { font: inherit; cursor: pointer; }
    """

    runtime = traitlets.Instance(Widget).tag(sync=True, **widget_serialization)
    label = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure, label="", **options):
        super().__init__(runtime=_runtime(), label=label, **options)
        self.figure = figure
        if figure.document is None:
            Document().add_root(figure)
        self._document = figure.document
        self._document.on_change(self._changed)
        self._views = set()
        self._pending = {}
        self._serial = 0
        self._waiting_since = None
        self._scheduled = False
        self.failures = []
        """What pages reported as errors while drawing."""
        self.on_msg(self._answer)

    def close(self):
        """Leave the page; the figure itself stays."""
        self._document.remove_on_change(self._changed)
        super().close()

    # -- towards the page ------------------------------------------------------------------------------

    def _changed(self, event):
        if not self._views or event.setter is self:
            return
        if isinstance(event, ModelChangedEvent | ColumnDataChangedEvent):
            key = (event.model.id, event.attr)
            # the newest value, in the newest place
            self._pending.pop(key, None)
        else:
            key = object()
        self._pending[key] = event
        self._schedule()

    def _schedule(self, delay=0.0):
        if self._scheduled:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # no loop, no page that answers: send at once
            self.flush()
            return
        self._scheduled = True
        loop.call_later(delay, self._turn) if delay else loop.call_soon(self._turn)

    def _turn(self):
        self._scheduled = False
        if self._waiting_since is None:
            self.flush()
            return
        waited = time.monotonic() - self._waiting_since
        if waited > PATIENCE:
            self.flush()
        else:
            self._schedule(delay=PATIENCE - waited + 0.01)

    def flush(self):
        """Send what has changed, whether or not the page has answered."""
        if not self._pending:
            return
        events, self._pending = list(self._pending.values()), {}
        models = self._document.models
        serializer = Serializer(references=models.synced_references)
        text = serialize_json({"events": serializer.encode(events)})
        models.flush_synced(lambda model: not serializer.has_ref(model))
        self._post({"kind": "patch", "text": text}, serializer.buffers)

    def _show(self, view):
        """The whole figure as it is now, to one view."""
        # what others still miss must reach them before its models count as known
        self.flush()
        document = self._document.to_json()
        self._document.models.flush_synced()
        self._post({"kind": "show", "view": view, "text": serialize_json(document.content)}, document.buffers)

    def _post(self, content, buffers):
        self._serial += 1
        self._waiting_since = time.monotonic()
        content |= {"serial": self._serial, "buffers": [buffer.id for buffer in buffers]}
        self.send(content, [buffer.to_bytes() for buffer in buffers])

    # -- from the page ---------------------------------------------------------------------------------

    def _answer(self, _widget, content, _buffers):
        kind, view = content.get("kind"), content.get("view")
        if kind == "hello":
            self._views.add(view)
            self._show(view)
        elif kind == "bye":
            self._views.discard(view)
        elif kind == "table":
            from ..plots.tables import csv_of

            self.send({"kind": "table", "view": view, "text": csv_of(self.figure)})
        elif kind == "failed":
            self.failures.append(content.get("message", ""))
        elif kind == "change":
            for change in content.get("changes", ()):
                self._take(change)
        elif kind == "drawn" and content.get("serial") == self._serial:
            self._waiting_since = None
            if self._pending:
                self.flush()

    def _take(self, change):
        """A value the reader set with the mouse; only of models that offer it."""
        model = self._document.models.get_by_id(change.get("id"))
        attr = change.get("attr")
        if model is None or "live" not in model.tags or attr not in model.properties():
            return
        model.set_from_json(attr, change.get("value"), setter=self)
