"""AtomSubset: which atoms are the nanoparticle, θ_i = 1.

Choices come from mdtraj's selection language, from lists, masks and ranges, from spheres, and by set
algebra: ``a | b``, ``a & b``, ``a - b``, ``~a``.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .errors import InputError, SelectionError

__all__ = ["AtomSubset", "index_text", "select", "sphere"]

LONGEST_REASON = 120  # characters of another library's explanation that still read as part of a sentence
LONGEST_SELECTION = 2000  # characters; the parser's time grows faster than the text
LONGEST_SHOWN = 120  # characters of a selection that are repeated in a sentence
LONGEST_LIST = 2_000_000  # characters of a list of atoms, which is read without the parser
MOST_RUNS_IN_LABEL = 20
_RUN = r"index (\d{1,12})(?: to (\d{1,12}))?"
_LIST_OF_ATOMS = re.compile(rf"{_RUN}(?: or {_RUN})*")


@dataclass(frozen=True, eq=False)
class AtomSubset:
    """The atoms of the nanoparticle.

    Parameters
    ----------
    indices : ndarray of int, shape (n_chosen,)
        Sorted, each atom once.
    masses : ndarray, shape (n_atoms,), u
        Of all atoms of the trajectory the subset belongs to.
    selection : str
        How it was chosen, for people.
    """

    indices: np.ndarray
    masses: np.ndarray = field(repr=False)
    selection: str = ""

    @cached_property
    def indicator(self):
        """θ_i, shape (n_atoms,) bool."""
        chosen = np.zeros(len(self.masses), dtype=bool)
        chosen[self.indices] = True
        return chosen

    @property
    def n_atoms(self):
        """N* = Σ θ_i."""
        return len(self.indices)

    @property
    def mass(self):
        """m = Σ m_i θ_i, u."""
        return float(self.masses[self.indices].sum())

    @property
    def typical_mass(self):
        """m̂: mean atomic mass over the subset, u."""
        return self.mass / self.n_atoms

    @property
    def epsilon(self):
        """ε = m̂/m, equation (3); 1/N* for the mean mass."""
        return self.typical_mass / self.mass

    def __len__(self):
        return len(self.indices)

    def __contains__(self, atom):
        return bool(self.indicator[atom])

    def _combined(self, other, rule, symbol):
        if not isinstance(other, AtomSubset):
            return NotImplemented
        if len(other.masses) != len(self.masses):
            raise InputError(
                f"The subsets belong to {len(self.masses)} and {len(other.masses)} atoms; both must be of one trajectory."
            )
        chosen = np.flatnonzero(rule(self.indicator, other.indicator))
        return _checked(chosen, self.masses, f"({self.selection}) {symbol} ({other.selection})")

    def __or__(self, other):
        return self._combined(other, np.logical_or, "or")

    def __and__(self, other):
        return self._combined(other, np.logical_and, "and")

    def __sub__(self, other):
        return self._combined(other, lambda a, b: a & ~b, "and not")

    def __invert__(self):
        return _checked(np.flatnonzero(~self.indicator), self.masses, f"not ({self.selection})")

    def __repr__(self):
        return f"AtomSubset({self.selection!r}: {self.n_atoms} of {len(self.masses)} atoms, {self.mass:.6g} u)"


def select(trajectory, selection):
    """The atoms that a selection picks.

    Parameters
    ----------
    trajectory : Trajectory
    selection : str, or sequence of int, or sequence of bool, or AtomSubset
        A string in mdtraj's selection language (``"protein"``, ``"resname C60 and not name H"``, ``"index 0 to 12"``),
        atom indices from 0, or a mask with one entry per atom.

    Returns
    -------
    AtomSubset

    Raises
    ------
    SelectionError
        The text cannot be understood, or nothing matches; the message says what there is.

    Examples
    --------
    >>> import numpy as np
    >>> from amaexplore import Trajectory
    >>> traj = Trajectory.from_arrays(positions=np.zeros((1, 4, 3)), masses=[12.0, 12.0, 40.0, 40.0], timestep=1.0)
    >>> traj.select("element C").indices.tolist()
    [0, 1]
    """
    if isinstance(selection, AtomSubset):
        return _checked(selection.indices, trajectory.masses, selection.selection)
    if isinstance(selection, str):
        chosen = _select_text(trajectory.topology, selection)
        return _checked(chosen, trajectory.masses, selection.strip())
    chosen = np.atleast_1d(np.asarray(selection))
    n_atoms = trajectory.n_atoms
    if chosen.size == 0:
        raise SelectionError("The list of atoms is empty; at least one atom must be in the nanoparticle.")
    if chosen.dtype == bool:
        if chosen.shape != (n_atoms,):
            raise SelectionError(f"The mask has {chosen.size} entries; expected one for each of {n_atoms} atoms.")
        chosen = np.flatnonzero(chosen)
    elif chosen.dtype.kind not in "iu" or chosen.ndim != 1:
        raise SelectionError(
            f"A selection is a text, a list of atom indices, or a mask; got an array of {chosen.dtype} with shape {chosen.shape}."
        )
    outside = chosen[(chosen < 0) | (chosen >= n_atoms)] if chosen.size else chosen
    if outside.size:
        raise SelectionError(f"Atom index {outside[0]} does not exist; indices run from 0 to {n_atoms - 1}.")
    indices = np.unique(chosen)
    return _checked(indices, trajectory.masses, _ranges(indices))


def sphere(trajectory, centre, radius, frame=0):
    """The atoms within a distance of a point or of an atom, at one frame.

    Parameters
    ----------
    centre : int, or array_like of shape (3,), nm
        An atom's index or a point.
    radius : float, nm
        Nearest periodic image where the trajectory has a box.
    frame : int
    """
    distance, name = distances(trajectory, centre, frame)
    chosen = np.flatnonzero(distance <= radius)
    return _checked(chosen, trajectory.masses, f"within {radius:.4g} nm of {name} at frame {frame}")


def distances(trajectory, centre, frame=0):
    """Distance of every atom from a point or an atom at one frame, nm, and the name of that centre."""
    positions = trajectory.require("positions")[frame].astype(float)
    if np.ndim(centre) == 0:
        name, point = f"atom {int(centre)}", positions[int(centre)]
    else:
        point = np.asarray(centre, dtype=float)
        name = "(" + ", ".join(f"{x:.4g}" for x in point) + ") nm"
    displacement = positions - point
    if trajectory.box is not None:
        from .trajectory.unwrap import minimum_image

        displacement = minimum_image(displacement, trajectory.box[frame])
    return np.sqrt(np.einsum("ij,ij->i", displacement, displacement)), name


def _select_text(topology, text):
    wanted = text.strip()
    if not wanted:
        raise SelectionError("The selection is empty; try 'protein', 'resname ALA', 'index 0 to 12' or 'all'.")
    if len(wanted) <= LONGEST_LIST and _LIST_OF_ATOMS.fullmatch(wanted):
        return _listed_atoms(wanted, topology.n_atoms)
    if len(wanted) > LONGEST_SELECTION:
        raise SelectionError(
            f"The selection is {len(wanted)} characters long; at most {LONGEST_SELECTION} are read. Give a list of indices instead."
        )
    shown = wanted if len(wanted) <= LONGEST_SHOWN else f"{wanted[:LONGEST_SHOWN]} …"
    # mdtraj hands the right side of =~ to the regular expression engine, which a hostile pattern can hang
    if "=~" in wanted:
        raise SelectionError(f"Selection {shown!r}: regular expressions (=~) are not allowed here; use == with 'or'.")
    try:
        chosen = topology.select(wanted)
    except Exception as error:  # mdtraj raises many kinds: pyparsing's, ValueError, NameError, AttributeError, ...
        hint = _parser_hint(error)
        raise SelectionError(
            f"Selection {shown!r} cannot be understood{hint}. Try 'protein', 'resname ALA', 'name CA', 'element C', "
            "'index 0 to 12', 'all', joined by and, or, not."
        ) from None
    chosen = np.asarray(chosen, dtype=np.intp)
    if chosen.size == 0:
        raise SelectionError(f"Selection {shown!r} matched 0 of {topology.n_atoms} atoms; {_what_exists(topology)}")
    return chosen


def _parser_hint(error):
    """Where the parser stopped; what else it says is its grammar, which helps nobody."""
    place = re.search(r"\(at char (\d+)\)", str(error))
    if place:
        return f" (from character {int(place.group(1)) + 1} on)"
    reason = str(error).strip().splitlines()
    return f" ({reason[0]})" if reason and len(reason[0]) < LONGEST_REASON else ""


def _what_exists(topology, most=8):
    def listed(values):
        unique = list(dict.fromkeys(values))
        more = ", ..." if len(unique) > most else ""
        return ", ".join(unique[:most]) + more

    residues = listed(residue.name for residue in topology.residues)
    names = listed(atom.name for atom in topology.atoms)
    return f"residues present: {residues}; atom names: {names}. Names are case-sensitive."


def _checked(indices, masses, selection):
    if len(indices) == 0:
        raise SelectionError(f"Selection {selection!r} leaves no atom; at least one must be in the nanoparticle.")
    indices = np.asarray(indices, dtype=np.intp)
    return AtomSubset(indices=indices, masses=masses, selection=selection)


def index_text(indices):
    """Atoms as a selection text that reads back as the same atoms: ``index 0 to 12 or index 20``.

    For what was picked by hand or by a sphere, so that it can be kept, shared and repeated. Such lists are read at
    any length the explorer can produce, since the parser of the selection language is not asked.

    Parameters
    ----------
    indices : array_like of int
        In any order; at least one.

    Examples
    --------
    >>> index_text([7, 3, 4, 5])
    'index 3 to 5 or index 7'
    """
    return " or ".join(_run_text(run) for run in _runs(np.unique(np.asarray(indices, dtype=np.intp))))


def _ranges(indices):
    """Sorted indices as a label for people, cut short where it would be long."""
    runs = _runs(indices)
    if len(runs) > MOST_RUNS_IN_LABEL:
        return f"{len(indices)} atoms from index {indices[0]} to {indices[-1]}"
    return " or ".join(map(_run_text, runs))


def _runs(indices):
    return np.split(indices, np.flatnonzero(np.diff(indices) != 1) + 1)


def _run_text(run):
    return f"index {run[0]}" if len(run) == 1 else f"index {run[0]} to {run[-1]}"


def _listed_atoms(text, n_atoms):
    """The atoms of a text made of nothing but ``index a to b`` joined by ``or``."""
    runs = [(int(first), int(last or first)) for first, last in re.findall(_RUN, text)]
    # as the selection language has it: what lies beyond the last atom matches nothing
    starts = np.zeros(n_atoms + 1, dtype=np.intp)
    for first, last in runs:
        if first <= last and first < n_atoms:
            starts[first] += 1
            starts[min(last, n_atoms - 1) + 1] -= 1
    chosen = np.flatnonzero(np.cumsum(starts[:-1]))
    if chosen.size == 0:
        raise SelectionError(
            f"Selection {text[:LONGEST_REASON]!r} matched 0 of {n_atoms} atoms; indices run from 0 to {n_atoms - 1}."
        )
    return chosen
