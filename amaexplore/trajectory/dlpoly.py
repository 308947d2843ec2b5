"""DL_POLY HISTORY files (DL_POLY Classic and 4, formatted): positions, velocities and forces as far as KEYTRJ says."""

from itertools import islice

import numpy as np

from ..errors import FormatError
from .frames import Frames, FrameSource, damaged, frames_per_chunk
from .text_files import BROKEN_STREAM, open_text
from .topologies import topology_of_particles

__all__ = ["DlpolySource", "is_history"]

NAMES = ("positions", "velocities", "forces")
FACTORS = (0.1, 0.1, 0.1)  # Å, Å/ps, and DL_POLY's own 10 J/mol/Å = u Å/ps²


def is_history(path):
    """Whether the first lines are those of a HISTORY file."""
    try:
        stream = open_text(path)
        try:
            lines = list(islice(stream, 3))
        finally:
            stream.close()
    except (*BROKEN_STREAM, FormatError):
        return False
    return any(line.split()[:1] == [b"timestep"] for line in lines)


class DlpolySource(FrameSource):
    """A HISTORY file; its atoms carry names, masses and charges."""

    def __init__(self, path):
        self._stream = open_text(path)
        try:
            first = self._start(path)
            if first is None:
                raise FormatError(f"{path} holds no frames; expected a DL_POLY HISTORY file.")
        except BaseException:
            self._stream.close()
            raise
        names, masses, order = first["names"], first["masses"], first["order"]
        symbols = [_symbol(names[i]) for i in order]
        super().__init__(
            path=path,
            n_atoms=len(order),
            masses=masses[order],
            masses_source="the HISTORY file",
            topology=topology_of_particles(masses[order], elements=symbols, types=[names[i] for i in order]),
        )
        self._first, self._started = first, False

    def _start(self, path):
        """The header (a title, and a line of numbers; some versions leave them out) and the first frame."""
        self._levels = None
        for line in self._stream:
            words = line.split()
            if words[:1] == [b"timestep"]:
                return _frame(self._stream, line, path, 0, self._levels)
            if len(words) >= 3 and words[0].isdigit() and words[1].isdigit():
                self._levels = int(words[0]), int(words[1])
        return None

    def chunks(self, chosen):
        if self._started:
            self._stream.close()
            self._stream = open_text(self.path)
            self._first = self._start(self.path)
        self._started = True
        size = frames_per_chunk(self.n_atoms)
        collected, frame = [], 0
        while chosen.stop is None or frame < chosen.stop:
            found = self._first if frame == 0 else self._next(frame)
            if found is None:
                self.n_frames = frame
                break
            if len(found["order"]) != self.n_atoms:
                raise FormatError(
                    f"{self.path} has {len(found['order'])} atoms in frame {frame} and {self.n_atoms} in frame 0."
                )
            if frame >= chosen.start and (frame - chosen.start) % chosen.step == 0:
                collected.append(found)
                if len(collected) == size:
                    yield _stacked(collected)
                    collected = []
            frame += 1
        if collected:
            yield _stacked(collected)

    def _next(self, frame):
        try:
            for line in self._stream:
                if line.strip():
                    return _frame(self._stream, line, self.path, frame, self._levels)
        except BROKEN_STREAM:
            raise damaged(self.path, frame) from None
        return None

    def position(self):
        return self._stream.fraction()

    def close(self):
        self._stream.close()


def _frame(stream, line, path, number, levels):
    try:
        return _parsed(stream, line, path, number, levels)
    except (ValueError, IndexError):
        raise damaged(path, number) from None


def _parsed(stream, line, path, number, levels):
    """One frame: timestep nstep natms keytrj imcon tstep [time], the cell, and 2 to 4 lines an atom."""
    words = line.split()
    if words[0] != b"timestep":
        raise damaged(path, number)
    step, n_atoms, key, has_cell = (int(word) for word in words[1:5])
    if levels is not None:
        key, has_cell = levels  # of the header, KEYTRJ and IMCON, which hold for all frames
    interval = float(words[5])
    time = float(words[6]) if len(words) > 6 else step * interval
    box = np.zeros((3, 3))
    if has_cell:
        box = np.array([[float(word) for word in row.split()] for row in islice(stream, 3)])
    lines_each = 2 + key
    lines = list(islice(stream, n_atoms * lines_each))
    if len(lines) < n_atoms * lines_each or not lines[-1].endswith(b"\n") or box.shape != (3, 3) or not 0 <= key <= 2:
        raise damaged(path, number)
    heads = [row.split() for row in lines[::lines_each]]
    values = [
        np.array(b" ".join(lines[k::lines_each]).split(), dtype=float).reshape(n_atoms, 3) for k in range(1, lines_each)
    ]
    indices = np.array([int(head[1]) for head in heads])
    return {
        "step": step,
        "time": time,
        "box": 0.1 * box,
        "names": [head[0].decode("ascii", "replace") for head in heads],
        "masses": np.array([float(head[2]) for head in heads]),
        "order": np.argsort(indices, kind="stable"),
        "fields": dict(zip(NAMES, values)),
    }


def _stacked(frames):
    held = [name for name in NAMES if all(name in frame["fields"] for frame in frames)]
    fields = {
        name: np.stack([factor * frame["fields"][name][frame["order"]] for frame in frames]).astype(np.float32)
        for name, factor in zip(NAMES, FACTORS)
        if name in held
    }
    box = np.array([frame["box"] for frame in frames])
    times, steps = (np.array([frame[key] for frame in frames]) for key in ("time", "step"))
    return Frames(times.astype(float), fields, box if box.any() else None, steps)


def _symbol(name):
    """The letters an atom's name begins with, such as K for K+; empty where they are no element."""
    from mdtraj.core.element import Element

    letters = "".join(letter for letter in name if letter.isalpha()).capitalize()
    for length in (2, 1):
        try:
            return Element.getBySymbol(letters[:length]).symbol
        except KeyError:
            continue
    return ""
