"""What every reader hands on: runs of frames, in nm, ps and kJ/mol/nm, a bounded number of bytes at a time."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import AmaError, FormatError
from .hdf5_damage import refuse_impossible_texts

__all__ = [
    "CHUNK_BYTES",
    "FIELDS",
    "FrameSource",
    "Frames",
    "SideBySide",
    "box_from_cell",
    "damaged",
    "frames_per_chunk",
    "laid_out_as",
    "refuse_elsewhere",
    "side_by_side",
]

FIELDS = ("positions", "velocities", "forces")
CHUNK_BYTES = 2**25


@dataclass
class Frames:
    """Consecutive frames of a file.

    Parameters
    ----------
    times : ndarray, shape (n_frames,), ps
    fields : dict of ndarray, shape (n_frames, n_atoms, 3)
        By name; rows of frames that lack the field are NaN.
    box : ndarray, shape (n_frames, 3, 3), nm, or None
    steps : ndarray of int, shape (n_frames,), or None
        MD step numbers.
    """

    times: np.ndarray
    fields: dict
    box: np.ndarray | None = None
    steps: np.ndarray | None = None

    @property
    def n_frames(self):
        """Number of frames."""
        return len(self.times)


@dataclass
class FrameSource:
    """One open trajectory file.

    Parameters
    ----------
    path : Path
    n_atoms : int
    n_frames : int or None
        ``None`` where only reading tells.
    masses : ndarray, shape (n_atoms,), u, or None
        Where the trajectory file itself holds them.
    topology : mdtraj.Topology or None
        Likewise.
    topology_masses : ndarray or None
        Of the topology file, for formats that store momenta without masses.
    fields : tuple of str or None
        Which fields the file holds, where its head tells.
    is_unwrapped : bool
        Positions need no unwrapping (image flags, or a file of our own).
    has_rest : bool
        After its whole frames the file has bytes that are none, or it states more frames: it was cut short.
    stated : int or None
        The number of frames that the file states, where that is more.
    facts : dict
        Further fields of `Trajectory` that the file states.
    notices : list of Notice
    """

    path: Path
    n_atoms: int
    n_frames: int | None = None
    masses: np.ndarray | None = None
    masses_source: str = ""
    topology: object = None
    topology_masses: np.ndarray | None = None
    fields: tuple | None = None
    is_unwrapped: bool = False
    has_rest: bool = False
    stated: int | None = None
    facts: dict = field(default_factory=dict)
    notices: list = field(default_factory=list)

    def chunks(self, chosen):
        """The frames ``start:stop:step`` of this file, as `Frames` of bounded size.

        Parameters
        ----------
        chosen : slice
            Not negative; ``stop`` may be ``None``.
        """
        raise NotImplementedError

    def count(self):
        """Number of frames, reading through the file where nothing shorter tells."""
        if self.n_frames is None:
            self.n_frames = sum(frames.n_frames for frames in self.chunks(slice(0, None, 1)))
        return self.n_frames

    def refuse_rest(self, stop):
        """Refuse to read on to frame ``stop`` (``None``: to the end) where the file was cut short before it.

        Raises
        ------
        FormatError
            It says how to read the frames that are whole.
        """
        if self.has_rest and (stop is None or stop > self.n_frames):
            raise damaged(self.path, self.n_frames, self.stated)

    def position(self):
        """How far reading has come, from 0 to 1, where the number of frames is not known."""
        return 0.0

    def close(self):
        """Let go of the file."""


def frames_per_chunk(n_atoms, n_fields=3, itemsize=4):
    """Frames that fit `CHUNK_BYTES`."""
    return max(1, CHUNK_BYTES // max(1, n_atoms * 3 * n_fields * itemsize))


def damaged(path, frame, n_frames=None):
    """The error for a file whose frame ``frame`` (from 0) cannot be read."""
    of = f" of {n_frames}" if n_frames else ""
    whole = (
        f" The {frame} frames before it are whole: read them with frames=slice(0, {frame}) (--frames 0:{frame} on the command line)."
        if frame
        else ""
    )
    return FormatError(f"{path} is truncated or damaged: frame {frame}{of} (counted from 0) cannot be read.{whole}")


# what reading HDF5 raises where something is missing, linked elsewhere, or of another shape or type than it should be
_ODD = (
    OSError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError,
)  # fmt: skip


@contextmanager
def laid_out_as(what, path, where=""):
    """Tell in one sentence that an HDF5 file is not as its layout says it should be.

    Parameters
    ----------
    what : str
        The layout, such as ``"H5MD"``.
    path : path
    where : str
        More words on the place.

    Raises
    ------
    FormatError
    """
    try:
        yield
    except AmaError:
        raise
    except _ODD as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FormatError(f"{path} is damaged, or not laid out as {what}{where} ({reason:.200}).") from None


def refuse_elsewhere(file, path):
    """Refuse an open HDF5 file whose contents lie in other files: it would read what nobody chose to open.

    Raises
    ------
    FormatError
        It has external links, or datasets that are stored in, or put together from, other files; or it is damaged so
        that it cannot be read to an end.
    """
    import h5py

    refuse_impossible_texts(path)
    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            place = f"{group.name.rstrip('/')}/{name}"
            if isinstance(link, h5py.ExternalLink):
                raise FormatError(
                    f"{path}: {place:.100} is a link to another file ({link.filename:.200}); such links are not followed. Copy its "
                    "data into the file, with h5copy or h5repack."
                )
            if isinstance(link, h5py.SoftLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise FormatError(
                    f"{path}: the data of {place:.100} lie in other files, which are not opened; copy them into the file with h5repack."
                )
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address not in seen:
                    seen.add(address)
                    groups.append(item)


def box_from_cell(lengths, angles):
    """Box vectors as rows from edge lengths (n, 3) and angles α, β, γ (n, 3) in degrees; zero edges give a zero box."""
    lengths, angles = np.asarray(lengths, dtype=float), np.asarray(angles, dtype=float)
    cosines = np.where(angles == 90.0, 0.0, np.cos(np.radians(angles)))
    sine = np.where(angles[:, 2] == 90.0, 1.0, np.sin(np.radians(angles[:, 2])))
    a, b, c = lengths.T
    box = np.zeros((len(lengths), 3, 3))
    box[:, 0, 0] = a
    box[:, 1, 0] = b * cosines[:, 2]
    box[:, 1, 1] = b * sine
    with np.errstate(invalid="ignore", divide="ignore"):
        y = (cosines[:, 0] - cosines[:, 1] * cosines[:, 2]) / sine
        z = np.sqrt(1.0 - cosines[:, 1] ** 2 - y**2)
    box[:, 2] = c[:, None] * np.stack([cosines[:, 1], y, z], axis=1)
    empty = (lengths <= 0).any(axis=1)
    box[empty] = 0.0
    if not np.isfinite(box).all():
        frame = int(np.argmax(~np.isfinite(box).all(axis=(1, 2))))
        raise FormatError(
            f"The box of frame {frame} has edges {lengths[frame].tolist()} and angles {angles[frame].tolist()}, which no "
            "parallelepiped has; the file is damaged."
        )
    return box


class SideBySide(FrameSource):
    """Files of one run that hold different fields at the same times: mdcrd, mdvel and mdfrc; DCD, velocity and force DCD."""

    def __init__(self, parts):
        first = parts[0]
        super().__init__(
            path=first.path,
            n_atoms=first.n_atoms,
            n_frames=first.n_frames,
            fields=tuple(name for part in parts for name in part.fields),
            notices=[notice for part in parts for notice in part.notices],
        )
        self.parts = parts

    def chunks(self, chosen):
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms)
        for first in range(0, len(frames), size):
            part = frames[first : first + size]
            rows = slice(part.start, part.stop, part.step)
            yield self._joined([_all_of(source.chunks(rows)) for source in self.parts])

    def _joined(self, pieces):
        first = pieces[0]
        for piece, source in zip(pieces[1:], self.parts[1:]):
            if not np.allclose(piece.times, first.times, rtol=0, atol=1e-4, equal_nan=True):
                raise FormatError(
                    f"{source.path} has other times than {self.path}; files side by side must be written at the same steps."
                )
        box = next((piece.box for piece in pieces if piece.box is not None), None)
        return Frames(first.times, {k: v for piece in pieces for k, v in piece.fields.items()}, box, first.steps)

    def close(self):
        for part in self.parts:
            part.close()


def side_by_side(sources):
    """Neighbouring sources with different fields and as many frames become one."""
    joined = []
    for source in sources:
        before = joined[-1] if joined else None
        fits = (
            before
            and before[0].n_frames == source.n_frames is not None
            and all(part.fields is not None for part in (*before, source))
            and not set(source.fields) & {name for part in before for name in part.fields}
        )
        if fits:
            before.append(source)
        else:
            joined.append([source])
    return [parts[0] if len(parts) == 1 else SideBySide(parts) for parts in joined]


def _all_of(chunks):
    chunks = list(chunks)
    if len(chunks) == 1:
        return chunks[0]
    names = chunks[0].fields
    box = None if chunks[0].box is None else np.concatenate([chunk.box for chunk in chunks])
    steps = None if chunks[0].steps is None else np.concatenate([chunk.steps for chunk in chunks])
    fields = {name: np.concatenate([chunk.fields[name] for chunk in chunks]) for name in names}
    return Frames(np.concatenate([chunk.times for chunk in chunks]), fields, box, steps)
