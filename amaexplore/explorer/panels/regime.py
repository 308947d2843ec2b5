"""Step 3: which scaling in ε, and whether it holds here."""

import html

import ipywidgets as widgets

from ...prediction import MASS_FACTORS
from ...regime import SMALL
from ..explanations import data_words, explained
from .step import Step, labelled_field, linked, number_of, text_of

__all__ = ["RegimeStep"]

NAMES = {"smoluchowski": "Smoluchowski (29)", "fokker-planck": "Fokker-Planck (56)"}


class RegimeStep(Step):
    """Smoluchowski, Fokker-Planck or both; verdict lights; m̂ and other masses."""

    def __init__(self, session):
        super().__init__(
            session,
            3,
            "Regime",
            "Smoluchowski: momentum is fast, only R is slow. Fokker-Planck: momentum is slow as well.",
            ("diagnosis", "masses"),
        )
        self.choice = widgets.ToggleButtons(
            options=[("Smoluchowski", "smoluchowski"), ("Fokker-Planck", "fokker-planck"), ("both", "both")],
            tooltips=["Equation (29), with γ of (28)", "Equation (56), with θ of (55)", "Both, side by side"],
        )
        self.choice.add_class("ama-segments")
        linked(session, "regime", self.choice)
        self.lights = widgets.HTML()
        self.typical = labelled_field(
            "m̂ (u)", "mean mass", "Typical atomic mass, equation (3); empty: the mean over the subset", "43%"
        )
        linked(session, "typical_mass", self.typical, number_of, text_of)
        self.what_if = widgets.ToggleButton(
            description="what if ε",
            tooltip="The same forces on a heavier or lighter particle",
            layout={"width": "74px"},
        )
        linked(session, "what_if", self.what_if)
        self.mass = widgets.IntSlider(
            min=0, max=len(MASS_FACTORS) - 1, value=MASS_FACTORS.index(1.0), readout=False,
            layout={"width": "auto", "flex": "1 1 auto"},
        )  # fmt: skip
        self.mass.add_class("ama-mass-slider")
        self.mass.observe(lambda change: self._slid(change["new"]), "value")
        self.what_if.observe(lambda change: self._opened(change["new"]), "value")
        session.observe(lambda _change: self._follow_view(), "view")
        self.other = widgets.HTML()
        self.body.children = [
            self.choice,
            self.lights,
            widgets.HBox([self.typical, self.what_if, self.mass], layout={"align_items": "center"}),
            self.other,
        ]
        self.follows = (*self.names, "series", "theta", "fokker_planck")
        self._follow_view()
        self.refresh()

    def _slid(self, mark):
        # light to the right, as ε grows
        factor = MASS_FACTORS[len(MASS_FACTORS) - 1 - mark]
        if self.session.view.get("mass_factor", 1.0) != factor:
            self.session.view = self.session.view | {"mass_factor": factor}

    def _opened(self, on):
        if on and self.session.view.get("density") != "masses":
            self.session.view = self.session.view | {"density": "masses"}

    def _follow_view(self):
        factor = self.session.view.get("mass_factor", 1.0)
        if factor in MASS_FACTORS:
            mark = len(MASS_FACTORS) - 1 - MASS_FACTORS.index(factor)
            if self.mass.value != mark:
                self.mass.value = mark
        self._show_other()

    def _show_other(self):
        """The verdicts for another mass: τ_K and D stay, as the forces do; τ_P goes with the mass."""
        self.mass.disabled = not self.session.what_if
        text = ""
        diagnosis, series = self._diagnosis(), self.session.latest("series")
        if self.session.what_if and diagnosis is not None and series is not None:
            factor = self.session.view.get("mass_factor", 1.0)
            tau, *values = diagnosis.with_mass(factor)
            data = data_words(self.session)
            parts = [explained("epsilon", f"ε {series.epsilon / factor:.3g}", data, f"{factor:g} × the mass")]
            parts.append(
                explained("tau_momentum", f"τ_P {tau:.3g} ps", data, "ζ stays: it is that of the particle held")
            )
            for key, name, value in zip(NAMES, ("(29)", "(56)"), values):
                parts.append(explained(key, f"{name} {_mark(value)} {value:.3g}", data))
            text = f"<div class='ama-times'>{' · '.join(parts)}</div>"
        if self.other.value != text:
            self.other.value = text

    def _diagnosis(self):
        """The last verdicts; while newer ones are on their way they stay in sight, paler."""
        status = self.session.state("diagnosis").status
        return self.session.latest("diagnosis") if status in ("fresh", "stale", "working") else None

    def refresh(self):
        """Show the verdicts."""
        diagnosis = self._diagnosis()
        text = "" if diagnosis is None else _lights(diagnosis, data_words(self.session))
        if text and self.session.state("diagnosis").status != "fresh":
            text = f"<div class='ama-old'>{text}</div>"
        if self.lights.value != text:
            self.lights.value = text
        series = self.session.latest("series")
        if series is not None:
            self.typical.placeholder = f"{series.mass / (series.n_atoms or 1):.5g}"
        self._show_other()
        self.tell(getattr(diagnosis, "warnings", ()))


def _mark(ratio):
    return "?" if ratio != ratio else "✓" if ratio < SMALL else "✗"


def _lights(diagnosis, data):
    marks = {
        True: ("✓", "good", "holds"),
        False: ("✗", "bad", "does not hold"),
        None: ("?", "unknown", "cannot be told"),
    }
    lines = []
    for key, title in NAMES.items():
        verdict = diagnosis.verdicts[key]
        mark, kind, words = marks[verdict["holds"]]
        ratio = f"<span class='ama-ratio'>{verdict['ratio']:.2g}</span>" if verdict["holds"] is not None else ""
        text = f"<span class='ama-lamp ama-{kind}'>{mark}</span>{html.escape(title)} {words} {ratio}"
        lines.append(f"<div class='ama-light'>{explained(key, text, data, verdict['message'])}</div>")
    times = " · ".join(
        explained(key, f"{name} {value:.3g} ps", data, error)
        for name, key, value, error in (
            ("τ_K", "tau_force", diagnosis.tau_force, f"± {diagnosis.tau_force_std:.2g} ps"),
            ("τ_P", "tau_momentum", diagnosis.tau_momentum, f"± {diagnosis.tau_momentum_std:.2g} ps"),
            (
                "τ_R",
                "tau_position",
                diagnosis.tau_position,
                "" if diagnosis.confined else f"L = {diagnosis.length:g} nm",
            ),
        )
    )
    return "".join(lines) + f"<div class='ama-times'>{times}</div>"
