"""Step 5: the evolution of the reduced density."""

import asyncio

import ipywidgets as widgets

from .step import Step, linked

__all__ = ["DensityStep"]

FRAMES = 60
FRAME_SECONDS = 0.1


class DensityStep(Step):
    """Axis, initial state, boundary, horizon; play, pause and scrub."""

    def __init__(self, session):
        super().__init__(
            session,
            5,
            "Density W̃",
            "Equation (29) for W̃(R, t), equation (56) for W̃(R, P, t)",
            ("mean_force", "smoluchowski", "fokker_planck"),
        )
        self.axis = widgets.ToggleButtons(options=["x", "y", "z"], tooltips=["along x", "along y", "along z"])
        self.axis.add_class("ama-segments")
        linked(session, "axis", self.axis)
        self.boundary = widgets.Dropdown(options=["reflecting", "absorbing", "periodic"], layout={"width": "110px"})
        self.boundary.tooltip = "What happens at the ends of the R axis"
        linked(session, "boundary", self.boundary)
        self.horizon = _field("until", "auto", "How far the density is followed, ps")
        linked(session, "horizon", self.horizon, _positive, _as_text)
        self.mean = _field("R₀", "auto", "Mean of the initial Gaussian, nm")
        self.std = _field("σ₀", "auto", "Standard deviation of the initial Gaussian, nm")
        for control in (self.mean, self.std):
            control.observe(lambda _change: self._initial_typed(), "value")
        session.observe(lambda _change: self._follow_initial(), "initial")
        self._syncing = False
        self.play = widgets.ToggleButton(description="▶", tooltip="Play or pause", layout={"width": "34px"})
        self.play.observe(lambda change: self._play() if change["new"] else None, "value")
        self.frame = widgets.IntSlider(
            min=0, max=FRAMES, value=FRAMES // 6, readout=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.clock = widgets.HTML()
        self.clock.add_class("ama-clock")
        start = widgets.HBox([self.mean, self.std, widgets.HTML("nm")])
        end = widgets.HBox(
            [self.horizon, widgets.HTML("ps"), self.boundary], layout={"justify_content": "space-between"}
        )
        self.body.children = [
            widgets.HBox([widgets.HTML("along"), self.axis], layout={"align_items": "center"}),
            start,
            end,
            widgets.HBox([self.play, self.frame, self.clock], layout={"align_items": "center"}),
        ]
        self._follow_initial()
        self.refresh()

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

    def _initial_typed(self):
        if self._syncing:
            return
        mean, std = _number_of(self.mean.value), _positive(self.std.value)
        if mean is not None and std is not None:
            self.session.initial = {"mean": mean, "std": std}
        elif not self.mean.value.strip() and not self.std.value.strip():
            self.session.initial = {}

    def _follow_initial(self):
        self._syncing = True
        try:
            initial = self.session.initial
            self.mean.value = _as_text(initial.get("mean"))
            self.std.value = _as_text(initial.get("std"))
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
            text = f"{self.time:.4g} ps"
            if self.clock.value != text:
                self.clock.value = text
            initial = prediction.initial
            if isinstance(initial, tuple) and initial[0] == "gaussian":
                self.mean.placeholder, self.std.placeholder = f"{initial[1]:.3f}", f"{initial[2]:.3g}"
            self.horizon.placeholder = f"{prediction.density.times[-1]:.4g}"
        self.tell(getattr(prediction, "warnings", ()))


def _field(label, placeholder, tooltip):
    field = widgets.Text(
        description=label, placeholder=placeholder, continuous_update=False, layout={"width": "134px"},
        style={"description_width": "34px"},
    )  # fmt: skip
    field.tooltip = tooltip
    return field


def _number_of(text):
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def _positive(text):
    value = _number_of(text)
    return value if value is not None and value > 0 else None


def _as_text(value):
    return "" if value is None else f"{value:.6g}"
