"""AMBER NetCDF trajectories, also separate velocity (mdvel) and force (mdfrc) files."""

import gc
import os
import warnings

import numpy as np

from ..errors import FormatError
from .frames import Frames, FrameSource, box_from_cell, frames_per_chunk
from .unit_text import unit_factor

__all__ = ["AmberSource"]

_VARIABLES = {
    "positions": ("coordinates", "length", "angstrom"),
    "velocities": ("velocities", "velocity", "angstrom/picosecond"),
    "forces": ("forces", "force", "kilocalorie/mole/angstrom"),
}


class AmberSource(FrameSource):
    """A NetCDF-3 file in AMBER's conventions, mapped from disk."""

    def __init__(self, path):
        from scipy.io import netcdf_file

        reason = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                self._file = netcdf_file(str(path), mmap=True)
            except Exception as error:  # scipy raises whatever its parser stumbles on
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if reason is not None:
                gc.collect()  # what it had mapped so far
        if reason is not None:
            raise FormatError(f"{path} is not a readable NetCDF-3 file, or is truncated ({reason}).")
        self._variables = {
            name: (self._file.variables[key], kind, unit)
            for name, (key, kind, unit) in _VARIABLES.items()
            if key in self._file.variables
        }
        if "atom" not in self._file.dimensions or not self._variables:
            raise FormatError(
                f"{path} is NetCDF but holds no AMBER coordinates, velocities or forces (it holds "
                f"{', '.join(self._file.variables) or 'nothing'})."
            )
        self._size = os.fstat(self._file.fp.fileno()).st_size
        n_atoms = int(self._file.dimensions["atom"])
        shapes = {name: variable.data.shape for name, (variable, _, _) in self._variables.items()}
        if any(len(shape) != 3 or shape[1:] != (n_atoms, 3) for shape in shapes.values()):
            self.close()
            raise FormatError(
                f"{path}: its data have shapes {shapes}; expected (frames, {n_atoms}, 3). The file is damaged."
            )
        super().__init__(
            path=path, n_atoms=n_atoms, n_frames=min(shape[0] for shape in shapes.values()), fields=tuple(shapes)
        )

    def chunks(self, chosen):
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms, len(self._variables))
        for first in range(0, len(frames), size):
            # the system ends a program that reads behind the end of a mapped file
            if os.fstat(self._file.fp.fileno()).st_size < self._size:
                raise FormatError(f"{self.path} has become shorter while it was read; is it still being written?")
            part = frames[first : first + size]
            rows = slice(part.start, part.stop, part.step)
            fields = {
                name: _scaled(variable, rows, kind, unit, np.float32)
                for name, (variable, kind, unit) in self._variables.items()
            }
            yield Frames(self._times(rows), fields, self._box(rows))

    def _times(self, rows):
        variable = self._file.variables.get("time")
        if variable is None:
            return np.full(len(range(*rows.indices(self.n_frames))), np.nan)
        return _scaled(variable, rows, "time", "picosecond", float)

    def _box(self, rows):
        if "cell_lengths" not in self._file.variables:
            return None
        lengths = _scaled(self._file.variables["cell_lengths"], rows, "length", "angstrom", float)
        angles = np.asarray(self._file.variables["cell_angles"][rows], dtype=float)
        box = box_from_cell(lengths, angles)
        return box if box.any() else None

    def close(self):
        self._variables = {}
        with warnings.catch_warnings():
            # after an error its traceback still refers to the mapped data, which keeps the map open a little longer
            warnings.simplefilter("ignore", RuntimeWarning)
            self._file.close()


def _scaled(variable, rows, kind, default, dtype):
    """Values of a NetCDF variable in our units; AMBER's scale_factor applies first (20.455 for velocities)."""
    factor = unit_factor(getattr(variable, "units", default), kind)
    factor *= float(getattr(variable, "scale_factor", 1.0))
    values = np.asarray(variable[rows])
    values = values.astype(np.float64 if values.dtype.itemsize == 8 else dtype)  # a copy, in native byte order
    with np.errstate(over="ignore"):  # what overflows is damaged, and found out when values are checked
        values *= factor
    return values
