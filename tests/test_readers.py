"""Files of engines: values against independent readers, frames that lack fields, and every way a file can be broken."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import Cancelled, FormatError, InputError
from amaexplore.trajectory.temperature import measure_temperature
from amaexplore.trajectory.unit_text import unit_factor

DATA = Path(__file__).parent / "data"
PEPTIDE = dict(files=DATA / "peptide.trr", topology=DATA / "peptide.tpr")


@pytest.fixture(scope="module")
def peptide():
    return ama.load(**PEPTIDE)


def codes(trajectory):
    return {notice.code for notice in trajectory.notices}


def write_trr(path, frames, dtype=">f4"):
    """A TRR file byte by byte: frames of (step, time, box, {field: (n, 3)}), as GROMACS writes them."""
    import struct

    real = np.dtype(dtype).itemsize
    with open(path, "wb") as file:
        for step, time, box, fields in frames:
            n_atoms = len(next(iter(fields.values())))
            sizes = [n_atoms * 3 * real if name in fields else 0 for name in "xvf"]
            file.write(struct.pack(">iii12s", 1993, 13, 12, b"GMX_trn_file"))
            file.write(struct.pack(">13i", 0, 0, 9 * real, 0, 0, 0, 0, *sizes, n_atoms, step, 0))
            file.write(np.array([time, 0.0], dtype=dtype).tobytes())
            file.write(np.asarray(box, dtype=dtype).tobytes())
            for name in "xvf":
                if name in fields:
                    file.write(np.asarray(fields[name], dtype=dtype).tobytes())


# -- values -------------------------------------------------------------------------------------------


def test_trr_has_the_numbers_that_stand_in_the_file(peptide):
    # the first frame by hand: header of 84 bytes, box, then x, v, F as big-endian single precision
    raw = np.frombuffer((DATA / "peptide.trr").read_bytes()[84 : 84 + 36 + 3 * 137 * 12], dtype=">f4").astype(
        np.float32
    )
    x, v, f = raw[9:].reshape(3, 137, 3)
    np.testing.assert_array_equal(peptide.velocities[0], v)
    np.testing.assert_array_equal(peptide.forces[0], f)
    np.testing.assert_array_equal(peptide.box[0], raw[:9].reshape(3, 3))
    # positions but for whole box vectors
    turns = (peptide.positions[0] - x) @ np.linalg.inv(raw[:9].reshape(3, 3).astype(float))
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)
    assert np.abs(turns).max() > 0.9
    np.testing.assert_allclose(peptide.times, 0.01 * np.arange(30), atol=1e-6)
    assert (peptide.md_timestep, peptide.n_atoms) == (0.002, 137)


def test_first_atom_stays_where_the_file_has_it(peptide):
    raw = np.frombuffer((DATA / "peptide.trr").read_bytes()[84 + 36 : 84 + 48], dtype=">f4")
    np.testing.assert_array_equal(peptide.positions[0, 0], raw.astype(np.float32))


def test_masses_and_bonds_come_from_the_tpr(peptide):
    assert peptide.masses.sum() == pytest.approx(968.0920134782791, rel=1e-12)
    assert peptide.masses_source == "peptide.tpr"
    assert len({(a.index, b.index) for a, b in peptide.topology.bonds}) >= 136
    assert peptide.select("protein").n_atoms == 137


def test_one_run_in_three_formats_is_the_same(peptide):
    other = ama.load(DATA / "peptide_mdanalysis.h5md", topology=DATA / "peptide.gro")
    np.testing.assert_allclose(other.positions, peptide.positions[:6], atol=2e-6)
    np.testing.assert_allclose(other.velocities, peptide.velocities[:6], rtol=1e-6)
    np.testing.assert_allclose(other.forces, peptide.forces[:6], rtol=1e-6)
    np.testing.assert_allclose(other.times, peptide.times[:6], atol=1e-6)
    assert "elements" in other.masses_source


def test_amber_units_against_mdanalysis():
    import warnings

    import MDAnalysis

    trajectory = ama.load(DATA / "ace_tip3p.nc", topology=DATA / "ace_tip3p.parm7.gz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(
            str(DATA / "ace_tip3p.parm7.gz"), str(DATA / "ace_tip3p.nc"), topology_format="PRMTOP"
        )
        for row, snapshot in enumerate(universe.trajectory):
            np.testing.assert_allclose(trajectory.velocities[row], 0.1 * snapshot.velocities, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(trajectory.forces[row], 10.0 * snapshot.forces, rtol=1e-5, atol=1e-3)
            assert trajectory.times[row] == pytest.approx(snapshot.time)
        universe.trajectory.close()
    # a run at 300 K, still heating up: an independent proof of the factor 20.455 and of the degrees of freedom of rigid water
    temperature, _ = measure_temperature(trajectory, trajectory.select("all"))
    assert temperature == pytest.approx(300.0, rel=0.1)


def test_frames_that_lack_a_field_are_nan_never_garbage():
    trajectory = ama.load(DATA / "mixed_strides.trr", topology=DATA / "mixed_strides.gro")
    expected = {
        "positions": [1, 1, 0, 1, 0, 0, 1],
        "velocities": [1, 0, 0, 0, 1, 0, 0],
        "forces": [1, 0, 1, 0, 0, 1, 0],
    }
    for name, held in expected.items():
        np.testing.assert_array_equal(trajectory.frames_with[name], np.array(held, bool))
        values = getattr(trajectory, name)
        for frame, is_held in enumerate(held):
            assert np.isfinite(values[frame]).all() if is_held else np.isnan(values[frame]).all()
        assert f"{name}_in_some_frames" in codes(trajectory)
    assert np.abs(trajectory.velocities[trajectory.frames_with["velocities"]]).max() < 10.0


def test_mixed_strides_give_even_series_of_each_field(tmp_path, rng):
    """x every 2, v every step, F every 4 steps: the momentum is whole, and P with F is known every 4 steps."""
    frames = []
    for step in range(20):
        fields = {"v": rng.normal(size=(4, 3))}
        if step % 2 == 0:
            fields["x"] = rng.normal(size=(4, 3))
        if step % 4 == 0:
            fields["f"] = rng.normal(size=(4, 3))
        frames.append((step, 0.002 * step, 3.0 * np.eye(3), fields))
    write_trr(tmp_path / "mixed.trr", frames)
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(4):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    mdtraj.Trajectory(np.zeros((1, 4, 3)), topology).save_pdb(tmp_path / "four.pdb")
    trajectory = ama.load(tmp_path / "mixed.trr", topology=tmp_path / "four.pdb")
    series = trajectory.order_parameters("index 0 to 1")
    assert series.even("momentum").n_frames == 20
    assert series.even("momentum", "net_force").timestep == pytest.approx(0.008)
    np.testing.assert_allclose(series.even("net_force").net_force[1], frames[4][3]["f"][:2].sum(axis=0), rtol=1e-6)


def test_double_precision_trr(tmp_path, rng):
    fields = {name: rng.normal(size=(3, 3)) for name in "xvf"}
    write_trr(tmp_path / "double.trr", [(5, 0.01, 2.0 * np.eye(3), fields)], dtype=">f8")
    (tmp_path / "three.xyz.pdb").write_text(_pdb(3))
    trajectory = ama.load(tmp_path / "double.trr", topology=tmp_path / "three.xyz.pdb")
    np.testing.assert_allclose(trajectory.forces[0], fields["f"], rtol=1e-6)
    np.testing.assert_allclose(trajectory.velocities[0], fields["v"], rtol=1e-6)


def _pdb(n_atoms):
    lines = [
        f"ATOM  {i + 1:5d}  AR  ARG A{i + 1:4d}    {0.0:8.3f}{0.0:8.3f}{0.0:8.3f}  1.00  0.00          AR"
        for i in range(n_atoms)
    ]
    return "\n".join([*lines, "END", ""])


@pytest.mark.parametrize("ending", [".xtc", ".dcd", ".pdb"])
def test_positions_alone_through_mdtraj(tmp_path, rng, ending):
    source = mdtraj.load(str(DATA / "peptide.gro"))
    walk = source.xyz + np.cumsum(rng.normal(scale=0.01, size=(5, 137, 3)), axis=0)
    times = 2.0 * np.arange(5)
    cell = dict(unitcell_lengths=np.full((5, 3), 9.0), unitcell_angles=np.tile([80.0, 95.0, 100.0], (5, 1)))
    mdtraj.Trajectory(walk, source.topology, time=times, **cell).save(str(tmp_path / f"walk{ending}"))
    named = ending == ".pdb"
    given = {} if named else {"topology": DATA / "peptide.tpr"}
    # mdtraj writes no times into DCD headers and no model times into PDB
    given |= {"timestep": 2.0} if ending in (".dcd", ".pdb") else {}
    trajectory = ama.load(tmp_path / f"walk{ending}", **given)
    tolerance = 2e-3 if ending in (".xtc", ".pdb") else 1e-5
    np.testing.assert_allclose(trajectory.positions - trajectory.positions[0], walk - walk[0], atol=2 * tolerance)
    np.testing.assert_allclose(trajectory.times, times)
    expected = mdtraj.Trajectory(
        walk[:1], source.topology, unitcell_lengths=[[9.0] * 3], unitcell_angles=[[80.0, 95.0, 100.0]]
    )
    np.testing.assert_allclose(trajectory.box[0], expected.unitcell_vectors[0], atol=2e-3)
    assert trajectory.velocities is None
    assert trajectory.forces is None
    assert "no_velocities_forces" in codes(trajectory)
    with pytest.raises(ama.AmaError, match=r"holds no velocities"):
        trajectory.require("velocities")


def test_mdtraj_hdf5_with_velocities(tmp_path, rng):
    """The layout that mdtraj documents; mdtraj itself needs PyTables for it, and drops the velocities."""
    import json

    import h5py

    atoms = [{"name": "OW", "element": "O", "index": 0}, {"name": "HW", "element": "H", "index": 1}]
    residue = {"name": "HOH", "resSeq": 7, "segmentID": "W", "index": 0, "atoms": atoms}
    document = {"chains": [{"index": 0, "residues": [residue]}], "bonds": [[0, 1]]}
    x, v = rng.normal(size=(2, 4, 2, 3)).astype(np.float32)
    with h5py.File(tmp_path / "run.h5", "w") as file:
        file["coordinates"], file["velocities"], file["time"] = x, v, np.arange(4.0)
        file["velocities"].attrs["units"] = "nanometers/picosecond"
        file["topology"] = np.array([json.dumps(document)], dtype="S")
    trajectory = ama.load(tmp_path / "run.h5")
    np.testing.assert_array_equal(trajectory.positions, x)
    np.testing.assert_array_equal(trajectory.velocities, v)
    assert trajectory.masses == pytest.approx([15.99943, 1.007947], rel=1e-4)
    assert str(trajectory.topology.atom(1)) == "HOH7-HW"
    assert trajectory.topology.n_bonds == 1


def test_dcd_times_come_from_its_header(tmp_path):
    """OpenMM writes real times: 7 steps of 2 fs between frames."""
    from openmm import unit
    from openmm.app import Topology
    from openmm.app.dcdfile import DCDFile

    topology = Topology()
    residue = topology.addResidue("AR", topology.addChain())
    for _ in range(3):
        topology.addAtom("Ar", None, residue)
    with open(tmp_path / "run.dcd", "wb") as file:
        dcd = DCDFile(file, topology, 0.002 * unit.picosecond, firstStep=7, interval=7)
        for k in range(4):
            dcd.writeModel((k + np.arange(9.0).reshape(3, 3)) * unit.nanometer)
    (tmp_path / "three.pdb").write_text(_pdb(3))
    trajectory = ama.load(tmp_path / "run.dcd", topology=tmp_path / "three.pdb")
    np.testing.assert_allclose(trajectory.times, 0.014 * np.arange(1, 5), rtol=1e-5)
    assert trajectory.md_timestep == pytest.approx(0.002, rel=1e-4)
    np.testing.assert_allclose(trajectory.positions[2, 1], [5.0, 6.0, 7.0], rtol=1e-6)
    assert trajectory.box is None
    assert "dcd_times" in codes(trajectory)


def test_from_universe_converts_units(peptide):
    import warnings

    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(DATA / "peptide.tpr"), str(DATA / "peptide_mdanalysis.h5md"))
        trajectory = ama.Trajectory.from_universe(universe, frames=slice(1, 5, 2))
        universe.trajectory.close()
    np.testing.assert_allclose(trajectory.times, [0.01, 0.03], atol=1e-6)
    np.testing.assert_allclose(trajectory.forces, peptide.forces[1:5:2], rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(trajectory.velocities, peptide.velocities[1:5:2], rtol=1e-5, atol=1e-5)


# -- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [slice(3, 9), slice(0, None, 7), slice(-4, None), slice(20, 5), slice(1, -1, 9)])
@pytest.mark.parametrize("name", ["peptide.trr", "nanoparticle.lammpstrj.gz"])
def test_frames_are_those_of_the_whole(name, chosen):
    topology = DATA / "peptide.tpr" if name.endswith("trr") else None
    whole = ama.load(DATA / name, topology=topology)
    if chosen == slice(20, 5):
        with pytest.raises(InputError, match="picks none of the"):
            ama.load(DATA / name, topology=topology, frames=chosen)
        return
    part = ama.load(DATA / name, topology=topology, frames=chosen)
    np.testing.assert_array_equal(part.times, whole.times[chosen])
    np.testing.assert_array_equal(part.forces, whole.forces[chosen])


def test_several_files_in_a_row(tmp_path, peptide):
    data = (DATA / "peptide.trr").read_bytes()
    size = len(data) // 30
    (tmp_path / "a.trr").write_bytes(data[: 12 * size])
    # continued runs repeat the last frame
    (tmp_path / "b.trr").write_bytes(data[11 * size :])
    joined = ama.load([tmp_path / "a.trr", tmp_path / "b.trr"], topology=DATA / "peptide.tpr")
    np.testing.assert_array_equal(joined.forces, peptide.forces)
    np.testing.assert_allclose(joined.positions, peptide.positions, atol=1e-6)
    assert "repeated_frames" in codes(joined)
    part = ama.load([tmp_path / "a.trr", tmp_path / "b.trr"], topology=DATA / "peptide.tpr", frames=slice(10, 20, 5))
    np.testing.assert_array_equal(part.forces, peptide.forces[[10, 14]])  # counted over all stored frames
    with pytest.raises(FormatError, match="Times go back"):
        ama.load([tmp_path / "b.trr", tmp_path / "a.trr"], topology=DATA / "peptide.tpr")


def test_progress_and_cancel():
    seen = []
    ama.load(**PEPTIDE, progress=lambda fraction, text: seen.append((fraction, text)))
    assert seen[-1][0] == 1.0
    assert all(0.0 <= fraction <= 1.0 for fraction, _ in seen)

    def stop(fraction, text):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        ama.load(**PEPTIDE, progress=stop)


@pytest.mark.parametrize("name", ["peptide.trr", "nanoparticle.lammpstrj.gz"])
def test_what_does_not_fit_the_memory_goes_to_disk(tmp_path, monkeypatch, name):
    topology = DATA / "peptide.tpr" if name.endswith("trr") else None
    expected = ama.load(DATA / name, topology=topology)
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "50K")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("amaexplore.trajectory.frames.CHUNK_BYTES", 20_000)
    found = ama.load(DATA / name, topology=topology)
    for field in ("positions", "velocities", "forces"):
        assert isinstance(getattr(found, field).base, np.memmap)
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
    assert "frames_on_disk" in codes(found)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    momentum = found.order_parameters("all").momentum
    np.testing.assert_allclose(momentum, expected.order_parameters("all").momentum, rtol=1e-12)


def test_nothing_is_written_beside_the_data(tmp_path):
    import shutil

    shutil.copy(DATA / "peptide.trr", tmp_path)
    ama.load(tmp_path / "peptide.trr", topology=DATA / "peptide.tpr")
    assert [path.name for path in tmp_path.iterdir()] == ["peptide.trr"]


# -- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(files="nowhere.trr"), "does not exist"),
        (dict(files=[]), "at least one file"),
        (dict(files=DATA), "is a folder"),
        (dict(files=DATA / "README.md"), "unknown format .md; known are"),
        (dict(files=DATA / "peptide.trr"), "holds no masses; give topology="),
        (
            dict(files=DATA / "peptide.trr", topology=DATA / "mixed_strides.gro"),
            "has 648 atoms, the trajectory .* has 137",
        ),
        (dict(files=DATA / "peptide.trr", topology="nowhere.tpr"), "topology file nowhere.tpr does not exist"),
        (dict(files=DATA / "peptide.trr", topology=DATA / "README.md"), "unknown format .md"),
        (dict(PEPTIDE, frames=slice(100, None)), "picks none of the 30 frames"),
        (dict(PEPTIDE, frames=[1, 2]), "frames must be a slice"),
        (dict(PEPTIDE, timestep=-1.0), "timestep must be a positive number"),
        (dict(PEPTIDE, integrator="euler"), "integrator 'euler' is not known"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        ama.load(**arguments)
    assert "\n" not in str(caught.value)


FILES = {
    "run.trr": ("peptide.trr", "peptide.tpr"),
    "run.nc": ("ace_tip3p.nc", "ace_tip3p.parm7.gz"),
    "run.h5md": ("peptide_mdanalysis.h5md", "peptide.tpr"),
    "run.lammpstrj.gz": ("nanoparticle.lammpstrj.gz", None),
}


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_get_one_sentence(tmp_path, name):
    source, topology = FILES[name]
    data = (DATA / source).read_bytes()
    for length in (0, 1, 30, len(data) // 3 + 11, len(data) - 7):
        (tmp_path / name).write_bytes(data[:length])
        with pytest.raises(FormatError, match=r"empty|truncated|not a readable") as caught:
            ama.load(tmp_path / name, topology=None if topology is None else DATA / topology)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["run.trr", "run.lammpstrj.gz"])
def test_whole_frames_of_a_truncated_file_can_be_read(tmp_path, name):
    source, topology = FILES[name]
    topology = None if topology is None else DATA / topology
    data = (DATA / source).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2 + 11])
    with pytest.raises(FormatError, match=r"frames=slice\(0, \d+\)") as caught:
        ama.load(tmp_path / name, topology=topology)
    n_whole = int(str(caught.value).split("frames=slice(0, ")[1].split(")")[0])
    part = ama.load(tmp_path / name, topology=topology, frames=slice(0, n_whole))
    assert part.n_frames == n_whole > 5


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits_are_a_sentence_or_the_same_shape(tmp_path, name, rng):
    """A bit in the structure of a file must not crash the reader; one in a number cannot always be seen."""
    source, topology = FILES[name]
    data = bytearray((DATA / source).read_bytes())
    topology = {"peptide.tpr": "peptide.gro"}.get(topology, topology)  # faster to read
    for position in [*rng.integers(0, min(len(data), 600), 16), *rng.integers(0, len(data), 8)]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(rng.integers(8))
        (tmp_path / name).write_bytes(flipped)
        assert _outcome(tmp_path / name, None if topology is None else DATA / topology) in ("read", "one sentence")


def _outcome(path, topology):
    try:
        ama.load(path, topology=topology, timestep=0.01)
    except InputError as error:
        return "one sentence" if "\n" not in str(error) else str(error)
    return "read"


@pytest.mark.parametrize("name", FILES)
def test_other_contents_under_a_known_name(tmp_path, name, rng):
    for contents in (b"hello, this is a diary\n" * 30, rng.bytes(3000)):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(FormatError):
            ama.load(tmp_path / name, topology=DATA / "peptide.tpr")


def test_forces_that_are_not_finite_name_frame_and_atom(tmp_path, rng):
    frames = [(k, 0.01 * k, np.eye(3), {"x": np.zeros((4, 3)), "f": rng.normal(size=(4, 3))}) for k in range(5)]
    frames[3][3]["f"][2, 1] = np.nan
    write_trr(tmp_path / "blown.trr", frames)
    (tmp_path / "four.pdb").write_text(_pdb(4))
    with pytest.raises(InputError, match=r"forces are not finite .* frame 3, first at atom 2.*frames=slice\(0, 3\)"):
        ama.load(tmp_path / "blown.trr", topology=tmp_path / "four.pdb")
    assert ama.load(tmp_path / "blown.trr", topology=tmp_path / "four.pdb", frames=slice(0, 3)).n_frames == 3


def test_values_no_engine_writes_are_refused(tmp_path, rng):
    frames = [(k, 0.01 * k, np.eye(3), {"x": np.zeros((4, 3)), "v": rng.normal(size=(4, 3))}) for k in range(5)]
    frames[3][3]["v"][2, 1] = 1e30
    write_trr(tmp_path / "flipped.trr", frames)
    (tmp_path / "four.pdb").write_text(_pdb(4))
    with pytest.raises(InputError, match=r"velocities reach 1e\+30 nm/ps at frame 3, atom 2"):
        ama.load(tmp_path / "flipped.trr", topology=tmp_path / "four.pdb")


@pytest.mark.parametrize(
    "name", ["broken.tpr", "broken.parm7", "broken.gro", "broken.pdb", "broken.psf", "broken.data"]
)
def test_broken_topologies_get_one_sentence(tmp_path, name, rng):
    for contents in (b"", b"abc\n" * 50, rng.bytes(500)):
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(FormatError) as caught:
            ama.load(DATA / "peptide.trr", topology=tmp_path / name)
        assert "\n" not in str(caught.value)


# -- units as text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "factor"),
    [
        ("nm", "length", 1.0),
        ("Angstrom", "length", 0.1),
        ("Å", "length", 0.1),
        ("fs", "time", 1e-3),
        ("nm ps-1", "velocity", 1.0),
        ("Angstrom fs-1", "velocity", 100.0),
        ("angstrom/picosecond", "velocity", 0.1),
        ("m s^-1", "velocity", 1e-3),
        ("u nm ps-1", "momentum", 1.0),
        ("kJ mol-1 nm-1", "force", 1.0),
        ("kJ/mol/nm", "force", 1.0),
        ("kilocalorie/mole/angstrom", "force", 41.84),
        ("kcal mol-1 Angstrom-1", "force", 41.84),
        ("eV Angstrom-1", "force", 964.8533212331),  # 96.48533212331 kJ/mol from CODATA
        ("pN", "force", 0.602214076),
        ("g/mol", "mass", 1.0),
        ("kJ mol-1", "energy", 1.0),
    ],
)
def test_units_as_text(text, kind, factor):
    assert unit_factor(text, kind) == pytest.approx(factor, rel=1e-8)


@pytest.mark.parametrize(("text", "kind"), [("furlong", "length"), ("nm", "time"), ("nm;ps", "length"), ("", "length")])
def test_units_that_make_no_sense(text, kind):
    with pytest.raises(FormatError, match="unit"):
        unit_factor(text, kind)


# -- topologies as their own programs lay them out --------------------------------------------------------

PSF = """PSF

       2 !NTITLE
 REMARKS two waters and a sodium ion
 REMARKS

       7 !NATOM
       1 W    1    TIP3 OH2  OT     -0.834000       15.9994           0
       2 W    1    TIP3 H1   HT      0.417000        1.0080           0
       3 W    1    TIP3 H2   HT      0.417000        1.0080           0
       4 W    2    TIP3 OH2  OT     -0.834000       15.9994           0
       5 W    2    TIP3 H1   HT      0.417000        1.0080           0
       6 W    2    TIP3 H2   HT      0.417000        1.0080           0
       7 ION  1    SOD  SOD  SOD     1.000000       22.9898           0

       4 !NBOND: bonds
       1       2       1       3       4       5       4       6

       0 !NTHETA: angles

       0 !NPHI: dihedrals

       0 !NIMPHI: impropers

       0 !NDON: donors

       0 !NACC: acceptors

       0 !NNB

"""
MMCIF = """data_TEST
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_entity_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_comp_id
_atom_site.auth_asym_id
_atom_site.auth_atom_id
_atom_site.pdbx_PDB_model_num
ATOM 1 N N . ALA A 1 1 ? 0.000 0.000 0.000 1.0 0.0 1 ALA A N 1
ATOM 2 C CA . ALA A 1 1 ? 1.458 0.000 0.000 1.0 0.0 1 ALA A CA 1
ATOM 3 C C . ALA A 1 1 ? 2.009 1.420 0.000 1.0 0.0 1 ALA A C 1
ATOM 4 O O . ALA A 1 1 ? 1.251 2.390 0.000 1.0 0.0 1 ALA A O 1
HETATM 5 NA NA . NA B 2 . ? 9.000 9.000 9.000 1.0 0.0 2 NA B NA 1
#
"""


def _moving(path, n_atoms, rng):
    """A trajectory of so many atoms with velocities and forces."""
    write_trr(
        path, [(k, 0.01 * k, 3.0 * np.eye(3), dict(zip("xvf", rng.normal(size=(3, n_atoms, 3))))) for k in range(3)]
    )
    return path


def test_masses_bonds_and_segments_of_a_psf(tmp_path, rng):
    (tmp_path / "system.psf").write_text(PSF)
    found = ama.load(_moving(tmp_path / "md.trr", 7, rng), topology=tmp_path / "system.psf")
    np.testing.assert_allclose(found.masses, [15.9994, 1.008, 1.008, 15.9994, 1.008, 1.008, 22.9898])
    assert {(a.index, b.index) for a, b in found.topology.bonds} == {(0, 1), (0, 2), (3, 4), (3, 5)}
    assert found.select("resname SOD").indices.tolist() == [6]
    assert found.select("resname TIP3 and name OH2").indices.tolist() == [0, 3]
    assert "system.psf" in found.metadata.get("masses_source", found.masses_source)


def test_elements_and_bonds_of_an_mmcif(tmp_path, rng):
    (tmp_path / "system.cif").write_text(MMCIF)
    found = ama.load(_moving(tmp_path / "md.trr", 5, rng), topology=tmp_path / "system.cif")
    np.testing.assert_allclose(found.masses, [14.007, 12.011, 12.011, 15.999, 22.990], atol=0.01)
    assert {(0, 1), (1, 2), (2, 3)} <= {(a.index, b.index) for a, b in found.topology.bonds}
    assert found.select("element Na").indices.tolist() == [4]
