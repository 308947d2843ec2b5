"""Step 2: which atoms are the nanoparticle, θ_i = 1."""

import asyncio
import html

import ipywidgets as widgets

from ...errors import AmaError
from ...order_parameters import OrderParameters
from ..completion import completions, vocabulary_of
from .pickers import AtomPicker
from .step import Step

__all__ = ["NanoparticleStep"]

MOST_OFFERED = 60
LONGEST_NAME = 60
STILL = 0.3  # seconds of a still keyboard before a text that can be understood is used
PATIENT = 1.5  # seconds before one that cannot is
RULES = {
    "=": ("", "Take these atoms instead"),
    "∪": ("or", "Add these atoms"),
    "∩": ("and", "Keep only these atoms"),
    "−": ("and not", "Take these atoms away"),
}


class NanoparticleStep(Step):
    """The selection with what it picks: count, mass, ε; subsets kept by name, and compared."""

    def __init__(self, session):
        super().__init__(
            session,
            2,
            "Nanoparticle θᵢ",
            "θᵢ = 1 for the atoms of the nanoparticle, 0 for the host medium: equations (1) and (2)",
            ("subset", "series"),
        )
        self.text = widgets.Combobox(
            placeholder="such as: protein, resname C60, index 0 to 12", ensure_option=False, layout={"width": "100%"}
        )
        self.text.tooltip = "Which atoms are the nanoparticle, in words: names and numbers are completed"
        self.facts = widgets.HTML()
        self.picker = AtomPicker(session, self._picked)
        self._make_rules()
        self._make_kept()
        self.body.children = [
            self.text, self.picker.box, widgets.HBox([self.other, *self.rules.values()]), self.facts, self.kept,
        ]  # fmt: skip
        self._offered_for = self._timer = None
        self._typing = self._syncing = False
        self.follows = (*self.names, "data", "compared")
        self.text.observe(self._typed, "value")
        session.observe(lambda _change: self._follow(), ["selection", "subsets", "compared"])
        self._follow()
        self.refresh()

    def _make_rules(self):
        self.other = widgets.Combobox(
            placeholder="other atoms", continuous_update=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.other.tooltip = "A second selection, joined with the one above by the buttons beside it"
        self.rules = {}
        for sign, (_, hint) in RULES.items():
            button = widgets.Button(description=sign, tooltip=hint, layout={"width": "26px"})
            button.on_click(lambda _button, sign=sign: self.combine(sign))
            self.rules[sign] = button

    def _make_kept(self):
        self.name = widgets.Combobox(
            placeholder="name it, to keep it", continuous_update=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.name.tooltip = "The name of a kept subset: choose one, or type a new one"
        small = {"width": "26px"}
        self.keep = widgets.Button(description="☆", tooltip="Keep this subset under the name", layout=small)
        self.take = widgets.Button(description="↥", tooltip="Go back to the subset of that name", layout=small)
        self.drop = widgets.Button(description="✕", tooltip="Forget the subset of that name", layout=small)
        self.versus = widgets.ToggleButton(
            description="⇄",
            tooltip="Show the subset of that name beside the present one, in the same plots",
            layout=small,
        )
        self.keep.on_click(lambda _button: self.keep_as(self.name.value))
        self.take.on_click(lambda _button: self._take())
        self.drop.on_click(lambda _button: self._drop())
        self.versus.observe(lambda change: self._compare(change["new"]), "value")
        self.kept = widgets.VBox([widgets.HBox([self.name, self.keep, self.take, self.versus, self.drop])])
        self.against = widgets.HTML()
        self.kept.children = (*self.kept.children, self.against)
        self.name.observe(lambda _change: self._name_changed(), "value")

    # -- the text --------------------------------------------------------------------------------------

    def _follow(self):
        """Show what the session's choices are."""
        self._syncing = True
        try:
            if not self._typing and self.text.value != self.session.selection:
                self.text.value = self.session.selection
            names = tuple(self.session.subsets)
            if self.name.options != names:
                self.name.options = names
            self._name_changed()
        finally:
            self._syncing = False

    def _typed(self, change):
        if self._syncing:
            return
        text = change["new"]
        self._complete(text)
        if self._timer is not None:
            self._timer.cancel()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._use(text)
            return
        self._typing = True
        self._timer = loop.call_later(STILL, self._settle, loop, text)

    def _settle(self, loop, text):
        """The keyboard is still: use what can be understood, and say what cannot before it is used."""
        data = self._atoms()
        try:
            if data is not None and text.strip():
                data.select(text)
        except AmaError as error:
            self.facts.value = f"<div class='ama-quiet'>… {html.escape(str(error))}</div>"
            self._timer = loop.call_later(PATIENT, self._use, text)
        else:
            self._use(text)

    def _use(self, text):
        self._timer, self._typing = None, False
        if self.session.selection != text:
            self.session.selection = text

    def _complete(self, text):
        data = self._atoms()
        if data is None:
            return
        found = completions(text, vocabulary_of(data.topology)) if text else []
        options = tuple(found or _suggestions(data))
        if self.text.options != options:
            self.text.options = options

    def _atoms(self):
        """The trajectory to choose from, or None."""
        data = self._offered_for
        return None if data is None or isinstance(data, OrderParameters) else data

    # -- joined and picked -----------------------------------------------------------------------------

    def _picked(self, text):
        self.other.value = text

    def combine(self, sign):
        """Join the selection with the second one: ``"="``, ``"∪"``, ``"∩"`` or ``"−"``; one step of undo."""
        other, data = self.other.value.strip(), self._atoms()
        if not other or data is None:
            return
        current = self.session.selection.strip() or data.metadata.get("subset", "")
        word = RULES[sign][0]
        self.session.new_step()
        if sign == "=" or (sign == "∪" and not current):
            self.session.selection = other
        elif current:
            self.session.selection = f"({current}) {word} ({other})"
        self.other.value = ""

    # -- kept by name ----------------------------------------------------------------------------------

    def keep_as(self, name):
        """Keep the present subset under a name; one of that name is replaced."""
        data = self._atoms()
        name = " ".join(name.split())[:LONGEST_NAME]
        text = self.session.selection.strip() or ("" if data is None else data.metadata.get("subset", ""))
        if name and text:
            self.session.subsets = self.session.subsets | {name: text}
            self.name.value = name

    def _take(self):
        text = self.session.subsets.get(self.name.value)
        if text:
            self.session.new_step()
            self.session.selection = text

    def _drop(self):
        name = self.name.value
        kept = {key: text for key, text in self.session.subsets.items() if key != name}
        compared = "" if self.session.compared == name else self.session.compared
        self.session.choose(subsets=kept, compared=compared)
        self.name.value = ""

    def _compare(self, wanted):
        if not self._syncing:
            self.session.compared = self.name.value if wanted and self.name.value in self.session.subsets else ""

    def _name_changed(self):
        known = self.name.value in self.session.subsets
        for button in (self.take, self.drop, self.versus):
            button.disabled = not known
        self.keep.disabled = not self.name.value.strip()
        syncing, self._syncing = self._syncing, True
        try:
            self.versus.value = known and self.session.compared == self.name.value
        finally:
            self._syncing = syncing

    # -- what is picked --------------------------------------------------------------------------------

    def refresh(self):
        """Show what is picked."""
        session = self.session
        data = session.latest("data") if session.state("data").status == "fresh" else None
        if data is not None and data is not self._offered_for:
            self._offer(data)
        series = session.latest("series") if session.state("series").status == "fresh" else None
        text = "" if series is None else _facts(series, data)
        if not self._typing and self.facts.value != text:
            self.facts.value = text
        against = self._against()
        if self.against.value != against:
            self.against.value = against
        self.tell(getattr(series, "warnings", ()))

    def _offer(self, data):
        self._offered_for = data
        atoms = self._atoms()
        self.picker.use(data)
        self.text.options = self.other.options = tuple(_suggestions(data))
        for control in (self.text, self.other, *self.rules.values()):
            control.disabled = atoms is None
        self.kept.layout.display = "none" if atoms is None else ""
        default = "" if atoms is None else atoms.metadata.get("subset", "")
        self.text.placeholder = (
            "the data are one particle's series" if atoms is None else default or "such as: protein, index 0 to 12"
        )

    def _against(self):
        """The compared subset in one line, or why it cannot be had."""
        session = self.session
        if not session.compared:
            return ""
        state, found = session.state("compared"), session.latest("compared")
        if state.status == "failed" or session.state("compared_correlations").status == "failed":
            reason = session.graph.cause("compared") or state.message
            return f"<div class='ama-error'>{html.escape(reason)}</div>"
        if found is None:
            return ""
        series = found.series
        return (
            f"<div class='ama-quiet'>⇄ {html.escape(found.name)}: {series.n_atoms or '?':,} atoms, "
            f"m = {series.mass:,.5g} u, ε = {series.epsilon:.4g}</div>"
        )


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
