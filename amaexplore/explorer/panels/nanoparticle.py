"""Step 2: which atoms are the nanoparticle, θ_i = 1."""

import ipywidgets as widgets

from ...order_parameters import OrderParameters
from .step import Step, linked

__all__ = ["NanoparticleStep"]

MOST_OFFERED = 60
RULES = {
    "∪": ("or", "Add these atoms"),
    "∩": ("and", "Keep only these atoms"),
    "−": ("and not", "Take these atoms away"),
}


class NanoparticleStep(Step):
    """The selection with what it picks: count, mass, ε."""

    def __init__(self, session):
        super().__init__(
            session,
            2,
            "Nanoparticle θᵢ",
            "θᵢ = 1 for the atoms of the nanoparticle, 0 for the host medium: equations (1) and (2)",
            ("subset", "series"),
        )
        self.text = widgets.Combobox(
            placeholder="such as: protein, resname C60, index 0 to 12",
            continuous_update=False,
            layout={"width": "100%"},
        )
        linked(session, "selection", self.text)
        self.facts = widgets.HTML()
        self.other = widgets.Combobox(
            placeholder="more atoms", continuous_update=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.other.tooltip = "A second selection, joined with the one above by the buttons beside it"
        self.rules = {}
        for sign, (_, hint) in RULES.items():
            button = widgets.Button(description=sign, tooltip=hint, layout={"width": "28px"})
            button.on_click(lambda _button, sign=sign: self.combine(sign))
            self.rules[sign] = button
        self.body.children = [self.text, widgets.HBox([self.other, *self.rules.values()]), self.facts]
        self._offered_for = None
        self.follows = (*self.names, "data")
        self.refresh()

    def combine(self, sign):
        """Join the selection with the second one: ``"∪"``, ``"∩"`` or ``"−"``; one step of undo."""
        other, data = self.other.value.strip(), self._offered_for
        if not other or data is None or isinstance(data, OrderParameters):
            return
        current = self.session.selection.strip() or data.metadata.get("subset", "")
        word = RULES[sign][0]
        if current:
            self.session.selection = f"({current}) {word} ({other})"
        elif sign == "∪":
            self.session.selection = other
        self.other.value = ""

    def refresh(self):
        """Show what is picked."""
        session = self.session
        data = session.latest("data") if session.state("data").status == "fresh" else None
        if data is not None and data is not self._offered_for:
            self._offered_for = data
            self.text.options = tuple(_suggestions(data))
            self.other.options = self.text.options
            self.text.disabled = isinstance(data, OrderParameters)
            for control in (self.other, *self.rules.values()):
                control.disabled = self.text.disabled
            default = "" if isinstance(data, OrderParameters) else data.metadata.get("subset", "")
            self.text.placeholder = (
                "the data are one particle's series"
                if self.text.disabled
                else default or "such as: protein, index 0 to 12"
            )
        series = session.latest("series") if session.state("series").status == "fresh" else None
        text = "" if series is None else _facts(series, data)
        if self.facts.value != text:
            self.facts.value = text
        self.tell(getattr(series, "warnings", ()))


def _facts(series, data):
    """Count, mass and ε in one line."""
    parts = []
    if series.n_atoms:
        of = "" if data is None or isinstance(data, OrderParameters) else f" of {data.n_atoms:,}"
        parts.append(f"<b>{series.n_atoms:,}</b>{of} atoms")
    parts.append(f"m = {series.mass:,.5g} u")
    hint = f"m̂/m, equations (3), (30), with m̂ = {series.typical_mass:.4g} u"
    parts.append(f"<span title='{hint}'>ε = {series.epsilon:.4g}</span>")
    return "<div>" + " · ".join(parts) + "</div>"


def _suggestions(data):
    """Selections that make sense for these data."""
    if isinstance(data, OrderParameters):
        return []
    offered = [data.metadata["subset"]] if data.metadata.get("subset") else []
    names = list(dict.fromkeys(residue.name for residue in data.topology.residues))
    if any(residue.is_protein for residue in data.topology.residues):
        offered.append("protein")
    offered += [f"resname {name}" for name in names[:MOST_OFFERED]]
    n_chains = data.topology.n_chains
    if 1 < n_chains <= MOST_OFFERED:
        offered += [f"chainid {index}" for index in range(n_chains)]
    return list(dict.fromkeys(offered))
