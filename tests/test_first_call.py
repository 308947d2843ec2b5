"""The first call: compiled kernels are kept, also from two processes at once, and not missed where nothing can be kept."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import amaexplore
from amaexplore.trajectory import warm

PROGRAM = """
import numpy as np
import amaexplore as ama
from amaexplore.kernels.order_parameters import _weighted_sum

velocities = np.random.default_rng(1).normal(size=(50, 400, 3)).astype(np.float32)
trajectory = ama.Trajectory.from_arrays(velocities=velocities, masses=np.arange(1.0, 401.0), timestep=1.0)
momentum = trajectory.order_parameters(range(100)).momentum
expected = np.einsum("i,fij->fj", trajectory.masses[:100], velocities[:, :100].astype(float))
assert np.abs(momentum - expected).max() < 1e-10
print(ama.__file__, sum(_weighted_sum.stats.cache_hits.values()))
"""


def start(package, home):
    # nothing but the package's own directory and the home may be written to
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(Path(home) / ".cache"),
        "PYTHONPATH": str(package),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
    )  # fmt: skip


def finish(process, package):
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    where, hits = out.split()
    assert Path(where).is_relative_to(package)
    return int(hits)


@pytest.fixture
def package(tmp_path):
    """A copy of the package without anything compiled."""
    source = Path(amaexplore.__file__).parent
    copy = tmp_path / "site" / "amaexplore"
    shutil.copytree(
        source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc", "explorer", "simulate")
    )
    return copy.parent


def compiled(folder):
    return sorted(folder.rglob("*.nbc"))


def test_two_processes_at_once_then_a_third_that_compiles_nothing(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    both = [start(package, home) for _ in range(2)]
    for process in both:
        finish(process, package)
    stamps = [path.stat().st_mtime_ns for path in compiled(package)]
    assert stamps
    assert finish(start(package, home), package) == 1
    assert [path.stat().st_mtime_ns for path in compiled(package)] == stamps


@pytest.mark.parametrize("writable_home", [True, False])
def test_a_package_directory_that_cannot_be_written(package, tmp_path, writable_home):
    home = tmp_path / "home"
    home.mkdir()
    # files where the cache directories would be stop everybody, also root, whom permissions do not stop
    for folder, _, _ in os.walk(package):
        (Path(folder) / "__pycache__").touch()
    if not writable_home:
        (home / ".cache").touch()
    assert finish(start(package, home), package) == 0
    assert compiled(package) == []
    assert bool(compiled(home)) == writable_home
    assert finish(start(package, home), package) == int(writable_home)


def test_the_warm_up_compiles_every_kernel_a_selection_needs(rng):
    warm.warm_up().join()
    from amaexplore.kernels import order_parameters, store

    signatures = {
        name: len(function.signatures)
        for room in (order_parameters, store)
        for name, function in vars(room).items()
        if hasattr(function, "signatures")
    }
    trajectory = amaexplore.Trajectory.from_arrays(
        velocities=rng.normal(size=(20, 200, 3)).astype(np.float32), masses=rng.uniform(1, 20, 200), timestep=1.0
    )
    trajectory.order_parameters(range(50))
    trajectory.store()
    for chosen in (range(50), range(0, 200, 3), range(180)):
        trajectory.order_parameters(chosen)
    for room in (order_parameters, store):
        for name, function in vars(room).items():
            if hasattr(function, "signatures"):
                assert len(function.signatures) == signatures[name], f"{name} was compiled again"


def test_the_warm_up_runs_once(monkeypatch):
    calls = []
    monkeypatch.setattr(warm, "_thread", None)
    monkeypatch.setattr(warm, "_steps", lambda: [lambda: calls.append(threading.current_thread().name)])
    threads = {warm.warm_up() for _ in range(3)}
    assert len(threads) == 1
    threads.pop().join()
    assert calls == ["amaexplore-warm-up"]


@pytest.mark.slow
def test_a_program_that_ends_at_once_does_not_wait_for_the_compiler(package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    program = "from amaexplore.trajectory.warm import warm_up; warm_up()"
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(package)},
        capture_output=True, text=True, cwd="/", timeout=300,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    full = subprocess.run(
        [sys.executable, "-c", program + ".join()"],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(tmp_path / "n")},
        capture_output=True, text=True, cwd="/", timeout=300,
    )  # fmt: skip
    assert full.returncode == 0, full.stderr
    assert len(compiled(package)) < len(compiled(tmp_path / "n"))


def test_every_result_of_the_explorer_is_compiled_ahead(monkeypatch, tmp_path):
    """The process asks for all that a page can show, notes that it did, and is not started again."""
    from amaexplore.explorer import ahead, steps

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ahead, "_started", False)
    process = ahead.compile_ahead()
    assert ahead.compile_ahead() is None  # one is enough
    assert os.getpgid(process.pid) == process.pid  # the end of the kernel's group is not its end
    # another that comes meanwhile waits, and finds it done
    here = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-P", "-m", "amaexplore.explorer.ahead"]
    other = subprocess.Popen(command, env=here)
    assert other.wait(300) == 0
    assert process.wait(300) == 0
    (stamp,) = tmp_path.rglob("compiled-*.txt")
    written = stamp.stat().st_mtime_ns
    subprocess.run(command, env=here, check=True)
    assert stamp.stat().st_mtime_ns == written
    assert stamp.read_text().split() == [node.name for node in steps.NODES]
    monkeypatch.setattr(ahead, "_started", False)
    assert ahead.compile_ahead() is None  # done before


def test_where_nothing_can_be_noted_nothing_is_started(monkeypatch, tmp_path):
    from amaexplore.explorer import ahead

    taken = tmp_path / "a file"
    taken.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(taken))
    monkeypatch.setattr(ahead, "_started", False)
    assert ahead.compile_ahead() is None


@pytest.mark.slow
def test_after_the_exercise_a_page_compiles_nothing(tmp_path):
    copy = tmp_path / "site" / "amaexplore"
    shutil.copytree(
        Path(amaexplore.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
    )
    own = os.environ | {"PYTHONPATH": str(copy.parent), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "amaexplore.explorer.ahead"], env=own, check=True, cwd="/")
    before = [path.stat().st_mtime_ns for path in compiled(copy)]
    assert len(before) > 15
    program = "from amaexplore.explorer.ahead import exercise; exercise()"
    subprocess.run([sys.executable, "-c", program], env=own, check=True, cwd="/")
    assert [path.stat().st_mtime_ns for path in compiled(copy)] == before
