"""TNG, GSD, DL_POLY HISTORY, and files of one run side by side."""

import errno
import struct
from pathlib import Path

import mdtraj
import numpy as np
import pytest
from fuzzing import argon

import amaexplore as ama
from amaexplore.errors import FormatError, InputError

DATA = Path(__file__).parent / "data"


def history(path, x, v, f, box, order):
    """A DL_POLY_4 HISTORY file: title, KEYTRJ IMCON atoms, and per frame the time step, cell and atoms (here out of order)."""
    n_frames, n_atoms, _ = x.shape
    lines = ["a test", f"{2:10d}{3:10d}{n_atoms:10d}{n_frames:21d}"]

    def row(values):
        return "".join(f"{value:20.10f}" for value in values)

    for k in range(n_frames):
        lines.append(f"timestep{10 * k:10d}{n_atoms:10d}{2:2d}{3:2d}{0.005:20.6f}{0.05 * k:20.6f}")
        lines += [row(vector) for vector in box]
        for i in order:
            lines.append(
                f"{'K+' if i % 2 else 'Cl-':8s}{i + 1:10d}{39.0983 if i % 2 else 35.453:12.6f}{1.0:12.6f}{0.0:12.6f}"
            )
            lines += [row(x[k, i]), row(v[k, i]), row(f[k, i])]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_dlpoly_history(tmp_path, rng):
    x = 5.0 + np.cumsum(rng.normal(scale=0.1, size=(6, 4, 3)), axis=0)
    v, f = rng.normal(size=(2, 6, 4, 3))
    box = np.array([[20.0, 0, 0], [3.0, 21.0, 0], [1.0, 2.0, 22.0]])
    trajectory = ama.load(history(tmp_path / "HISTORY", x, v, 1000 * f, box, [2, 0, 3, 1]))
    np.testing.assert_allclose(trajectory.positions, 0.1 * x, atol=1e-6)
    np.testing.assert_allclose(trajectory.velocities, 0.1 * v, atol=1e-6)
    np.testing.assert_allclose(trajectory.forces, 100.0 * f, atol=1e-4)  # 10 J/mol/Å = 0.1 kJ/mol/nm
    np.testing.assert_allclose(trajectory.box[0], 0.1 * box)
    np.testing.assert_allclose(trajectory.times, 0.05 * np.arange(6), atol=1e-9)
    assert trajectory.md_timestep == pytest.approx(0.005)
    np.testing.assert_allclose(trajectory.masses, [35.453, 39.0983] * 2)
    assert trajectory.select("name K").n_atoms == 2
    part = ama.load(tmp_path / "HISTORY", frames=slice(1, None, 2))
    np.testing.assert_array_equal(part.forces, trajectory.forces[1::2])


@pytest.mark.parametrize("keep", [0, 10, 150, -150])
def test_dlpoly_damage(tmp_path, rng, keep):
    path = history(tmp_path / "HISTORY", *rng.normal(size=(3, 6, 4, 3)), 20 * np.eye(3), [0, 1, 2, 3])
    data = path.read_bytes()
    path.write_bytes(data[:keep])
    with pytest.raises(FormatError, match=r"empty|holds no frames|truncated or damaged") as caught:
        ama.load(path)
    assert "\n" not in str(caught.value)
    path.write_bytes(data.replace(b"timestep", b"timesteq"))
    with pytest.raises(FormatError, match="holds no frames"):
        ama.load(path)


def write_gsd(path, positions, velocities, images, box):
    import gsd.hoomd

    with gsd.hoomd.open(str(path), "w") as file:
        for k in range(len(positions)):
            frame = gsd.hoomd.Frame()
            frame.configuration.step = 100 * k
            frame.configuration.box = box
            frame.particles.N = positions.shape[1]
            frame.particles.position, frame.particles.velocity, frame.particles.image = (
                positions[k],
                velocities[k],
                images[k],
            )
            frame.particles.types, frame.particles.typeid = ["A", "B"], [0, 1, 1]
            frame.particles.mass = [1.0, 2.0, 3.0]
            frame.bonds.N, frame.bonds.group = 1, [[0, 2]]
            frame.log["particles/md/pair/LJ/forces"] = positions[k] * 10
            file.append(frame)
    return path


def test_gsd_with_image_flags_in_a_tilted_box(tmp_path, rng):
    walk = np.cumsum(rng.normal(scale=1.0, size=(40, 3, 3)), axis=0)
    lx, ly, lz, xy, xz, yz = shape = (10.0, 9.0, 8.0, 0.3, -0.2, 0.1)
    box = np.array([[lx, 0, 0], [xy * ly, ly, 0], [xz * lz, yz * lz, lz]])
    images = np.round(walk @ np.linalg.inv(box)).astype(int)
    velocities = rng.normal(size=walk.shape)
    path = write_gsd(tmp_path / "run.gsd", walk - images @ box, velocities, images, shape)
    trajectory = ama.load(path, timestep=0.5)
    np.testing.assert_allclose(trajectory.positions, walk, atol=1e-5)
    np.testing.assert_allclose(trajectory.velocities, velocities, rtol=1e-6)
    np.testing.assert_allclose(trajectory.box[0], box, rtol=1e-6)
    np.testing.assert_allclose(trajectory.masses, [1, 2, 3])
    np.testing.assert_allclose(trajectory.times, 0.5 * np.arange(40))
    assert trajectory.topology.n_bonds == 1
    assert trajectory.select("resname TB").n_atoms == 2
    assert trajectory.forces is not None
    real = ama.load(path, timestep=0.5, units={"mass": 40.0, "sigma": 0.34, "epsilon": 1.0})
    np.testing.assert_allclose(real.positions, 0.34 * trajectory.positions, rtol=1e-5)
    np.testing.assert_allclose(real.velocities, trajectory.velocities / np.sqrt(40.0), rtol=1e-5)
    with pytest.raises(ama.InputError, match="give timestep="):
        ama.load(path)
    data = path.read_bytes()
    for damaged in (b"", data[:100], rng.bytes(2000)):
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            ama.load(path, timestep=0.5)


def write_netcdf(path, rng_values, **fields):
    from scipy.io import netcdf_file

    n_frames, n_atoms, _ = next(iter(fields.values())).shape
    with netcdf_file(str(path), "w", version=2) as file:
        file.Conventions = "AMBER"
        file.createDimension("frame", n_frames)
        file.createDimension("atom", n_atoms)
        file.createDimension("spatial", 3)
        file.createVariable("time", "f4", ("frame",))[:] = rng_values
        for name, values in fields.items():
            file.createVariable(name, "f4", ("frame", "atom", "spatial"))[:] = values


def test_amber_files_side_by_side(tmp_path, rng):
    """Positions, velocities (mdvel) and forces (mdfrc) in files of their own, as AMBER's ntwv and ntwf write them."""
    x, v, f = rng.normal(size=(3, 5, 2, 3))
    times = np.arange(5) * 0.5
    write_netcdf(tmp_path / "md.nc", times, coordinates=x)
    write_netcdf(tmp_path / "md.mdvel", times, velocities=v)
    write_netcdf(tmp_path / "md.mdfrc", times, forces=f)
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(2):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    mdtraj.Trajectory(np.zeros((1, 2, 3)), topology).save_pdb(tmp_path / "two.pdb")
    files = [tmp_path / name for name in ("md.nc", "md.mdvel", "md.mdfrc")]
    trajectory = ama.load(files, topology=tmp_path / "two.pdb")
    assert trajectory.n_frames == 5
    np.testing.assert_allclose(trajectory.positions, 0.1 * x, rtol=1e-6)
    np.testing.assert_allclose(trajectory.velocities, 0.1 * v, rtol=1e-6)
    np.testing.assert_allclose(trajectory.forces, 41.84 * f, rtol=1e-6)
    write_netcdf(tmp_path / "md.mdfrc", times + 1, forces=f)
    with pytest.raises(FormatError, match="other times than"):
        ama.load(files, topology=tmp_path / "two.pdb")


def test_tng_fields_at_their_own_strides(tmp_path):
    """MDAnalysis refuses this file; each field is there where it was written, and nowhere else."""
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(1000):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    mdtraj.Trajectory(np.zeros((1, 1000, 3)), topology).save_pdb(tmp_path / "argon.pdb")
    trajectory = ama.load(DATA / "argon_uneven.tng", topology=tmp_path / "argon.pdb")
    np.testing.assert_allclose(trajectory.times, 0.02 * np.arange(51), atol=1e-6)
    assert trajectory.md_timestep == pytest.approx(0.002)
    held = trajectory.frames_with["velocities"]
    np.testing.assert_array_equal(np.flatnonzero(held), np.arange(0, 51, 2))
    assert np.isnan(trajectory.velocities[~held]).all()
    assert trajectory.frames_with["positions"].all()
    # velocities and positions of one run: Δx over 0.02 ps against v dt
    moved = trajectory.positions[1] - trajectory.positions[0]
    expected = 0.02 * trajectory.velocities[0]
    assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.9
    assert trajectory.order_parameters("all").temperature == pytest.approx(86.0, abs=3.0)


def test_whole_frame_sets_of_a_cut_tng_are_read(tmp_path, monkeypatch):
    """The sample has two sets, of the MD steps below and from 491 on; its second begins at byte 151172."""

    def disk_is_full(_handle, _size):
        raise OSError(errno.ENOSPC, "No space left on device")

    from amaexplore.trajectory import tng
    from amaexplore.trajectory.tng_blocks import find_frame_sets

    mdtraj.Trajectory(np.zeros((1, 1000, 3)), argon(1000)).save_pdb(str(tmp_path / "argon.pdb"))
    path, given = tmp_path / "cut.tng", {"topology": tmp_path / "argon.pdb"}
    data = (DATA / "argon_uneven.tng").read_bytes()
    path.write_bytes(data)
    whole, sets = ama.load(path, **given), find_frame_sets(path)
    assert (sets.starts, sets.ends, sets.n_steps, sets.has_rest) == (
        (605, 151172),
        (151172, len(data)),
        (491, 502),
        False,
    )
    flipped = bytearray(data)
    flipped[155_000] ^= 1
    for contents in (data[:-1], data[:156_300], data[:151_200], data[:151_172], flipped):
        path.write_bytes(contents)
        with pytest.raises(FormatError, match=r"frame 50 .*frames=slice\(0, 50\)"):
            ama.load(path, **given)
        with pytest.raises(FormatError, match=r"frames=slice\(0, 50\)"):
            ama.stream_series(path, **given, select="index 0 to 99")
        part = ama.load(path, **given, frames=slice(0, 50))
        for name in ("times", "positions", "velocities", "box"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:50], err_msg=name)
        streamed = ama.stream_series(path, **given, select="index 0 to 99", frames=slice(0, 50))
        np.testing.assert_allclose(streamed.momentum, whole.order_parameters(range(100)).momentum[:50], rtol=1e-5)
    with monkeypatch.context() as full:
        full.setattr(tng, "require_room", disk_is_full)
        with pytest.raises(InputError, match=r"copy of 0\.151 MB in .*No space left on device.*TMPDIR"):
            ama.load(path, **given, frames=slice(0, 50))
    for length in (151_171, 80_000, 700):  # not even the first set is whole
        path.write_bytes(data[:length])
        with pytest.raises(FormatError, match="truncated or damaged"):
            ama.load(path, **given, frames=slice(0, 5))


def test_namd_velocity_and_force_files_beside_positions(tmp_path, rng):
    """Velocities in Å per 48.88821 fs (1/20.45483 ps), forces in kcal/mol/Å, in files that look like positions."""
    topology = mdtraj.Topology()
    residue = topology.add_residue("AR", topology.add_chain())
    for _ in range(4):
        topology.add_atom("Ar", mdtraj.element.argon, residue)
    x, v, f = rng.normal(size=(3, 5, 4, 3))
    for name, values in {"run.dcd": x, "run.veldcd": v, "run.forcedcd": f}.items():
        mdtraj.Trajectory(0.1 * values, topology).save_dcd(str(tmp_path / "written.dcd"))
        (tmp_path / "written.dcd").rename(tmp_path / name)
    mdtraj.Trajectory(0.1 * x[:1], topology).save_pdb(str(tmp_path / "four.pdb"))
    files = [tmp_path / name for name in ("run.dcd", "run.veldcd", "run.forcedcd")]
    trajectory = ama.load(files, topology=tmp_path / "four.pdb", timestep=0.5)
    assert trajectory.n_frames == 5
    np.testing.assert_allclose(trajectory.positions, 0.1 * x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(trajectory.velocities, 0.1 * 20.45483 * v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(trajectory.forces, 41.84 * f, rtol=1e-5, atol=1e-5)


def write_dcd(path, positions, fixed=(), cell=None, fourth=False, order="<"):
    """A DCD file as CHARMM writes it, record by record; with fixed atoms, frames after the first hold the others only."""

    def record(contents):
        return struct.pack(f"{order}i", len(contents)) + contents + struct.pack(f"{order}i", len(contents))

    n_frames, n_atoms, _ = positions.shape
    control = [n_frames, 0, 10, 10 * n_frames, 0, 0, 0, 0, len(fixed), 0, cell is not None, fourth, *[0] * 7, 24]
    head = bytearray(struct.pack(f"{order}20i", *control))
    struct.pack_into(f"{order}f", head, 36, 0.02)  # the MD step in AKMA units
    free = np.setdiff1d(np.arange(n_atoms), fixed)
    records = [b"CORD" + bytes(head), struct.pack(f"{order}i", 1) + b" " * 80, struct.pack(f"{order}i", n_atoms)]
    if len(fixed):
        records.append((free + 1).astype(f"{order}i4").tobytes())
    for number, frame in enumerate(positions):
        moving = frame if number == 0 else frame[free]
        if cell is not None:
            records.append(np.array(cell, dtype=f"{order}f8").tobytes())
        records += [np.ascontiguousarray(values).astype(f"{order}f4").tobytes() for values in moving.T]
        if fourth:
            records.append(np.full(len(moving), 7.5, dtype=f"{order}f4").tobytes())
    path.write_bytes(b"".join(map(record, records)))
    return path


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("cell", [None, [30.0, 90.0, 31.0, 90.0, 90.0, 32.0]], ids=["no cell", "cell"])
@pytest.mark.parametrize("kind", ["plain", "fixed", "fourth", "fixed and fourth"])
def test_dcd_files_with_fixed_atoms_or_a_fourth_dimension(tmp_path, rng, kind, cell, order):
    positions = rng.uniform(5, 6, (7, 6, 3))
    fixed = [1, 4] if "fixed" in kind else []
    positions[:, fixed] = positions[0, fixed]
    path = write_dcd(tmp_path / "run.dcd", positions, fixed, cell, "fourth" in kind, order)
    given = {"topology": tmp_path / "argon.pdb", "timestep": 1.0}
    mdtraj.Trajectory(np.zeros((1, 6, 3)), argon(6)).save_pdb(str(given["topology"]))
    for chosen in (slice(None), slice(3, 6), slice(2, None, 2), slice(6, 7)):
        found = ama.load(path, **given, frames=chosen)
        np.testing.assert_allclose(found.positions, positions[chosen] / 10, atol=1e-6)
        if cell is not None:
            np.testing.assert_allclose(np.diagonal(found.box, axis1=1, axis2=2)[0], [3.0, 3.1, 3.2])
    data = path.read_bytes()
    for cut in (3, 30, 60):
        path.write_bytes(data[:-cut])
        with pytest.raises(FormatError, match=r"truncated or damaged: frame 6 .*frames=slice\(0, 6\)"):
            ama.load(path, **given)
        part = ama.load(path, **given, frames=slice(0, 6))
        np.testing.assert_allclose(part.positions, positions[:6] / 10, atol=1e-6)


def test_dcd_files_whose_records_do_not_fit_are_refused(tmp_path, rng):
    path, whole = tmp_path / "run.dcd", rng.uniform(5, 6, (7, 6, 3))
    mdtraj.Trajectory(np.zeros((1, 6, 3)), argon(6)).save_pdb(str(tmp_path / "argon.pdb"))
    data = write_dcd(path, whole, fixed=[1, 4]).read_bytes()
    free = 92 + 92 + 12  # behind the head, the title and the number of atoms
    for place, sentence in (
        (free, "not a readable DCD"),
        (free + 5, "no list of the free ones"),
        (len(data) - 1, "frame 6 of 7"),
    ):
        damaged = bytearray(data)
        damaged[place] ^= 64
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=sentence) as caught:
            ama.load(path, topology=tmp_path / "argon.pdb", timestep=1.0)
        assert "\n" not in str(caught.value)
