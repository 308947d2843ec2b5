"""Which atoms there are: names, residues, chains, bonds and masses, from topology files and from bare particles."""

import gc
import logging
import warnings
from pathlib import Path

import mdtraj
import numpy as np
from mdtraj.core.element import Element

from ..errors import FormatError
from .trajectory import element_by_mass, masses_from_elements

__all__ = ["read_topology", "topology_from_universe", "topology_of_particles"]

# formats whose masses and bonds mdtraj drops or cannot read
_BY_MDANALYSIS = {".tpr", ".prmtop", ".parm7", ".top", ".psf", ".data", ".lmp"}
_BY_MDTRAJ = {".pdb", ".ent", ".gro", ".cif", ".pdbx", ".mol2", ".hoomdxml"}


def read_topology(path):
    """Topology, masses in u (or None) and the sentence that says where the masses came from.

    Raises
    ------
    FormatError
        No such file, a format that is not known, or a file that cannot be understood.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"The topology file {path} does not exist; check its path.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    plain = suffixes[-2] if suffix == ".gz" and len(suffixes) > 1 else suffix
    if plain in _BY_MDANALYSIS:
        return _by_mdanalysis(path, plain)
    if plain in (".h5", ".hdf5"):
        from .mdtraj_hdf5 import topology_from_hdf5

        topology = topology_from_hdf5(path)
        masses, source = masses_from_elements(topology)
        return topology, masses, f"{source} {path.name}"
    if plain in _BY_MDTRAJ:
        return _by_mdtraj(path)
    raise FormatError(
        f"The topology {path.name} is of an unknown format {suffix or '(no ending)'}; known are "
        f"{', '.join(sorted(_BY_MDANALYSIS | _BY_MDTRAJ | {'.h5'}))}."
    )


def _by_mdanalysis(path, suffix):
    import MDAnalysis

    formats = {".tpr": "TPR", ".psf": "PSF", ".data": "DATA", ".lmp": "DATA"}
    logging.getLogger("MDAnalysis").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # guesses it makes and we do not use
            universe = MDAnalysis.Universe(
                str(path), topology_format=formats.get(suffix, "PRMTOP"), format=None, to_guess=()
            )
    except Exception as error:  # each parser fails in its own way on a damaged file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise FormatError(
            f"The topology {path} cannot be read ({reason[0]}); is it whole, and of the kind its name says?"
        ) from None
    topology = topology_from_universe(universe)
    return topology, np.array(universe.atoms.masses, dtype=float), path.name


def _by_mdtraj(path):
    reason = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            topology = mdtraj.load_topology(str(path))
        except Exception as error:  # as above
            reason = str(error).strip().splitlines() or [type(error).__name__]
        if reason:
            gc.collect()  # its parsers leave files open when they fail
    if reason:
        raise FormatError(
            f"The topology {path} cannot be read ({reason[0]}); is it whole, and of the kind its name says?"
        ) from None
    if topology is None or topology.n_atoms == 0:
        raise FormatError(f"The topology {path} holds no atoms.")
    if topology.n_bonds == 0:
        topology.create_standard_bonds()
    masses, source = masses_from_elements(topology)
    return topology, masses, f"{source} {path.name}"


def topology_from_universe(universe):
    """An mdtraj topology with the names, residues, segments, elements and bonds of an ``MDAnalysis.Universe``."""
    atoms = universe.atoms
    names = _attribute(atoms, "names") or [f"A{i}" for i in range(len(atoms))]
    residue_names = _attribute(universe.residues, "resnames") or ["SYS"] * len(universe.residues)
    numbers = _attribute(universe.residues, "resids") or range(1, len(universe.residues) + 1)
    segments = _attribute(universe.segments, "segids") or [""] * len(universe.segments)
    elements = _elements(atoms)
    topology = mdtraj.Topology()
    residue = chain = last_residue = last_segment = None
    listed = []
    for index, here in enumerate(atoms.resindices.tolist()):
        # a residue or segment that comes back later starts anew, so that atoms stay in the order of their indices
        if here != last_residue:
            segment = int(universe.residues.segindices[here])
            if segment != last_segment:
                chain, last_segment = topology.add_chain(), segment
            name, number = str(residue_names[here]), int(numbers[here])
            residue, last_residue = topology.add_residue(name, chain, number, str(segments[segment])), here
        listed.append(topology.add_atom(str(names[index]), elements[index], residue))
    if hasattr(universe, "bonds"):
        for a, b in universe.bonds.indices.tolist():
            topology.add_bond(listed[a], listed[b])
    return topology


def _attribute(group, name):
    try:
        return list(getattr(group, name))
    except Exception:  # MDAnalysis' NoDataError, which depends on the version
        return None


def _elements(atoms):
    """By element symbol where the file has it, else the element nearest in mass (virtual sites have none)."""
    masses = np.asarray(_attribute(atoms, "masses") or np.zeros(len(atoms)), dtype=float)
    symbols = _attribute(atoms, "elements") or [""] * len(atoms)
    return [element_of(symbol, mass) for symbol, mass in zip(symbols, masses)]


def element_of(symbol, mass):
    """An mdtraj element by its symbol, else by mass; the virtual site for a mass of zero and no symbol."""
    if symbol and str(symbol) not in ("VS", "EP"):
        try:
            return Element.getBySymbol(str(symbol))
        except KeyError:
            pass
    return element_by_mass(float(mass))


def topology_of_particles(masses, elements=None, types=None, molecules=None):
    """A topology of particles without bonds.

    Atoms are named after their element (given, or nearest in mass); residues are named ``T1``, ``T2``, ... after the
    particle type and change with type or molecule.

    Parameters
    ----------
    masses : ndarray, shape (n_atoms,), u
    elements, types, molecules : sequence, shape (n_atoms,), optional
    """
    n_atoms = len(masses)
    types = ["1"] * n_atoms if types is None else [_label(value) for value in types]
    molecules = [0] * n_atoms if molecules is None else [int(value) for value in molecules]
    elements = [""] * n_atoms if elements is None else elements
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    residue, last = None, None
    for mass, symbol, kind, molecule in zip(masses.tolist(), elements, types, molecules):
        if (kind, molecule) != last:
            residue, last = topology.add_residue(f"T{kind}", chain, molecule), (kind, molecule)
        element = element_of(symbol, mass)
        topology.add_atom(element.symbol, element, residue)
    return topology


def _label(value):
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
