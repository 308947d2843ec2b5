"""H5MD: round trips to the last bit, MDAnalysis reading what we write, and other programs' spellings and units."""

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import FormatError, InputError, Notice

DATA = Path(__file__).parent / "data"
FIELDS = ("positions", "velocities", "forces")


@pytest.fixture(scope="module")
def peptide():
    return ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr", frames=slice(0, 8))


@pytest.mark.parametrize("name", ["peptide", "gold", "mixed", "amber"])
def test_round_trip_to_the_last_bit(tmp_path, peptide, name):
    source = {
        "peptide": lambda: peptide,
        "gold": lambda: ama.load(DATA / "nanoparticle.lammpstrj.gz"),
        "mixed": lambda: ama.load(DATA / "mixed_strides.trr", topology=DATA / "mixed_strides.gro"),
        "amber": lambda: ama.load(DATA / "ace_tip3p.nc", topology=DATA / "ace_tip3p.parm7.gz"),
    }[name]()
    source = source.replace(metadata={"engine": "some", "seed": 7, "nested": {"a": [1, 2.5]}})
    source.save(tmp_path / "copy.h5md")
    found = ama.load(tmp_path / "copy.h5md")
    for array in (*FIELDS, "box", "times", "masses"):
        a, b = getattr(found, array), getattr(source, array)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert found.topology == source.topology
    for fact in ("metadata", "notices", "masses_source", "velocity_offset", "md_timestep", "complete_system"):
        assert getattr(found, fact) == getattr(source, fact)


def test_partial_trajectories_come_back_as_they_are(tmp_path, rng):
    momentum_only = ama.Trajectory.from_arrays(velocities=rng.normal(size=(4, 2, 3)), masses=[1.0, 2.0], timestep=0.5)
    momentum_only.save(tmp_path / "v.h5md")
    found = ama.load(tmp_path / "v.h5md")
    np.testing.assert_array_equal(found.velocities, momentum_only.velocities)
    assert found.positions is None
    assert found.box is None


def test_mdanalysis_reads_it(tmp_path, peptide):
    import MDAnalysis

    peptide.save(tmp_path / "peptide.h5md")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(DATA / "peptide.tpr"), str(tmp_path / "peptide.h5md"))
        assert len(universe.trajectory) == 8
        for row, snapshot in enumerate(universe.trajectory):
            np.testing.assert_allclose(0.1 * snapshot.positions, peptide.positions[row], rtol=3e-7)
            np.testing.assert_allclose(0.1 * snapshot.velocities, peptide.velocities[row], rtol=3e-7)
            np.testing.assert_allclose(10.0 * snapshot.forces, peptide.forces[row], rtol=3e-7)
            assert snapshot.time == pytest.approx(peptide.times[row])
            np.testing.assert_allclose(0.1 * snapshot.triclinic_dimensions, peptide.box[row], atol=1e-5)
        universe.trajectory.close()


def test_a_failed_write_leaves_nothing(tmp_path, peptide):
    target = tmp_path / "kept.h5md"
    target.write_text("before")
    with pytest.raises(TypeError):
        peptide.replace(metadata={"not JSON": object()}).save(target)
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.h5md"]
    with pytest.raises(InputError, match="does not exist; make it first"):
        peptide.save(tmp_path / "nowhere" / "x.h5md")


def write_foreign(path, **changes):
    """An H5MD file in another program's manner: eV, Å and fs, momenta, fixed time steps, edge lengths."""
    rng = np.random.default_rng(1)
    x, p, f = rng.normal(size=(3, 5, 4, 3))
    with h5py.File(path, "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        group = file.create_group("particles/all")
        for name, values, unit in (
            ("position", x, "Angstrom"),
            ("momentum", p, "u Angstrom fs-1"),
            (changes.get("force_name", "force"), f, "eV Angstrom-1"),
        ):
            element = group.create_group(name)
            element["value"] = values
            element["value"].attrs["unit"] = np.bytes_(unit)
            element["step"] = 10
            element["time"] = 2.5
            element["time"].attrs["unit"] = "fs"
            element["time"].attrs["offset"] = 100.0
        group["mass"] = np.array([1.0, 2.0, 3.0, 0.0])
        group["mass"].attrs["unit"] = "u"
        group["species"] = np.array([1, 1, 2, 2])
        box = group.create_group("box")
        box.attrs["dimension"], box.attrs["boundary"] = 3, ["periodic"] * 3
        box["edges"] = np.array([100.0, 110.0, 120.0])
        box["edges"].attrs["unit"] = "Angstrom"
    return x, p, f


@pytest.mark.parametrize("force_name", ["force", "forces"])
def test_other_units_and_names(tmp_path, force_name):
    x, p, f = write_foreign(tmp_path / "foreign.h5", force_name=force_name)
    trajectory = ama.load(tmp_path / "foreign.h5")
    np.testing.assert_allclose(trajectory.positions, 0.1 * x)
    np.testing.assert_allclose(trajectory.velocities[:, :3], 100.0 * p[:, :3] / np.array([1, 2, 3.0])[:, None])
    np.testing.assert_allclose(trajectory.forces, 964.85332123 * f, rtol=1e-8)
    np.testing.assert_allclose(trajectory.times, 1e-3 * (100.0 + 2.5 * np.arange(5)))
    np.testing.assert_allclose(trajectory.box[2], np.diag([10.0, 11.0, 12.0]))
    np.testing.assert_array_equal(trajectory.masses, [1.0, 2.0, 3.0, 0.0])
    assert trajectory.md_timestep == pytest.approx(2.5e-4)
    assert trajectory.select("resname T2").n_atoms == 2


def test_elements_written_at_different_strides(tmp_path, rng):
    """Positions every 2 steps, velocities every step, forces every 4."""
    with h5py.File(tmp_path / "strides.h5md", "w") as file:
        group = file.create_group("particles/all")
        written = {}
        for name, stride in (("position", 2), ("velocity", 1), ("force", 4)):
            steps = np.arange(0, 12, stride)
            written[name] = rng.normal(size=(len(steps), 2, 3)).astype(np.float32)
            element = group.create_group(name)
            element["value"], element["step"], element["time"] = written[name], steps, 0.002 * steps
        group["mass"] = [1.0, 2.0]
    trajectory = ama.load(tmp_path / "strides.h5md")
    assert trajectory.n_frames == 12
    for name, key, stride in (("positions", "position", 2), ("velocities", "velocity", 1), ("forces", "force", 4)):
        held = trajectory.frames_with[name]
        np.testing.assert_array_equal(np.flatnonzero(held), np.arange(0, 12, stride))
        np.testing.assert_array_equal(getattr(trajectory, name)[held], written[key])
    assert trajectory.order_parameters("all").even("net_force").timestep == pytest.approx(0.008)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: f.__delitem__("particles"), "no group 'particles'"),
        (
            lambda f: [f["particles/all"].__delitem__(k) for k in ("position", "momentum", "force")],
            "holds no positions, velocities",
        ),
        (
            lambda f: f["particles/all/position/value"].attrs.__setitem__("unit", "furlong"),
            "unit 'furlong' of a length",
        ),
        (lambda f: f["particles/all/force/value"].attrs.__setitem__("unit", "nm"), "'nm' is not that of a force"),
        (lambda f: f["particles/all"].__delitem__("mass"), "holds momenta but no masses|holds no masses"),
    ],
)
def test_damage_gets_one_sentence(tmp_path, damage, sentence):
    write_foreign(tmp_path / "d.h5md")
    with h5py.File(tmp_path / "d.h5md", "r+") as file:
        damage(file)
    with pytest.raises(FormatError, match=sentence) as caught:
        ama.load(tmp_path / "d.h5md")
    assert "\n" not in str(caught.value)


def test_masses_of_a_topology_serve_momenta(tmp_path, rng):
    """A file with momenta but no masses, and a topology that has them."""
    with h5py.File(tmp_path / "m.h5md", "w") as file:
        element = file.create_group("particles/all/momentum")
        element["value"] = rng.normal(size=(2, 137, 3))
        element["time"] = [0.0, 1.0]
    trajectory = ama.load(tmp_path / "m.h5md", topology=DATA / "peptide.tpr")
    with h5py.File(tmp_path / "m.h5md") as file:
        np.testing.assert_allclose(
            trajectory.velocities * trajectory.masses[:, None], file["particles/all/momentum/value"]
        )


def test_notices_survive(tmp_path, peptide):
    told = peptide.replace(notices=(Notice("a", "b.", "error"),))
    told.save(tmp_path / "n.h5md")
    assert ama.load(tmp_path / "n.h5md").notices == (Notice("a", "b.", "error"),)
