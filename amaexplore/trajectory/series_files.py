"""Series files: R, P and F of a group over time, as engines write them, without the atoms.

GROMACS .xvg, LAMMPS fix print and fix ave/time and YAML thermo output, PLUMED COLVAR, CSV and other plain columns, and the
files of `amaexplore.simulate`. `amaexplore.trajectory.recipes` prints the input that makes an engine write them.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import FormatError, InputError, Notice
from ..files import replacing
from ..order_parameters import SERIES, OrderParameters
from ..units import ENGINE_UNITS
from .lammps import engine_units
from .text_files import BROKEN_STREAM, open_text
from .unit_text import unit_factor
from .unwrap import minimum_image

__all__ = ["is_series_file", "load_series", "write_series"]

_ENDINGS = {".xvg", ".csv", ".tsv", ".colvar", ".dat", ".txt", ".yaml", ".yml", ".log"}
_KINDS = {
    "centre_of_mass": "length",
    "momentum": "momentum",
    "velocity": "velocity",
    "net_force": "force",
    "time": "time",
}
_LETTERS = {"centre_of_mass": "R", "momentum": "P", "velocity": "V", "net_force": "F"}

# what columns are called, after c_, v_ and f_ of LAMMPS have been taken off; %s is x, y, z or 1, 2, 3
_SPELLINGS = {
    "centre_of_mass": ("r%s", "r_%s", "r.%s", "com%s", "com_%s", "com.%s", "com.p%s", "c.%s", "x_com_%s", "xcm%s", "xcm_%s", "centre_of_mass_%s",
                       "center_of_mass_%s", "centre_of_mass.%s", "com[%s]", "r[%s]", "xcm[%s]", "pos_%s", "position_%s", "pos.%s", "p.%s"),
    "momentum": ("p%s", "p_%s", "momentum_%s", "momentum.%s", "p[%s]", "mom%s", "mom_%s"),
    "velocity": ("v%s", "v_%s", "vcm%s", "vcm_%s", "velocity_%s", "v_com_%s", "v[%s]", "vcm[%s]", "vel_%s"),
    "net_force": ("f%s", "f_%s", "force_%s", "net_force_%s", "force.%s", "f[%s]", "fcm%s", "fcm_%s", "force%s", "fcm[%s]"),
}  # fmt: skip
_TIMES = {"time", "t", "time_ps", "tps"}
_STEPS = {"step", "timestep"}


@dataclass
class _Table:
    """Columns of one file, in the units and with the facts that the file itself states."""

    path: Path
    names: list
    units: list
    values: np.ndarray
    facts: dict = field(default_factory=dict)
    kind: str = "columns"
    notices: list = field(default_factory=list)


def is_series_file(path):
    """Whether a file holds columns over time rather than atoms (told by its name and its first line)."""
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in (".gz", ".zst", ".bz2", ".xz"):
        suffixes.pop()
    if path.name.upper().startswith("COLVAR"):
        return True
    if not suffixes or suffixes[-1] not in _ENDINGS:
        return False
    # LAMMPS users give dumps any name
    return not _first_line(path).startswith(b"ITEM:")


def _first_line(path):
    try:
        stream = open_text(path)
        try:
            return next(iter(stream), b"")
        finally:
            stream.close()
    except BROKEN_STREAM:
        return b""


def load_series(
    files,
    *,
    mass=None,
    n_atoms=None,
    typical_mass=None,
    units=None,
    timestep=None,
    columns=None,
    group=0,
    temperature=None,
    total_mass=None,
    zero_total_momentum=False,
    momentum_offset=0.0,
):
    """R, P and F over time from files that an engine wrote.

    Parameters
    ----------
    files : path or sequence of paths
        Files of different quantities (``com.xvg``, ``vel.xvg``, ``force.xvg``) are put side by side; several files of the
        same quantities are replicas, in the order given.
    mass : float, u, optional
        Of the group; needed unless the file states it, and to turn centre-of-mass velocities into momenta.
    n_atoms, typical_mass : int, float (u), optional
        For ε = m̂/m.
    units : str or dict, optional
        LAMMPS unit style of the numbers (``"real"``, ``"metal"``, ...); without it nm, ps, u and kJ/mol/nm, or what the column
        names say (``Rx [Angstrom]``).
    timestep : float, ps, optional
        Between rows; overrides the file's times.
    columns : dict, optional
        Where names are not understood: ``{"time": "t", "momentum": ["px", "py", "pz"], ...}``, by name or number from 0; keys
        ``time``, ``centre_of_mass``, ``momentum``, ``velocity``, ``net_force``.
    group : int
        Which group of an .xvg file with several.
    temperature, total_mass, zero_total_momentum, momentum_offset
        As in `OrderParameters`.

    Returns
    -------
    OrderParameters

    Raises
    ------
    FormatError
        A file that is missing, empty, of unknown columns, or damaged.
    InputError
        No file was given, or options that contradict the files.
    """
    paths = [Path(file).expanduser() for file in ([files] if isinstance(files, str | Path) else files)]
    if not paths:
        raise InputError("load_series needs at least one file; none was given.")
    _require_files(paths)
    if all(path.suffix.lower() in (".h5md", ".h5", ".hdf5") for path in paths):
        return _recorded(paths)
    tables = [_read_table(path) for path in paths]
    parts = [_interpreted(table, units, columns, group) for table in tables]
    facts = {key: value for table in tables for key, value in table.facts.items()}
    mass = mass if mass is not None else facts.get("mass")
    runs = _runs(parts, paths)
    notices = [notice for table in tables for notice in table.notices]
    time, arrays = _stacked(runs, timestep, paths, notices)
    if mass is None:
        raise InputError(
            f"{paths[0]} does not say the mass of the group: give mass= in u (--mass on the command line), or put a line "
            "such as '# amaexplore mass=519.3' at its top."
        )
    if "velocity" in arrays:
        velocity = arrays.pop("velocity")
        arrays.setdefault("momentum", mass * velocity)
    box = arrays.pop("box", None)
    if box is not None and "centre_of_mass" in arrays:
        arrays["centre_of_mass"] = _without_jumps(arrays["centre_of_mass"], box)
    _note_jumps(arrays, notices)
    return OrderParameters.from_arrays(
        time=time,
        mass=mass,
        typical_mass=typical_mass if typical_mass is not None else facts.get("typical_mass"),
        n_atoms=n_atoms if n_atoms is not None else facts.get("n_atoms"),
        temperature=temperature if temperature is not None else facts.get("temperature"),
        total_mass=total_mass if total_mass is not None else facts.get("total_mass"),
        zero_total_momentum=bool(zero_total_momentum or facts.get("zero_total_momentum", False)),
        momentum_offset=momentum_offset or facts.get("momentum_offset", 0.0),
        label=facts.get("label", ", ".join(path.name for path in paths)),
        files=tuple(str(path) for path in paths),
        warnings=tuple(notices),
        **arrays,
    )


def _require_files(paths):
    for path in paths:
        if not path.is_file():
            raise FormatError(f"The file {path} does not exist; check its path.")
        if path.stat().st_size == 0:
            raise FormatError(f"The file {path} is empty; expected columns over time.")


def _recorded(paths):
    from dataclasses import replace

    from ..simulate.recorder import recorded_series

    runs = [recorded_series(path) for path in paths]
    names = tuple(str(path) for path in paths)
    if len(runs) == 1:
        return replace(runs[0], files=names)
    n_frames = min(run.n_frames for run in runs)
    stacked = {name: np.stack([getattr(run, name)[:n_frames] for run in runs]) for name in SERIES if runs[0].has(name)}
    return replace(runs[0], time=runs[0].time[:n_frames], files=names, **stacked)


# -- reading columns ----------------------------------------------------------------------------------


def _read_table(path):
    header, rows, cut = [], [], None
    try:
        stream = open_text(path)
        try:
            for number, line in enumerate(stream, 1):
                text = line.strip()
                if not text:
                    continue
                if text[:1] in b"#@&" or not _is_data(text):
                    header.append((len(rows), text.decode("utf-8", "replace")))
                else:
                    rows.append((number, text, line.endswith(b"\n")))
        finally:
            stream.close()
    except BROKEN_STREAM as error:
        raise FormatError(f"{path} is truncated or damaged after row {len(rows)} ({error}).") from None
    if not rows:
        raise FormatError(f"{path} holds no rows of numbers; expected columns over time.")
    values, cut = _numbers(path, rows)
    table = _named(path, header, values)
    if cut:
        table.notices.append(
            Notice(
                "last_row_cut",
                f"The last row of {path.name} is incomplete and was left out; the run may have been cut short.",
                "info",
            )
        )
    return table


def _is_data(text):
    first = text.lstrip(b"- [").split(b",")[0].split()
    if not first:
        return False
    try:
        float(first[0].strip(b"[],"))
    except ValueError:
        return False
    return True


def _numbers(path, rows):
    """The rows as an array; a last row that was cut short is dropped."""
    separators = bytes.maketrans(b",;[]\t", b"     ")
    words = [text.translate(separators).removeprefix(b"- ").lstrip(b"-").split() if text[:1] == b"-" and text[1:2] == b" " else
             text.translate(separators).split() for _, text, _ in rows]  # fmt: skip
    width = len(words[0])
    cut = len(words) > 1 and (len(words[-1]) < width or not rows[-1][2])
    if cut:
        words.pop()
    for (number, _, _), row in zip(rows, words):
        if len(row) != width:
            raise FormatError(
                f"{path}: row {number} has {len(row)} columns, the first has {width}; the file is damaged."
            )
    try:
        values = np.array(words, dtype=float)
    except ValueError:
        for (number, text, _), row in zip(rows, words):
            try:
                [float(word) for word in row]
            except ValueError:
                shown = text[:60].decode("utf-8", "replace")
                raise FormatError(f"{path}: row {number} is not numbers ({shown!r}); the file is damaged.") from None
        raise
    if not np.isfinite(values).all():
        number = rows[int(np.argmax(~np.isfinite(values).all(axis=1)))][0]
        raise FormatError(f"{path}: row {number} holds NaN or infinite numbers; leave those rows out.")
    return values, cut


def _named(path, header, values):
    """Column names, units and facts out of whatever header the engine wrote."""
    lines = [text for _, text in header]
    if any(line.startswith("@") for line in lines) or path.suffix.lower() == ".xvg":
        return _gromacs_table(path, lines, values)
    names, units, facts = None, None, {}
    for line in lines:
        bare = line.lstrip("#! ").strip()
        if line.startswith("#! SET"):
            continue
        if line.startswith("#! FIELDS"):
            names = bare.removeprefix("FIELDS").split()
        elif bare.startswith("amaexplore"):
            facts |= _stated_facts(bare)
        elif bare.startswith("keywords:"):
            # in quotes, as in 'c_com[1]', or bare
            words = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]'\"]+)", bare.removeprefix("keywords:"))
            names = ["".join(word) for word in words]
        else:
            words = _split_names(bare)
            if len(words) == values.shape[1]:
                names = words
    if names is None or len(names) != values.shape[1]:
        names = [str(k) for k in range(values.shape[1])]
    if facts.get("units") in ENGINE_UNITS:
        engine = ENGINE_UNITS[facts["units"]]
        facts |= {name: facts[name] * engine.mass for name in ("mass", "typical_mass", "total_mass") if name in facts}
        facts |= {name: facts[name] * engine.time for name in ("md_timestep", "momentum_offset") if name in facts}
    names, units = zip(*(_name_and_unit(name) for name in names))
    return _Table(path, list(names), list(units), values, facts)


def _split_names(line):
    """Names separated by commas, tabs or blanks; a unit in brackets belongs to the name before it."""
    joined = re.sub(r"\s+([\[(][^\])]*[\])])", lambda match: match[1].replace(" ", "~"), line)
    return [word.strip().replace("~", " ") for word in re.split(r"[,;\t]|\s+", joined) if word.strip()]


def _name_and_unit(name):
    match = re.fullmatch(r"(.+?)\s*[\[(]([^\])]*[A-Za-zÅåμµ][^\])]*)[\])]", name)
    if match:
        return match[1].strip(), match[2].strip()
    return name, None


def _stated_facts(line):
    """``amaexplore mass=968.09 units=real n_atoms=137``: what our recipes write into the header."""
    facts = {}
    for key, value in re.findall(r"(\w+)=(\"[^\"]*\"|\S+)", line):
        value = value.strip('"')
        if key in ("mass", "typical_mass", "temperature", "total_mass", "momentum_offset", "md_timestep", "timestep"):
            facts[key] = float(value)
        elif key == "n_atoms":
            facts[key] = int(float(value))
        elif key == "zero_total_momentum":
            facts[key] = value.lower() in ("true", "yes", "1")
        elif key in ("units", "label"):
            facts[key] = value
    return facts


def _gromacs_table(path, lines, values):
    """``gmx traj`` writes one quantity per file; the label of the y axis says which."""
    label = next((match[1] for line in lines if (match := re.match(r'@\s+yaxis\s+label\s+"(.*)"', line))), "")
    words = label.lower()
    kind = next(
        (
            kind
            for word, kind in (("coord", "centre_of_mass"), ("veloc", "velocity"), ("force", "net_force"))
            if word in words
        ),
        None,
    )
    if kind is None:
        raise FormatError(
            f"{path}: the y axis is labelled {label!r}; expected a coordinate, velocity or force, as 'gmx traj -com -ox -ov -of' writes."
        )
    if (values.shape[1] - 1) % 3 or values.shape[1] < 4:
        raise FormatError(
            f"{path} has {values.shape[1]} columns; expected the time and x, y, z of each group (options -x -y -z all on, no -len)."
        )
    axis_label = next(
        (match[1] for line in lines if (match := re.match(r'@\s+xaxis\s+label\s+"(.*)"', line))), "Time (ps)"
    )
    unit = _name_and_unit(axis_label)[1] or "ps"
    legends = [match[1] for line in lines if (match := re.match(r'@\s+s\d+\s+legend\s+"(.*)"', line))]
    facts = {"legends": legends, "kind": kind, "time_unit": unit}
    return _Table(path, [], [], values, facts, "xvg")


# -- what the columns mean ----------------------------------------------------------------------------


def _interpreted(table, units, columns, group):
    """{"time": (n,) ps or None, "centre_of_mass": (n, 3) nm, ...} of one file."""
    if table.kind == "xvg":
        n_groups = (table.values.shape[1] - 1) // 3
        if not 0 <= group < n_groups:
            raise InputError(f"{table.path} has {n_groups} groups; group={group} does not exist.")
        if n_groups > 1:
            names = table.facts["legends"]
            table.notices.append(
                Notice(
                    "several_groups",
                    f"{table.path.name} has {n_groups} groups ({', '.join(names[::3])}); number {group} was taken.",
                    "info",
                )
            )
        first = 1 + 3 * group
        return {
            "time": table.values[:, 0] * unit_factor(table.facts["time_unit"], "time"),
            table.facts["kind"]: table.values[:, first : first + 3],
        }
    stated = table.facts.get("units")
    scale = _scales(units if units is not None else stated, table.path)
    found = _chosen_columns(table, columns) if columns is not None else _recognised_columns(table)
    part = {}
    for name, numbers in found.items():
        kind = _KINDS.get(name)
        factors = [scale[kind] if table.units[k] is None else unit_factor(table.units[k], kind) for k in numbers]
        values = table.values[:, numbers] * factors
        part[name] = values[:, 0] if name == "time" else values
    cell = _cell_columns(table)
    if cell is not None:
        part["box"] = table.values[:, cell] * scale["length"]
    if "time" not in part:
        part["time"] = _time_from_steps(table)
    return part


def _scales(units, path):
    if units is None or units in ("gromacs", "amaexplore"):
        return dict.fromkeys(_KINDS.values(), 1.0)
    engine = ENGINE_UNITS["amber"] if units == "amber" else engine_units(units, path)
    return {
        "length": engine.length,
        "time": engine.time,
        "velocity": engine.velocity,
        "momentum": engine.mass * engine.velocity,
        "force": engine.force,
    }


def _chosen_columns(table, columns):
    unknown = set(columns) - set(_KINDS)
    if unknown:
        raise InputError(f"columns= knows {', '.join(_KINDS)}; got {', '.join(sorted(unknown))}.")
    found = {}
    for name, wanted in columns.items():
        wanted = [wanted] if isinstance(wanted, str | int) else list(wanted)
        if len(wanted) != (1 if name == "time" else 3):
            raise InputError(
                f"columns[{name!r}] needs {'one column' if name == 'time' else 'three columns, x y z'}; got {wanted}."
            )
        found[name] = [_column_number(table, column) for column in wanted]
    return found


def _column_number(table, column):
    if isinstance(column, int) and 0 <= column < len(table.names):
        return column
    if column in table.names:
        return table.names.index(column)
    raise InputError(f"{table.path} has no column {column!r}; it has {', '.join(table.names)}.")


def _recognised_columns(table):
    bare = [re.sub(r"^[cvf]_(?=\w{2}|\w\[)", "", name).lower() for name in table.names]
    found = {}
    for name, spellings in _SPELLINGS.items():
        for spelling in spellings:
            for axes in ("xyz", "123"):
                wanted = [spelling % axis for axis in axes]
                if name not in found and all(word in bare for word in wanted):
                    found[name] = [bare.index(word) for word in wanted]
    for number, word in enumerate(bare):
        if word in _TIMES and "time" not in found:
            found["time"] = [number]
    if not set(found) - {"time"}:
        raise FormatError(
            f"{table.path}: none of its columns ({', '.join(table.names)}) is known as R, P, V or F; name them Rx Ry Rz, Px Py Pz, Fx Fy Fz, "
            "or say which they are with columns={'momentum': [1, 2, 3], ...}."
        )
    return found


def _cell_columns(table):
    """Columns of PLUMED's CELL, in the order ax ay az bx by bz cx cy cz."""
    wanted = [f"cell.{vector}{axis}" for vector in "abc" for axis in "xyz"]
    return [table.names.index(name) for name in wanted] if set(wanted) <= set(table.names) else None


def _without_jumps(path, box):
    """R with the shortest periodic image of each step."""
    n_frames = path.shape[-2]
    runs, boxes = path.reshape(-1, n_frames, 3).copy(), box.reshape(-1, n_frames, 3, 3)
    for run, cells in zip(runs, boxes):
        steps = np.array([minimum_image(step, cell) for step, cell in zip(np.diff(run, axis=0), cells[1:])])
        run[1:] = run[0] + np.cumsum(steps.reshape(-1, 3), axis=0)
    return runs.reshape(path.shape)


def _time_from_steps(table):
    bare = [name.lower() for name in table.names]
    step = next((bare.index(word) for word in bare if word in _STEPS), None)
    if step is not None and "md_timestep" in table.facts:
        return table.values[:, step] * table.facts["md_timestep"]
    return None


# -- putting runs together ----------------------------------------------------------------------------


def _runs(parts, paths):
    """Files of different quantities side by side; of the same quantities one after another, as replicas."""
    runs = []
    for part, path in zip(parts, paths):
        quantities = set(part) - {"time", "box"}
        home = next((run for run in runs if not quantities & set(run)), None)
        if home is None:
            runs.append(dict(part))
            continue
        n_frames, n_new = (len(next(v for k, v in p.items() if k != "time")) for p in (home, part))
        both = home["time"] is not None and part["time"] is not None
        n_common = min(n_frames, n_new)
        if both and not np.allclose(home["time"][:n_common], part["time"][:n_common], rtol=1e-6, atol=1e-6):
            raise FormatError(
                f"{path} has other times than the file before it; quantities of one run must be written at the same times."
            )
        if n_frames != n_new:
            for key in home:
                home[key] = None if home[key] is None else home[key][:n_common]
        home |= {key: values[:n_common] for key, values in part.items() if key != "time"}
    names = [frozenset(set(run) - {"time"}) for run in runs]
    if len(set(names)) > 1:
        raise FormatError(
            f"The files hold different quantities for different runs ({', '.join(', '.join(sorted(n)) for n in names)})."
        )
    return runs


def _stacked(runs, timestep, paths, notices):
    lengths = [len(next(values for key, values in run.items() if key != "time")) for run in runs]
    n_frames = min(lengths)
    if len(set(lengths)) > 1:
        notices.append(
            Notice(
                "replicas_cut",
                f"Replicas have {min(lengths)} to {max(lengths)} rows; all were cut to {n_frames}.",
                "info",
            )
        )
    times = [run.pop("time") for run in runs]
    if timestep is not None:
        if not (np.isfinite(timestep) and timestep > 0):
            raise InputError(f"timestep must be a positive number of ps between rows; got {timestep!r}.")
        time = timestep * np.arange(n_frames)
    elif any(values is None for values in times):
        raise InputError(f"{paths[0]} has no column of times; give timestep= the ps between rows.")
    else:
        time = times[0][:n_frames]
        if n_frames > 1 and not (np.diff(time) > 0).all():
            row = int(np.argmax(np.diff(time) <= 0))
            raise FormatError(
                f"{paths[0]}: times go from {time[row]:.6g} to {time[row + 1]:.6g} ps at row {row + 1}; expected increasing times "
                "(was a run restarted into the same file?)."
            )
        for other in times[1:]:
            if not np.allclose(other[:n_frames] - other[0], time - time[0], rtol=1e-6, atol=1e-6):
                raise FormatError(
                    "The replicas were written at different time intervals; expected the same spacing in all files."
                )
    arrays = {name: np.stack([run[name][:n_frames] for run in runs]) for name in runs[0]}
    return time, arrays if len(runs) > 1 else {name: values[0] for name, values in arrays.items()}


def _note_jumps(arrays, notices):
    if "centre_of_mass" not in arrays:
        return
    steps = np.abs(np.diff(arrays["centre_of_mass"], axis=-2))
    if steps.size and steps.max() > 0.5 and steps.max() > 10.0 * np.median(steps):
        notices.append(
            Notice(
                "position_jumps",
                f"R jumps by {steps.max():.3g} nm between rows (typically {np.median(steps):.2g} nm): periodic images were not taken out. "
                "Write unwrapped positions (gmx traj -nojump, LAMMPS xcm or compute com, PLUMED NOPBC).",
            )
        )


# -- writing ------------------------------------------------------------------------------------------


def write_series(series, path):
    """Write R, P and F as columns (nm, ps, u nm/ps, kJ/mol/nm) that `load_series` reads back to the last digit.

    Parameters
    ----------
    series : OrderParameters
        Of one run; write replicas to a file each.
    path : str or Path

    Raises
    ------
    InputError
        The series has several replicas.
    """
    if series.n_replicas > 1:
        raise InputError(f"The series has {series.n_replicas} replicas; write each to a file of its own.")
    held = [name for name in SERIES if series.has(name)]
    facts = {
        name: getattr(series, name)
        for name in ("mass", "typical_mass", "n_atoms", "temperature", "total_mass", "momentum_offset")
        if getattr(series, name) is not None
    }
    stated = " ".join(f"{name}={value!r}" for name, value in facts.items())
    if series.zero_total_momentum:
        stated += " zero_total_momentum=true"
    names = ["time", *(f"{_LETTERS[name]}{axis}" for name in held for axis in "xyz")]
    table = np.column_stack([series.time, *(series.replicas(name)[0] for name in held)])
    complete = np.isfinite(table).all(axis=1)
    with replacing(path) as temporary:
        np.savetxt(
            temporary,
            table[complete],
            fmt="%.17g",
            delimiter=",",
            comments="",
            header=f"# amaexplore {stated}\n" + ",".join(names),
        )
