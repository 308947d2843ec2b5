"""H5MD files: read whoever wrote them, and written as our own format.

The layout is that of H5MD 1.1 (one particle group, fixed set of particles). What H5MD has no place for (names,
residues, provenance) goes as JSON into the group ``parameters/amaexplore``, which other programs ignore.
"""

import json
import math

import h5py
import mdtraj
import numpy as np

from ..errors import FormatError, Notice
from ..files import replacing
from .frames import FIELDS, Frames, FrameSource, frames_per_chunk, laid_out_as, refuse_elsewhere
from .hdf5_damage import attribute, contents
from .memory import mapped_file, require_whole
from .topologies import topology_of_particles
from .unit_text import unit_factor

__all__ = ["H5mdSource", "write_h5md"]

MARGIN = 2**20  # bytes of what is small beside the arrays
OWN_GROUP = "parameters/amaexplore"
# name of ours -> element names seen in files, what they are, unit in which we write
_ELEMENTS = {
    "positions": (("position", "positions"), "length", "nm"),
    "velocities": (("velocity", "velocities"), "velocity", "nm ps-1"),
    "momenta": (("momentum", "momenta"), "momentum", ""),
    "forces": (("force", "forces"), "force", "kJ mol-1 nm-1"),
}
_FACTS = ("masses_source", "velocity_offset", "md_timestep", "complete_system", "metadata")


class H5mdSource(FrameSource):
    """An H5MD file; units come from its attributes, or ``units`` where it has none."""

    def __init__(self, path, units=None):
        try:
            self._file = open_growing(path)
        except OSError as error:
            raise FormatError(f"{path} is not a readable HDF5 file, or is truncated ({_first_line(error)}).") from None
        with laid_out_as("H5MD", path):
            refuse_elsewhere(self._file, path)
            self._open(path, units)

    def _open(self, path, units):
        group = self._particles(path)
        self._elements = {}
        for name, (spellings, kind, _) in _ELEMENTS.items():
            for spelling in spellings:
                if isinstance(group.get(spelling), h5py.Group) and "value" in group[spelling]:
                    self._elements[name] = (group[spelling], kind)
        if not self._elements:
            raise FormatError(f"{path} holds no positions, velocities or forces of its particles ({', '.join(group)}).")
        shapes = {name: element["value"].shape for name, (element, _) in self._elements.items()}
        n_atoms = next(iter(shapes.values()))[1]
        if any(len(shape) != 3 or shape[1:] != (n_atoms, 3) for shape in shapes.values()):
            raise FormatError(f"{path}: the particle data have shapes {shapes}; expected (frames, particles, 3).")
        # a damaged type is found out here, where it is told as damage
        self._itemsize = max(element["value"].dtype.itemsize for element, _ in self._elements.values())
        self._assumed = units
        self._clock(path)
        if n_atoms < 1:
            raise FormatError(f"{path} holds no particles: its data have shape {next(iter(shapes.values()))}.")
        super().__init__(path=path, n_atoms=n_atoms, n_frames=len(self._steps))
        self._identity(group)
        self._box = group.get("box/edges")

    def _particles(self, path):
        groups = [group for group in self._file.get("particles", {}).values() if isinstance(group, h5py.Group)]
        if not groups:
            raise FormatError(f"{path} is HDF5 but has no group 'particles'; expected an H5MD file.")
        if len(groups) > 1:
            self.notices = [f"has {len(groups)} particle groups"]
        return groups[0]

    def _clock(self, path):
        """Steps and times of all elements, and which row of each element belongs to which frame."""
        clocks = {}
        for name, (element, _) in self._elements.items():
            n_frames = len(element["value"])
            steps, times = _series(element, "step", n_frames), _series(element, "time", n_frames)
            if times is not None:
                times = times * self._unit(element.get("time"), "time", "ps")
            clocks[name] = (steps, times, n_frames)
        known = next(((s, t, n) for s, t, n in clocks.values() if s is not None or t is not None), None)
        if known is not None:
            # MDAnalysis writes step and time once, for whichever element comes first or in observables
            clocks = {
                name: (known if (s is None and t is None and n == known[2]) else (s, t, n))
                for name, (s, t, n) in clocks.items()
            }
        else:
            shared = self._observable_clock()
            clocks = {
                name: (shared if shared is not None and shared[2] == n else (s, t, n))
                for name, (s, t, n) in clocks.items()
            }
        keys = {}
        for name, (steps, times, n_frames) in clocks.items():
            keys[name] = (
                np.round(times, 9) if times is not None else steps if steps is not None else np.arange(n_frames)
            )
        every = np.unique(np.concatenate(list(keys.values())))
        self._rows = {}
        self._steps = np.zeros(len(every), np.int64)
        self._times = np.full(len(every), np.nan)
        self._has_steps = any(clock[0] is not None for clock in clocks.values())
        for name, (steps, times, n_frames) in clocks.items():
            place = np.searchsorted(every, keys[name])
            if len(np.unique(place)) != n_frames:
                raise FormatError(f"{path}: the {name} have two frames at one time; expected increasing times.")
            rows = np.full(len(every), -1)
            rows[place] = np.arange(n_frames)
            self._rows[name] = rows
            if steps is not None:
                self._steps[place] = steps
            if times is not None:
                self._times[place] = times

    def _observable_clock(self):
        for observable in self._file.get("observables", {}).values():
            if isinstance(observable, h5py.Group) and "time" in observable and "value" in observable:
                n_frames = len(observable["value"])
                times = _series(observable, "time", n_frames) * self._unit(observable["time"], "time", "ps")
                return _series(observable, "step", n_frames), times, n_frames
        return None

    def _unit(self, item, kind, assumed):
        text = None if item is None else attribute(item, "unit", attribute(item, "units"))
        return unit_factor(assumed if text is None else text, kind)

    def _identity(self, group):
        """Masses and topology, from our own group or from what H5MD provides."""
        own = self._file.get(OWN_GROUP)
        masses = group.get("mass", group.get("masses"))
        if masses is not None:
            values = masses["value"] if isinstance(masses, h5py.Group) else masses
            factor = self._unit(values, "mass", "u") if "unit" in values.attrs else self._unit(masses, "mass", "u")
            values = np.asarray(values, dtype=float)
            self.masses = (values[0] if values.ndim == 2 else values) * factor
            if self.masses.shape != (self.n_atoms,):
                raise FormatError(f"{self.path} has {self.masses.size} masses for {self.n_atoms} particles.")
            self.masses_source = f"{self.path.name}"
        if own is not None:
            self._own(json.loads(contents(own["description"])))
        elif self.masses is not None:
            species = group.get("species")
            types = None if species is None or isinstance(species, h5py.Group) else np.asarray(species)
            self.topology = topology_of_particles(self.masses, types=types)
        bonds = self._file.get("connectivity/bonds")
        if bonds is not None and self.topology is not None and self.topology.n_bonds == 0:
            atoms = list(self.topology.atoms)
            for a, b in np.asarray(bonds).tolist():
                self.topology.add_bond(atoms[a], atoms[b])

    def _own(self, description):
        self.topology = _topology_from_json(description["topology"])
        self.is_unwrapped = True
        self.facts = {name: description[name] for name in _FACTS if name in description}
        self.masses_source = self.facts.pop("masses_source", self.masses_source)
        self.notices = [Notice(**notice) for notice in description.get("notices", ())]

    def chunks(self, chosen):
        frames = np.arange(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms, len(self._elements), self._itemsize)
        for first in range(0, len(frames), size):
            part = frames[first : first + size]
            with laid_out_as("H5MD", self.path, f": frames {part[0]} to {part[-1]} of {self.n_frames} cannot be read"):
                fields = {name: self._field(name, part) for name in self._elements}
                box = self._boxes(part)
                if box is not None and box.shape != (len(part), 3, 3):
                    raise ValueError(f"box edges of shape {box.shape}")
                if "momenta" in fields:
                    fields["velocities"] = self._velocities(fields.pop("momenta"))
            ordered = {name: fields[name] for name in FIELDS if name in fields}
            yield Frames(self._times[part], ordered, box, self._steps[part] if self._has_steps else None)

    def _field(self, name, frames):
        element, kind = self._elements[name]
        values = element["value"]
        rows = self._rows[name][frames]
        held = rows >= 0
        dtype = values.dtype if values.dtype in (np.float32, np.float64) else np.float64
        out = np.full((len(frames), self.n_atoms, 3), np.nan, dtype=dtype)
        if held.any():
            out[held] = _rows_of(values, rows[held])
        default = {"length": "nm", "velocity": "nm/ps", "momentum": "u nm/ps", "force": "kJ/mol/nm"}[kind]
        factor = self._unit(values if _has_unit(values) else element, kind, default)
        if factor != 1.0:
            out *= dtype.type(factor)
        return out

    def _velocities(self, momenta):
        masses = self.masses if self.masses is not None else self.topology_masses
        if masses is None:
            raise FormatError(f"{self.path} holds momenta but no masses, so velocities cannot be had; give topology=.")
        massive = masses > 0
        momenta[:, massive] /= masses[massive, None].astype(momenta.dtype)
        return momenta

    def _boxes(self, frames):
        if self._box is None:
            return None
        values = self._box["value"] if isinstance(self._box, h5py.Group) else self._box
        factor = self._unit(values if _has_unit(values) else self._box, "length", "nm")
        if isinstance(self._box, h5py.Group):
            rows = frames if len(values) == self.n_frames else np.maximum(self._rows[next(iter(self._rows))][frames], 0)
            edges = _rows_of(values, np.minimum(rows, len(values) - 1))
        else:
            edges = np.broadcast_to(np.asarray(values), (len(frames), *values.shape))
        edges = np.asarray(edges, dtype=float) * factor
        if edges.ndim == 2:
            edges = edges[:, :, None] * np.eye(3)
        return edges if edges.any() else None

    def close(self):
        self._file.close()


def open_growing(path):
    """An HDF5 file for reading, also while it is being written in single-writer mode, or after its writer was killed."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        # HDF5 marks a file that is open for writing, and a killed writer leaves the mark
        if "open for write" not in str(error):
            raise
        return h5py.File(path, "r", libver="latest", swmr=True)


def _has_unit(item):
    return "unit" in item.attrs or "units" in item.attrs


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _series(element, name, n_frames):
    """Steps or times of an element: stored one by one, or as an increment with an offset."""
    item = element.get(name)
    if item is None:
        return None
    values = np.asarray(item)
    if values.ndim == 0:
        return attribute(item, "offset", 0) + values * np.arange(n_frames)
    if len(values) < n_frames:
        raise FormatError(
            f"{len(values)} entries of '{name}' for {n_frames} frames of {element.name}; the file is damaged."
        )
    return values[:n_frames]


def _rows_of(dataset, rows):
    """Rows of a dataset by a slice where they are evenly spaced, which HDF5 reads far faster than a list."""
    steps = np.diff(rows)
    if len(rows) == 1 or ((steps > 0).all() and (steps == steps[0]).all()):
        return dataset[rows[0] : rows[-1] + 1 : int(steps[0]) if len(steps) else 1]
    unique, inverse = np.unique(rows, return_inverse=True)
    return dataset[unique][inverse]


# -- writing ------------------------------------------------------------------------------------------


def write_h5md(trajectory, path, more=None):
    """Write a trajectory as H5MD, in nm, ps, u and kJ/mol/nm.

    A frame that lacks a field is left out of that field's own list of times.

    Parameters
    ----------
    trajectory : Trajectory
    path : str or Path
        Written under a temporary name and renamed, so that no half-written file is ever met.
    more : callable (path), optional
        Adds what else belongs into the file before it gets its name.
    """
    arrays = [values for name in FIELDS if (values := getattr(trajectory, name)) is not None]
    room = MARGIN + sum(values.dtype.itemsize * math.prod(values.shape) for values in arrays) + 300 * trajectory.n_atoms
    with replacing(path, room) as temporary:
        with h5py.File(temporary, "w") as file:
            _write_all(file, trajectory)
        if more is not None:
            more(temporary)


def _write_all(file, trajectory):
    from .. import __version__

    header = file.create_group("h5md")
    header.attrs["version"] = np.array([1, 1], dtype=np.int32)
    header.create_group("author").attrs["name"] = "unknown"
    creator = header.create_group("creator")
    creator.attrs["name"], creator.attrs["version"] = "amaexplore", __version__
    group = file.create_group("particles/trajectory")
    steps = _steps(trajectory)
    for name in FIELDS:
        values = getattr(trajectory, name)
        if values is not None:
            _write_element(group, name, values, trajectory, steps)
    _write_box(group, trajectory, steps)
    group["mass"] = trajectory.masses
    group["mass"].attrs["unit"] = "u"
    bonds = np.array([(a.index, b.index) for a, b in trajectory.topology.bonds], dtype=np.int32).reshape(-1, 2)
    if len(bonds):
        file["connectivity/bonds"] = bonds
        file["connectivity/bonds"].attrs["particles_group"] = group.ref
    file[f"{OWN_GROUP}/description"] = json.dumps(_description(trajectory))


def _steps(trajectory):
    """MD step numbers from the times where the engine's step is known, else frame numbers."""
    if trajectory.md_timestep and np.isfinite(trajectory.times).all():
        steps = np.round((trajectory.times - trajectory.times[0]) / trajectory.md_timestep).astype(np.int64)
        if len(np.unique(steps)) == len(steps):
            return steps
    return np.arange(trajectory.n_frames)


def _write_element(group, name, values, trajectory, steps):
    spellings, _, unit = _ELEMENTS[name]
    held = trajectory.frames_with[name]
    element = group.create_group(spellings[0])
    shape = (int(held.sum()), trajectory.n_atoms, 3)
    # a frame is what is read at once
    data = element.create_dataset("value", shape=shape, dtype=values.dtype, chunks=(1, *shape[1:]))
    data.attrs["unit"] = unit
    size = frames_per_chunk(trajectory.n_atoms, 1, values.dtype.itemsize)
    rows = np.flatnonzero(held)
    for first in range(0, len(rows), size):
        part = rows[first : first + size]
        require_whole(mapped_file(values))
        data[first : first + len(part)] = values[part[0] : part[-1] + 1] if _is_run(part) else values[part]
    _write_clock(element, trajectory.times[held], steps[held])


def _is_run(rows):
    return rows[-1] - rows[0] + 1 == len(rows)


def _write_clock(element, times, steps):
    element["step"] = steps
    element["time"] = times
    element["time"].attrs["unit"] = "ps"


def _write_box(group, trajectory, steps):
    box = group.create_group("box")
    box.attrs["dimension"] = 3
    has_box = trajectory.box is not None
    box.attrs["boundary"] = ["periodic" if has_box else "none"] * 3
    if has_box:
        edges = box.create_group("edges")
        edges["value"] = trajectory.box
        edges["value"].attrs["unit"] = "nm"
        _write_clock(edges, trajectory.times, steps)


def _description(trajectory):
    document = {name: getattr(trajectory, name) for name in _FACTS}
    document["notices"] = [{"code": n.code, "message": n.message, "severity": n.severity} for n in trajectory.notices]
    return document | {"topology": _topology_to_json(trajectory.topology)}


def _topology_to_json(topology):
    """Columns instead of rows: one atom costs about 20 bytes."""
    residues = list(topology.residues)
    atoms = sorted(topology.atoms, key=lambda atom: atom.index)
    return {
        "chains": [residue.chain.index for residue in residues],
        "residues": [residue.name for residue in residues],
        "numbers": [int(residue.resSeq) for residue in residues],
        "segments": [residue.segment_id for residue in residues],
        "residue": [atom.residue.index for atom in atoms],
        "names": [atom.name for atom in atoms],
        "elements": ["VS" if atom.element is None else atom.element.symbol for atom in atoms],
    }


def _topology_from_json(document):
    topology = mdtraj.Topology()
    chains = {}
    residues = []
    for chain, name, number, segment in zip(
        document["chains"], document["residues"], document["numbers"], document["segments"]
    ):
        if chain not in chains:
            chains[chain] = topology.add_chain()
        residues.append(topology.add_residue(name, chains[chain], number, segment))
    for residue, name, symbol in zip(document["residue"], document["names"], document["elements"]):
        element = mdtraj.element.virtual_site if symbol == "VS" else mdtraj.element.Element.getBySymbol(symbol)
        topology.add_atom(name, element, residues[residue])
    return topology
