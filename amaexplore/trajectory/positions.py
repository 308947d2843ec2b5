"""Formats that hold positions alone: PDB, GRO, mmCIF as mdtraj reads them, and DCD with NAMD's velocity and force files."""

import gc
import struct
import warnings

import mdtraj
import numpy as np

from ..errors import FormatError, Notice
from .frames import Frames, FrameSource, box_from_cell, damaged, frames_per_chunk
from .memory import mapped_file, require_whole

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
    """A DCD file, read with MDAnalysis' wrapper, because its header holds the times that mdtraj drops.

    Frames with fixed atoms or with a fourth dimension, whose lengths the library gets wrong, are taken apart here.
    """

    def __init__(self, path):
        from MDAnalysis.lib.formats.libdcd import DCDFile

        try:
            self._file = DCDFile(str(path))
            header = self._file.header
        except (OSError, EOFError, ValueError) as error:
            raise FormatError(f"{path} is not a readable DCD file ({error}).") from None
        self._field, self._factor = _DCD_CONTENTS.get(path.suffix.lower(), ("positions", 0.1))
        # without a cell the library leaves whatever was in memory
        self._layout = _DcdLayout(path, header["natoms"], bool(self._file.is_periodic))
        n_frames = len(self._file) if self._layout.is_plain else self._layout.n_frames
        super().__init__(path=path, n_atoms=header["natoms"], n_frames=n_frames, fields=(self._field,))
        stated = self._layout.stated
        self.stated = stated if stated > n_frames else None
        self.has_rest = stated > n_frames or not self._layout.ends_after(n_frames)
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
            positions, cell = self._read(part)
            box = None if cell is None else 0.1 * _dcd_box(cell)
            steps = self._first + self._stride * np.arange(part.start, part.stop, part.step)
            times = steps * self._step if self._step > 0 else np.full(len(part), np.nan)
            positions *= np.float32(self._factor)
            yield Frames(times, {self._field: positions}, box if box is not None and box.any() else None, steps)

    def _read(self, frames):
        if not self._layout.is_plain:
            return self._layout.read(frames)
        try:
            data = self._file.readframes(frames.start, frames.stop, frames.step)
        except (OSError, EOFError, ValueError):
            raise damaged(self.path, frames.start, self.n_frames) from None
        return data.xyz, np.asarray(data.unitcell, dtype=float) if self._layout.has_cell else None

    def close(self):
        self._file.close()


class _DcdLayout:
    """Where the numbers of a DCD file lie: a head, the list of free atoms, and frames of records of equal length.

    With fixed atoms only the first frame holds all; the others hold the free ones. A fourth value of each atom, from
    dynamics in four dimensions, is left out.
    """

    def __init__(self, path, n_atoms, has_cell):
        self.path, self.n_atoms, self.has_cell = path, n_atoms, has_cell
        self._size = path.stat().st_size
        with open(path, "rb") as file:
            self._order = "<" if file.read(4) == struct.pack("<i", 84) else ">"
            head = file.read(84)
            self.stated, n_fixed, fourth, version = (self._integer(head, place) for place in (4, 36, 48, 80))
            file.seek(92)
            title = self._integer(file.read(4))
            self._begin = 92 + title + 8 + 12
            self._free = None
            if n_fixed:
                file.seek(self._begin)
                self._free = self._free_atoms(file.read(4 * (n_atoms - n_fixed) + 8), n_fixed)
                self._begin += 4 * (n_atoms - n_fixed) + 8
        # programs that are not of CHARMM's kind have something else in this place
        self._n_values = 4 if fourth == 1 and version else 3
        self._first = self._frame(n_atoms)
        self._later = self._frame(n_atoms - n_fixed)

    def _integer(self, data, place=0):
        return struct.unpack_from(f"{self._order}i", data, place)[0]

    def _free_atoms(self, record, n_fixed):
        free = np.frombuffer(record, dtype=f"{self._order}i4")
        n_free = self.n_atoms - n_fixed
        is_record = len(free) == n_free + 2 and free[0] == free[-1] == 4 * n_free
        if not is_record or not ((free[1:-1] >= 1) & (free[1:-1] <= self.n_atoms)).all():
            raise FormatError(
                f"{self.path} is truncated or damaged: it has {n_fixed} fixed atoms of {self.n_atoms}, and then no list of the free ones."
            )
        return free[1:-1].astype(np.intp) - 1

    def _frame(self, n_atoms):
        """The records of a frame, each between two copies of its length."""
        integer, real, double = (np.dtype(f"{self._order}{kind}") for kind in ("i4", "f4", "f8"))
        parts = [("cell", double, 6)] if self.has_cell else []
        parts += [(name, real, n_atoms) for name in "xyzw"[: self._n_values]]
        fields = []
        for name, kind, count in parts:
            fields += [(f"{name} begins", integer), (name, kind, (count,)), (f"{name} ends", integer)]
        return np.dtype(fields)

    @property
    def is_plain(self):
        """Neither fixed atoms nor a fourth dimension."""
        return self._free is None and self._n_values == 3

    @property
    def n_frames(self):
        """Whole frames that are there."""
        room = self._size - self._begin - self._first.itemsize
        return 0 if room < 0 else 1 + room // self._later.itemsize

    def ends_after(self, n_frames):
        """Whether the file ends with the last of so many frames."""
        return self._size - self._begin == self._first.itemsize + (n_frames - 1) * self._later.itemsize

    def read(self, frames):
        """Å, shape (n, n_atoms, 3) single precision, and cells (n, 6) or ``None``, of a range of frames."""
        first = self._mapped(self._first, self._begin, 1)
        positions = np.empty((len(frames), self.n_atoms, 3), dtype=np.float32)
        cell = np.empty((len(frames), 6)) if self.has_cell else None
        later = self._mapped(self._later, self._begin + self._first.itemsize, self.n_frames - 1)
        for row, number in enumerate(frames):
            frame, atoms = (first[0], slice(None)) if number == 0 else (later[number - 1], self._free)
            require_whole(mapped_file(later if number else first), self.path)
            self._check(frame, number)
            for k, name in enumerate("xyz"):
                positions[row, :, k] = first[0][name]
                positions[row, slice(None) if atoms is None else atoms, k] = frame[name]
            if cell is not None:
                cell[row] = frame["cell"]
        return positions, cell

    def _mapped(self, frame, begin, count):
        if count == 0:
            return np.empty(0, frame)
        if self.path.stat().st_size < begin + count * frame.itemsize:
            raise FormatError(f"{self.path} has become shorter while it was read; is it still being written?")
        return np.memmap(self.path, dtype=frame, mode="r", offset=begin, shape=(count,))

    def _check(self, frame, number):
        for name in ("cell", *"xyzw"):
            if name in frame.dtype.names and not (
                frame[f"{name} begins"] == frame[f"{name} ends"] == frame.dtype[name].itemsize
            ):
                raise damaged(self.path, number, self.n_frames)


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
