"""The six live plots, linked to a session: each is changed in place when what it shows has changed."""

import threading

import ipywidgets as widgets

from ..plots.correlations import CorrelationPlot, RunningPlot
from ..plots.densities import DensityLines, DensityMap, PhaseSpacePlot
from ..plots.estimators import EstimatorsPlot
from ..plots.mean_force import MeanForcePlot
from ..plots.style import apply_theme
from ..plots.time_series import SeriesPlot
from .figure_view import FigureView

__all__ = ["Dashboard"]

WAITS = ": being computed …"
REGIME_OF = {"smoluchowski": "smoluchowski", "fokker_planck": "fokker-planck"}


class Dashboard:
    """Plots on the right of the page.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session):
        self.session = session
        self.series = SeriesPlot("momentum", compact=True)
        self.mean_force = MeanForcePlot(compact=True)
        self.correlation = CorrelationPlot(compact=True)
        self.running = RunningPlot(compact=True)
        self.estimators = EstimatorsPlot(compact=True)
        self.lines = DensityLines(compact=True)
        self.heat = DensityMap(compact=True)
        self.phase = PhaseSpacePlot(compact=True)
        self.plots = {
            "series": self.series,
            "mean_force": self.mean_force,
            "correlation": self.correlation,
            "running": self.running,
            "estimators": self.estimators,
            "lines": self.lines,
            "heat": self.heat,
            "phase": self.phase,
        }
        labels = {
            "series": "R, P or F of the nanoparticle over time",
            "mean_force": "Mean force against position",
            "correlation": "Momentum and force correlation functions with the window",
            "running": "Running integral with the window and the coefficient read there",
            "estimators": "The coefficient by every estimator",
            "lines": "Reduced density profiles",
            "heat": "Reduced density over time and position",
            "phase": "Phase space density",
        }
        self.views = {name: FigureView(plot.root, labels[name]) for name, plot in self.plots.items()}
        for name, view in self.views.items():
            view.add_class(f"ama-figure-{name}")
        self._drawn = {}
        self._own_moves = threading.local()
        self.quantity = _segments([("R", "centre_of_mass"), ("P", "momentum"), ("F", "net_force")], "momentum")
        self.coefficient = _segments([("γ", "gamma"), ("εθ", "theta")], "gamma")
        self.compare = widgets.ToggleButton(description="all estimators", tooltip="Every estimator side by side")
        self.map_of = _segments(
            [("(29)", "smoluchowski"), ("(56)", "fokker_planck"), ("R, P", "phase")], "smoluchowski"
        )
        self.boxes = {
            "series": _cell(self.views["series"], self.quantity),
            "mean_force": _cell(self.views["mean_force"]),
            "correlation": _cell(self.views["correlation"]),
            "running": _cell(self.views["running"], self._running_tools()),
            "lines": _cell(self.views["lines"]),
            "heat": _cell(self.views["heat"], self.map_of),
        }
        self.box = widgets.Box(list(self.boxes.values()))
        self.box.add_class("ama-plots")
        for control in (self.quantity, self.coefficient, self.map_of, self.compare):
            control.observe(lambda _change: self._view_changed(), "value")
        for mark in (self.correlation.window, self.running.window):
            mark.edge.on_change("location", self._window_dragged)
        self.time = None
        self._apply_view()
        session.observe(lambda _change: self._apply_view(), "view")
        session.observe(lambda _change: self._regime_changed(), "regime")
        self.refresh()

    def _running_tools(self):
        self.coefficient.remove_class("ama-overlay")
        tools = widgets.HBox([self.compare, self.coefficient])
        tools.add_class("ama-overlay")
        return tools

    # -- what the reader chose to look at --------------------------------------------------------------

    def _view_changed(self):
        wanted = {
            "quantity": self.quantity.value,
            "coefficient": self.coefficient.value,
            "map": self.map_of.value,
            "compare": self.compare.value,
        }
        self.session.view = self.session.view | wanted
        self.refresh()

    def _apply_view(self):
        view = self.session.view
        for key, control in (("quantity", self.quantity), ("coefficient", self.coefficient), ("map", self.map_of)):
            if view.get(key) in [value for _, value in control.options]:
                control.value = view[key]
        self.compare.value = bool(view.get("compare"))
        for plot in self.plots.values():
            apply_theme(plot.root, "dark" if view.get("theme") == "dark" else "light")

    def _regime_changed(self):
        if self.session.regime == "fokker-planck":
            self.coefficient.value = "theta"
            if self.map_of.value == "smoluchowski":
                self.map_of.value = "fokker_planck"
        elif self.session.regime == "smoluchowski":
            self.coefficient.value = "gamma"
            self.map_of.value = "smoluchowski"

    def _window_dragged(self, _attr, _old, new):
        # a mark that is moved to an older result must not pull the choice, newer already, back to it
        if getattr(self._own_moves, "drawing", False):
            return
        step = getattr(self.session.latest("correlations"), "timestep", 0.0)
        wanted = max(float(new), step)
        current = self.session.latest(self.coefficient.value)
        # nor must a mark that was put down where it was
        if current is None or abs(wanted - current.window) > 0.5 * step:
            self.session.window = float(f"{wanted:.6g}")

    # -- drawing ---------------------------------------------------------------------------------------

    def refresh(self):
        """Draw whatever has changed since it was last drawn."""
        self._own_moves.drawing = True
        try:
            self._refresh()
        finally:
            self._own_moves.drawing = False

    def _refresh(self):
        latest = self.session.latest
        coefficient = latest(self.coefficient.value)
        window = None if coefficient is None else coefficient.window
        longest = self._longest(coefficient)
        view = self.views["estimators" if self.compare.value else "running"]
        if self.boxes["running"].children[0] is not view:
            self.boxes["running"].children = (view, *self.boxes["running"].children[1:])
        self._draw("running", (coefficient, longest), lambda: self.running.update(coefficient, longest))
        if self.compare.value:
            table, kind = latest("estimators"), self.coefficient.value
            self._draw("estimators", (table, coefficient), lambda: self.estimators.update(table, coefficient, kind))
        curves = latest("curves")
        self._draw("correlation", (curves, longest), lambda: self.correlation.update(curves, window, longest))
        self.correlation.window.move(window)
        self.series.quantity = self.quantity.value
        series = latest("series")
        self._draw("series", (series, self.quantity.value), lambda: self.series.update(series))
        force = latest("mean_force")
        self._draw("mean_force", (force,), lambda: self.mean_force.update(force))
        self._refresh_densities()
        self._dim()

    def _longest(self, coefficient):
        """How far the lag axes reach: well beyond the window the program would choose, and beyond the chosen one."""
        if coefficient is None:
            return None
        lags = coefficient.lags
        reach = max(4.0 * self._proposed(coefficient), 1.25 * coefficient.window)
        return float(min(lags[-1], reach))

    def _proposed(self, coefficient):
        key = id(self.session.latest("correlations"))
        if self.session.window is None or getattr(self, "_proposal", (None,))[0] != key:
            self._proposal = (key, coefficient.window)
        return self._proposal[1]

    def _refresh_densities(self):
        predictions = {name: self.session.latest(name) for name in REGIME_OF}
        densities = {REGIME_OF[name]: item.density for name, item in predictions.items() if item is not None}
        self._draw("lines", tuple(predictions.values()), lambda: self.lines.update(densities))
        shown = self.map_of.value
        view = self.views["phase"] if shown == "phase" else self.views["heat"]
        if self.boxes["heat"].children[0] is not view:
            self.boxes["heat"].children = (view, self.map_of)
        if shown == "phase":
            item = predictions["fokker_planck"]
            space = None if item is None else item.phase_space
            self._draw("phase", (space,), lambda: self.phase.update(space))
        else:
            item = predictions[shown]
            if item is None:
                shown, item = next(
                    ((name, other) for name, other in predictions.items() if other is not None), (shown, None)
                )
            density = None if item is None else item.density
            self._draw("heat", (density, shown), lambda: self.heat.update(density, REGIME_OF[shown]))
        self.show_time(self.time)

    def show_time(self, time):
        """Move the time cursor of the densities (ps)."""
        self.time = time
        if time is None:
            return
        drawn = tuple(self._drawn.get(name) for name in ("lines", "heat", "phase"))
        if self._drawn.get("time") == (time, *drawn):
            return
        self._drawn["time"] = (time, *drawn)
        if self.session.latest("smoluchowski") is None and self.session.latest("fokker_planck") is None:
            return
        self.lines.show_time(time)
        if self.map_of.value == "phase":
            self.phase.show_time(time)
        else:
            self.heat.show_time(time)

    def _draw(self, name, key, draw):
        """Draw unless the very same objects were drawn before."""
        waits = self._waits(name)
        key = (*key, "waits" if waits else "")
        if name in self._drawn and _same(self._drawn[name], key):
            return
        self._drawn[name] = key
        title = self.plots[name].root.title
        if title.text.endswith(WAITS):
            title.text = title.text.removesuffix(WAITS)
        draw()
        if waits:
            # not there yet is not the same as not to be had
            title.text = title.text.split(":")[0] + WAITS

    def _shown_by(self):
        """The results that each plot is made of."""
        return {
            "series": ("series",),
            "mean_force": ("mean_force",),
            "correlation": ("curves",),
            "running": (self.coefficient.value,),
            "estimators": ("estimators",),
            "lines": tuple(REGIME_OF),
            "heat": tuple(REGIME_OF),
            "phase": ("fokker_planck",),
        }

    def _waits(self, name):
        """Whether a plot is empty only because nothing has been computed yet."""
        results = self._shown_by()[name]
        return all(self.session.latest(result) is None for result in results) and any(
            self.session.state(result).status in ("stale", "working") for result in results
        )

    def _dim(self):
        """Fade plots whose numbers no longer hold."""
        for name, results in self._shown_by().items():
            if name not in self.boxes:
                continue
            states = [self.session.state(result).status for result in results]
            fading = all(status in ("failed", "waiting", "cancelled") for status in states)
            box = self.boxes[name]
            if fading != ("ama-dim" in box._dom_classes):
                (box.add_class if fading else box.remove_class)("ama-dim")


def _same(old, new):
    return len(old) == len(new) and all(a is b or (isinstance(a, str | float) and a == b) for a, b in zip(old, new))


def _cell(*children):
    box = widgets.Box(list(children))
    box.add_class("ama-plot")
    return box


def _segments(options, value):
    control = widgets.ToggleButtons(options=options, value=value)
    control.add_class("ama-overlay")
    control.add_class("ama-segments")
    return control
