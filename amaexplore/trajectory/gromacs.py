"""GROMACS TRR: positions, velocities and forces, each frame with the fields it has."""

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

    def chunks(self, chosen):
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
