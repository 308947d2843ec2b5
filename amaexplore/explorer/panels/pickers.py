"""Atoms picked without typing: a chain, a residue, a molecule; or grown with a slider: a sphere, a chain, residues."""

import html

import ipywidgets as widgets
import numpy as np

from ...errors import AmaError
from ...order_parameters import OrderParameters
from ...selection_slider import SelectionSlider
from ...subset import index_text
from .step import number_of, show

__all__ = ["AtomPicker", "molecules_of"]

MOST_OFFERED = 400
STOPS = 100
LISTS = {"residue name": "resname", "residue": "resid", "chain": "chainid", "molecule": "molecule"}
GROWN = {"sphere around …": "sphere", "first part of a chain": "along chain", "first residues": "residues"}
CENTRE_HINT = "atom 12, or 1.0 2.0 1.5 nm"


class AtomPicker:
    """Lists whose choice is handed on as a selection text, and a slider that is the selection itself.

    Parameters
    ----------
    session : Session
    chosen : callable
        ``chosen(text)`` with the selection that was picked from a list.
    """

    def __init__(self, session, chosen):
        self.session, self._chosen = session, chosen
        self._data = self._slider = self._slider_for = None
        options = [("pick or grow …", ""), *((f"pick a {name}", key) for name, key in LISTS.items())]
        options += [(f"grow: {name}", key) for name, key in GROWN.items()]
        self.kind = widgets.Dropdown(options=options, layout={"width": "auto", "flex": "1 1 auto"})
        self.kind.tooltip = "Pick atoms from a list, or let the nanoparticle grow with a slider"
        self.list = widgets.Dropdown(options=[("choose one …", "")], layout={"width": "100%"})
        self.list.tooltip = "What is picked goes into the field below; join it with the buttons beside that"
        self.centre = widgets.Text(
            placeholder=CENTRE_HINT, continuous_update=False, layout={"width": "auto", "flex": "1 1 auto"}
        )
        self.centre.tooltip = (
            "Centre of the sphere: an atom's index, or a point in nm; empty: the nanoparticle's centre"
        )
        self.slider = widgets.IntSlider(min=0, max=STOPS, readout=False, layout={"width": "auto", "flex": "1 1 auto"})
        self.slider.add_class("ama-growth-slider")
        self.readout = widgets.HTML()
        self.growth = widgets.VBox([self.centre, widgets.HBox([self.slider, self.readout])])
        self.message = widgets.HTML()
        self.box = widgets.VBox([self.kind, self.list, self.growth, self.message])
        self._syncing = False
        self.kind.observe(lambda _change: self._kind_changed(), "value")
        self.list.observe(self._picked, "value")
        self.centre.observe(lambda _change: self._forget(), "value")
        self.slider.observe(self._slid, "value")
        self._kind_changed()

    def use(self, data):
        """Pick from these data from now on: a `Trajectory`, or None where there are no atoms."""
        if data is self._data:
            return
        self._data = None if isinstance(data, OrderParameters) else data
        show(self.box, self._data is not None)
        self._forget()
        self._kind_changed()

    def close(self):
        """End the background work of the slider."""
        self._forget()

    def _kind_changed(self):
        kind = self.kind.value
        show(self.list, kind in LISTS.values())
        show(self.growth, kind in GROWN.values())
        show(self.centre, kind == "sphere")
        self._forget()
        if kind in LISTS.values() and self._data is not None:
            self._syncing = True
            try:
                self.list.options = (
                    [(f"choose one of {len(offered)} …", "")] + offered
                    if (offered := _offered(self._data, kind))
                    else [("there are none", "")]
                )
                self.list.value = ""
            finally:
                self._syncing = False

    def _picked(self, change):
        if not self._syncing and change["new"]:
            self._chosen(change["new"])

    # -- growing ---------------------------------------------------------------------------------------

    def _forget(self):
        slider, self._slider = self._slider, None
        if slider is not None:
            slider.close()
        self.readout.value = self.message.value = ""

    def _grown(self):
        """The `SelectionSlider` of the present data, made when it is first moved."""
        if self._slider is None:
            kind, data = self.kind.value, self._data
            if kind == "sphere":
                self._slider = SelectionSlider.sphere(data, self._centre_of_sphere(), stops=STOPS + 1)
            elif kind == "along chain":
                self._slider = SelectionSlider.along_chain(data, stops=STOPS + 1)
            else:
                self._slider = SelectionSlider.residues(data, stops=STOPS + 1)
        return self._slider

    def _centre_of_sphere(self):
        text = self.centre.value.strip().lower().removeprefix("atom").removesuffix("nm").strip()
        if not text:
            subset = self.session.latest("subset")
            atoms = slice(None) if subset is None else subset.indices
            return self._data.require("positions")[0, atoms].astype(float).mean(axis=0)
        numbers = [number_of(part) for part in text.replace(";", " ").split()]
        if len(numbers) == 1 and numbers[0] is not None and numbers[0] == int(numbers[0]):
            atom = int(numbers[0])
            if not 0 <= atom < self._data.n_atoms:
                raise AmaError(f"There is no atom {atom}; indices run from 0 to {self._data.n_atoms - 1}.")
            return atom
        if len(numbers) == 3 and None not in numbers:
            return np.array(numbers)
        raise AmaError(
            f"The centre is an atom's index or three numbers in nm ({CENTRE_HINT}); got {self.centre.value!r}."
        )

    def _slid(self, change):
        if self._data is None:
            return
        try:
            grown = self._grown()
        except AmaError as error:
            self.message.value = f"<div class='ama-error'>{html.escape(str(error))}</div>"
            return
        stop = round(change["new"] / STOPS * (len(grown) - 1))
        unit = {"sphere": " nm", "along chain": " of it", "residues": ""}[self.kind.value]
        self.readout.value = f"<span class='ama-quiet'>{grown.stops[stop]:.3g}{unit}</span>"
        self.session.selection = index_text(grown.subset(stop).indices)


def _offered(data, kind):
    """(label, selection text) of what a list offers."""
    topology = data.topology
    if kind == "resname":
        counts = {}
        for residue in topology.residues:
            counts[residue.name] = counts.get(residue.name, 0) + 1
        return [(f"{name} ({count})", f"resname {name}") for name, count in counts.items()][:MOST_OFFERED]
    if kind == "resid":
        found = [residue for residue in topology.residues if not residue.is_water] or list(topology.residues)
        return [(f"{residue} ({residue.n_atoms} atoms)", f"resid {residue.index}") for residue in found[:MOST_OFFERED]]
    if kind == "chainid":
        return [(f"chain {c.index} ({c.n_atoms} atoms)", f"chainid {c.index}") for c in topology.chains][:MOST_OFFERED]
    molecules = molecules_of(data, MOST_OFFERED)
    return [(f"molecule {n} ({len(atoms)} atoms)", index_text(atoms)) for n, atoms in enumerate(molecules)]


def molecules_of(data, most=None):
    """Atoms of each molecule, by the bonds of the topology, largest first.

    Parameters
    ----------
    data : Trajectory
    most : int, optional

    Returns
    -------
    list of ndarray of int
        Without bonds every atom is a molecule of its own.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from ...trajectory.unwrap import bonds_of

    pairs, n_atoms = bonds_of(data.topology), data.n_atoms
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(n_atoms, n_atoms))
    _, label = connected_components(links, directed=False)
    order = np.argsort(label, kind="stable")
    sizes = np.bincount(label)
    largest = np.argsort(-sizes, kind="stable")[:most]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return [order[starts[which] : starts[which + 1]] for which in largest]
