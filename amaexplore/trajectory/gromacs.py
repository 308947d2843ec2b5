"""GROMACS TRR: positions, velocities and forces, each frame with the fields it has."""

import struct

import numpy as np

from ..errors import FormatError
from .frames import FIELDS, Frames, FrameSource, damaged, frames_per_chunk

__all__ = ["GromacsTrr"]


class GromacsTrr(FrameSource):
    """A TRR file, read with MDAnalysis' wrapper of the XDR library.

    The wrapper is used below MDAnalysis' reader class, which would write an index file beside the data.
    """

    def __init__(self, path):
        from MDAnalysis.lib.formats.libmdaxdr import TRRFile

        try:
            self._file = TRRFile(str(path))
            offsets = self._file.offsets
        except OSError as error:
            raise FormatError(f"{path} is not a readable TRR file ({error}).") from None
        super().__init__(path=path, n_atoms=self._file.n_atoms, n_frames=len(offsets))
        self.has_rest = len(offsets) > 0 and path.stat().st_size > _end_of_frame(path, int(offsets[-1]))

    def chunks(self, chosen):
        self.refuse_rest(chosen.stop)  # the library does not see a header that was cut short
        frames = range(*chosen.indices(self.n_frames))
        size = frames_per_chunk(self.n_atoms)
        for first in range(0, len(frames), size):
            yield self._read(frames[first : first + size])

    def _read(self, frames):
        shape = (len(frames), self.n_atoms, 3)
        fields = {name: np.empty(shape, np.float32) for name in FIELDS}
        held = np.zeros((len(frames), 3), dtype=bool)
        times, steps, box = np.empty(len(frames)), np.empty(len(frames), np.int64), np.empty((len(frames), 3, 3))
        for row, frame in enumerate(frames):
            try:
                if self._file.tell() != frame:
                    self._file.seek(frame)
                found = self._file.read_direct_xvf(*(fields[name][row] for name in FIELDS))
            except (OSError, StopIteration):
                raise damaged(self.path, frame, self.n_frames) from None
            held[row] = found.hasx, found.hasv, found.hasf
            times[row], steps[row], box[row] = found.time, found.step, found.box
        for column, name in enumerate(FIELDS):
            # the library leaves whatever was in memory where a frame lacks a field
            fields[name][~held[:, column]] = np.nan
            if not held[:, column].any():
                del fields[name]
        return Frames(times, fields, box if box.any() else None, steps)

    def close(self):
        self._file.close()


def _end_of_frame(path, offset):
    """Where a frame ends, from the sizes of its parts in its header."""
    with open(path, "rb") as file:
        file.seek(offset)
        header = file.read(24 + 13 * 4)
    # magic number, length of the version and its text; then thirteen integers of which the first ten are sizes
    numbers = struct.unpack(">13i", header[24:])
    sizes, n_atoms = numbers[:10], numbers[10]
    real = next((size // (3 * n_atoms) for size in sizes[7:] if size), 4) if n_atoms else 4
    return offset + len(header) + 2 * real + sum(sizes)
