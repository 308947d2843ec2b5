"""Step 4: the correlation window t0 and the estimator."""

import html

import ipywidgets as widgets
import numpy as np

from .step import Step, linked

__all__ = ["WindowStep"]


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
        self.slider = widgets.FloatLogSlider(
            min=-2, max=2, step=0.02, value=1.0, readout=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.slider.add_class("ama-window-slider")
        self.number = widgets.FloatText(value=1.0, step=None, continuous_update=False, layout={"width": "74px"})
        self.automatic = widgets.ToggleButton(
            value=True, description="propose", tooltip="Let the program propose t₀", layout={"width": "72px"}
        )
        from ...transport import estimators

        options = [("best for these data", None)] + [(item["label"], item["name"]) for item in estimators()]
        self.estimator = widgets.Dropdown(options=options, layout={"width": "100%"})
        self.reason = widgets.HTML()
        linked(session, "estimator", self.estimator)
        self._syncing = False
        self._limits_for = None
        self._shown = None
        self.slider.observe(self._moved, "value")
        self.number.observe(self._moved, "value")
        self.automatic.observe(self._toggled, "value")
        session.observe(lambda _change: self.refresh(), "window")
        unit = widgets.HTML("ps")
        self.body.children = [
            widgets.HBox([self.slider, self.number, unit, self.automatic], layout={"align_items": "center"}),
            self.estimator,
            self.reason,
        ]
        self.refresh()

    def _moved(self, change):
        value = change["new"]
        if self._syncing or not (np.isfinite(value) and value > 0):
            return
        # the page rounds what we set to the slider's steps, and sends it back
        if self._shown and abs(np.log10(value / self._shown)) < 0.6 * self.slider.step:
            return
        self.session.window = float(f"{value:.6g}")

    def _toggled(self, change):
        if self._syncing:
            return
        if change["new"]:
            self.session.window = None
        elif self.session.window is None:
            self.session.window = float(f"{self.slider.value:.6g}")

    def refresh(self):
        """Follow the session: limits from the data, the window in use, the reason for it."""
        session = self.session
        bench = session.latest("correlations")
        found = next((session.latest(name) for name in ("gamma", "theta") if session.latest(name) is not None), None)
        self._syncing = True
        try:
            window = session.window if session.window is not None else (None if found is None else found.window)
            self._shown = window
            # limits and value travel together, or the page would clip the value to the old limits and send that back
            with self.slider.hold_sync():
                if bench is not None and bench is not self._limits_for:
                    self._limits_for = bench
                    low = np.log10(2.0 * bench.timestep)
                    high = max(np.log10(float(bench.lags[-1])), low + 0.1)
                    self.slider.min, self.slider.max = min(low, self.slider.min), max(high, self.slider.max)
                    self.slider.min, self.slider.max = low, high
                if window is not None:
                    inside = float(np.clip(window, 10**self.slider.min, 10**self.slider.max))
                    if abs(inside - self.slider.value) > 1e-6 * inside:
                        self.slider.value = inside
            if window is not None and self.number.value != float(f"{window:.4g}"):
                self.number.value = float(f"{window:.4g}")
            if self.automatic.value != (session.window is None):
                self.automatic.value = session.window is None
        finally:
            self._syncing = False
        text = ""
        if found is not None and session.window is None:
            text = f"<div class='ama-quiet'>Proposed: {html.escape(found.window_reason)}.</div>"
        elif found is not None:
            steady = "stays put up to 2 t₀" if found.plateau else "still changes up to 2 t₀"
            text = f"<div class='ama-quiet'>Chosen by you; the running integral {steady}.</div>"
        if self.reason.value != text:
            self.reason.value = text
        self.tell(
            [*getattr(session.latest("gamma"), "warnings", ()), *getattr(session.latest("theta"), "warnings", ())]
        )
