"""Where everything lies in GROMACS TRR files, so that whole stretches of frames are read without unpacking each.

A TRR frame is an XDR header (sizes of what follows, atom count, step, time) and then box, virial, pressure,
positions, velocities and forces as big-endian numbers. Only single precision is handled here; MDAnalysis reads the rest.
"""

import mmap
import struct
from dataclasses import dataclass

import numpy as np

from ..errors import FormatError
from .memory import require_whole

__all__ = ["TrrFile", "index_trr"]

_MAGIC = struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file")
_SIZES = struct.Struct(">13i")
_HEADER = len(_MAGIC) + _SIZES.size + 8  # two single-precision numbers: time and lambda


@dataclass(frozen=True, eq=False)
class TrrFile:
    """The index of one file.

    Parameters
    ----------
    path : str
    n_atoms : int
    times : ndarray, shape (n_frames,), ps
    boxes : ndarray, shape (n_frames, 3, 3), nm
        NaN where a frame has none.
    starts : dict of ndarray of int, shape (n_frames,)
        By field: offset of its first number in units of 4 bytes, −1 where a frame lacks it.
    n_bytes : int
        Of all frames.
    """

    path: str
    n_atoms: int
    times: np.ndarray
    boxes: np.ndarray
    starts: dict
    n_bytes: int


def index_trr(path):
    """Read the headers of all frames.

    Returns
    -------
    TrrFile or None
        ``None`` for double precision.

    Raises
    ------
    FormatError
        Not a TRR file, or it ends within a frame.
    """
    times, boxes, starts, n_atoms = [], [], [], None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        data.madvise(mmap.MADV_RANDOM)
        place = 0
        while place < len(data):
            require_whole(data, path)
            if len(data) - place < _HEADER or data[place : place + len(_MAGIC)] != _MAGIC:
                raise FormatError(_broken(path, place, len(times), len(data)))
            sizes = _SIZES.unpack_from(data, place + len(_MAGIC))
            box, virial, pressure = sizes[2:5]
            x, v, f, atoms = sizes[7:11]
            if max(box // 9, max(x, v, f) // (3 * atoms) if atoms else 0) == 8:
                return None
            begin = place + _HEADER
            end = begin + sum(sizes[:10])
            if end > len(data) or (n_atoms is not None and atoms != n_atoms):
                raise FormatError(_broken(path, place, len(times), len(data)))
            n_atoms = atoms
            times.append(struct.unpack_from(">f", data, begin - 8)[0])
            place = begin + sizes[0] + sizes[1]
            boxes.append(struct.unpack_from(">9f", data, place) if box else (np.nan,) * 9)
            first = place + box + virial + pressure + sizes[5] + sizes[6]
            starts.append((first // 4 if x else -1, (first + x) // 4 if v else -1, (first + x + v) // 4 if f else -1))
            place = end
    if n_atoms is None:
        raise FormatError(f"{path} holds no frame.")
    columns = np.array(starts, dtype=np.int64).T
    fields = dict(zip(("positions", "velocities", "forces"), columns))
    return TrrFile(str(path), n_atoms, np.array(times), np.array(boxes).reshape(-1, 3, 3), fields, place)


def _broken(path, place, n_frames, size):
    if n_frames == 0:
        return f"{path} does not begin as a TRR file; check that it is one."
    return (
        f"{path} is truncated or damaged after frame {n_frames - 1} (byte {place} of {size}); "
        "repair it with 'gmx check' and 'gmx trjconv', or copy it again."
    )
