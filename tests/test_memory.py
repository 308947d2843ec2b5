"""What a trajectory that is larger than the memory budget takes: measured in a process of its own."""

import os
import platform
import subprocess
import sys
import textwrap

import mdtraj
import numpy as np
import psutil
from fuzzing import argon

from amaexplore.trajectory import memory
from amaexplore.trajectory.memory import give_back, held_frames, let_go, mapped_file

SCRIPT = """
    import resource, sys
    import amaexplore as ama
    from amaexplore.trajectory import frames

    frames.CHUNK_BYTES = 2**20  # so that what is held for a moment is small against the file

    def peak():
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / (2**20 if sys.platform == "darwin" else 2**10)

    def work(path):
        ama.check(path, sys.argv[3], subset="index 0 to 19")
        trajectory = ama.load(path, sys.argv[3])
        ama.analyze(trajectory, select="index 0 to 19", temperature=94.0)
        return trajectory.positions.nbytes * 3 / 2**20

    work(sys.argv[1])  # everything is loaded and compiled now
    before = peak()
    print(work(sys.argv[2]), peak() - before)
"""


def write_moving(path, n_frames, n_atoms, rng):
    """A TRR file in single precision, of atoms that walk through a box of 5 nm."""
    first, velocities = rng.uniform(0, 5, (n_atoms, 3)), rng.normal(size=(n_atoms, 3))
    with open(path, "wb") as file:
        for frame in range(n_frames):
            head = [1993, 13, 12]
            sizes = [0, 0, 36, 0, 0, 0, 0, *[12 * n_atoms] * 3, n_atoms, frame, 0]
            file.write(np.array(head, ">i4").tobytes() + b"GMX_trn_file" + np.array(sizes, ">i4").tobytes())
            file.write(np.array([0.01 * frame, 0.0, *(5.0 * np.eye(3)).ravel()], ">f4").tobytes())
            for values in ((first + 0.01 * frame * velocities) % 5.0, velocities, np.roll(velocities, frame, axis=0)):
                file.write(values.astype(">f4").tobytes())


def test_what_exceeds_the_budget_is_not_held_in_memory(tmp_path, rng):
    mdtraj.Trajectory(np.zeros((1, 2000, 3)), argon(2000)).save_gro(str(tmp_path / "argon.gro"))
    write_moving(tmp_path / "small.trr", 60, 2000, rng)
    write_moving(tmp_path / "large.trr", 1400, 2000, rng)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), *(str(tmp_path / name) for name in ("small.trr", "large.trr", "argon.gro"))],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "AMAEXPLORE_MEMORY": "2M", "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    size, growth = map(float, run.stdout.split())
    assert size > 90  # MiB of the three fields
    assert growth < 0.5 * size


def test_pages_that_are_let_go_keep_what_was_written(tmp_path, rng):
    values = rng.normal(size=(300, 500, 3)).astype(np.float32)
    values[::7, 0, 0] = np.nan
    mapped = np.memmap(tmp_path / "values", dtype=np.float32, mode="w+", shape=values.shape)
    for frame in range(0, 300, 10):
        mapped[frame : frame + 10] = values[frame : frame + 10]
        let_go(mapped)
    np.testing.assert_array_equal(mapped, values)
    assert mapped_file(mapped[3:, ::2]) is mapped_file(mapped) is not None
    assert mapped_file(values) is None
    for field in (mapped, values, mapped[:, ::-1]):
        np.testing.assert_array_equal(held_frames(field), np.isfinite(field[:, 0, 0]))


def test_changes_that_the_file_does_not_get_are_kept(tmp_path):
    """A map in numpy's mode "c" is the user's own copy: letting its pages go would undo what was written into it."""
    path = tmp_path / "values.bin"
    np.zeros((64, 1024, 3), dtype=np.float32).tofile(path)
    for mode, is_mapped in (("r", True), ("r+", True), ("c", False)):
        values = np.memmap(path, dtype=np.float32, mode=mode, shape=(64, 1024, 3))
        if mode != "r":
            values[5] = 3.0
        part = np.asarray(values)[2:]
        assert (mapped_file(part) is not None) == is_mapped
        let_go(part)
        np.testing.assert_array_equal(values[5], 0.0 if mode == "r" else 3.0)


def test_what_was_freed_is_given_back():
    """The C library keeps pieces of this size, below any that is still in use, for ever."""
    if platform.libc_ver()[0] != "glibc":
        assert memory._trim() is None  # nothing to ask, and asking does no harm
        give_back()
        return
    pieces = [np.ones(5_000) for _ in range(4_000)]
    last = pieces[-1]
    before = psutil.Process().memory_info().rss
    del pieces
    give_back()
    assert psutil.Process().memory_info().rss < before - 0.8 * 4_000 * last.nbytes
