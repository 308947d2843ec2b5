"""The explorer as one widget: steps on the left, numbers and live plots on the right."""

import asyncio
import json
import os
import threading
from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

from ..errors import InputError
from .ahead import compile_ahead
from .dashboard import Dashboard
from .front_end import FrontEndWatch, fallback_html, self_test
from .graph import SETTLED
from .page_state import PageState
from .panels import DataStep, DensityStep, NanoparticleStep, NumbersPanel, RegimeStep, WindowStep
from .session import Session
from .steps import Folder
from .take_away import TakeAway

__all__ = ["OPEN_VARIABLE", "Explorer", "explore"]

OPEN_VARIABLE = "AMAEXPLORE_OPEN"
"""Environment variable by which `serve` tells the notebook what to open: a JSON document."""

PATIENCE = 0.35  # seconds of work before the progress bar shows
SHORT = 0.1  # seconds after which a state that lasts is shown


class _Style(anywidget.AnyWidget):
    """The style sheet, once per page."""

    _esm = "export default { render({ el }) { el.style.display = 'none'; } };"
    _css = traitlets.Unicode((Path(__file__).parent / "app.css").read_text(encoding="utf-8")).tag(sync=True)


class Explorer(widgets.Box):
    """The explorer: shows itself when it is the value of a notebook cell.

    Parameters
    ----------
    session : Session
    page : bool
        Fill the whole page, and keep the session in its address.
    folder : path, optional
        Where files are offered from.
    """

    def __init__(self, session, page=False, folder=None):
        self.session = session
        self._loop = _running_loop()
        self._refresh_due = self._refresh_later = False
        self._changed = set()
        self._lock = threading.Lock()
        self.data = DataStep(session, folder)
        # whatever the page asks for from here on, by a control or by its address, stays in the folder
        source = session.source
        named = [*source.get("files", ()), *filter(None, [source.get("topology")])]
        session.files_within = Folder(self.data.folder, tuple(str(file) for file in named))
        self.nanoparticle = NanoparticleStep(session)
        self.regime = RegimeStep(session)
        self.window = WindowStep(session)
        self.density = DensityStep(session)
        self.numbers = NumbersPanel(session)
        self.dashboard = Dashboard(session)
        self.steps = (self.data, self.nanoparticle, self.regime, self.window, self.density)
        self.keeper = PageState(session, page, opened=self._opened)
        steps = widgets.VBox([self._brand(), *(step.box for step in self.steps), self.keeper, _Style()])
        steps.add_class("ama-steps")
        right = widgets.Box([self.numbers.box, self.dashboard.box])
        right.add_class("ama-right")
        super().__init__([steps, right])
        self.add_class("ama-app")
        if page:
            self.add_class("ama-page")
        self._apply_view()
        session.observe(lambda _change: self._apply_view(), "view")
        self.density.frame.observe(lambda _change: self._time_moved(), "value")
        self.dashboard.heat.cursor.on_change("location", self._cursor_dragged)
        self._watch = FrontEndWatch(
            session,
            answered=lambda: self.keeper.answered,
            failures=self._failures,
            make_page=lambda: self.take_away.made("report")["text"],
        )
        if self._loop is not None:
            session.deliver_through(self._in_loop)
        session.on_result(self._result_changed)

    # -- where it cannot be drawn ----------------------------------------------------------------------

    def self_test(self):
        """Why nothing shows: sentences, none where a page has drawn the explorer without complaint."""
        return self_test(self.keeper.answered, self._failures())

    def _failures(self):
        return [text for view in self.dashboard.views.values() for text in view.failures]

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        self._watch.begin(own_page=self.keeper.page)
        # what draws widgets prefers them; everything else shows this
        return bundle | {"text/html": fallback_html()}

    # -- the top line ----------------------------------------------------------------------------------

    def _brand(self):
        name = widgets.HTML("<b>amaexplore</b>")
        name.add_class("ama-brand")
        small = {"width": "30px"}
        self.undo = widgets.Button(description="↶", tooltip="Undo the last choice", layout=small)
        self.redo = widgets.Button(description="↷", tooltip="Redo", layout=small)
        self.theme = widgets.Button(description="◐", tooltip="Light or dark", layout=small)
        self.undo.on_click(lambda _button: self.session.undo())
        self.redo.on_click(lambda _button: self.session.redo())
        self.theme.on_click(lambda _button: self._switch_theme())
        self.take_away = TakeAway(self.session)
        tools = widgets.HBox([self.take_away, self.undo, self.redo, self.theme])
        tools.add_class("ama-tools")
        top = widgets.HBox([name, tools], layout={"justify_content": "space-between", "align_items": "center"})
        top.add_class("ama-top")
        return top

    def _switch_theme(self):
        dark = self.session.view.get("theme") == "dark"
        self.session.view = self.session.view | {"theme": "light" if dark else "dark"}

    def _apply_view(self):
        dark = self.session.view.get("theme") == "dark"
        (self.add_class if dark else self.remove_class)("ama-dark")
        frame = self.session.view.get("frame")
        if isinstance(frame, int) and frame != self.density.frame.value:
            self.density.frame.value = frame

    # -- time of the densities -------------------------------------------------------------------------

    def _time_moved(self):
        self.dashboard.show_time(self.density.time)
        self.density.refresh()
        if self.session.view.get("frame") != self.density.frame.value:
            self.session.view = self.session.view | {"frame": self.density.frame.value}

    def _cursor_dragged(self, _attr, _old, new):
        prediction = self.density.prediction()
        if prediction is not None:
            frame = round(self.density.frame.max * float(new) / float(prediction.density.times[-1]))
            self.density.frame.value = min(max(frame, 0), self.density.frame.max)

    # -- following the session -------------------------------------------------------------------------

    def _opened(self):
        self.data.live.begin_if_new()
        self.session.start()
        self.keeper.remember()

    def _in_loop(self, call):
        self._loop.call_soon_threadsafe(call)

    def _result_changed(self, name):
        self._changed.add(name)
        if self._loop is None:
            self._refresh_now()
            return
        # news is drawn at once, all of it together; "stale" and "working" pass too quickly to be worth a redraw
        if self.session.state(name).status in SETTLED:
            if not self._refresh_due:
                self._refresh_due = True
                self._loop.call_soon(self._refresh_now)
        elif not self._refresh_later:
            self._refresh_later = True
            self._loop.call_later(SHORT, self._refresh_now)

    def _refresh_now(self):
        self._refresh_due = self._refresh_later = False
        changed, self._changed = self._changed, set()
        with self._lock:
            if changed & set(NumbersPanel.names):
                self.numbers.refresh()
            self.dashboard.time = self.density.time
            self.dashboard.refresh()
            for step in self.steps:
                if changed & set(step.follows):
                    step.refresh()
            self._show_work()
            for button, can in ((self.undo, self.session.can_undo), (self.redo, self.session.can_redo)):
                if button.disabled == can:
                    button.disabled = not can

    def refresh(self):
        """Bring everything on the page up to date with the session."""
        self._changed.update(self.session.results)
        self._refresh_now()

    def _show_work(self):
        graph = self.session.graph
        working = next((name for name in self.session.results if self.session.state(name).status == "working"), None)
        long = working is not None and graph.working_for(working) > PATIENCE
        words = f"computing {graph.title(working)}" if long else ""
        self.data.show_work(self.session.state(working) if long else None, words)
        if working is not None and not long and self._loop is not None:
            self._loop.call_later(PATIENCE, self._show_work)


def _running_loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def explore(traj=None, **choices):
    """Open the explorer in a notebook.

    Parameters
    ----------
    traj : Trajectory or OrderParameters, optional
        Default: what ``amaexplore explore FILES`` was given, else the embedded demo.
    **choices
        First choices, such as ``selection="protein"``, ``regime="smoluchowski"``; see `Session`.

    Returns
    -------
    Explorer
        Displays itself as the last value of a cell; its ``session`` holds choices and results.

    Raises
    ------
    InputError
        Unknown choices, or data that are neither.
    """
    wanted = _wanted() if traj is None else {}
    if wanted.get("source"):
        choices = {"source": wanted["source"]} | choices
    explorer = Explorer(Session(traj, **choices), page=bool(wanted.get("page")), folder=wanted.get("folder"))
    compile_ahead()
    return explorer


def _wanted():
    text = os.environ.get(OPEN_VARIABLE, "")
    if not text:
        return {}
    try:
        return json.loads(text)
    except ValueError:
        raise InputError(f"The environment variable {OPEN_VARIABLE} holds no JSON: {text!r}.") from None
