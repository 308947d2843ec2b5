"""GROMACS XTC: positions, read with mdtraj after each frame has been checked, because its library may crash on damage."""

import os
import struct

import mdtraj
import numpy as np

from ..errors import FormatError
from ..kernels.xtc import is_sound
from .frames import Frames, FrameSource, damaged, frames_per_chunk

__all__ = ["XtcSource"]

_MAGIC = {1995: 4, 2023: 8}  # the latter for more than 300 million atoms; bytes of the number of packed bytes
_PLAIN = 9  # so many atoms or fewer are not packed


class XtcSource(FrameSource):
    """An XTC file; frames are found by their headers, so that those before damage can be read."""

    def __init__(self, path):
        n_atoms, n_frames, is_whole = _scan(path)
        if n_frames == 0:
            raise FormatError(
                f"{path} is not a readable XTC file, or is truncated or damaged: not even its first frame can be read."
            )
        super().__init__(path=path, n_atoms=n_atoms, n_frames=n_frames, fields=("positions",))
        self.has_rest = not is_whole

    def chunks(self, chosen):
        self.refuse_rest(chosen.stop)
        frames = range(*chosen.indices(self.n_frames))
        if not frames:
            return
        size, done = frames_per_chunk(self.n_atoms, 1), 0
        with mdtraj.formats.XTCTrajectoryFile(str(self.path)) as file:
            while done <= frames[-1]:
                count = min(size, frames[-1] + 1 - done)
                try:
                    positions, times, steps, box = file.read(n_frames=count)
                except Exception:  # it has no error class of its own
                    raise damaged(self.path, done) from None
                if len(positions) != count:
                    raise damaged(self.path, done + len(positions))
                wanted = np.isin(np.arange(done, done + count), frames)
                done += count
                if wanted.any():
                    yield Frames(
                        times[wanted].astype(float),
                        {"positions": positions[wanted]},
                        box[wanted].astype(float) if box.any() else None,
                        steps[wanted].astype(np.int64),
                    )


def _scan(path):
    """Number of atoms, of whole frames, and whether the file ends with them."""
    size = os.path.getsize(path)
    n_atoms, n_frames, position = 0, 0, 0
    with open(path, "rb") as file:
        while position < size:
            file.seek(position)
            length = _frame_length(file, n_atoms or None)
            if length is None or position + length > size:
                return n_atoms, n_frames, False
            if n_frames == 0:
                file.seek(position + 4)
                (n_atoms,) = struct.unpack(">i", file.read(4))
            position += length
            n_frames += 1
    return n_atoms, n_frames, True


def _frame_length(file, n_atoms):
    """Bytes of the frame that begins here, or ``None`` when it is cut short or makes no sense."""
    head = file.read(56)
    if len(head) < 56:
        return None
    magic, count, _ = struct.unpack(">3i", head[:12])
    numbers = np.frombuffer(head[12:52], dtype=">f4")
    (again,) = struct.unpack(">i", head[52:])
    if magic not in _MAGIC or count < 1 or count != again or n_atoms not in (None, count):
        return None
    if not (np.isfinite(numbers).all() and np.abs(numbers[1:]).max() < 1e7):
        return None
    if count <= _PLAIN:
        return 56 + 12 * count
    packing = file.read(32 + _MAGIC[magic])
    if len(packing) < 32 + _MAGIC[magic]:
        return None
    precision, *bounds, first_size = struct.unpack(">f7i", packing[:32])
    n_bytes = int.from_bytes(packing[32:], "big", signed=True)
    sizes = [high - low + 1 for low, high in zip(bounds[:3], bounds[3:])]
    if not 0 < precision < 1e9 or min(sizes) < 1 or max(sizes) >= 2**31 or not 0 < n_bytes <= 16 * count + 16:
        return None
    packed = np.frombuffer(file.read(n_bytes), dtype=np.uint8)
    if len(packed) < n_bytes or not is_sound(packed, count, _bits(sizes), first_size):
        return None
    return 56 + len(packing) + n_bytes + (-n_bytes) % 4


def _bits(sizes):
    """Bits of a triple of integers below ``sizes``: packed together, or each by itself where one is large."""
    if max(sizes) > 0xFFFFFF:
        return sum(size.bit_length() for size in sizes)
    return int(np.prod(sizes, dtype=object)).bit_length()
