"""Step 4: the correlation window t0 and the estimator."""

import html

import ipywidgets as widgets
import numpy as np

from ..explanations import data_words, explained
from .step import Step, linked

__all__ = ["WindowStep"]

MARKS = 120
BEST = "best"  # a list of choices cannot hold None as a value


class WindowStep(Step):
    """t0 by slider, by number, or as proposed with its reason; which estimator."""

    def __init__(self, session):
        super().__init__(
            session,
            4,
            "Window t₀",
            "Long against the memory of the force, short against the slow motion: equations (28), (55)",
            ("gamma", "theta"),
        )
        # whole numbers on a logarithmic scale of our own: the page rounds and clips any other slider and sends that back
        self.slider = widgets.IntSlider(
            min=0, max=MARKS, value=MARKS // 2, readout=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self._ends = (0.1, 10.0)
        self.slider.add_class("ama-window-slider")
        self.number = widgets.FloatText(value=1.0, step=None, continuous_update=False, layout={"width": "74px"})
        self.automatic = widgets.ToggleButton(
            value=True, description="propose", tooltip="Let the program propose t₀", layout={"width": "72px"}
        )
        from ...transport import estimators

        options = [("estimator: best for these data", BEST)] + [(item["label"], item["name"]) for item in estimators()]
        self.estimator = widgets.Dropdown(options=options, layout={"width": "100%"})
        self.reason = widgets.HTML()
        linked(
            session,
            "estimator",
            self.estimator,
            lambda value: None if value == BEST else value,
            lambda value: value or BEST,
        )
        self._syncing = False
        self._limits_for = None
        self._shown = None
        self.slider.observe(self._slid, "value")
        self.number.observe(self._typed, "value")
        self.automatic.observe(self._toggled, "value")
        session.observe(lambda _change: self.refresh(), "window")
        unit = self.unit = widgets.HTML("ps")
        self.body.children = [
            widgets.HBox([self.slider, self.number, unit, self.automatic], layout={"align_items": "center"}),
            self.estimator,
            self.reason,
        ]
        self.follows = (*self.names, "correlations")
        self.refresh()

    def _time_at(self, mark):
        low, high = self._ends
        return float(low * (high / low) ** (mark / MARKS))

    def _mark_of(self, time):
        low, high = self._ends
        return int(np.clip(round(MARKS * np.log(time / low) / np.log(high / low)), 0, MARKS))

    def _slid(self, change):
        if not self._syncing:
            self.session.window = float(f"{self._time_at(change['new']):.4g}")

    def _typed(self, change):
        value = change["new"]
        if not self._syncing and np.isfinite(value) and value > 0 and value != self._shown:
            self.session.window = float(f"{value:.6g}")

    def _toggled(self, change):
        if self._syncing:
            return
        if change["new"]:
            self.session.window = None
        elif self.session.window is None:
            self.session.window = float(f"{self._time_at(self.slider.value):.4g}")

    def refresh(self):
        """Follow the session: limits from the data, the window in use, the reason for it."""
        session = self.session
        bench = session.latest("correlations")
        found = next((session.latest(name) for name in ("gamma", "theta") if session.latest(name) is not None), None)
        self._syncing = True
        try:
            window = session.window if session.window is not None else (None if found is None else found.window)
            if bench is not None and bench is not self._limits_for:
                self._limits_for = bench
                self._ends = (2.0 * bench.timestep, max(float(bench.lags[-1]), 3.0 * bench.timestep))
            if window is not None:
                self.slider.value = self._mark_of(window)
                self._shown = float(f"{window:.4g}")
                if self.number.value != self._shown:
                    self.number.value = self._shown
            if self.automatic.value != (session.window is None):
                self.automatic.value = session.window is None
        finally:
            self._syncing = False
        data = data_words(session)
        self.unit.value = explained("window", "ps", data, "" if found is None else f"estimator “{found.estimator}”")
        text = ""
        if found is not None and session.window is None:
            reason = explained("window", f"Proposed: {html.escape(found.window_reason)}.", data, found.window_reason)
            text = f"<div class='ama-quiet ama-one-line'>{reason}</div>"
        elif found is not None:
            steady = "stays put up to 2 t₀" if found.plateau else "still changes up to 2 t₀"
            text = f"<div class='ama-quiet'>Chosen by you; the running integral {steady}.</div>"
        if self.reason.value != text:
            self.reason.value = text
        self.tell(
            [*getattr(session.latest("gamma"), "warnings", ()), *getattr(session.latest("theta"), "warnings", ())]
        )
