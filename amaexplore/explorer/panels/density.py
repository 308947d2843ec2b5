"""Step 5: the evolution of the reduced density."""

import asyncio

import ipywidgets as widgets

from ...results import format_value
from ..explanations import data_words, explained
from .step import Step, labelled_field, linked, number_of, text_of

__all__ = ["DensityStep"]

FRAMES = 60
FRAME_SECONDS = 0.1
DRAW = "draw"
UNITS = ("ps", "τ_P", "τ_R")


class DensityStep(Step):
    """Axis, initial state, boundary, horizon, target, paths, errors; play, pause and scrub."""

    def __init__(self, session):
        super().__init__(
            session,
            5,
            "Density W̃",
            "Equation (29) for W̃(R, t), equation (56) for W̃(R, P, t)",
            ("mean_force", "smoluchowski", "fokker_planck", "modes", "passage", "paths", "fans"),
        )
        self.follows = (*self.names, "diagnosis", "theta")
        self._syncing = False
        self._make_axis()
        self._make_initial()
        self._make_horizon()
        self._make_target()
        self._make_player()
        self.facts = widgets.HTML()
        self.body.children = [
            widgets.HBox([widgets.HTML("along"), self.axis, self.direction], layout={"align_items": "center"}),
            widgets.HBox([self.start, self.mean, self.std]),
            widgets.HBox(
                [self.horizon, self.unit, self.boundary],
                layout={"justify_content": "space-between"},
            ),
            widgets.HBox(
                [self.target, widgets.HTML("nm"), self.paths, self.fan], layout={"justify_content": "space-between"}
            ),
            widgets.HBox([self.play, self.frame, self.clock], layout={"align_items": "center"}),
            self.facts,
        ]
        session.observe(lambda _change: self._follow_choices(), ["initial", "axis", "horizon"])
        session.observe(lambda _change: self.refresh(), "view")
        self._follow_choices()
        self.refresh()

    # -- controls --------------------------------------------------------------------------------------

    def _make_axis(self):
        self.axis = widgets.ToggleButtons(options=["x", "y", "z"], tooltips=["along x", "along y", "along z"])
        self.axis.add_class("ama-segments")
        self.axis.observe(lambda change: self._axis_picked(change["new"]), "value")
        self.direction = labelled_field(
            "or", "1, 1, 0", "Any direction: three numbers", width="116px", label_width="16px"
        )
        self.direction.observe(lambda change: self._direction_typed(change["new"]), "value")

    def _make_initial(self):
        self.start = widgets.Dropdown(
            options=[("Gaussian", "gaussian"), ("from data", "data"), ("drawn ✎", DRAW)], layout={"width": "92px"}
        )
        self.start.tooltip = (
            "How W̃ begins: a Gaussian; where the particle is in the data; or drawn on the plot with the mouse"
        )
        self.mean = labelled_field("R₀", "auto", "Mean of the initial Gaussian, nm", width="98px", label_width="20px")
        self.std = labelled_field(
            "σ₀", "auto", "Standard deviation of the initial Gaussian, nm", width="98px", label_width="20px"
        )
        self.start.observe(lambda change: self._start_picked(change["new"]), "value")
        for control in (self.mean, self.std):
            control.observe(lambda _change: self._initial_typed(), "value")

    def _make_horizon(self):
        self.horizon = labelled_field(
            "until", "auto", "How far the density is followed", width="112px", label_width="34px"
        )
        self.unit = widgets.Dropdown(options=UNITS, layout={"width": "52px"})
        self.unit.tooltip = "ps, relaxation times of the momentum, or of the position"
        self.horizon.observe(lambda change: self._horizon_typed(change["new"]), "value")
        self.unit.observe(lambda change: self._unit_picked(change["new"]), "value")
        self.boundary = widgets.Dropdown(options=["reflecting", "absorbing", "periodic"], layout={"width": "104px"})
        self.boundary.tooltip = "What happens at the ends of the R axis"
        linked(self.session, "boundary", self.boundary)

    def _make_target(self):
        self.target = labelled_field(
            "reach", "a place", "Mean first-passage time to this place, nm", width="122px", label_width="34px"
        )
        linked(self.session, "target", self.target, number_of, text_of)
        self.fan = widgets.ToggleButton(
            description="± errors", tooltip="Carry the errors of γ, θ and f^th into W̃", layout={"width": "74px"}
        )
        linked(self.session, "fan", self.fan)
        self.paths = widgets.ToggleButton(
            description="paths", tooltip="Draw single particles over W̃(R, t)", layout={"width": "54px"}
        )
        linked(self.session, "paths", self.paths)

    def _make_player(self):
        self.play = widgets.ToggleButton(description="▶", tooltip="Play or pause", layout={"width": "34px"})
        self.play.observe(lambda change: self._play_toggled(change["new"]), "value")
        self.frame = widgets.IntSlider(
            min=0, max=FRAMES, value=FRAMES // 6, readout=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.clock = widgets.HTML()
        self.clock.add_class("ama-clock")

    def _play_toggled(self, playing):
        self.play.description = "⏸" if playing else "▶"
        if playing:
            self._play()

    def _play(self):
        """One frame after the other while the button is down; starts over at the end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self.frame.value = 0 if self.frame.value >= FRAMES else self.frame.value + 1
        if self.frame.value == FRAMES:
            self.play.value = False
        if self.play.value:
            loop.call_later(FRAME_SECONDS, lambda: self._play() if self.play.value else None)

    # -- from the controls to the session --------------------------------------------------------------

    def _axis_picked(self, name):
        if not self._syncing and name is not None:
            self.session.axis = name

    def _direction_typed(self, text):
        if self._syncing:
            return
        numbers = [number_of(part) for part in text.replace(";", " ").replace(",", " ").split()]
        if len(numbers) == 3 and None not in numbers:
            # a direction of zeros is refused by the step itself, in a sentence
            self.session.axis = numbers
        elif not text.strip() and not isinstance(self.session.axis, str):
            self.session.axis = "x"
        else:
            self._follow_choices()

    def _start_picked(self, kind):
        if self._syncing:
            return
        self._look(draw=kind == DRAW, **({"density": "lines"} if kind == DRAW else {}))
        if kind == "data":
            self.session.initial = {"kind": "data"}
        elif kind == "gaussian" and self.session.initial.get("kind"):
            self.session.initial = {}

    def _initial_typed(self):
        if self._syncing:
            return
        mean, std = number_of(self.mean.value), _positive(self.std.value)
        if mean is not None and std is not None:
            self.session.initial = {"mean": mean, "std": std}
        elif not self.mean.value.strip() and not self.std.value.strip():
            self.session.initial = {}

    def _horizon_typed(self, text):
        if self._syncing:
            return
        value, scale = _positive(text), self._scale()
        self.session.horizon = float(f"{value * scale:.6g}") if value is not None and scale else None

    def _unit_picked(self, unit):
        if not self._syncing:
            self._look(horizon_unit=unit)

    def _look(self, **changes):
        self.session.view = self.session.view | changes

    # -- from the session to the controls --------------------------------------------------------------

    def _scale(self):
        """Length in ps of the unit in which the horizon is told; None where it is not known."""
        unit, diagnosis = self.unit.value, self.session.latest("diagnosis")
        if unit == "ps":
            return 1.0
        time = None if diagnosis is None else (diagnosis.tau_momentum if unit == "τ_P" else diagnosis.tau_position)
        return time if time is not None and 0.0 < time < float("inf") else None

    def _follow_choices(self):
        self._syncing = True
        try:
            initial, axis, view = self.session.initial, self.session.axis, self.session.view
            kind = initial.get("kind", "gaussian")
            drawing = bool(view.get("draw"))
            self.start.value = DRAW if drawing or kind == "drawn" else kind
            self.mean.value = text_of(initial.get("mean"))
            self.std.value = text_of(initial.get("std"))
            for control in (self.mean, self.std):
                control.disabled = self.start.value != "gaussian"
            named = isinstance(axis, str)
            self.axis.value = axis if named and axis in self.axis.options else None
            self.direction.value = "" if named else ", ".join(f"{x:.4g}" for x in axis)
            if view.get("horizon_unit") in UNITS:
                self.unit.value = view["horizon_unit"]
            scale, horizon = self._scale(), self.session.horizon
            self.horizon.value = "" if horizon is None or not scale else f"{horizon / scale:.5g}"
        finally:
            self._syncing = False

    def prediction(self):
        """The first of the predictions that is there."""
        found = (self.session.latest(name) for name in ("smoluchowski", "fokker_planck"))
        return next((item for item in found if item is not None), None)

    @property
    def time(self):
        """The time of the cursor in ps, or None."""
        prediction = self.prediction()
        if prediction is None:
            return None
        return float(prediction.density.times[-1]) * self.frame.value / FRAMES

    def refresh(self):
        """Follow the session."""
        prediction = self.prediction()
        if prediction is not None:
            _set(self.clock, f"{self.time:.4g} ps")
            initial = prediction.initial
            if isinstance(initial, tuple) and initial[0] == "gaussian":
                self.mean.placeholder, self.std.placeholder = f"{initial[1]:.3f}", f"{initial[2]:.3g}"
            self._follow_choices()
            scale = self._scale()
            self.horizon.placeholder = f"{prediction.density.times[-1] / scale:.4g}" if scale else "not known"
        _set(self.facts, self._facts(prediction))
        self.tell(getattr(prediction, "warnings", ()))

    def _facts(self, prediction):
        """The numbers that belong to the picture, each explaining itself."""
        if self.session.view.get("draw") and not self.session.initial.get("points"):
            return "<div class='ama-quiet'>Press the mouse on the plot of W̃ and draw how it begins.</div>"
        if prediction is None:
            return ""
        density, session, data = prediction.density, self.session, data_words(self.session)
        index = round(self.frame.value / FRAMES * (len(density.times) - 1))
        spread = float(density.variance[index]) ** 0.5
        how = f"initial state {_initial_words(prediction.initial)}; f^th: {prediction.force_used}"
        items = [explained("mean", f"⟨R⟩ {density.mean[index]:.4g}, std {spread:.3g} nm", data, how)]
        modes, passage = session.latest("modes"), session.latest("passage")
        if modes is not None and modes[0][0] > 0.0:
            items.append(explained("slowest", f"1/λ₁ {1.0 / modes[0][0]:.4g} ps", data, how))
        if passage is not None:
            value = format_value(passage.mean, passage.mean_std, "ps")
            items.append(explained("passage", f"⟨t⟩ {value}", data, f"to R = {passage.target:.4g} nm; {how}"))
        return f"<div class='ama-times'>{' · '.join(items)}</div>"


def _initial_words(initial):
    if isinstance(initial, str):
        return "from the data"
    if initial[0] == "gaussian":
        return f"Gaussian about {initial[1]:.4g} nm, std {initial[2]:.3g} nm"
    return "drawn by hand"


def _set(control, text):
    if control.value != text:
        control.value = text


def _positive(text):
    value = number_of(text)
    return value if value is not None and value > 0 else None
