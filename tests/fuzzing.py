"""Damaged and hostile input for every reader of our own, and for the selection box.

``python tests/fuzzing.py --inputs 100000 lammps xvg`` tries that many inputs on each reader named (all, when none is) and
prints a table; `test_fuzzing.py` tries a few hundred. Each input is a small valid one that has been changed in a way drawn from
its number, so that number says it all: ``--first 4711 --inputs 1 --show`` makes it again.

An input must end in a result or in one sentence (an `AmaError`) within two seconds and 1.5 GB, in a process that watches every
file that is opened, every program that is started and every connection that is made (`sys.addaudithook`).
"""

import argparse
import faulthandler
import io
import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

PATIENCE = 2.0  # s
ROOM = 1_500_000_000  # bytes on top of what the process has when it begins
NUMBERS = (
    b"0", b"-1", b"1", b"2", b"1e12", b"1000000000000", b"99999999999999999999", b"-99999999999", b"nan", b"inf", b"-inf", b"1e999",
    b"0x10", b"1e-320", b"1.5.2", b"", b"1,5", b"+-3", b"\xff", b"1_000", b"None", b"4294967296", b"2147483647",
)  # fmt: skip
CODE = (
    "__import__('os').system('touch owned')", "open('/etc/passwd').read()", "exec('1')", "().__class__.__mro__[1].__subclasses__()",
    "lambda: 0", "[x for x in range(10**9)]", "9**9**9", "'a' * 10**10", "{}.__class__", "\x00", "🙂" * 50, "(" * 500, "not " * 400,
)  # fmt: skip


# -- valid inputs ---------------------------------------------------------------------------------------


def lammps_dump(rng):
    n, triclinic, named = 5, rng.random() < 0.3, rng.random() < 0.5
    columns = ["id", "type", "mass", *(("x", "y", "z") if rng.random() < 0.5 else ("xs", "ys", "zs")), "ix", "iy", "iz"]
    columns += ["vx", "vy", "vz", "fx", "fy", "fz"] + (["element"] if named else [])
    lines = []
    for frame in range(4):
        lines += ["ITEM: UNITS", "real"] if frame == 0 else []
        lines += ["ITEM: TIME", str(20.0 * frame)]
        lines += ["ITEM: TIMESTEP", str(10 * frame), "ITEM: NUMBER OF ATOMS", str(n)]
        if triclinic:
            lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp", "0 9 0.5", "0 8 0.2", "0 10 0.1"]
        else:
            lines += ["ITEM: BOX BOUNDS pp pp pp", "0 9", "0 9", "0 9"]
        lines.append("ITEM: ATOMS " + " ".join(columns))
        for atom in rng.permutation(n) + 1:
            values = [str(atom), "1", "39.95", *np.round(rng.random(3), 4).astype(str), "0", "1", "-1"]
            values += list(np.round(rng.normal(size=6), 4).astype(str)) + (["Ar"] if named else [])
            lines.append(" ".join(values))
    return "\n".join(lines).encode() + b"\n"


def history(rng):
    n, level = 4, int(rng.integers(0, 3))
    lines = ["a run", f"{level:10d}{1:10d}{n:10d}{4:21d}{100:21d}"]
    for frame in range(4):
        lines.append(f"timestep{10 * (frame + 1):10d}{n:10d}{level:10d}{1:10d}{0.001:14.8f}{0.01 * (frame + 1):14.8f}")
        lines += ["20.0 0.0 0.0", "0.0 20.0 0.0", "0.0 0.0 20.0"]
        for atom in range(n):
            lines.append(f"Ar      {atom + 1:10d} 39.950000 0.000000 0.000000")
            lines += [" ".join(f"{x:.6f}" for x in rng.normal(size=3)) for _ in range(level + 1)]
    return "\n".join(lines).encode() + b"\n"


def xvg(rng):
    head = [
        "# a comment",
        '@    title "Center of mass"',
        '@    xaxis  label "Time (ps)"',
        '@    yaxis  label "Coordinate (nm)"',
    ]
    head += [f'@ s{k} legend "Protein {axis}"' for k, axis in enumerate("XYZ")]
    return "\n".join([*head, *_rows(rng, 4)]).encode() + b"\n"


def colvar(rng):
    head = ["#! FIELDS time p.x p.y p.z f.x f.y f.z", "#! SET min_p -pi"]
    return "\n".join([*head, *_rows(rng, 7)]).encode() + b"\n"


def table(rng):
    names = ["time (ps)", "x (nm)", "y (nm)", "z (nm)", "px", "py", "pz", "fx", "fy", "fz"]
    head = ["# mass 100 u"] if rng.random() < 0.5 else []
    return "\n".join([*head, ",".join(names), *_rows(rng, 10, ",")]).encode() + b"\n"


def ave_time(rng):
    head = [
        "# Time-averaged data for fix ama",
        "# TimeStep v_time c_com[1] c_com[2] c_com[3] v_px v_py v_pz v_fx v_fy v_fz",
    ]
    return "\n".join([*head, *_rows(rng, 11)]).encode() + b"\n"


def thermo(rng):
    lines = ["---", "keywords: ['Step', 'Time', 'c_com[1]', 'c_com[2]', 'c_com[3]', 'v_px', 'v_py', 'v_pz', ]", "data:"]
    lines += ["  - [" + row.replace(" ", ", ") + ", ]" for row in _rows(rng, 8)]
    return "\n".join([*lines, "..."]).encode() + b"\n"


def _rows(rng, n_columns, separator=" "):
    values = np.round(rng.normal(size=(40, n_columns)), 5)
    # steps or times, and times where steps come first
    values[:, 0] = values[:, 1] = np.arange(40) * 0.5
    return [separator.join(map(str, row)) for row in values]


def h5md(rng):
    return _saved(rng, "h5md")


def sidecar(rng):
    """A trajectory and the bytes of the store that was made of it."""
    import amaexplore as ama

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.h5md"
        path.write_bytes(_saved(rng, "h5md"))
        ama.ingest(path, directory=folder)
        (made,) = set(Path(folder).iterdir()) - {path}
        return made.read_bytes()


def mdtraj_hdf5(rng):
    import h5py

    atoms = [{"name": "Ar", "element": "Ar", "index": i} for i in range(6)]
    residues = [{"name": "AR", "resSeq": 1, "index": 0, "atoms": atoms}]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset(
            "coordinates", data=rng.normal(size=(5, 6, 3)).astype("f4"), chunks=(1, 6, 3), compression="gzip"
        )
        file["time"] = 2.0 * np.arange(5)
        file["cell_lengths"], file["cell_angles"] = np.full((5, 3), 5.0), np.full((5, 3), 90.0)
        file["topology"] = np.array(
            [json.dumps({"chains": [{"index": 0, "residues": residues}], "bonds": []})], dtype="S"
        )
    return buffer.getvalue()


def recording(rng):
    import amaexplore as ama
    from amaexplore.simulate.recorder import write_series

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "whole.h5md"
        path.write_bytes(_saved(rng, "h5md"))
        arrays = dict(zip(("centre_of_mass", "momentum", "net_force"), rng.normal(size=(3, 30, 3))))
        write_series(
            path, ama.OrderParameters.from_arrays(timestep=0.1, mass=160.0, temperature=300.0, n_atoms=4, **arrays)
        )
        return path.read_bytes()


def xtc(rng):
    return _saved(rng, "xtc")


def _saved(rng, ending):
    import mdtraj

    import amaexplore as ama

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole.{ending}"
        if ending == "h5md":
            arrays = dict(zip(("positions", "velocities", "forces"), rng.normal(size=(3, 6, 4, 3))))
            ama.Trajectory.from_arrays(masses=np.full(4, 39.9), timestep=0.1, box=np.full(3, 5.0), **arrays).save(path)
        else:
            cell = dict(unitcell_lengths=np.full((6, 3), 9.0), unitcell_angles=np.full((6, 3), 90.0))
            mdtraj.Trajectory(rng.normal(size=(6, 12, 3)), argon(12), time=np.arange(6.0), **cell).save(str(path))
        return path.read_bytes()


def argon(n_atoms):
    import mdtraj

    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(n_atoms):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    return topology


def session(rng):
    import amaexplore as ama

    one = ama.Session()
    try:
        document = one.to_dict()
    finally:
        one.stop()
    document["choices"] |= {
        "selection": "index 0 to 4",
        "subsets": {"a": "index 0"},
        "window": 1.0,
        "horizon": 3.0,
    }
    return json.dumps(document).encode()


def selection(rng):
    words = ["index", "resname", "name", "to", "and", "or", "not", "(", ")", "0", "3", "1 2 3", "==", "<", ">", "all", "protein", "water",
             "'AR'", "AR", "mass", "within 0.5 of", "resid", "chainid", "element", "!=", "=~", "','", "-1", "1e9", "*"]  # fmt: skip
    if rng.random() < 0.2:
        return str(rng.choice(CODE)).encode()
    text = " ".join(rng.choice(words, int(rng.integers(1, 8))))
    if rng.random() < 0.2:
        text += " " + str(rng.choice(CODE))
    return text.encode()


# -- what is done to them -------------------------------------------------------------------------------


def damaged_text(data, rng):
    """A number replaced, a line lost, doubled, cut or moved, bytes flipped, the end cut off."""
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(0, 9))
        if kind <= 2:
            numbers = list(re.finditer(rb"-?\d[\d.e+-]*", data))
            if numbers:
                found = numbers[int(rng.integers(len(numbers)))]
                data = data[: found.start()] + NUMBERS[int(rng.integers(len(NUMBERS)))] + data[found.end() :]
        elif kind <= 5:
            lines = data.split(b"\n")
            a, b = (int(rng.integers(len(lines))) for _ in range(2))
            if kind == 3:
                del lines[a]
            elif kind == 4:
                lines.insert(b, lines[a])
            else:
                lines[a] = lines[a][: int(rng.integers(len(lines[a]) + 1))]
            data = b"\n".join(lines)
        elif kind == 6:
            data = flipped(data, rng)
        elif kind == 7:
            data = data[: int(rng.integers(len(data) + 1))]
        else:
            place = int(rng.integers(len(data) + 1))
            data = data[:place] + rng.bytes(int(rng.integers(1, 12))) + data[place:]
    return data


def damaged_json(data, rng):
    """One or two values somewhere in the document replaced by something else, or its text damaged."""
    if rng.random() < 0.1:
        return damaged_text(data, rng)
    document = json.loads(data)
    for _ in range(int(rng.integers(1, 3))):
        at, key = document, str(rng.choice(list(document)))
        while isinstance(at[key], dict) and at[key] and rng.random() < 0.9:
            at, key = at[key], str(rng.choice(list(at[key])))
        values = [
            None,
            True,
            -1,
            0,
            1e308,
            float("nan"),
            10**30,
            "",
            "x" * 5000,
            [],
            {},
            [1, 2],
            {"kind": "files"},
            [[]] * 9,
        ]
        values += [
            "/etc/passwd",
            "../../etc/passwd",
            *CODE,
            {"kind": "files", "files": ["/etc/passwd"]},
            {"kind": "demo"},
        ]
        at[key if rng.random() < 0.9 else "new"] = values[int(rng.integers(len(values)))]
    return json.dumps(document).encode()


def damaged_words(data, rng):
    """Mostly as it is: its words are drawn anew each time."""
    return flipped(data, rng) if rng.random() < 0.1 else data


def flipped(data, rng):
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def damaged_bytes(data, rng):
    kind = rng.random()
    if kind < 0.15:
        return data[: int(rng.integers(len(data) + 1))]
    if kind < 0.4:
        # a count or an address that claims too much
        place = int(rng.integers(max(len(data) - 8, 1)))
        value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 10**12, 2**63 - 1]))
        order = rng.choice(["<", ">"])
        packed = struct.pack(f"{order}Q", value) if rng.random() < 0.5 else struct.pack(f"{order}I", value % 2**32)
        return data[:place] + packed + data[place + len(packed) :]
    return flipped(data, rng)


def damaged_hdf5(data, rng):
    """Bytes half of the time, else what stands in the file: datasets and attributes of other shapes, types and claims."""
    if rng.random() < 0.3:
        return damaged_bytes(data, rng)
    import h5py

    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        names = []
        file.visit(names.append)
        for _ in range(int(rng.integers(1, 3))):
            name = str(rng.choice(names))
            try:
                item = file[name]
            except (KeyError, RuntimeError, OSError):  # a link that leads nowhere
                continue
            kind = int(rng.integers(0, 8))
            if kind == 0:
                del file[name]
            elif kind == 1 and item.attrs:
                key = str(rng.choice(sorted(item.attrs)))
                item.attrs[key] = rng.choice([b"furlong", b"", b"nm", b"\xff\xfe", b"ps"])
            elif kind == 2 and item.attrs:
                item.attrs[str(rng.choice(sorted(item.attrs)))] = np.array([np.nan, 1e300])
            else:
                del file[name]
                _replacement(file, name, kind, rng)
    return buffer.getvalue()


def _replacement(file, name, kind, rng):
    import h5py

    if kind == 3:
        file[name] = h5py.ExternalLink("/etc/hostname", "/")
    elif kind == 4:
        # a claim of 10^12 numbers that were never written
        file.create_dataset(name, shape=(10**8, 10**4, 3), dtype="f4", chunks=(1, 1000, 3))
    elif kind == 5:
        file[name] = rng.choice([np.nan, np.inf, -1.0, 1e308, 0.0]) * np.ones(
            tuple(rng.integers(0, 5, int(rng.integers(0, 4))))
        )
    elif kind == 6:
        file[name] = np.array([b"text", b"\xff\x00"], dtype="S4")
    else:
        file[name] = h5py.SoftLink("/" + name)


# -- readers --------------------------------------------------------------------------------------------


def _load(path, **settings):
    import amaexplore as ama

    found = ama.load(path, **settings)
    return found.n_frames, found.n_atoms


def _series(path, mass=100.0):
    import amaexplore as ama

    return ama.load_series(path, mass=mass).n_frames


def _open_sidecar(path):
    from amaexplore.trajectory.sidecar import open_sidecar

    # 'None' is an answer: a store that is not sound is made again
    return str(open_sidecar(path))


def _session(path):
    import amaexplore as ama

    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return "no JSON"
    one = ama.Session.from_dict(document)
    try:
        return str(one.selection)
    finally:
        one.stop()


def _select(path):
    import amaexplore as ama

    if "select" not in _kept:
        _kept["select"] = ama.Trajectory.from_arrays(
            positions=np.zeros((1, 12, 3)), masses=np.ones(12), timestep=1.0, topology=argon(12)
        )
    return _kept["select"].select(path.read_bytes().decode("utf-8", "replace")).n_atoms


_kept = {}

PARSERS = {
    # name: how a valid one is made, how it is damaged, the ending of its file, what reads it
    "lammps": (lammps_dump, damaged_text, "lammpstrj", _load),
    "history": (history, damaged_text, "history", _load),
    "xvg": (xvg, damaged_text, "xvg", _series),
    "colvar": (colvar, damaged_text, "colvar", _series),
    "table": (table, damaged_text, "csv", _series),
    "ave-time": (ave_time, damaged_text, "txt", _series),
    "thermo": (thermo, damaged_text, "yaml", _series),
    "h5md": (h5md, damaged_hdf5, "h5md", _load),
    "recording": (recording, damaged_hdf5, "h5md", lambda path: _series(path, mass=None)),
    "mdtraj-h5": (mdtraj_hdf5, damaged_hdf5, "h5", _load),
    "xtc": (xtc, damaged_bytes, "xtc", lambda path: _load(path, topology=path.parent / "argon.pdb")),
    "sidecar": (sidecar, damaged_hdf5, "h5", _open_sidecar),
    "session": (session, damaged_json, "json", _session),
    "selection": (selection, damaged_words, "txt", _select),
}
N_SEEDS = 8  # valid inputs of a kind that are changed; a selection is drawn anew every time


def make_input(parser, number):
    """The bytes of one input, by its number alone."""
    valid, damage, *_ = PARSERS[parser]
    rng = np.random.default_rng([number, sum(parser.encode())])
    seed = number if parser == "selection" else int(rng.integers(N_SEEDS))
    if (parser, seed) not in _kept:
        if len(_kept) > 1000:
            _kept.clear()
        _kept[parser, seed] = valid(np.random.default_rng(seed))
    return damage(_kept[parser, seed], rng)


# -- the process that tries them ------------------------------------------------------------------------


class _TooSlow(BaseException):
    pass


def _watch(folder):
    """Refuse, and note, whatever no reader has to do: writing elsewhere, reading elsewhere, starting programs, connecting."""
    noted = []
    libraries = tuple(str(Path(path).resolve()) for path in {sys.prefix, sys.base_prefix, *sys.path} if path)
    allowed = (str(folder), *libraries, "/usr", "/proc", "/sys", "/dev", "/lib", "/etc/ld")

    def hook(event, arguments):
        if event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "os.fork",
            "socket.connect",
            "pickle.find_class",
        ):
            noted.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            writes = isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
            if not path.startswith((str(folder),) if writes else allowed):
                noted.append(f"open {path} {arguments[1]}")

    sys.addaudithook(hook)
    return noted


def work(parser, first, inputs, folder):
    """Try inputs, and print one line of JSON for each fault and one for all of them at the end."""
    from amaexplore.errors import AmaError

    folder = Path(folder)
    *_, ending, read = PARSERS[parser]
    import mdtraj

    mdtraj.Trajectory(np.zeros((1, 12, 3)), argon(12)).save_pdb(str(folder / "argon.pdb"))
    path = folder / f"input.{ending}"
    # compiled, imported and measured by a valid one
    path.write_bytes(PARSERS[parser][0](np.random.default_rng(0)))
    try:
        read(path)
    except AmaError as error:
        if parser != "selection":
            raise AssertionError(f"a valid input of {parser} was refused: {error}") from error
    for seed in range(N_SEEDS if parser != "selection" else 0):
        _kept[parser, seed] = PARSERS[parser][0](np.random.default_rng(seed))
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + ROOM, resource.RLIM_INFINITY))
    noted = _watch(folder)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(_TooSlow()))
    present = {"argon.pdb", path.name, "progress"}
    accepted, sentences, slowest, faults = 0, set(), 0.0, 0
    with open(folder / "progress", "w") as progress:
        for number in range(first, first + inputs):
            data = make_input(parser, number)
            path.write_bytes(data)
            os.pwrite(progress.fileno(), f"{number:20d}".encode(), 0)
            begin, fault = time.perf_counter(), None
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            # no signal is heard while a loop in C goes on
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
            try:
                read(path)
                accepted += 1
            except AmaError as error:
                text = str(error)
                sentences.add(re.sub(r"[\d'\"].*", "", text)[:60])
                if not text.strip() or "\n" in text or len(text) > 1500:
                    fault = f"no sentence: {text[:300]!r}"
            except _TooSlow:
                fault = f"longer than {PATIENCE} s"
            except BaseException:
                fault = traceback.format_exc(limit=-4)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
                faulthandler.cancel_dump_traceback_later()
            took = time.perf_counter() - begin
            slowest = max(slowest, took)
            if noted:
                fault = "; ".join(noted[:3])
                noted.clear()
            if fault is not None:
                faults += 1
                if faults <= 20:
                    print(json.dumps({"parser": parser, "number": number, "fault": fault}), flush=True)
    left = {entry.name for entry in folder.iterdir()} - present
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"parser": parser, "inputs": inputs, "accepted": accepted, "sentences": len(sentences), "faults": faults}
    print(json.dumps(result | {"slowest": slowest, "peak": peak, "left": sorted(left)}), flush=True)


def run(parser, inputs, first=0, per_process=20_000):
    """Try inputs in processes of their own; one that dies is a fault, and the next goes on behind it.

    Returns
    -------
    dict
        ``inputs``, ``accepted``, ``sentences``, ``slowest`` (s), ``peak`` (bytes), ``left`` (files that should not be there) and
        ``faults``, a list of (number, what happened).
    """
    total = {
        "parser": parser,
        "inputs": 0,
        "accepted": 0,
        "sentences": 0,
        "slowest": 0.0,
        "peak": 0,
        "left": [],
        "faults": [],
    }
    number, end = first, first + inputs
    while number < end:
        count = min(per_process, end - number)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--work", parser, str(number), str(count), folder]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
            )  # fmt: skip
            lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            total["faults"] += [(line["number"], line["fault"]) for line in lines if "fault" in line]
            if done.returncode == 0 and lines and "inputs" in lines[-1]:
                last = lines[-1]
                for name in ("inputs", "accepted"):
                    total[name] += last[name]
                for name in ("sentences", "slowest", "peak"):
                    total[name] = max(total[name], last[name])
                total["left"] += last["left"]
                number += count
                continue
            progress = Path(folder) / "progress"
            if not progress.exists():
                raise RuntimeError(f"{parser}: the process did not start: {done.stderr[-2000:]}")
            died = int(progress.read_text() or number)
            # a crash or an endless loop in C says which lines of Python it was called from, then names every library
            where = re.search(r"(Fatal Python error|Timeout \()(.|\n)*", done.stderr)
            where = where[0] if where else done.stderr
            total["faults"].append((died, f"the process ended with {done.returncode}: {where[:1500]}"))
            total["inputs"] += died + 1 - number
            number = died + 1
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parsers", nargs="*", help=f"of {', '.join(PARSERS)}; default all")
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the first input instead")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, first, inputs, folder = options.work
        work(name, int(first), int(inputs), folder)
        return
    names = options.parsers or list(PARSERS)
    if options.show:
        sys.stdout.buffer.write(make_input(names[0], options.first))
        return
    print(f"{'parser':12} {'inputs':>8} {'read':>8} {'sentences':>9} {'slowest':>9} {'peak':>9} {'faults':>7}")
    for name in names:
        found = run(name, options.inputs, options.first)
        print(
            f"{name:12} {found['inputs']:8} {found['accepted']:8} {found['sentences']:9} {found['slowest']:7.2f} s "
            f"{found['peak'] / 1e6:6.0f} MB {len(found['faults']):7} {found['left'] or ''}", flush=True,
        )  # fmt: skip
        for number, fault in found["faults"][:10]:
            print(f"   {number}: {fault}", flush=True)


if __name__ == "__main__":
    main()
