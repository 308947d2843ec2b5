"""What the view of the atoms shows, and what a pick in it means; without a single widget."""

from functools import cached_property

import numpy as np

from ..errors import AmaError
from ..subset import index_text
from ..trajectory.memory import mapped_file, require_whole
from .panels.pickers import molecules_of

__all__ = ["BATHS", "WHOLES", "Scene"]

MOST_SHOWN = 100_000
"""Atoms beyond which the bath is thinned."""
BATHS = ("shown", "thinned", "hidden")
WHOLES = ("atom", "residue", "molecule")
THINNED = 2_000  # atoms of the bath where only a hint of it is wanted
OF_VAN_DER_WAALS = 0.62  # so that neighbours can be told apart
SMALLEST, USUAL = 0.06, 0.17  # nm

# Okabe and Ito's colours, and the bath in a grey that shows on light and dark paper
_ELEMENTS = {
    "C": (86, 180, 233), "N": (0, 114, 178), "O": (213, 94, 0), "S": (240, 228, 66), "P": (204, 121, 167),
    "H": (222, 228, 234), "Ar": (230, 159, 0),
}  # fmt: skip
_OTHER = (0, 158, 115)
_BATH = (150, 160, 172)


class Scene:
    """The atoms of a trajectory around its nanoparticle.

    Parameters
    ----------
    data : Trajectory
    subset : AtomSubset
    bath : str
        ``"shown"`` (thinned by whole residues beyond 100,000 atoms), ``"thinned"`` or ``"hidden"``.

    Raises
    ------
    AmaError
        The data hold no positions.
    """

    def __init__(self, data, subset, bath="shown"):
        if data.positions is None:
            raise AmaError("The data hold no positions, so there is nothing to look at.")
        self.data, self.subset, self.bath = data, subset, bath
        self._held = np.flatnonzero(data.frames_with["positions"])

    # -- what is shown ---------------------------------------------------------------------------------

    @cached_property
    def residue_of(self):
        """Residue of each atom, shape (n_atoms,)."""
        return np.array([atom.residue.index for atom in self.data.topology.atoms])

    @cached_property
    def atoms(self):
        """Indices of the atoms that are shown: the whole nanoparticle, and as much of the bath as is wanted."""
        chosen = self.subset.indicator
        room = {"shown": MOST_SHOWN, "thinned": THINNED, "hidden": 0}[self.bath]
        room = max(0, room - self.subset.n_atoms) if self.bath == "shown" else room
        around = np.flatnonzero(~chosen)
        if len(around) > room:
            around = around[self._thinned(around, room)]
        return np.union1d(self.subset.indices, around)

    def _thinned(self, around, room):
        """Of the bath's atoms those of every k-th residue, so that molecules stay whole."""
        if room == 0:
            return np.zeros(len(around), dtype=bool)
        _, rank = np.unique(self.residue_of[around], return_inverse=True)
        every = -(-len(around) // room)
        kept = rank % every == 0
        # few large residues do not thin evenly
        return kept if kept.sum() <= room else np.arange(len(around)) % every == 0

    @property
    def caption(self):
        """How many atoms are shown, in words."""
        shown, n_atoms = len(self.atoms), self.data.n_atoms
        few = "" if shown == n_atoms else f"{shown:,} of "
        return f"{few}{n_atoms:,} atoms, {self.subset.n_atoms:,} with θ = 1"

    @cached_property
    def chosen(self):
        """θ of the shown atoms, shape (n_shown,) uint8."""
        return self.subset.indicator[self.atoms].astype(np.uint8)

    @cached_property
    def colours(self):
        """Shape (n_shown, 3) uint8: the nanoparticle by element, the bath grey."""
        symbols = [getattr(self.data.topology.atom(int(i)).element, "symbol", "") for i in self.subset.indices]
        colours = np.full((len(self.atoms), 3), _BATH, dtype=np.uint8)
        colours[self.chosen.astype(bool)] = [_ELEMENTS.get(symbol, _OTHER) for symbol in symbols]
        return colours

    @cached_property
    def radii(self):
        """Shape (n_shown,) float32, nm."""
        topology = self.data.topology
        found = [getattr(topology.atom(int(i)).element, "radius", None) or USUAL for i in self.atoms]
        return (OF_VAN_DER_WAALS * np.maximum(found, SMALLEST)).astype(np.float32)

    @cached_property
    def _steps(self):
        """For each shown atom of the bath the first shown one of its residue, by which its image is chosen."""
        residue = self.residue_of[self.atoms]
        _, first, inverse = np.unique(residue, return_index=True, return_inverse=True)
        return first[inverse]

    # -- how it moves ----------------------------------------------------------------------------------

    @property
    def n_frames(self):
        """Frames that have positions."""
        return len(self._held)

    def time(self, frame):
        """Of a frame, ps."""
        return float(self.data.times[self._held[frame]])

    def frame_at(self, time):
        """The frame nearest to a time in ps."""
        return int(np.argmin(np.abs(np.asarray(self.data.times)[self._held] - time)))

    def positions(self, frame):
        """Shown atoms relative to the centre of mass of the nanoparticle, shape (n_shown, 3) float32, nm.

        The bath is shown in the periodic images nearest to it, residues whole.
        """
        held = self._held[frame]
        require_whole(mapped_file(self.data.positions))
        everything = self.data.positions[held]
        mine = self.subset.indices
        weights = self.subset.masses[mine]
        centre = weights @ everything[mine].astype(float) / weights.sum()
        relative = everything[self.atoms].astype(float) - centre
        if self.data.box is not None and np.any(self.data.box[held]):
            from ..trajectory.unwrap import minimum_image

            heads = relative[self._steps]
            moved = minimum_image(heads, np.asarray(self.data.box[held], dtype=float)) - heads
            relative += np.where(self.chosen[:, None].astype(bool), 0.0, moved)
        return np.ascontiguousarray(relative, dtype=np.float32)

    def box(self, frame):
        """Box vectors as rows, shape (3, 3), nm; None without a box."""
        held = self._held[frame]
        return None if self.data.box is None or not np.any(self.data.box[held]) else np.array(self.data.box[held])

    # -- what a pick means -----------------------------------------------------------------------------

    def picked(self, shown, mode="toggle", whole="atom"):
        """The selection after a pick.

        Parameters
        ----------
        shown : sequence of int
            Which of the shown atoms.
        mode : str
            ``"add"``, ``"remove"``, or ``"toggle"`` by the first of them.
        whole : str
            ``"atom"``, or all of its ``"residue"`` or ``"molecule"``.

        Returns
        -------
        str or None
            None where nothing would change, or no atom would be left.
        """
        shown = [int(i) for i in shown if 0 <= int(i) < len(self.atoms)]
        if not shown:
            return None
        meant = np.zeros(self.data.n_atoms, dtype=bool)
        meant[self.atoms[shown]] = True
        meant = self._whole(meant, whole)
        before = self.subset.indicator
        if mode == "toggle":
            mode = "remove" if before[self.atoms[shown[0]]] else "add"
        after = before | meant if mode == "add" else before & ~meant
        if not after.any() or (after == before).all():
            return None
        return index_text(np.flatnonzero(after))

    def _whole(self, meant, whole):
        if whole == "residue":
            return np.isin(self.residue_of, self.residue_of[meant])
        if whole == "molecule":
            found = np.zeros_like(meant)
            for atoms in molecules_of(self.data):
                if meant[atoms].any():
                    found[atoms] = True
            return found
        return meant
