"""Series files of engines, their units, replicas and damage; and the recipes that make engines write them."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import FormatError, InputError
from amaexplore.trajectory.series_files import is_series_file

DATA = Path(__file__).parent / "data"

XVG = """\
# This file was created by gmx traj
@    title "Center of mass"
@    xaxis  label "Time (ps)"
@    yaxis  label "{label}"
@TYPE xy
@ s0 legend "Protein X"
@ s1 legend "Protein Y"
@ s2 legend "Protein Z"
"""


def xvg(path, label, rows):
    path.write_text(XVG.format(label=label) + "\n".join("\t".join(f"{x:.9g}" for x in row) for row in rows) + "\n")
    return path


@pytest.fixture
def motion(rng):
    """time and R, V, F of a particle, (20, 3) each."""
    return 0.01 * np.arange(20), *rng.normal(size=(3, 20, 3))


def test_gromacs_files_side_by_side(tmp_path, motion):
    time, position, velocity, force = motion
    files = [
        xvg(tmp_path / name, label, np.column_stack([time, values]))
        for name, label, values in (
            ("ox.xvg", "Coordinate (nm)", position),
            ("ov.xvg", "Velocity (nm/ps)", velocity),
            ("of.xvg", "Force (kJ mol\\S-1\\N nm\\S-1\\N)", force),
        )
    ]
    series = ama.load_series(files, mass=100.0, n_atoms=10, momentum_offset=-0.001)
    np.testing.assert_allclose(series.centre_of_mass, position, rtol=1e-8)
    np.testing.assert_allclose(series.momentum, 100.0 * velocity, rtol=1e-8)
    np.testing.assert_allclose(series.net_force, force, rtol=1e-8)
    assert (series.timestep, series.mass, series.epsilon, series.momentum_offset) == (0.01, 100.0, 0.1, -0.001)
    with pytest.raises(InputError, match="mass= in u"):
        ama.load_series(files)


def test_lammps_fix_ave_time(tmp_path):
    path = tmp_path / "np.dat"
    path.write_text(
        "# Time-averaged data for fix s\n# TimeStep v_Time v_Rx v_Ry v_Rz v_Px v_Py v_Pz v_Fx v_Fy v_Fz\n"
        "0 100 1 2 3 4 5 6 7 8 9\n5 110 1 2 3 4 5 6 7 8 9\n"
    )
    series = ama.load_series(path, mass=50.0, units="real")
    np.testing.assert_allclose(series.time, [0.1, 0.11])
    np.testing.assert_allclose(series.centre_of_mass[0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(series.momentum[0], [400.0, 500.0, 600.0])  # g/mol Å/fs = 100 u nm/ps
    np.testing.assert_allclose(series.net_force[0], 41.84 * np.array([7.0, 8.0, 9.0]))  # kcal/mol/Å


def test_lammps_vector_columns_and_yaml(tmp_path):
    rows = "- [0, 1.5, -1, 2, 3, ]\n  - [100, 2.5, 4, 5, 6, ]\n"
    (tmp_path / "thermo.yaml").write_text(
        f"---\nkeywords: ['Step', 'Time', 'v_Px', 'v_Py', 'v_Pz', ]\ndata:\n  {rows}...\n"
    )
    series = ama.load_series(tmp_path / "thermo.yaml", mass=1.0, units="metal")
    np.testing.assert_allclose(series.time, [1.5, 2.5])
    np.testing.assert_allclose(series.momentum, 0.1 * np.array([[-1.0, 2, 3], [4, 5, 6]]))
    (tmp_path / "com.dat").write_text("# TimeStep c_com[1] c_com[2] c_com[3]\n0 1 2 3\n10 2 3 4\n")
    series = ama.load_series(tmp_path / "com.dat", mass=1.0, units="real", timestep=0.02)
    np.testing.assert_allclose(series.centre_of_mass[1], [0.2, 0.3, 0.4])


def test_plumed_jumps_are_taken_out_with_the_cell(tmp_path, rng):
    box = np.array([[3.0, 0, 0], [1.2, 2.8, 0], [-1.4, 1.3, 2.5]])
    walk = np.cumsum(rng.normal(scale=0.2, size=(300, 3)), axis=0)
    stored = walk @ np.linalg.inv(box)
    stored = (stored - np.floor(stored)) @ box
    names = " ".join(f"cell.{v}{a}" for v in "abc" for a in "xyz")
    rows = np.column_stack([0.1 * np.arange(300), stored, np.tile(box.ravel(), (300, 1))])
    text = "\n".join(" ".join(f"{x:.10f}" for x in row) for row in rows)
    (tmp_path / "COLVAR").write_text(f"#! FIELDS time r.x r.y r.z {names}\n#! SET foo 1\n{text}\n")
    assert is_series_file(tmp_path / "COLVAR")
    series = ama.load_series(tmp_path / "COLVAR", mass=10.0, columns=None)
    np.testing.assert_allclose(series.centre_of_mass - series.centre_of_mass[0], walk - walk[0], atol=1e-7)
    without = "\n".join(" ".join(f"{x:.10f}" for x in row[:4]) for row in rows)
    (tmp_path / "COLVAR.bare").write_text(f"#! FIELDS time r.x r.y r.z\n{without}\n")
    assert "position_jumps" in {n.code for n in ama.load_series(tmp_path / "COLVAR.bare", mass=10.0).warnings}


def test_units_in_column_names(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "time [fs],Rx [Angstrom],Ry [Angstrom],Rz [Angstrom],px (u Angstrom/fs),py (u Angstrom/fs),pz (u Angstrom/fs)\n0,1,2,3,1,2,3\n1,1,2,3,1,2,3\n"
    )
    series = ama.load_series(path, mass=10.0)
    np.testing.assert_allclose(series.time, [0.0, 0.001])
    np.testing.assert_allclose(series.centre_of_mass[0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(series.momentum[0], [100.0, 200.0, 300.0])


def test_columns_can_be_named(tmp_path):
    path = tmp_path / "odd.txt"
    path.write_text("clock foo bar baz\n0 1 2 3\n1 2 3 4\n")
    with pytest.raises(FormatError, match="none of its columns"):
        ama.load_series(path, mass=1.0)
    series = ama.load_series(path, mass=1.0, columns={"time": "clock", "net_force": [1, "bar", "baz"]})
    np.testing.assert_array_equal(series.net_force[1], [2, 3, 4])
    with pytest.raises(InputError, match="has no column 'qux'"):
        ama.load_series(path, mass=1.0, columns={"time": "clock", "net_force": [1, 2, "qux"]})


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_what_is_written_comes_back_to_the_last_digit(tmp_path, motion, suffix):
    import gzip

    time, position, velocity, force = motion
    series = ama.OrderParameters.from_arrays(
        time=time, mass=12.5, momentum=velocity, net_force=force, centre_of_mass=position, typical_mass=1.7,
        total_mass=99.0, zero_total_momentum=True, momentum_offset=-0.001, temperature=300.1,
    )  # fmt: skip
    ama.write_series(series, tmp_path / "series.csv")
    if suffix.endswith(".gz"):
        (tmp_path / "series.csv.gz").write_bytes(gzip.compress((tmp_path / "series.csv").read_bytes()))
    found = ama.load_series(tmp_path / f"series{suffix}")
    for name in ("time", "centre_of_mass", "momentum", "net_force"):
        np.testing.assert_array_equal(getattr(found, name), getattr(series, name))
    for name in ("mass", "typical_mass", "total_mass", "zero_total_momentum", "momentum_offset", "temperature"):
        assert getattr(found, name) == getattr(series, name)


def test_files_of_the_same_kind_are_replicas(tmp_path, rng):
    runs = rng.normal(size=(3, 20, 3))
    paths = []
    for k, run in enumerate(runs):
        paths.append(tmp_path / f"run{k}.csv")
        one = ama.OrderParameters.from_arrays(timestep=0.1, mass=2.0, momentum=run[: 20 - k])
        ama.write_series(one, paths[-1])
    series = ama.load_series(paths)
    assert series.n_replicas == 3
    np.testing.assert_array_equal(series.momentum, runs[:, :18])
    assert "replicas_cut" in {notice.code for notice in series.warnings}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("time,Px,Py,Pz\n", "no rows of numbers"),
        ("time,Px,Py,Pz\n0,1,2,3\n1,2,3\n2,1,2,3\n", "row 3 has 3 columns, the first has 4"),
        ("time,Px,Py,Pz\n0,1,2,3\n1,2,x3,4\n2,1,2,3\n", "row 3 is not numbers"),
        ("time,Px,Py,Pz\n0,1,2,3\n1,2,nan,4\n2,1,2,3\n", "row 3 holds NaN"),
        ("time,Px,Py,Pz\n0,1,2,3\n2,2,3,4\n1,1,2,3\n", "expected increasing times"),
        ("Px,Py,Pz\n1,2,3\n2,3,4\n", "no column of times"),
    ],
)
def test_damage_gets_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "damaged.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        ama.load_series(path, mass=1.0)
    assert "\n" not in str(caught.value)


def test_a_row_cut_short_is_left_out(tmp_path):
    path = tmp_path / "cut.csv"
    path.write_text("time,Px,Py,Pz\n0,1,2,3\n1,2,3,4\n2,1,2")
    series = ama.load_series(path, mass=1.0)
    assert series.n_frames == 2
    assert "last_row_cut" in {notice.code for notice in series.warnings}


def test_which_files_are_series(tmp_path):
    (tmp_path / "dump.dat").write_text("ITEM: TIMESTEP\n0\n")
    (tmp_path / "a.csv").write_text("time,Px\n")
    assert is_series_file(tmp_path / "a.csv")
    assert not is_series_file(tmp_path / "dump.dat")
    assert not is_series_file(DATA / "peptide.trr")


# -- recipes ------------------------------------------------------------------------------------------


def test_recipes_name_the_atoms():
    assert "COM ATOMS=1-13 NOPBC" in ama.recipe("plumed", "index 0 to 12")
    assert "group        ama id 1:13" in ama.recipe("lammps", "index 0 to 12")
    assert "group        ama type 2" in ama.recipe("lammps", "type 2", every=7)
    assert "all print 7 " in ama.recipe("lammps", "type 2", every=7)
    assert 'echo "Protein"' in ama.recipe("gromacs", "Protein")
    text = ama.recipe("gromacs", "resid 0", topology=DATA / "peptide.tpr")
    assert "[ Nanoparticle ]\n1 2 3 4 5 6 7 8 9 10 11 12\nEND" in text
    assert "H5MDReporter" in ama.recipe("openmm", "protein")


@pytest.mark.parametrize(
    ("engine", "select", "sentence"),
    [
        ("charmm", "all", "no recipe for 'charmm'"),
        ("plumed", "protein", "cannot be looked up without a topology"),
        ("lammps", None, "no selection was given"),
        ("gromacs", "resname A or resname B", "cannot be looked up"),
    ],
)
def test_recipes_that_cannot_be_written(engine, select, sentence):
    with pytest.raises(InputError, match=sentence):
        ama.recipe(engine, select)


def test_openmm_recipe_runs(tmp_path, monkeypatch):
    import openmm
    from openmm import app, unit

    monkeypatch.chdir(tmp_path)
    topology, system = app.Topology(), openmm.System()
    chain = topology.addChain()
    force = openmm.NonbondedForce()
    for k in range(8):
        topology.addAtom("Ar", app.element.argon, topology.addResidue("AR" if k > 1 else "NP", chain))
        system.addParticle(39.948)
        force.addParticle(0.0, 0.34, 1.0)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, openmm.VerletIntegrator(0.002), platform)
    grid = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3) * 0.4
    simulation.context.setPositions(grid * unit.nanometer)
    simulation.context.setVelocitiesToTemperature(120.0, 3)
    exec(ama.recipe("openmm", "resname NP"), {"simulation": simulation})
    simulation.step(50)
    for reporter in simulation.reporters:
        if hasattr(reporter, "close"):
            reporter.close()
    series = ama.load_series("run.h5md")
    assert series.mass == pytest.approx(2 * 39.948)
    np.testing.assert_allclose(
        np.gradient(series.momentum, series.time, axis=0)[1:-1],
        series.net_force[1:-1],
        atol=0.02 * np.abs(series.net_force).max(),
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("lmp") is None, reason="LAMMPS is not installed here")
def test_lammps_recipe_in_lammps(tmp_path):
    recipe = ama.recipe("lammps", "type 2", every=5).replace("STYLE", "real")
    (tmp_path / "in.lmp").write_text(
        "units real\natom_style atomic\nlattice fcc 5.75\nregion r block 0 3 0 3 0 3\ncreate_box 2 r\ncreate_atoms 1 box\n"
        "region s sphere 1.5 1.5 1.5 0.9\nset region s type 2\nmass 1 39.948\nmass 2 80\npair_style lj/cut 8\npair_coeff * * 0.238 3.405\n"
        f"velocity all create 120 1 mom yes\ntimestep 2\nfix 1 all nve\n{recipe}\n"
        "dump d all custom 5 d.lammpstrj id type mass x y z ix iy iz vx vy vz fx fy fz\n"
        "dump_modify d sort id units yes time yes format float %20.15g\nrun 100\n"
    )
    subprocess.run(["lmp", "-in", "in.lmp"], cwd=tmp_path, check=True, capture_output=True)
    series = ama.load_series(tmp_path / "ama.dat")
    trajectory = ama.load(tmp_path / "d.lammpstrj")
    expected = trajectory.order_parameters(np.flatnonzero(trajectory.masses > 50))
    for name in ("centre_of_mass", "momentum", "net_force"):
        values, wanted = getattr(series, name), getattr(expected, name)[-series.n_frames :]
        np.testing.assert_allclose(values, wanted, atol=3e-6 * np.abs(wanted).max())
    assert series.total_mass == pytest.approx(trajectory.masses.sum())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gmx") is None, reason="GROMACS is not installed here")
def test_gromacs_recipe_in_gromacs(tmp_path):
    text = ama.recipe("gromacs", "index 0 to 136", topology=DATA / "peptide.tpr")
    shutil.copy(DATA / "peptide.tpr", tmp_path / "md.tpr")
    shutil.copy(DATA / "peptide.trr", tmp_path / "md.trr")
    script = "set -e\n" + text[text.index("# 2.") :]
    subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True, capture_output=True)
    expected = ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr").order_parameters("all")
    series = ama.load_series([tmp_path / f"{name}.xvg" for name in ("ox", "ov", "of")], mass=expected.mass)
    for name in ("centre_of_mass", "momentum", "net_force"):
        wanted = getattr(expected, name)
        np.testing.assert_allclose(getattr(series, name), wanted, atol=3e-7 * np.abs(wanted).max())


def test_thermo_columns_of_vectors_have_their_brackets(tmp_path, rng):
    rows = "".join(f"  - [{k}, {0.5 * k}, " + ", ".join(map(str, rng.normal(size=6))) + ", ]\n" for k in range(20))
    names = ["Step", "Time", *(f"c_com[{k}]" for k in (1, 2, 3)), *(f"v_P{k}" for k in "xyz")]
    path = tmp_path / "log.yaml"
    path.write_text(f"---\nkeywords: [{', '.join(map(repr, names))}, ]\ndata:\n{rows}...\n")
    series = ama.load_series(path, mass=10.0, units="real")
    assert series.centre_of_mass.shape == series.momentum.shape == (20, 3)
