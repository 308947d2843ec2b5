"""LAMMPS text dumps: any columns in any order, groups, image flags, tilted boxes, plain or compressed.

Positions are LAMMPS' own unwrapped ones where the dump allows it (``xu``, ``xsu``, or ``x``/``xs`` with the image
flags ``ix iy iz``), so that they agree with what LAMMPS calls unwrapped and no image is ever guessed.
"""

from dataclasses import dataclass
from itertools import chain, islice

import numpy as np

from ..errors import FormatError, InputError, Notice
from ..units import ENGINE_UNITS, EngineUnits
from .frames import Frames, FrameSource, damaged, frames_per_chunk
from .text_files import BROKEN_STREAM, open_text
from .topologies import topology_of_particles

__all__ = ["LammpsDumpSource", "engine_units"]

_COORDINATES = {  # columns -> (unwrapped by LAMMPS, scaled by the box)
    ("xu", "yu", "zu"): (True, False),
    ("xsu", "ysu", "zsu"): (True, True),
    ("x", "y", "z"): (False, False),
    ("xs", "ys", "zs"): (False, True),
}
_IMAGES = ("ix", "iy", "iz")
_TEXT_COLUMNS = {"element", "type", "typelabel"}
_NUMBER_COLUMNS = {
    *["id", "mol", "mass", "vx", "vy", "vz", "fx", "fy", "fz"],
    *_IMAGES,
    *chain.from_iterable(_COORDINATES),
}


def engine_units(units, path):
    """The unit system of a dump: by name, as factors, or reduced units with the user's mass, σ and ε.

    Parameters
    ----------
    units : str, dict, EngineUnits or None
        ``"real"``, ``"metal"``, ...; ``"lj"`` takes σ = 1 nm, m = 1 u, ε = 1 kJ/mol; ``{"mass": u, "sigma": nm,
        "epsilon": kJ/mol}`` says what one reduced unit is.
    """
    if isinstance(units, EngineUnits):
        return units
    if isinstance(units, dict):
        unknown = set(units) - {"mass", "sigma", "epsilon"}
        if unknown or set(units) != {"mass", "sigma", "epsilon"}:
            raise InputError(
                f"Reduced units need exactly mass (u), sigma (nm) and epsilon (kJ/mol); got {sorted(units)}."
            )
        return _reduced_units(**units)
    known = ", ".join([*(name for name in ENGINE_UNITS if name not in ("gromacs", "amber")), "lj"])
    if units is None:
        raise InputError(f"{path} does not say its units (no 'ITEM: UNITS'); give units= one of {known}.")
    if units == "lj":
        return _reduced_units(1.0, 1.0, 1.0)
    if units not in ENGINE_UNITS:
        raise InputError(f"Units {units!r} are not known; known are {known}, or a dict of mass, sigma and epsilon.")
    return ENGINE_UNITS[units]


def _reduced_units(mass, sigma, epsilon):
    if not all(np.isfinite(value) and value > 0 for value in (mass, sigma, epsilon)):
        raise InputError("mass, sigma and epsilon of the reduced units must be positive numbers in u, nm and kJ/mol.")
    time = sigma * np.sqrt(mass / epsilon)
    return EngineUnits("lj", sigma, time, mass, sigma / time, epsilon / sigma)


@dataclass
class _Snapshot:
    """One frame as the file has it, in its own units."""

    step: int
    time: float | None
    units: str | None
    origin: np.ndarray
    box: np.ndarray
    columns: list
    values: dict


class LammpsDumpSource(FrameSource):
    """A text dump; compressed files are recognised by their name (.gz, .zst, .bz2, .xz)."""

    def __init__(self, path, units=None):
        self._stream = open_text(path)
        try:
            self._begin(path, units)
        except BaseException:
            self._stream.close()
            raise

    def _begin(self, path, units):
        first = _next_snapshot(self._stream, path, 0)
        if first is None:
            raise FormatError(f"{path} is empty; expected a LAMMPS dump with 'ITEM: TIMESTEP'.")
        self._units = engine_units(units if units is not None else first.units, path)
        self._order = _order(first, path)
        self._ids = None if "id" not in first.values else first.values["id"][self._order].astype(np.int64)
        self._coordinates = next((names for names in _COORDINATES if set(names) <= set(first.columns)), None)
        self._has = {
            "positions": self._coordinates is not None,
            "velocities": {"vx", "vy", "vz"} <= set(first.columns),
            "forces": {"fx", "fy", "fz"} <= set(first.columns),
        }
        if not any(self._has.values()):
            raise FormatError(
                f"{path} has the columns {' '.join(first.columns)}; expected positions (x y z, xs ys zs, xu yu zu or xsu ysu "
                "zsu), velocities (vx vy vz) or forces (fx fy fz)."
            )
        whole = self._coordinates is not None and (
            _COORDINATES[self._coordinates][0] or set(_IMAGES) <= set(first.columns)
        )
        masses = None
        if "mass" in first.values:
            masses = first.values["mass"][self._order] * self._units.mass
        super().__init__(
            path=path,
            n_atoms=len(self._order),
            masses=masses,
            masses_source="the mass column of the dump",
            is_unwrapped=whole,
            topology=None if masses is None else _topology(first, self._order, masses),
        )
        if first.time is None and first.step is not None:
            self.facts["times_missing"] = True
        if self._units.name == "lj" and not isinstance(units, dict):
            self.notices.append(
                Notice(
                    "reduced_units",
                    "The dump is in reduced Lennard-Jones units; one unit was taken as 1 nm, 1 u and 1 kJ/mol (so 1 ps). Give "
                    "units={'mass': u, 'sigma': nm, 'epsilon': kJ/mol} for real ones.",
                    "info",
                )
            )
        self._first = first
        self._sequence = 0  # number of the next snapshot in the stream, after the first

    def chunks(self, chosen):
        self._rewind()
        size = frames_per_chunk(self.n_atoms)
        wanted, collected = chosen.start, []
        frame = 0
        while chosen.stop is None or frame < chosen.stop:
            snapshot = self._next(frame, keep=frame == wanted)
            if snapshot is None:
                break
            if frame == wanted:
                collected.append(self._converted(snapshot, frame))
                wanted += chosen.step
                if len(collected) == size:
                    yield _stacked(collected)
                    collected = []
            frame += 1
        else:
            frame = None  # stopped before the end: the number of frames stays unknown
        if frame is not None:
            self.n_frames = frame
        if collected:
            yield _stacked(collected)

    def count(self):
        if self.n_frames is None:
            for _ in self.chunks(slice(2**62, None, 1)):
                pass
        return self.n_frames

    def position(self):
        return getattr(self._stream, "fraction", lambda: 0.0)()

    def close(self):
        self._stream.close()

    def _rewind(self):
        if self._sequence > 0:
            self._stream.close()
            self._stream = open_text(self.path)
            self._first = _next_snapshot(self._stream, self.path, 0)
            self._sequence = 0

    def _next(self, frame, keep):
        self._sequence += 1
        if frame == 0:
            return self._first
        return _next_snapshot(self._stream, self.path, frame, parse=keep)

    def _converted(self, snapshot, frame):
        values = snapshot.values
        order = self._order
        if len(next(iter(values.values()))) != self.n_atoms:
            raise FormatError(
                f"{self.path} has {len(next(iter(values.values())))} atoms in frame {frame} and {self.n_atoms} in frame 0; "
                "expected the same atoms throughout (a static group)."
            )
        if list(snapshot.columns) != list(self._first.columns):
            raise FormatError(
                f"{self.path} has other columns in frame {frame} ({' '.join(snapshot.columns)}) than in frame 0 "
                f"({' '.join(self._first.columns)})."
            )
        if self._ids is not None:
            order = np.argsort(values["id"], kind="stable")
            if not np.array_equal(values["id"][order], self._ids):
                raise FormatError(
                    f"{self.path} holds other atoms in frame {frame} than in frame 0 (their ids differ); expected a static group."
                )
        units, fields = self._units, {}
        if self._has["positions"]:
            fields["positions"] = units.length * self._positions(snapshot, order)
        for name, columns, factor in (
            ("velocities", ("vx", "vy", "vz"), units.velocity),
            ("forces", ("fx", "fy", "fz"), units.force),
        ):
            if self._has[name]:
                fields[name] = factor * _columns(values, columns, order)
        time = np.nan if snapshot.time is None else snapshot.time * units.time
        return time, snapshot.step, units.length * snapshot.box, fields

    def _positions(self, snapshot, order):
        is_unwrapped, is_scaled = _COORDINATES[self._coordinates]
        positions = _columns(snapshot.values, self._coordinates, order)
        if is_scaled:
            positions = positions @ snapshot.box + snapshot.origin
        if not is_unwrapped and set(_IMAGES) <= set(snapshot.columns):
            positions = positions + _columns(snapshot.values, _IMAGES, order) @ snapshot.box
        return positions


def _columns(values, names, order):
    return np.stack([values[name] for name in names], axis=1)[order]


def _stacked(frames):
    times, steps, boxes, fields = zip(*frames)
    return Frames(
        np.array(times, dtype=float),
        # text dumps carry six digits: single precision holds them
        {name: np.stack([part[name] for part in fields]).astype(np.float32) for name in fields[0]},
        np.array(boxes),
        np.array(steps),
    )


def _order(snapshot, path):
    """Rows by atom id, which need not start at 1, be without gaps, or be sorted."""
    n_atoms = len(next(iter(snapshot.values.values())))
    if "id" not in snapshot.values:
        return np.arange(n_atoms)
    ids = snapshot.values["id"]
    order = np.argsort(ids, kind="stable")
    if (np.diff(ids[order]) == 0).any():
        raise FormatError(f"{path} names an atom id twice in frame 0; the file is damaged.")
    return order


def _topology(snapshot, order, masses):
    def column(name):
        return None if name not in snapshot.values else snapshot.values[name][order]

    return topology_of_particles(masses, elements=column("element"), types=column("type"), molecules=column("mol"))


# -- text ---------------------------------------------------------------------------------------------


def _next_snapshot(stream, path, frame, parse=True):
    try:
        return _parse_snapshot(stream, path, frame, parse)
    except BROKEN_STREAM as error:  # a compressed file that ends early, or is damaged
        raise FormatError(f"{damaged(path, frame)} ({error})") from None


def _parse_snapshot(stream, path, frame, parse):
    step = time = units = n_atoms = origin = box = None
    started = False
    for line in stream:
        if not line.startswith(b"ITEM:"):
            if not line.strip():
                continue
            raise FormatError(
                f"{path}: expected 'ITEM: ...' at frame {frame}, found {_shown(line)}; is this a LAMMPS dump?"
            )
        started = True
        item = line[5:].strip()
        if item == b"UNITS":
            units = _line(stream, path, frame).decode("ascii", "replace").strip()
        elif item == b"TIME":
            time = _number(_line(stream, path, frame), float, path, frame)
        elif item == b"TIMESTEP":
            step = _number(_line(stream, path, frame), int, path, frame)
        elif item == b"NUMBER OF ATOMS":
            n_atoms = _number(_line(stream, path, frame), int, path, frame)
        elif item.startswith(b"BOX BOUNDS"):
            origin, box = _box([_line(stream, path, frame) for _ in range(3)], item, path, frame)
        elif item.startswith(b"ATOMS"):
            columns = item.decode("ascii", "replace").split()[1:]
            if n_atoms is not None and not 0 < n_atoms < 2**40:
                raise FormatError(f"{path}: frame {frame} claims {n_atoms} atoms; the file is damaged.")
            if n_atoms is None or box is None:
                raise FormatError(f"{path}: frame {frame} lacks its number of atoms or its box; the file is damaged.")
            values = _table(stream, columns, n_atoms, path, frame, parse)
            return _Snapshot(step, time, units, origin, box, columns, values)
        else:
            raise FormatError(f"{path}: frame {frame} has an unknown section {_shown(line)}.")
    if started:
        raise damaged(path, frame)
    return None


def _line(stream, path, frame):
    for line in stream:
        return line
    raise damaged(path, frame)


def _shown(line):
    return repr(line[:60].decode("ascii", "replace").strip())


def _number(line, kind, path, frame):
    try:
        return kind(line)
    except ValueError:
        raise FormatError(
            f"{path}: expected a number in frame {frame}, found {_shown(line)}; the file is damaged."
        ) from None


def _box(lines, item, path, frame):
    """Origin and box vectors as rows; bounds of a tilted box are those of its bounding box."""
    try:
        rows = np.array([[float(word) for word in line.split()] for line in lines])
    except ValueError:
        raise FormatError(
            f"{path}: the box of frame {frame} is not three rows of numbers; the file is damaged."
        ) from None
    if rows.ndim == 2 and rows.shape[1] == 4 and b"abc" in item:
        return rows[:, 3], rows[:, :3]
    if rows.ndim != 2 or rows.shape[1] not in (2, 3):
        raise FormatError(f"{path}: the box of frame {frame} is not three rows of numbers; the file is damaged.")
    low, high = rows[:, 0].copy(), rows[:, 1].copy()
    xy, xz, yz = rows[:, 2] if rows.shape[1] == 3 else (0.0, 0.0, 0.0)
    low[0] -= min(0.0, xy, xz, xy + xz)
    high[0] -= max(0.0, xy, xz, xy + xz)
    low[1] -= min(0.0, yz)
    high[1] -= max(0.0, yz)
    lengths = high - low
    return low, np.array([[lengths[0], 0.0, 0.0], [xy, lengths[1], 0.0], [xz, yz, lengths[2]]])


def _table(stream, columns, n_atoms, path, frame, parse):
    lines = list(islice(stream, n_atoms))
    if len(lines) < n_atoms or (lines and not lines[-1].endswith(b"\n") and lines[-1].count(b" ") < len(columns) - 1):
        raise damaged(path, frame)
    if not parse:
        return {}
    block = b" ".join(lines)
    text = _TEXT_COLUMNS & set(columns)
    try:
        # numbers throughout, the usual case, parse twenty times faster
        table = np.array(block.split(), dtype=float) if not text - {"type"} else None
    except ValueError:
        table = None
    if table is None:
        words = block.split()
        if len(words) != n_atoms * len(columns):
            raise damaged(path, frame)
        return {name: _as_numbers(words[k :: len(columns)], name, path, frame) for k, name in enumerate(columns)}
    if len(table) != n_atoms * len(columns):
        raise damaged(path, frame)
    table = table.reshape(n_atoms, len(columns))
    return {name: table[:, k] for k, name in enumerate(columns)}


def _as_numbers(words, name, path, frame):
    try:
        return np.array(words, dtype=float)
    except ValueError:
        if name in _TEXT_COLUMNS:
            return np.array([word.decode("ascii", "replace") for word in words])
        if name in _NUMBER_COLUMNS:
            raise FormatError(
                f"{path}: column {name} of frame {frame} holds something that is not a number; the file is damaged."
            ) from None
        return np.array(words)
