"""The command line as a user calls it: exit codes, one sentence on stderr, nothing half-written."""

import gzip
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from amaexplore.cli import main
from amaexplore.synthetic import GeneralizedLangevin
from amaexplore.trajectory.series_files import write_series

BED = GeneralizedLangevin()


def write_dump(path, positions, velocities, forces, times, masses, box=50.0):
    """A LAMMPS dump in real units from arrays in nm, nm/ps, kJ/mol/nm."""
    opened = gzip.open if str(path).endswith(".gz") else open
    with opened(path, "wt") as file:
        for n, time in enumerate(times):
            file.write(f"ITEM: UNITS\nreal\nITEM: TIME\n{1e3 * time:.10g}\nITEM: TIMESTEP\n{n}\n")
            file.write(f"ITEM: NUMBER OF ATOMS\n{len(masses)}\nITEM: BOX BOUNDS pp pp pp\n" + f"0 {10 * box}\n" * 3)
            file.write("ITEM: ATOMS id type mass x y z ix iy iz vx vy vz fx fy fz\n")
            for i, mass in enumerate(masses):
                x, v, f = 10 * positions[n, i], velocities[n, i] / 100, forces[n, i] / 41.84
                row = [i + 1, 1, mass, *x, 0, 0, 0, *v, *f]
                file.write(" ".join(f"{value:.12g}" for value in row) + "\n")


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A particle of two atoms that moves by a generalised Langevin equation, beside a heavy third atom."""
    series = BED.sample(seed=11, n_replicas=1, n_frames=1500)
    centre, momentum, force = (series.replicas(name)[0] for name in ("centre_of_mass", "momentum", "net_force"))
    masses = np.array([260.0, 260.0, 1000.0])
    positions = np.stack([centre + 25 + [0.1, 0, 0], centre + 25 - [0.1, 0, 0], np.full_like(centre, 20.0)], axis=1)
    velocities = np.stack([momentum / 520, momentum / 520, np.zeros_like(momentum)], axis=1)
    forces = np.stack([0.25 * force, 0.75 * force, -0.5 * force], axis=1)
    path = tmp_path_factory.mktemp("cli") / "run.lammpstrj.gz"
    write_dump(path, positions, velocities, forces, series.time, masses)
    return path, centre + 25, momentum, force


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def assert_one_sentence(code, out, err):
    assert code == 2
    assert out == ""
    assert err.startswith("amaexplore: ")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_analyze_writes_json_and_report(dump, tmp_path, capsys):
    path, centre, momentum, force = dump
    code, out, err = run(
        capsys, "analyze", path, "--select", "index 0 1", "--temperature", 240,
        "--json", tmp_path / "out.json", "--report", tmp_path / "out.html",
    )  # fmt: skip
    assert (code, err) == (0, "")
    document = json.loads((tmp_path / "out.json").read_text())
    first = document["order_parameters"]
    # the dump was written with twelve digits, and R is a single-precision read of it at worst
    np.testing.assert_allclose(first["centre_of_mass_first"], centre[0], rtol=1e-6)
    np.testing.assert_allclose(first["momentum_first"], momentum[0], rtol=1e-5)
    np.testing.assert_allclose(first["net_force_first"], force[0], rtol=1e-5)
    assert document["subset"]["mass"] == pytest.approx(520.0)
    assert document["input"]["timestep"] == pytest.approx(0.02)
    assert abs(document["friction"]["isotropic"] - BED.friction) < 4 * document["friction"]["isotropic_std"]
    assert "friction ζ = βεθ" in out
    assert (tmp_path / "out.html").stat().st_size > 10_000


def test_json_to_standard_output(dump, capsys):
    code, out, _ = run(capsys, "analyze", dump[0], "--select", "index 0 1", "--json", "-", "--window", 1.0)
    assert code == 0
    assert json.loads(out)["theta"]["window"] == pytest.approx(1.0)


def test_check_says_what_is_there(dump, capsys):
    code, out, _ = run(capsys, "check", dump[0])
    assert code == 0
    assert re.search(r"^velocities +every frame$", out, re.M)
    assert re.search(r"^n atoms +3$", out, re.M)


def test_frames_choose_a_stretch(dump, capsys):
    code, out, _ = run(capsys, "analyze", dump[0], "--select", "index 0 1", "--frames", "100:1100:2", "--json", "-")
    assert code == 0
    document = json.loads(out)
    assert document["input"]["n_frames"] == 500
    assert document["input"]["timestep"] == pytest.approx(0.04)


def test_series_files_refuse_what_does_not_apply(tmp_path, capsys):
    path = tmp_path / "particle.csv"
    write_series(BED.sample(seed=12, n_replicas=1, n_frames=600), path)
    code, out, _ = run(capsys, "analyze", path, "--frames", "0:400", "--json", "-")
    assert code == 0
    assert json.loads(out)["input"]["n_frames"] == 400
    assert json.loads(out)["input"]["files"] == [str(path)]
    for option in (["--select", "protein"], ["--topology", "nope.tpr"], ["--integrator", "leapfrog"]):
        code, out, err = run(capsys, "analyze", path, *option)
        assert_one_sentence(code, out, err)
        assert f"{option[0]} does not apply to series files" in err


def test_a_series_file_without_mass_or_times(tmp_path, capsys, rng):
    path = tmp_path / "mine.csv"
    momentum = np.cumsum(rng.normal(size=(800, 3)), axis=0)
    np.savetxt(path, momentum - momentum.mean(axis=0), delimiter=",", header="Px,Py,Pz", comments="")
    code, out, err = run(capsys, "analyze", path, "--timestep", 0.05)
    assert_one_sentence(code, out, err)
    assert "--mass" in err
    code, out, _ = run(capsys, "analyze", path, "--timestep", 0.05, "--mass", 519.3, "--json", "-")
    assert code == 0
    document = json.loads(out)
    assert (document["subset"]["mass"], document["input"]["timestep"]) == (519.3, pytest.approx(0.05))


def test_a_mass_for_a_trajectory_is_refused(dump, capsys):
    code, out, err = run(capsys, "analyze", dump[0], "--mass", 5)
    assert_one_sentence(code, out, err)
    assert "--mass is for series files" in err


def test_ingest_makes_a_store_beside_the_trajectory(dump, tmp_path, capsys):
    path = tmp_path / dump[0].name
    path.write_bytes(dump[0].read_bytes())
    code, out, err = run(capsys, "ingest", path)
    assert (code, err) == (0, "")
    assert "1500 frames" in out
    (store,) = set(tmp_path.iterdir()) - {path}
    code, out, err = run(capsys, "ingest", path, "--remove")
    assert (code, err, out) == (0, "", f"{store}: deleted\n")
    assert list(tmp_path.iterdir()) == [path]
    code, out, err = run(capsys, "ingest", path, "--remove")
    assert (code, err) == (0, "")
    assert out.startswith("There is no store of")


@pytest.mark.parametrize(
    ("engine", "selection", "line"),
    [
        ("gromacs", "Protein", "gmx traj"),
        ("lammps", "type 2", "fcm(ama,x)"),
        ("openmm", "index 0 to 12", "import"),
        ("plumed", "index 0 to 12", "ATOMS=1-13"),
    ],
)
def test_recipes_are_printed(engine, selection, line, capsys):
    code, out, _ = run(capsys, "recipe", engine, "--select", selection)
    assert code == 0
    assert line in out


def broken_files(folder):
    """Bad files by name."""
    (folder / "empty.lammpstrj").write_text("")
    (folder / "words.xyzzy").write_text("hello\n")
    (folder / "garbage.trr").write_bytes(bytes(range(256)) * 4)
    (folder / "notes.txt").write_text("not a trajectory\n")
    ones = np.ones((3, 2, 3))
    write_dump(folder / "one.lammpstrj", ones[:1], ones[:1], ones[:1], [0.0], [1.0, 2.0])
    write_dump(folder / "uneven.lammpstrj", ones, ones, ones, [0.0, 1.0, 3.0], [1.0, 2.0])
    write_dump(folder / "nan.lammpstrj", ones, ones, ones * [np.nan, 1, 1], [0.0, 1.0, 2.0], [1.0, 2.0])
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["analyze", "nowhere.trr", "--select", "all"], "nowhere.trr"),
        (["analyze", "words.xyzzy", "--select", "all"], "words.xyzzy"),
        (["analyze", "garbage.trr", "--select", "all"], "garbage.trr"),
        (["analyze", "empty.lammpstrj", "--select", "all"], "empty"),
        (["analyze", "one.lammpstrj", "--select", "index 0"], "one frame"),
        (["analyze", "uneven.lammpstrj", "--select", "index 0"], "evenly spaced"),
        (["analyze", "nan.lammpstrj", "--select", "index 0"], "finite"),
        (["analyze", "one.lammpstrj"], "which atoms"),
        (["analyze"], "required"),
        (["analyze", "one.lammpstrj", "--regime", "brownian"], "invalid choice"),
        (["analyze", "one.lammpstrj", "--window", "long"], "invalid float"),
        (["analyze", "one.lammpstrj", "--select", "resname XYZ"], "matched 0 of 2 atoms"),
        (["analyze", "one.lammpstrj", "--frames", "0-5"], "not a range of frames"),
        (["analyze", "uneven.lammpstrj", "--frames", "5:9", "--select", "index 0"], "frames"),
        (["check", "nowhere.trr"], "nowhere.trr"),
        (["ingest", "nowhere.trr"], "nowhere.trr"),
        (["simulate", "no-such-demo", "--output", "run.h5md"], "no-such-demo"),
        (["simulate", "argon-nanoparticle"], "--output"),
        (["recipe", "hoomd"], "hoomd"),
        (["dance"], "invalid choice"),
    ],
)
def test_bad_input_gets_one_sentence_and_writes_nothing(arguments, sentence, tmp_path, capsys, monkeypatch):
    broken_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(os.listdir())
    code, out, err = run(capsys, *arguments)
    assert_one_sentence(code, out, err)
    assert sentence in err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("target", ["nowhere/out.json", "folder"])
def test_an_impossible_target_is_told_before_the_work(dump, target, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    code, out, err = run(capsys, "analyze", dump[0], "--select", "index 0 1", "--json", target)
    assert_one_sentence(code, out, err)
    assert "Cannot write" in err


def test_the_console_script_and_the_module_agree():
    done = subprocess.run([sys.executable, "-m", "amaexplore", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("amaexplore 0.")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("explore", "lab", "analyze", "check", "ingest", "recipe", "simulate"))
