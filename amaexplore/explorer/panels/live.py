"""The demo as a simulation that one runs: start, pause, go on, stop, longer, save; how far it is and what is known."""

import html
from pathlib import Path

import ipywidgets as widgets

from ...errors import AmaError
from ...results import format_value
from .step import number_of, show, text_of

__all__ = ["LivePanel"]

GOAL = 0.1  # relative error of θ that "more" is told for
LONGER = 0.5  # of the length, added by each press


class LivePanel:
    """Controls of `session.live`.

    Parameters
    ----------
    session : Session
    folder : Path
        Where runs are saved.

    Attributes
    ----------
    box : ipywidgets.VBox
    """

    def __init__(self, session, folder):
        self.session, self.folder = session, Path(folder)
        self._said = ""
        self.duration = _field("ps", "Length of the simulation, ps; empty: the demo's own", "64px")
        self.seed = _field("seed", "Seed of the random numbers; empty: the demo's own", "56px")
        self.run = _button("▶ Run", "Simulate this demo now, and watch the numbers grow", "62px")
        self.hold = _button("❚❚", "Pause, or go on", "34px")
        self.end = _button("■", "Stop; what was simulated stays", "34px")
        self.longer = _button("+", f"Move the end by {100 * LONGER:.0f} %", "34px")
        self.keep = _button("⤓", "Save the frames, and R, P and F at every step, as H5MD in this folder", "34px")
        self.run.on_click(lambda _button: self._begin())
        self.hold.on_click(lambda _button: self._pause_or_go_on())
        self.end.on_click(lambda _button: session.live.stop())
        self.longer.on_click(lambda _button: session.live.extend((1.0 + LONGER) * session.live.run.duration))
        self.keep.on_click(lambda _button: self._save())
        self.status = widgets.HTML()
        self.bar = widgets.FloatProgress(min=0.0, max=1.0, layout={"width": "100%", "height": "6px"})
        self._ready = [self.duration, self.seed, self.run]
        self._going = [self.hold, self.end, self.longer, self.keep]
        self.row = widgets.HBox(self._ready)
        self.box = widgets.VBox([self.row, self.bar, self.status])
        session.live.on_change(self.refresh)
        self.refresh()

    # -- what the buttons do ---------------------------------------------------------------------------

    def begin(self, **settings):
        """Simulate the demo that the session names; a sentence where that cannot be."""
        try:
            self.session.live.begin(self.session.source.get("name", ""), **settings)
        except AmaError as error:
            self._say(str(error), "error")
        else:
            self._say("")

    def begin_if_new(self):
        """Where the session names a demo that was not simulated before, simulate it now: something to look at in seconds."""
        from ...simulate.demo import demos, is_remembered

        source = self.session.source
        settings = {name: source[name] for name in ("duration", "seed") if source.get(name) is not None}
        if source.get("kind") != "demo" or source.get("name") not in demos() or source.get("stride") is not None:
            return
        if not is_remembered(source["name"], **settings):
            self.begin(**settings)

    def _begin(self):
        settings = {}
        for name, field in (("duration", self.duration), ("seed", self.seed)):
            if not field.value.strip():
                continue
            value = number_of(field.value)
            if value is None or (name == "seed" and value != int(value)):
                wanted = "a whole number" if name == "seed" else "a number of ps"
                self._say(f"The {name} must be {wanted}, or nothing; got {field.value!r}.", "error")
                return
            settings[name] = int(value) if name == "seed" else value
        self.begin(**settings)

    def _pause_or_go_on(self):
        live = self.session.live
        (live.resume if live.run is not None and live.run.state == "paused" else live.pause)()

    def _save(self):
        run = self.session.live.run
        try:
            path = _free_name(self.folder, f"{self.session.source.get('name', 'run')}.h5md")
            self.session.live.save(path)
        except (AmaError, OSError) as error:
            self._say(str(error), "error")
        else:
            self._say(f"{run.time:.4g} ps saved as {path.name}")

    def _say(self, text, kind="quiet"):
        self._said = f"<div class='ama-{kind}'>{html.escape(text)}</div>" if text else ""
        self.refresh()

    # -- how it goes -----------------------------------------------------------------------------------

    def refresh(self):
        """Show the buttons that do something now, how far the run is, and what is known."""
        live, source = self.session.live, self.session.source
        show(self.box, source.get("kind") == "demo")
        run = live.run
        going = live.going
        wanted = tuple(self._going if going else [*self._ready, *([self.keep] if run is not None else [])])
        if self.row.children != wanted:
            self.row.children = wanted
        show(self.bar, going)
        if going:
            self.bar.value = run.fraction
            paused = run.state == "paused"
            self.hold.description = "▶" if paused else "❚❚"
            self.hold.tooltip = "Go on" if paused else "Pause"
        else:
            self._show_settings(source)
        text = self._said + ("" if run is None else f"<div class='ama-quiet'>{self._progress(run)}</div>")
        if self.status.value != text:
            self.status.value = text

    def _show_settings(self, source):
        """The demo's own length and seed stand in the empty fields."""
        from ...simulate.demo import demos

        entry = demos().get(source.get("name"))
        if entry is not None:
            self.duration.placeholder = f"{entry.duration:g} ps"

    def _progress(self, run):
        """State, length, ζ with its error, and how much more would make it good."""
        words = {"equilibrating": "coming to its temperature", "failed": f"failed: {run.error}"}
        parts = [html.escape(words.get(run.state, run.state)), f"{run.time:.4g} of {run.duration:.4g} ps"]
        theta, more = self.session.latest("theta"), self.session.live.more_needed(GOAL)
        if theta is not None and more is not None and run.state != "equilibrating":
            parts.append("ζ = " + format_value(theta.friction, theta.friction_std, "u/ps"))
            if more == float("inf"):
                parts.append("no error can be told yet")
            elif more > 0.0:
                parts.append(f"about {more:.2g} ps more for {100 * GOAL:.0f} %")
            else:
                parts.append(f"known to {100 * theta.relative_error:.0f} %")
        return " · ".join(parts)

    def follow(self):
        """Show the length and the seed that the session's source asks for."""
        source = self.session.source
        self.duration.value = text_of(source.get("duration"))
        self.seed.value = "" if source.get("seed") is None else str(source["seed"])
        self.refresh()


def _field(placeholder, tooltip, width):
    field = widgets.Text(placeholder=placeholder, continuous_update=False, layout={"width": width})
    field.tooltip = tooltip
    return field


def _button(description, tooltip, width):
    return widgets.Button(description=description, tooltip=tooltip, layout={"width": width})


def _free_name(folder, name):
    """A path in the folder that nothing has yet: nothing is written over."""
    path = Path(folder) / name
    number = 2
    while path.exists():
        path = Path(folder) / f"{Path(name).stem}-{number}{Path(name).suffix}"
        number += 1
    return path
