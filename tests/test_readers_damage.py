"""Files that are empty, cut short or have flipped bits: one sentence or what is whole, never garbage, never a crash."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import mdtraj
import numpy as np
import pytest
from fuzzing import argon
from test_readers_more import history, write_gsd

import amaexplore as ama
from amaexplore.errors import FormatError, InputError

DATA = Path(__file__).parent / "data"
FORMATS = ["xtc", "dcd", "pdb", "h5", "tng", "gsd", "history"]
N_FRAMES = 12


def write(folder, ending, rng):
    """A whole file of the format, with the keywords to load it."""
    path = folder / f"whole.{ending}"
    walk = 1.0 + rng.normal(scale=0.3, size=(1, 30, 3)) + np.cumsum(rng.normal(scale=0.01, size=(12, 30, 3)), axis=0)
    if ending in ("xtc", "dcd", "pdb"):
        cell = dict(unitcell_lengths=np.full((12, 3), 9.0), unitcell_angles=np.full((12, 3), 90.0))
        mdtraj.Trajectory(walk, argon(30), time=2.0 * np.arange(12), **cell).save(str(path))
        mdtraj.Trajectory(walk[:1], argon(30)).save_pdb(str(folder / "argon.pdb"))
        if ending == "pdb":
            return path, {"timestep": 2.0}
        return path, {"topology": folder / "argon.pdb", "timestep": 2.0}
    if ending == "h5":
        atoms = [{"name": "Ar", "element": "Ar", "index": i} for i in range(30)]
        residues = [{"name": "AR", "resSeq": 1, "index": 0, "atoms": atoms}]
        with h5py.File(path, "w") as file:
            file.create_dataset("coordinates", data=walk.astype("f4"), chunks=(1, 30, 3), compression="gzip")
            file["time"] = 2.0 * np.arange(12)
            document = {"chains": [{"index": 0, "residues": residues}], "bonds": []}
            file["topology"] = np.array([json.dumps(document)], dtype="S")
        return path, {}
    if ending == "gsd":
        zeros = np.zeros((12, 3, 3), dtype=int)
        return write_gsd(path, *rng.normal(size=(2, 12, 3, 3)), zeros, (10, 10, 10, 0, 0, 0)), {"timestep": 1.0}
    if ending == "history":
        return history(path, *rng.normal(size=(3, 12, 4, 3)), 20 * np.eye(3), [0, 1, 2, 3]), {}
    path.write_bytes((DATA / "argon_uneven.tng").read_bytes())
    mdtraj.Trajectory(np.zeros((1, 1000, 3)), argon(1000)).save_pdb(str(folder / "argon.pdb"))
    return path, {"topology": folder / "argon.pdb"}


@pytest.mark.parametrize("ending", FORMATS)
def test_cut_files(tmp_path, rng, ending):
    path, given = write(tmp_path, ending, rng)
    whole = ama.load(path, **given)
    data = path.read_bytes()
    for length in (0, 1, 30, len(data) // 3 + 11, len(data) // 2 + 11, len(data) - 7):
        path.write_bytes(data[:length])
        with pytest.raises(
            FormatError, match=r"empty|truncated|damaged|cannot be read|not a readable|no frames"
        ) as caught:
            ama.load(path, **given)
        sentence = str(caught.value)
        assert "\n" not in sentence
        if "frames=slice(0, " in sentence:
            _reads_what_is_whole(path, given, whole, sentence)
        else:
            assert length < len(data) // 3 or ending in ("pdb", "h5", "gsd", "tng"), sentence


def _reads_what_is_whole(path, given, whole, sentence):
    count = int(sentence.split("frames=slice(0, ")[1].split(")")[0])
    part = ama.load(path, frames=slice(0, count), **given)
    assert 0 < part.n_frames == count < whole.n_frames
    np.testing.assert_array_equal(part.positions, whole.positions[:count])


@pytest.mark.parametrize("ending", FORMATS)
def test_flipped_bits(tmp_path, rng, ending):
    """In another process, which must come to its end: the libraries of XTC and TNG crash on such files by themselves."""
    path, given = write(tmp_path, ending, rng)
    script = """
        import sys, warnings
        from pathlib import Path
        import numpy as np
        import amaexplore as ama
        from amaexplore.errors import AmaError
        path, given = Path(sys.argv[1]), eval(sys.argv[2], {"PosixPath": Path, "WindowsPath": Path})
        data = path.read_bytes()
        whole = ama.load(path, **given)
        rng = np.random.default_rng(int(sys.argv[3]))
        n = int(sys.argv[4])
        for place in [*rng.integers(0, min(len(data), 1200), n), *rng.integers(0, len(data), n)]:
            flipped = bytearray(data)
            flipped[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            try:
                found = ama.load(path, **given)
            except AmaError as error:
                assert "\\n" not in str(error), (place, str(error))
                print("sentence")
            else:
                assert found.n_atoms > 0 and found.n_frames > 0, place
                values = found.positions[found.frames_with["positions"]]
                assert np.isfinite(values).all(), place
                same = values.shape == whole.positions.shape and (values == whole.positions).all()
                print("same" if same else "other")
    """
    n = {"tng": 8, "pdb": 8}.get(ending, 40)
    command = [sys.executable, "-c", textwrap.dedent(script), str(path), repr(given), "7", str(n)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, (run.returncode, run.stderr[-2000:])
    outcomes = run.stdout.split()
    assert len(outcomes) == 2 * n
    assert "sentence" in outcomes
    if ending == "tng":  # its blocks carry MD5 sums, so that no flipped number goes unseen
        assert "other" not in outcomes


def test_flipped_xtc_frames_are_refused_before_the_library(tmp_path, rng):
    """Each bit of the head of the packed atoms flipped: sizes of differences run out of their table there."""
    from amaexplore.trajectory.xtc import _frame_length

    path, _ = write(tmp_path, "xtc", rng)
    data = path.read_bytes()
    with open(path, "rb") as file:
        length = _frame_length(file, None)
    assert data[length : length + 4] == data[:4]  # the next frame begins there
    refused = 0
    for place in range(84 * 8, length * 8, 7):
        flipped = bytearray(data[:length])
        flipped[place // 8] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with open(path, "rb") as file:
            refused += _frame_length(file, None) is None
    assert refused > 10


def test_a_stated_number_of_dcd_frames_is_believed(tmp_path, rng):
    path, given = write(tmp_path, "dcd", rng)
    data = path.read_bytes()
    each = (len(data) - (92 + 4 + 164 + 4 + 12)) // N_FRAMES
    path.write_bytes(data[: len(data) - 2 * each])
    with pytest.raises(InputError, match=r"frame 10 of 12 .*frames=slice\(0, 10\)"):
        ama.load(path, **given)


@pytest.mark.parametrize("name", ["time", "cell_lengths", "cell_angles"])
def test_cells_and_times_of_an_mdtraj_file_must_fit_its_frames(tmp_path, name, monkeypatch):
    """Told by their shapes: a few bytes can claim more numbers than there is memory to read them into."""
    path = tmp_path / "run.h5"
    shapes = {"coordinates": (5, 6, 3), "time": (5,), "cell_lengths": (5, 3), "cell_angles": (5, 3)}
    with h5py.File(path, "w") as file:
        for key, shape in (shapes | {name: (10**8, 10_000, 3)}).items():
            file.create_dataset(key, shape, "f4", chunks=(1, *shape[1:]) if key != name else (1, 10_000, 3))
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *_: pytest.fail("something was read"))
    with pytest.raises(FormatError, match=rf"{name} of shape \(100000000, 10000, 3\) beside 5 frames"):
        ama.load(path)
