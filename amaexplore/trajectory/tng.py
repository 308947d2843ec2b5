"""GROMACS TNG, read with pytng (extra ``formats``): each field at its own stride."""

import tempfile
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..errors import FormatError, InputError
from ..files import reason_of, require_room
from .frames import Frames, FrameSource, damaged, frames_per_chunk
from .tng_blocks import copy_frame_sets, find_frame_sets

__all__ = ["TngSource"]

_BLOCKS = {
    "positions": ("TNG_TRAJ_POSITIONS", "get_positions"),
    "velocities": ("TNG_TRAJ_VELOCITIES", "get_velocities"),
    "forces": ("TNG_TRAJ_FORCES", "get_forces"),
}
_BOX = "TNG_TRAJ_BOX_SHAPE"
SECOND = 1e12  # ps


class TngSource(FrameSource):
    """A TNG file; a frame is every MD step at which anything was written."""

    def __init__(self, path):
        try:
            import pytng
        except ImportError:
            raise FormatError(
                f"Reading {path} needs the pytng package: pip install 'amaexplore[formats]', or convert it with 'gmx trjconv -o x.trr'."
            ) from None
        self._library = pytng
        self._sets = find_frame_sets(path)
        self._file = None
        self._copies = ExitStack()
        self._n_opened = 0
        try:
            self._open(path, 1)
            strides = self._file.block_strides
        except Exception as error:  # pytng has no error class of its own
            self.close()
            raise FormatError(f"{path} is not a readable TNG file ({error}).") from None
        self._strides = {name: strides[block] for name, (block, _) in _BLOCKS.items() if strides.get(block, 0) > 0}
        self._box_stride = strides.get(_BOX, 0)
        if not self._strides:
            self.close()
            raise FormatError(f"{path} holds no positions, velocities or forces (it holds {', '.join(strides)}).")
        # the library's own counts of frames are one too small for some files
        last = self._sets.n_steps[-1] if self._sets.has_rest else self._file.n_steps
        self._steps = np.unique(np.concatenate([np.arange(0, last, stride) for stride in self._strides.values()]))
        super().__init__(path=path, n_atoms=self._file.n_atoms, n_frames=len(self._steps), has_rest=self._sets.has_rest)

    def _open(self, path, n_sets):
        """Open the file; where it was cut short, a temporary copy of so many of its whole frame sets."""
        if self._file is not None and (not self._sets.has_rest or n_sets <= self._n_opened):
            return
        self.close()
        if self._sets.has_rest:
            # the library would look for what is not there any more
            path = self._copy_of(path, n_sets)
        self._file = self._library.TNGFileIterator(str(path), "r")
        self._n_opened = n_sets

    def _copy_of(self, path, n_sets):
        whole = Path(self._copies.enter_context(tempfile.TemporaryDirectory())) / "whole.tng"
        size = self._sets.ends[n_sets - 1]
        try:
            with open(whole, "w+b") as copy:
                require_room(copy.fileno(), size)
                copy_frame_sets(path, self._sets, n_sets, copy)
        except OSError as error:
            raise InputError(
                f"{path} was cut short; what is whole of it is read from a copy of {size / 1e6:.3g} MB in {whole.parent.parent}, "
                f"which could not be written: {reason_of(error)}. Name a folder with room in TMPDIR, or choose fewer frames=."
            ) from None
        return whole

    def chunks(self, chosen):
        self.refuse_rest(chosen.stop)
        frames = range(*chosen.indices(self.n_frames))
        if frames and self.has_rest:
            self._open(self.path, 1 + bisect_right(self._sets.n_steps, int(self._steps[frames[-1]])))
        size = frames_per_chunk(self.n_atoms)
        for first in range(0, len(frames), size):
            yield self._read(frames[first : first + size])

    def _read(self, frames):
        shape = (len(frames), self.n_atoms, 3)
        fields = {name: np.full(shape, np.nan, np.float32) for name in self._strides}
        times, box = np.empty(len(frames)), np.zeros((len(frames), 3, 3))
        steps = self._steps[frames.start : frames.stop : frames.step]
        cell = np.zeros((1, 9), dtype=np.float32)
        for row, step in enumerate(steps.tolist()):
            try:
                snapshot = self._file.read_step(step)
                times[row] = snapshot.get_time() * SECOND
                for name, stride in self._strides.items():
                    if step % stride == 0:
                        getattr(snapshot, _BLOCKS[name][1])(fields[name][row])
                        if not snapshot.read_success:
                            fields[name][row] = np.nan  # it holds whatever was there before
                if all(np.isnan(values[row, 0, 0]) for values in fields.values()):
                    raise damaged(self.path, frames[row], self.n_frames)
                if self._box_stride and step % self._box_stride == 0:
                    snapshot.get_box(cell)
                box[row] = cell.reshape(3, 3)
            except FormatError:
                raise
            except Exception:  # as above
                raise damaged(self.path, frames[row], self.n_frames) from None
        return Frames(times, fields, box if box.any() else None, steps)

    def close(self):
        if self._file is not None:
            self._file._close()
        self._file = None
        self._copies.close()
