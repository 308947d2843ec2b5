"""mdtraj's HDF5 files (.h5), read with h5py: also their velocities, which mdtraj itself does not hand on."""

import json

import h5py
import mdtraj
import numpy as np

from ..errors import FormatError
from .frames import Frames, FrameSource, box_from_cell, frames_per_chunk, laid_out_as, refuse_elsewhere
from .hdf5_damage import attribute, contents
from .topologies import element_of
from .unit_text import unit_factor

__all__ = ["MdtrajHdf5Source", "topology_from_hdf5"]

_FIELDS = {
    "positions": ("coordinates", "length", "nm"),
    "velocities": ("velocities", "velocity", "nm/ps"),
    "forces": ("forces", "force", "kJ/mol/nm"),
}


class MdtrajHdf5Source(FrameSource):
    """A file in the layout that mdtraj documents as "MDTraj HDF5 format"."""

    def __init__(self, path):
        try:
            self._file = h5py.File(path, "r")
            refuse_elsewhere(self._file, path)
            self._data = {name: self._file[key] for name, (key, _, _) in _FIELDS.items() if key in self._file}
            if not self._data:
                raise KeyError(f"it holds {', '.join(self._file)}, no coordinates")
            n_frames, n_atoms, _ = next(iter(self._data.values())).shape
            shapes = {data.shape for data in self._data.values()}
            if len(shapes) > 1 or next(iter(shapes))[2] != 3:
                raise ValueError(f"coordinates and velocities of shapes {sorted(shapes)}")
            if n_atoms < 1 or n_frames < 1:
                raise ValueError(f"coordinates of {n_frames} frames and {n_atoms} atoms")
            for key, shape in (("time", ()), ("cell_lengths", (3,)), ("cell_angles", (3,))):
                # seen before anything is read: a few bytes can claim more numbers than there is memory
                if key in self._file and self._file[key].shape != (n_frames, *shape):
                    raise ValueError(f"{key} of shape {self._file[key].shape} beside {n_frames} frames")
            topology = _topology(contents(self._file["topology"], 0)) if "topology" in self._file else None
        except (OSError, KeyError, ValueError, IndexError, TypeError, AttributeError, RuntimeError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(
                f"{path} is not a readable mdtraj HDF5 file, or is truncated ({_reason(error)})."
            ) from None
        super().__init__(path=path, n_atoms=n_atoms, n_frames=n_frames, topology=topology)

    def chunks(self, chosen):
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms, len(self._data))
        for first in range(0, len(frames), size):
            part = frames[first : first + size]
            rows = slice(part.start, part.stop, part.step)
            with laid_out_as("MDTraj HDF5", self.path, f": frames {part[0]} to {part[-1]} cannot be read"):
                fields = {name: self._scaled(name, rows) for name in self._data}
                times = self._plain("time", rows, "time", "ps")
                box = self._box(rows)
            yield Frames(np.full(len(part), np.nan) if times is None else times, fields, box)

    def _scaled(self, name, rows):
        key, kind, unit = _FIELDS[name]
        values = self._data[name][rows].astype(np.float32, copy=False)
        factor = self._factor(key, kind, unit)
        return values if factor == 1.0 else values * np.float32(factor)

    def _factor(self, key, kind, unit):
        stated = attribute(self._file[key], "units", unit)
        return unit_factor(stated, kind)

    def _plain(self, key, rows, kind, unit):
        return None if key not in self._file else self._file[key][rows].astype(float) * self._factor(key, kind, unit)

    def _box(self, rows):
        lengths = self._plain("cell_lengths", rows, "length", "nm")
        return None if lengths is None else box_from_cell(lengths, self._file["cell_angles"][rows])

    def close(self):
        self._file.close()


def topology_from_hdf5(path):
    """The topology that such a file holds."""
    try:
        with h5py.File(path, "r") as file:
            refuse_elsewhere(file, path)
            return _topology(contents(file["topology"], 0))
    except (OSError, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"The topology {path} cannot be read ({_reason(error)}); is it whole, and mdtraj's HDF5?"
        ) from None


def _reason(error):
    return (str(error).strip().strip("'\"").splitlines() or [type(error).__name__])[0]


def _topology(text):
    document = json.loads(text)
    topology = mdtraj.Topology()
    listed = {}
    for chain_rows in document["chains"]:
        chain = topology.add_chain()
        for row in chain_rows["residues"]:
            residue = topology.add_residue(row["name"], chain, row.get("resSeq"), row.get("segmentID", ""))
            for atom in row["atoms"]:
                listed[atom["index"]] = topology.add_atom(atom["name"], element_of(atom["element"], 0.0), residue)
    for first, second, *_ in document.get("bonds", ()):
        topology.add_bond(listed[first], listed[second])
    return topology
