"""Formats that hold positions alone: PDB, GRO, mmCIF as mdtraj reads them, and DCD with NAMD's velocity and force files."""

import gc
import struct
import warnings

import mdtraj
import numpy as np

from ..errors import FormatError, Notice
from .frames import Frames, FrameSource, box_from_cell, damaged, frames_per_chunk

__all__ = ["DcdSource", "MdtrajSource"]

AKMA_TIME = 0.04888821  # ps; the unit of time in DCD headers
# NAMD's velocity and force files, which look like positions: Å per AKMA time, kcal/mol/Å
_DCD_CONTENTS = {
    ".veldcd": ("velocities", 0.1 / AKMA_TIME),
    ".forcedcd": ("forces", 41.84),
    ".frcdcd": ("forces", 41.84),
}


class MdtrajSource(FrameSource):
    """A text file with positions and names of atoms that mdtraj reads."""

    def __init__(self, path):
        if path.suffix.lower() in (".pdb", ".ent"):
            _check_models_end(path)
        first = reason = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                first = next(self._iterate(path, 1), None)
            except Exception as error:  # each of mdtraj's readers fails in its own way
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if reason:
                gc.collect()  # its readers leave files open when they fail
        if reason:
            raise FormatError(
                f"{path} cannot be read ({reason}); is it whole, and of the kind its name says?"
            ) from None
        if first is None or first.n_frames == 0:
            raise FormatError(f"{path} holds no frames.")
        super().__init__(path=path, n_atoms=first.n_atoms, topology=first.topology)

    def _iterate(self, path, size, skip=0):
        return mdtraj.iterload(str(path), chunk=size, skip=skip)

    def chunks(self, chosen):
        size = frames_per_chunk(self.n_atoms, 1)
        start, stop, step = chosen.start, chosen.stop, chosen.step
        frame = 0
        try:
            for part in self._iterate(self.path, size):
                rows = np.arange(frame, frame + part.n_frames)
                frame += part.n_frames
                wanted = (rows >= start) & ((rows - start) % step == 0)
                if stop is not None:
                    wanted &= rows < stop
                if wanted.any():
                    box = part.unitcell_vectors
                    yield Frames(
                        np.asarray(part.time, dtype=float)[wanted],
                        {"positions": np.asarray(part.xyz[wanted], dtype=np.float32)},
                        None if box is None else np.asarray(box[wanted], dtype=float),
                    )
                if stop is not None and frame >= stop:
                    return
        except Exception as error:  # as above
            if isinstance(error, FormatError):
                raise
            raise damaged(self.path, frame) from None
        self.n_frames = frame


def _check_models_end(path):
    """Refuse a PDB file that ends within a model, where the last number may be cut in two."""
    begun = ended = 0
    with open(path, "rb") as file:
        for line in file:
            begun += line.startswith(b"MODEL ")
            ended += line.startswith(b"ENDMDL")
    if begun > ended:
        raise FormatError(
            f"{path} is truncated or damaged: {begun} models begin and {ended} end (MODEL and ENDMDL lines); cut it after its last "
            "ENDMDL line to read the models before."
        )


class DcdSource(FrameSource):
    """A DCD file, read with MDAnalysis' wrapper, because its header holds the times that mdtraj drops."""

    def __init__(self, path):
        from MDAnalysis.lib.formats.libdcd import DCDFile

        try:
            self._file = DCDFile(str(path))
            header = self._file.header
        except (OSError, EOFError, ValueError) as error:
            raise FormatError(f"{path} is not a readable DCD file ({error}).") from None
        self._field, self._factor = _DCD_CONTENTS.get(path.suffix.lower(), ("positions", 0.1))
        super().__init__(path=path, n_atoms=header["natoms"], n_frames=len(self._file), fields=(self._field,))
        self.stated, self.has_rest = _dcd_frames(path, self.n_atoms, self.n_frames, self._file.is_periodic)
        if self.n_frames == 0:
            raise FormatError(f"{path} holds no frames, or is truncated within the first.")
        self._first, self._stride = header["istart"], max(1, header["nsavc"])
        self._step = header["delta"] * AKMA_TIME
        if self._step > 0:
            self.notices.append(
                Notice(
                    "dcd_times",
                    f"{path.name} says one MD step is {self._step:.4g} ps and frames are {self._stride} steps apart; DCD headers "
                    "are often wrong, so give timestep= if that is not so.",
                    "info",
                )
            )

    def chunks(self, chosen):
        # the library hands on the whole frames of a file that was cut short without a word
        self.refuse_rest(chosen.stop)
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms, 1)
        for first in range(0, len(frames), size):
            part = frames[first : first + size]
            try:
                data = self._file.readframes(part.start, part.stop, part.step)
            except (OSError, EOFError, ValueError):
                raise damaged(self.path, part.start, self.n_frames) from None
            # without a cell the library leaves whatever was in memory
            box = 0.1 * _dcd_box(np.asarray(data.unitcell, dtype=float)) if self._file.is_periodic else None
            steps = self._first + self._stride * np.arange(part.start, part.stop, part.step)
            times = steps * self._step if self._step > 0 else np.full(len(part), np.nan)
            positions = data.xyz
            positions *= np.float32(self._factor)
            yield Frames(times, {self._field: positions}, box if box is not None and box.any() else None, steps)

    def close(self):
        self._file.close()


def _dcd_frames(path, n_atoms, n_frames, has_cell):
    """The number of frames that the header states, where it is larger than what is there; and whether frames are cut short."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        order = "<" if file.read(4) == struct.pack("<i", 84) else ">"
        head = file.read(84)
        stated, n_fixed = struct.unpack(f"{order}i", head[4:8])[0], struct.unpack(f"{order}i", head[36:40])[0]
        file.seek(92)
        (title,) = struct.unpack(f"{order}i", file.read(4))
    frames = size - (92 + title + 8 + 12)
    each = 3 * (4 * n_atoms + 8) + (56 if has_cell else 0)
    # with fixed atoms frames after the first are shorter
    has_rest = n_fixed == 0 and frames != n_frames * each
    return (stated if stated > n_frames else None), has_rest or stated > n_frames


def _dcd_box(cell):
    """Box vectors from the six numbers of a DCD frame, which programs fill in three ways.

    A, γ, B, β, α, C with angles in degrees (OpenMM, old CHARMM) or as cosines (NAMD, VMD, mdtraj); or the lower triangle
    of the symmetric shape matrix (CHARMM since 25).
    """
    a, first, b, second, third, c = cell.T
    angles = np.stack([third, second, first], axis=1)
    lengths = np.stack([a, b, c], axis=1)
    if (np.abs(angles) <= 1.0).all():
        return box_from_cell(lengths, np.where(angles == 0.0, 90.0, np.degrees(np.arccos(angles))))
    if ((angles >= 30.0) & (angles <= 150.0)).all():
        return box_from_cell(lengths, angles)
    shape = np.empty((len(cell), 3, 3))
    shape[:, 0] = np.stack([a, first, second], axis=1)
    shape[:, 1] = np.stack([first, b, third], axis=1)
    shape[:, 2] = np.stack([second, third, c], axis=1)
    return shape
