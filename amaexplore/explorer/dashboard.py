"""The live plots in six cells, linked to a session: each is changed in place when what it shows has changed."""

import threading

import ipywidgets as widgets

from ..plots.correlations import CorrelationPlot, RunningPlot
from ..plots.densities import DensityLines, DensityMap, PhaseSpacePlot
from ..plots.estimators import EstimatorsPlot
from ..plots.gibbs import GibbsPlot
from ..plots.landscape import FreeEnergyPlot, ModesPlot, PassagePlot
from ..plots.masses import MassPlot
from ..plots.mean_force import MeanForcePlot
from ..plots.style import apply_theme
from ..plots.time_series import SeriesPlot
from .figure_view import FigureView
from .molecule_view import MoleculeView
from .pictures import simulated_histogram

__all__ = ["Dashboard"]

WAITS = ": being computed …"
NO_SUBSET = ": waits for the nanoparticle"
STOPPED = ": stopped; press Retry, or change something"
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
        self.gibbs = GibbsPlot(compact=True)
        self.correlation = CorrelationPlot(compact=True)
        self.running = RunningPlot(compact=True)
        self.estimators = EstimatorsPlot(compact=True)
        self.lines = DensityLines(compact=True)
        self.heat = DensityMap(compact=True)
        self.phase = PhaseSpacePlot(compact=True)
        self.free_energy = FreeEnergyPlot(compact=True)
        self.modes = ModesPlot(compact=True)
        self.passage = PassagePlot(compact=True)
        self.masses = MassPlot(compact=True)
        self.plots = {
            "series": self.series,
            "mean_force": self.mean_force,
            "gibbs": self.gibbs,
            "correlation": self.correlation,
            "running": self.running,
            "estimators": self.estimators,
            "lines": self.lines,
            "heat": self.heat,
            "phase": self.phase,
            "free_energy": self.free_energy,
            "modes": self.modes,
            "passage": self.passage,
            "masses": self.masses,
        }
        labels = {
            "series": "R, P or F of the nanoparticle over time",
            "mean_force": "Mean force against position",
            "correlation": "Momentum and force correlation functions with the window",
            "running": "Running integral with the window and the coefficient read there",
            "estimators": "The coefficient by every estimator",
            "lines": "Reduced density profiles",
            "heat": "Reduced density over time and position",
            "phase": "Phase space density with its marginals",
            "gibbs": "Running mean of the force with its error",
            "free_energy": "Free-energy profile over position",
            "modes": "Relaxation modes with their rates",
            "passage": "Mean first-passage time against the start",
            "masses": "How the two equations approach each other with the mass",
        }
        self.views = {name: FigureView(plot.root, labels[name]) for name, plot in self.plots.items()}
        for name, view in self.views.items():
            view.add_class(f"ama-figure-{name}")
        self.atoms = self.views["atoms"] = MoleculeView()
        self.atoms.add_class("ama-figure-atoms")
        self._drawn = {}
        self._own_moves = threading.local()
        self.quantity = _segments([("R", "centre_of_mass"), ("P", "momentum"), ("F", "net_force")], "momentum")
        self.coefficient = _segments([("γ", "gamma"), ("εθ", "theta")], "gamma")
        self.compare = widgets.ToggleButton(description="all estimators", tooltip="Every estimator side by side")
        self.map_of = _segments(
            [("(29)", "smoluchowski"), ("(56)", "fokker_planck"), ("R, P", "phase")], "smoluchowski"
        )
        self.force = _segments([("f^th(R)", "mean_force"), ("⟨F⟩", "gibbs"), ("3-D", "atoms")], "mean_force")
        self.force.tooltips = [
            "Thermal-average force, three routes", "Gibbs hypothesis: the running mean of F", "The atoms, to look at and to pick",
        ]  # fmt: skip
        self.density = _segments(
            [("W̃", "lines"), ("−ln W̃", "free_energy"), ("λ", "modes"), ("⟨t⟩", "passage"), ("ε", "masses")], "lines"
        )
        self.density.tooltips = [
            "Reduced density", "Free-energy profile −k_BT ln W̃", "Relaxation modes and rates",
            "Mean first-passage times", "A heavier or lighter particle",
        ]  # fmt: skip
        self.boxes = {
            "series": _cell(self.views["series"], self.quantity),
            "mean_force": _cell(self.views["mean_force"], self.force),
            "correlation": _cell(self.views["correlation"]),
            "running": _cell(self.views["running"], self._running_tools()),
            "lines": _cell(self.views["lines"], self.density),
            "heat": _cell(self.views["heat"], self.map_of),
        }
        self.box = widgets.Box(list(self.boxes.values()))
        self.box.add_class("ama-plots")
        for control in (self.quantity, self.coefficient, self.map_of, self.compare, self.force, self.density):
            control.observe(lambda _change: self._view_changed(), "value")
        for mark in (self.correlation.window, self.running.window):
            mark.edge.on_change("location", self._window_dragged)
        self.passage.target.on_change("location", self._target_dragged)
        self.lines.sketch.on_drawn(self._drawn_by_hand)
        self.atoms.on_picked(self._atoms_picked)
        self.atoms.on_moved(self._moment_moved)
        self.series.cursor.on_change("location", self._cursor_dragged)
        self.time = None
        self._apply_view()
        session.observe(self._view_applied, "view")
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
            "force": self.force.value,
            "density": self.density.value,
        }
        self.session.view = self.session.view | wanted
        self.refresh()

    def _view_applied(self, change):
        self._apply_view()
        # the other mass is chosen in the left column
        if change["old"].get("mass_factor") != change["new"].get("mass_factor"):
            self.refresh()

    def _apply_view(self):
        view = self.session.view
        controls = {
            "quantity": self.quantity,
            "coefficient": self.coefficient,
            "map": self.map_of,
            "force": self.force,
            "density": self.density,
        }
        for key, control in controls.items():
            if view.get(key) in [value for _, value in control.options]:
                control.value = view[key]
        self.compare.value = bool(view.get("compare"))
        self.lines.sketch.enabled = bool(view.get("draw"))
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

    def _target_dragged(self, _attr, _old, new):
        if not getattr(self._own_moves, "drawing", False):
            self.session.target = float(f"{new:.5g}")

    def _drawn_by_hand(self, points):
        self.session.initial = {"kind": "drawn", "points": points}

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
        self._put("running", "estimators" if self.compare.value else "running")
        against = self._compared()
        other = getattr(against, self.coefficient.value, None)
        name = getattr(against, "name", "")
        self._draw(
            "running", (coefficient, longest, other), lambda: self.running.update(coefficient, longest, other, name)
        )
        if self.compare.value:
            table, kind = latest("estimators"), self.coefficient.value
            self._draw("estimators", (table, coefficient), lambda: self.estimators.update(table, coefficient, kind))
        curves = latest("curves")
        others = getattr(against, "curves", None)
        self._draw(
            "correlation", (curves, longest, others), lambda: self.correlation.update(curves, window, longest, others)
        )
        self.correlation.window.move(window)
        self.series.quantity = self.quantity.value
        series = latest("series")
        second = getattr(against, "series", None)
        self._draw(
            "series",
            (series, self.quantity.value, second),
            lambda: self.series.update(series, other=second, name=name),
        )
        force = latest("mean_force")
        self._put("mean_force", self.force.value)
        self.series.cursor.visible = self.force.value == "atoms" and self.atoms.scene is not None
        if self.force.value == "atoms":
            self._refresh_atoms()
        elif self.force.value == "gibbs":
            check = latest("gibbs")
            self._draw("gibbs", (check,), lambda: self.gibbs.update(check))
        else:
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

    # -- the atoms -------------------------------------------------------------------------------------

    def _refresh_atoms(self):
        data, subset = self.session.latest("data"), self.session.latest("subset")
        if data is not None and subset is None and self.session.state("subset").status == "fresh":
            self.atoms.explain("The data are the series of one particle: there are no atoms to look at.")
            return
        if self.session.state("data").status == self.session.state("subset").status == "fresh":
            self.atoms.show(data, subset)
        if self.atoms.scene is not None:
            self.series.cursor.update(location=float(self.atoms.time), visible=True)

    def _atoms_picked(self, selection):
        self.session.new_step()
        self.session.selection = selection

    def _moment_moved(self, time):
        self._own_moves.drawing = True
        try:
            self.series.cursor.location = float(time)
        finally:
            self._own_moves.drawing = False

    def _cursor_dragged(self, _attr, _old, new):
        if not getattr(self._own_moves, "drawing", False):
            self.atoms.show_time(float(new))

    # -- densities -------------------------------------------------------------------------------------

    def _refresh_densities(self):
        predictions = {name: self.session.latest(name) for name in REGIME_OF}
        self._put("lines", self.density.value)
        getattr(self, f"_refresh_{self.density.value}")(predictions)
        shown = self.map_of.value
        self._put("heat", "phase" if shown == "phase" else "heat")
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
            paths = self.session.latest("paths") if self.session.state("paths").status == "fresh" else None
            self.heat.take_paths((paths or {}).get(shown))
        self.show_time(self.time)

    def _put(self, box, plot):
        """Show one of the pictures of a cell."""
        box, view = self.boxes[box], self.views[plot]
        if box.children[0] is not view:
            box.children = (view, *box.children[1:])

    def shown_in(self, box):
        """Which picture a cell shows."""
        return next(name for name, view in self.views.items() if view is self.boxes[box].children[0])

    def _refresh_lines(self, predictions):
        densities = {REGIME_OF[name]: item.density for name, item in predictions.items() if item is not None}
        self._draw("lines", tuple(predictions.values()), lambda: self.lines.update(densities))
        fans, ladder = self.session.latest("fans"), self.session.latest("masses")
        # what belongs to densities that have changed meanwhile is not drawn
        fans = fans if self.session.state("fans").status == "fresh" else None
        ladder = ladder if self.session.state("masses").status == "fresh" else None
        self.lines.take_fans({REGIME_OF[name]: fan for name, fan in (fans or {}).items()})
        self.lines.take_masses(ladder, self.session.view.get("mass_factor", 1.0))
        self._drawn["extras"] = (fans, ladder, self.session.view.get("mass_factor"), self.session.latest("series"))

    def _refresh_free_energy(self, predictions):
        found = {REGIME_OF[name]: item for name, item in predictions.items() if item is not None}

        def draw():
            first = next(iter(found.values()), None)
            self.free_energy.update({name: item.density for name, item in found.items()}, _equilibrium(first))

        self._draw("free_energy", tuple(predictions.values()), draw)

    def _refresh_modes(self, predictions):
        found, prediction = self.session.latest("modes"), predictions["smoluchowski"]
        rates, modes = found or (None, None)
        positions = None if prediction is None else prediction.equation.grid.centres
        self._draw("modes", (found, prediction), lambda: self.modes.update(rates, modes, positions))

    def _refresh_passage(self, predictions):
        found, prediction = self.session.latest("passage"), predictions["smoluchowski"]
        matches = found is None or (prediction is not None and len(found.positions) == prediction.equation.grid.n_cells)
        found = found if matches else None
        self._draw("passage", (found, prediction), lambda: self.passage.update(found, prediction))

    def _refresh_masses(self, _predictions):
        found, diagnosis = self.session.latest("masses"), self.session.latest("diagnosis")
        factor = self.session.view.get("mass_factor", 1.0)
        self._draw("masses", (found, diagnosis, factor), lambda: self.masses.update(found, diagnosis, factor))

    def _show_histogram(self, time):
        """The simulation behind W̃, where the two can be compared."""
        session, prediction = self.session, None
        for name in REGIME_OF:
            prediction = prediction or session.latest(name)
        diagnosis = session.latest("diagnosis")
        confined = diagnosis is not None and diagnosis.confined
        initial = session.initial
        bars = simulated_histogram(session.latest("series"), prediction, initial, confined, time)
        self.lines.show_histogram(*(bars or ()))

    def _compared(self):
        """The subset beside the present one, where it is wanted and there."""
        wanted = self.session.compared and self.session.state("compared").status == "fresh"
        return self.session.latest("compared") if wanted else None

    def show_time(self, time):
        """Move the time cursor of the densities (ps)."""
        self.time = time
        if time is None:
            return
        names = ("lines", "heat", "phase", "extras", "free_energy", "masses")
        drawn = tuple(self._drawn.get(name) for name in names) + (self.density.value,)
        if self._drawn.get("time") == (time, *drawn):
            return
        self._drawn["time"] = (time, *drawn)
        if self.session.latest("smoluchowski") is None and self.session.latest("fokker_planck") is None:
            return
        if self.density.value == "lines":
            self.lines.show_time(time)
            self._show_histogram(time)
        elif self.density.value in ("free_energy", "masses"):
            self.plots[self.density.value].show_time(time)
        if self.map_of.value == "phase":
            self.phase.show_time(time)
        else:
            self.heat.show_time(time)

    def _draw(self, name, key, draw):
        """Draw unless the very same objects were drawn before."""
        waits, stopped = self._waits(name), self._stopped(name)
        unchosen = self._unchosen(name)
        key = (*key, "waits" if waits else "stopped" if stopped else "unchosen" if unchosen else "")
        if name in self._drawn and _same(self._drawn[name], key):
            return
        self._drawn[name] = key
        title = self.plots[name].root.title
        for words in (WAITS, STOPPED, NO_SUBSET):
            if title.text.endswith(words):
                title.text = title.text.removesuffix(words)
        draw()
        if stopped:
            title.text = title.text.split(":")[0] + STOPPED
        if waits:
            # not there yet is not the same as not to be had
            title.text = title.text.split(":")[0] + WAITS
        if unchosen:
            # what the data hold is another matter
            title.text = title.text.split(":")[0] + NO_SUBSET

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
            "gibbs": ("gibbs",),
            "atoms": ("subset",),
            "free_energy": tuple(REGIME_OF),
            "modes": ("modes",),
            "passage": ("passage", "smoluchowski"),
            "masses": ("masses",),
        }

    def _waits(self, name):
        """Whether a plot is empty only because nothing has been computed yet."""
        results = self._shown_by()[name]
        return all(self.session.latest(result) is None for result in results) and any(
            self.session.state(result).status in ("stale", "working") for result in results
        )

    def _unchosen(self, name):
        """Whether a plot is empty because the atoms of the nanoparticle have not been said."""
        return self.session.state("subset").status in ("failed", "waiting") and all(
            self.session.latest(result) is None for result in self._shown_by()[name]
        )

    def _stopped(self, name):
        """Whether a plot is empty because somebody stopped the computation."""
        results = self._shown_by()[name]
        return all(self.session.latest(result) is None for result in results) and any(
            self.session.graph.stopped(result) for result in results
        )

    def _dim(self):
        """Fade plots whose numbers no longer hold."""
        for name, box in self.boxes.items():
            results = self._shown_by()[self.shown_in(name)]
            states = [self.session.state(result).status for result in results]
            fading = all(status in ("failed", "waiting", "cancelled") for status in states)
            if fading != ("ama-dim" in box._dom_classes):
                (box.add_class if fading else box.remove_class)("ama-dim")


def _equilibrium(prediction):
    """Where a density is going, or None where ends absorb and nothing is stationary."""
    if prediction is None or prediction.equation.grid.absorbing:
        return None
    stationary = prediction.equation.equilibrium()
    return stationary.sum(axis=1) if stationary.ndim == 2 else stationary


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
