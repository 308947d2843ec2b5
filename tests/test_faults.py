"""A full disk, a kill at any moment, a home that cannot be written to: what was there stays, and the next run just works."""

import os
import subprocess
import sys
import textwrap
import time

import mdtraj
import numpy as np
import pytest
from fuzzing import argon
from test_ingest import write_trr
from test_readers_more import write_dcd, write_netcdf

import amaexplore as ama
from amaexplore import files

N_ATOMS, N_FRAMES = 60, 400
PREPARE = f"""
import json, os, resource, signal, sys, warnings
from pathlib import Path
import numpy as np
import amaexplore as ama
from amaexplore.errors import AmaError
from amaexplore.archive import write_archive
from amaexplore.trajectory.series_files import write_series

rng = np.random.default_rng(3)
arrays = {{name: rng.normal(size=({N_FRAMES}, {N_ATOMS}, 3)) for name in ("positions", "velocities", "forces")}}
trajectory = ama.Trajectory.from_arrays(masses=np.full({N_ATOMS}, 40.0), timestep=0.1, **arrays)
series = trajectory.order_parameters(range(10))
folder = Path(sys.argv[1])
"""
WRITERS = {
    "trajectory": "trajectory.save(folder / 'out.h5md')",
    "series": "write_series(series, folder / 'out.csv')",
    "report": "ama.analyze(series).report(folder / 'out.html')",
    "session": "ama.Session(series).save(folder / 'out.json')",
    "archive": "write_archive(folder / 'out.h5', ama.analyze(series))",
    "sidecar": "ama.ingest(folder / 'in.h5md', directory=folder)",
}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "work"
    place.mkdir()
    rng = np.random.default_rng(3)
    arrays = {name: rng.normal(size=(N_FRAMES, N_ATOMS, 3)) for name in ("positions", "velocities", "forces")}
    ama.Trajectory.from_arrays(masses=np.full(N_ATOMS, 40.0), timestep=0.1, **arrays).save(place / "in.h5md")
    return place


def run(program, folder, **options):
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    own = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [sys.executable, "-c", PREPARE + textwrap.dedent(program), str(folder)], capture_output=True, text=True, env=own, **options
    )  # fmt: skip


FULL = """
# as if the disk were full: no file may grow beyond a few kilobytes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    {writer}
except AmaError as error:
    assert "\\n" not in str(error), str(error)
    print("refused:", error)
"""


@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow) if k == "report" else k for k in WRITERS])
def test_a_full_disk(folder, kind):
    """One sentence, no half of a file, what was there before unharmed; with room again the same call works."""
    before = run(WRITERS[kind], folder)
    assert before.returncode == 0, before.stderr
    names = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "in.h5md"}
    if kind == "sidecar":
        for name in names:
            (folder / name).unlink()
    limit = 400 if kind == "session" else 3000
    done = run(FULL.format(limit=limit, writer=WRITERS[kind]), folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused: "), done.stdout
    left = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "in.h5md"}
    assert left == ({} if kind == "sidecar" else names)
    again = run(WRITERS[kind], folder)
    assert again.returncode == 0, again.stderr
    assert {path.name for path in folder.iterdir()} - {"in.h5md"} == set(names)


KILLED = """
from functools import partial

home = Path(os.environ["XDG_CACHE_HOME"])


def demo():
    for checksum in home.rglob("*.blake2b"):
        checksum.unlink()  # or it would only be read
    ama.demo("argon-nanoparticle", duration=0.4, stride=1)


def die_in_the_middle():
    # the system ends a process one of whose files grows beyond this
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))


def die_at_rename(number):
    done = []

    def hook(event, arguments):
        if event == "os.rename" and str(arguments[0]).endswith(".part"):
            done.append(arguments)
            if len(done) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_a_child(work, prepare=None):
    child = os.fork()
    if child == 0:
        try:
            if prepare is not None:
                prepare()
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def parts():
    return [*folder.rglob(".*.part"), *home.rglob(".*.part")]


def files():
    return {{path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".part"}}


for kind, writer in {writers}.items():
    work = demo if kind == "demo" else partial(exec, writer, globals())
    assert in_a_child(work) == 0, kind  # compiled and remembered by numba
    for name in files().keys() - {{"in.h5md"}}:
        (folder / name).unlink()
    moments = [die_in_the_middle, *(partial(die_at_rename, n + 1) for n in range(2 if kind == "demo" else 1))]
    # nothing there before, then the whole of it; a sidecar that is there is read, not written
    for _ in range(1 if kind == "sidecar" else 2):
        for moment in moments:
            known = files()
            assert in_a_child(work, moment) in (-signal.SIGKILL, -signal.SIGXFSZ), (kind, moment)
            assert files() == known, (kind, moment)
            assert parts(), (kind, moment)
            if kind == "demo":
                for path in home.rglob("*.h5md"):
                    assert not path.with_suffix(".blake2b").exists()
        assert in_a_child(work) == 0, kind
        assert not parts(), kind
    print(kind, "survived")
"""


@pytest.mark.parametrize(
    "kinds", [["trajectory", "series", "session", "archive", "sidecar", "demo"], pytest.param(["report"], marks=pytest.mark.slow)], ids=len
)  # fmt: skip
def test_killed_at_any_moment(folder, kinds):
    """What has its name is whole, and what else was left goes with the next time the same is written."""
    writers = {kind: WRITERS.get(kind) for kind in kinds}
    done = run(KILLED.format(writers=writers), folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("survived") == len(kinds)


def test_what_a_living_process_or_another_machine_is_writing_is_left_alone(tmp_path):
    path, gone = tmp_path / "out.csv", subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    machine = files._machine()

    def part(name, machine, process, hours=0.0):
        made = tmp_path / f".{name}.{machine}.{process}.abcd_123.part"
        made.write_text("half of it")
        os.utime(made, (time.time() - 3600 * hours,) * 2)
        return made

    abandoned = {part("out.csv", machine, gone.pid), part("out.csv", "01234567", 1, hours=25.0)}
    kept = {
        part("out.csv", machine, os.getppid()),
        part("out.csv", "01234567", gone.pid, hours=23.0),
        # by a clock that is ahead
        part("out.csv", "01234567", gone.pid, hours=-1000.0),
        part("other.csv", machine, gone.pid),
        part("out.csv.gz", machine, gone.pid),
    }
    with files.replacing(path) as mine, files.replacing(path) as second:
        assert mine != second
        mine.write_text("whole")
        second.write_text("whole")
    assert not [place for place in abandoned if place.exists()]
    assert set(tmp_path.iterdir()) == kept | {path}


def test_a_disk_that_is_only_read(folder):
    """Everything can be looked at, and what cannot be written is refused in one line."""
    program = """
    import errno, tempfile
    real = os.open
    def refuse(path, flags, *more, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *more, **options)
    def no_folder(*names, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(names[0]))
    os.open, os.mkdir = refuse, no_folder
    assert ama.analyze(series).gamma is not None
    loaded = ama.load(folder / "in.h5md")
    assert loaded.order_parameters([0, 1]).n_frames == 400
    for write in (lambda: loaded.save(folder / "out.h5md"), lambda: ama.Session(series).save(folder / "out.json")):
        try:
            write()
        except AmaError as error:
            print("refused:", error)
    """
    done = run(program, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: ") == 2
    assert {path.name for path in folder.iterdir()} == {"in.h5md"}


def test_two_programs_on_one_store(folder):
    """Both make it at the same time; both get the same numbers, and one store is left."""
    program = "print(repr(ama.ingest(folder / 'in.h5md', directory=folder).order_parameters(range(7)).momentum.sum()))"
    home = folder.parent / "home"
    home.mkdir()
    own = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-c", PREPARE + program, str(folder)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=own) for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[0][0] == told[1][0]
    assert len([path for path in folder.iterdir() if path.suffix == ".h5"]) == 1


CHANGED = """
import shutil
from amaexplore.explorer.scene import Scene
from amaexplore.trajectory import memory

path = folder / "in.h5md"
(other,) = [ama.ingest(path, directory=folder / "other").store().path]


def opened():
    data = ama.ingest(path, directory=folder)
    return data, data.store().path


def told(ask):
    try:
        return ask() is not None and "numbers"
    except AmaError as error:
        assert "\\n" not in str(error)
        return str(error)


expected = ama.load(path).order_parameters([3, 5, 8]).momentum
# deleted, or another put in its place: the old one is held as long as it is used
data, sidecar = opened()
sidecar.unlink()
np.testing.assert_allclose(data.order_parameters([3, 5, 8]).momentum, expected)
data, sidecar = opened()
np.random.default_rng(0).normal(size=10_000).tofile(folder / "new")
os.replace(folder / "new", sidecar)
np.testing.assert_allclose(data.order_parameters([3, 5, 8]).momentum, expected)
assert np.isfinite(data.positions).all()
sidecar.unlink()
# cut, or written over by what copies into a file that is there
for harm, words in (("cut", "has become shorter since"), ("written over", "was written over since")):
    data, sidecar = opened()
    first = data.order_parameters([3, 5, 8])
    os.utime(sidecar, ns=(1, 1))
    if harm == "cut":
        os.truncate(sidecar, 8192)
    else:
        shutil.copyfile(other, sidecar)
    questions = {{
        "a selection": lambda: data.order_parameters(range(9, 30)),
        "progressively": lambda: list(data.store().progressively(np.arange({n_atoms}) % 7 == 1, patience=1000)),
        "a table": lambda: data.store().running(np.arange(20), np.arange(1, 20)),
        "a frame": lambda: data.positions[70],
        "one atom of every frame": lambda: data.positions[:, 3].copy(),
        "an average": lambda: data.forces.mean(axis=0),
        "a sum": lambda: data.velocities + 1.0,
        "another type": lambda: data.velocities.astype(float),
    }}
    if harm == "cut":
        questions |= {{
            "the whole analysis": lambda: ama.analyze(data, select="index 3 to 7"),
            "some frames": lambda: data.frames(slice(20, 80)).order_parameters([5]),
            "the picture": lambda: Scene(data, data.select([1, 2])).positions(3),
            "the checks": lambda: ama.check(data, subset=[1, 2]),
            "a copy": lambda: data.save(folder / "copy.h5md"),
        }}
    for name, ask in questions.items():
        answer = told(ask)
        assert answer and words.split(" since")[0] in answer, (harm, name, answer)
    # what is known already is known still
    np.testing.assert_array_equal(data.order_parameters([3, 5, 8]).momentum, first.momentum)
    sidecar.unlink()
print("no crash")
"""


def test_a_store_that_changes_while_it_is_used(folder):
    """One sentence or the old numbers: the system ends a program that reads behind the end of a mapped file."""
    done = run(CHANGED.format(n_atoms=N_ATOMS), folder)
    assert done.stdout == "no crash\n", (done.returncode, done.stdout, done.stderr)


CUT = """
from amaexplore.trajectory import amber, ingest, positions
from amaexplore.trajectory.readers import open_files

counts = []
amber.frames_per_chunk = positions.frames_per_chunk = lambda *_: 1
for name in ("run.nc", "fixed.dcd"):
    (source,) = open_files([folder / name], folder / "argon.pdb")
    try:
        for frames in source.chunks(slice(None)):
            counts.append(name)
            os.truncate(folder / name, 4096)
    except AmaError as error:
        print(name, error)
source = ingest.TrrSource.of([folder / "md.trr"])
block, rows = source.block(0, source.n_frames), np.empty((source.n_atoms, 3 * 160), dtype=np.float32)
os.truncate(folder / "md.trr", 4096)
for ask in (lambda: block.fill("positions", 0, rows), lambda: block.positions_at(100), lambda: source.block(0, 150)):
    try:
        ask()
    except AmaError as error:
        print("md.trr", error)
assert counts == ["run.nc", "fixed.dcd"], counts
"""


def test_a_trajectory_that_is_cut_while_it_is_read(folder, rng):
    """As by a simulation that is started again under the same name."""
    positions = rng.normal(size=(150, N_ATOMS, 3))
    write_netcdf(folder / "run.nc", np.arange(150.0), coordinates=positions)
    write_dcd(folder / "fixed.dcd", np.where(np.arange(N_ATOMS)[:, None] == 1, positions[:1], positions), fixed=[1])
    mdtraj.Trajectory(positions[:1], argon(N_ATOMS)).save_pdb(str(folder / "argon.pdb"))
    write_trr(folder / "md.trr", np.arange(150.0), np.full((150, 3, 3), np.nan), {"positions": positions})
    done = run(CUT, folder)
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["run.nc", "fixed.dcd", "md.trr", "md.trr", "md.trr"]
    assert all("has become shorter" in line for line in lines)
