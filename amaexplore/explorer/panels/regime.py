"""Step 3: which scaling in ε, and whether it holds here."""

import html

import ipywidgets as widgets

from ...results import format_value
from .step import Step, linked

__all__ = ["RegimeStep"]

NAMES = {"smoluchowski": "Smoluchowski (29)", "fokker-planck": "Fokker-Planck (56)"}


class RegimeStep(Step):
    """Smoluchowski, Fokker-Planck or both; verdict lights; temperature and m̂."""

    def __init__(self, session):
        super().__init__(
            session,
            3,
            "Regime",
            "Smoluchowski: momentum is fast, only R is slow. Fokker-Planck: momentum is slow as well.",
            ("diagnosis",),
        )
        self.choice = widgets.ToggleButtons(
            options=[("Smoluchowski", "smoluchowski"), ("Fokker-Planck", "fokker-planck"), ("both", "both")],
            tooltips=["Equation (29), with γ of (28)", "Equation (56), with θ of (55)", "Both, side by side"],
        )
        self.choice.add_class("ama-segments")
        linked(session, "regime", self.choice)
        self.lights = widgets.HTML()
        self.temperature = _number("T (K)", "measured", "Temperature; empty: measured from the velocities")
        self.typical = _number(
            "m̂ (u)", "mean mass", "Typical atomic mass, equation (3); empty: the mean over the subset"
        )
        linked(session, "temperature", self.temperature, _as_number, _as_text)
        linked(session, "typical_mass", self.typical, _as_number, _as_text)
        self.body.children = [
            self.choice,
            self.lights,
            widgets.HBox([self.temperature, self.typical], layout={"justify_content": "space-between"}),
        ]
        self.follows = (*self.names, "series")
        self.refresh()

    def refresh(self):
        """Show the verdicts."""
        fresh = self.session.state("diagnosis").status == "fresh"
        diagnosis = self.session.latest("diagnosis") if fresh else None
        text = "" if diagnosis is None else _lights(diagnosis)
        if self.lights.value != text:
            self.lights.value = text
        series = self.session.latest("series")
        if series is not None:
            measured = format_value(series.temperature, None) if series.temperature else "measured"
            self.temperature.placeholder = measured
            self.typical.placeholder = f"{series.mass / (series.n_atoms or 1):.5g}"
        self.tell(getattr(diagnosis, "warnings", ()))


def _lights(diagnosis):
    marks = {
        True: ("✓", "good", "holds"),
        False: ("✗", "bad", "does not hold"),
        None: ("?", "unknown", "cannot be told"),
    }
    lines = []
    for key, title in NAMES.items():
        verdict = diagnosis.verdicts[key]
        mark, kind, words = marks[verdict["holds"]]
        lines.append(
            f"<div class='ama-light' title='{html.escape(verdict['message'], quote=True)}'>"
            f"<span class='ama-lamp ama-{kind}'>{mark}</span>{title} {words}</div>"
        )
    times = " · ".join(
        f"<span title='{hint}'>{name} {value:.3g} ps</span>"
        for name, value, hint in (
            ("τ_K", diagnosis.tau_force, "memory time of the fluctuating force"),
            ("τ_P", diagnosis.tau_momentum, "relaxation time of the momentum, m/ζ"),
            (
                "τ_R",
                diagnosis.tau_position,
                "relaxation time of the position, or time to diffuse the length of interest",
            ),
        )
    )
    return "".join(lines) + f"<div class='ama-times'>{times}</div>"


def _number(label, placeholder, tooltip):
    field = widgets.Text(
        description=label, placeholder=placeholder, continuous_update=False, layout={"width": "49%"},
        style={"description_width": "44px"},
    )  # fmt: skip
    field.tooltip = tooltip
    return field


def _as_number(text):
    try:
        return float(text.replace(",", ".")) if text.strip() else None
    except ValueError:
        return None


def _as_text(value):
    return "" if value is None else f"{value:.6g}"
