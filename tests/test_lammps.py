"""LAMMPS dumps: LAMMPS' own numbers, all coordinate styles, units, groups, order, compression, damage."""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import FormatError, InputError
from amaexplore.trajectory.checks import path_difference
from amaexplore.units import ENGINE_UNITS

DATA = Path(__file__).parent / "data"
GOLD = DATA / "nanoparticle.lammpstrj.gz"


def dump(path, frames, columns, box="pp pp pp\n0 10\n0 10\n0 10", units="real", times=None, opener=open):
    """A dump as LAMMPS writes it: frames of rows, one per atom."""
    text = []
    for k, rows in enumerate(frames):
        if units is not None and k == 0:
            text.append(f"ITEM: UNITS\n{units}")
        if times is not None:
            text.append(f"ITEM: TIME\n{times[k]}")
        text.append(
            f"ITEM: TIMESTEP\n{5 * k}\nITEM: NUMBER OF ATOMS\n{len(rows)}\nITEM: BOX BOUNDS {box}\nITEM: ATOMS {columns}"
        )
        text += [" ".join(str(word) for word in row) for row in rows]
    with opener(path, "wt") as file:
        file.write("\n".join(text) + "\n")
    return path


def test_first_frame_against_the_text_itself():
    trajectory = ama.load(GOLD)
    lines = gzip.decompress(GOLD.read_bytes()).decode().splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("ITEM: ATOMS")) + 1
    rows = np.array([line.split() for line in lines[start : start + 95]], dtype=float)
    np.testing.assert_allclose(trajectory.positions[0], 0.1 * (rows[:, 3:6] + 36.0 * rows[:, 6:9]), rtol=1e-6)
    np.testing.assert_allclose(trajectory.velocities[0], 100.0 * rows[:, 9:12], rtol=1e-6)  # Å/fs
    np.testing.assert_allclose(trajectory.forces[0], 41.84 * rows[:, 12:15], rtol=1e-6)  # kcal/mol/Å
    assert trajectory.times[0] == 44.0
    assert (trajectory.timestep, trajectory.md_timestep) == (0.01, 0.002)
    assert "mass column" in trajectory.masses_source
    assert trajectory.select("name Au").n_atoms == trajectory.select("resname T2").n_atoms == 95
    assert trajectory.velocity_offset == 0.0


def test_the_particle_across_the_corner_is_whole():
    trajectory = ama.load(GOLD)
    assert np.ptp(trajectory.positions[0], axis=0).max() < 1.6 < 3.6 / 2
    worst, allowed = path_difference(trajectory.order_parameters("all"))
    assert worst < 3.0 * allowed < 1e-4


TILTED = np.array([[10.0, 0, 0], [3.0, 9.0, 0], [-2.0, 1.5, 8.0]])
TILTED_BOX = "xy xz yz pp pp pp\n-1.0 14.0 3.0\n0.5 11.0 -2.0\n2.0 10.0 1.5"
ORIGIN = np.array([1.0, 0.5, 2.0])  # of the box itself; the bounds above are those of its bounding box


@pytest.mark.parametrize("style", ["xu", "xsu", "x images", "xs images", "x", "xs"])
def test_coordinate_styles_agree_in_a_tilted_box(tmp_path, rng, style):
    walk = ORIGIN + 4.0 + np.cumsum(rng.normal(scale=0.7, size=(80, 4, 3)), axis=0)
    fractional = (walk - ORIGIN) @ np.linalg.inv(TILTED)
    images = np.floor(fractional).astype(int)
    inside = fractional - images
    columns = {"xu": "xu yu zu", "xsu": "xsu ysu zsu", "x": "x y z", "xs": "xs ys zs"}[style.split()[0]]
    values = {"xu": walk, "xsu": fractional, "x": inside @ TILTED + ORIGIN, "xs": inside}[style.split()[0]]
    if "images" in style:
        columns, values = f"{columns} ix iy iz", np.concatenate([values, images], axis=2)
    rows = [[(i + 1, 40.0, *np.round(frame[i], 9)) for i in range(4)] for frame in values]
    # image flags are whole numbers in LAMMPS' files
    path = dump(tmp_path / "run.dump", rows, f"id mass {columns}", box=TILTED_BOX, times=10.0 * np.arange(80))
    trajectory = ama.load(path)
    np.testing.assert_allclose(trajectory.box[0], 0.1 * TILTED, atol=1e-12)
    moved = 0.1 * (walk - walk[0])
    np.testing.assert_allclose(trajectory.positions - trajectory.positions[0], moved, atol=2e-6)
    if style not in ("x", "xs"):
        np.testing.assert_allclose(trajectory.positions, 0.1 * walk, atol=2e-6)


def test_general_triclinic_box(tmp_path):
    box = "abc origin pp pp pp\n10 0 0 1\n3 9 0 2\n-2 1.5 8 3"
    trajectory = ama.load(
        dump(tmp_path / "g.dump", [[(1, 40.0, 0.5, 0.5, 0.5)]], "id mass xs ys zs", box=box), timestep=1.0
    )
    np.testing.assert_allclose(trajectory.box[0], 0.1 * TILTED)
    np.testing.assert_allclose(trajectory.positions[0, 0], 0.1 * (0.5 * TILTED.sum(axis=0) + [1, 2, 3]), rtol=1e-6)


def test_unsorted_ids_of_a_group_with_gaps(tmp_path, rng):
    ids = np.array([700, 12, 3051, 44])
    walk = 5.0 + np.cumsum(rng.normal(scale=0.01, size=(6, 4, 3)), axis=0)
    frames = []
    for frame in walk:
        order = rng.permutation(4)
        frames.append([(*frame[i].round(6), ids[i], 10.0 + i) for i in order])
    trajectory = ama.load(dump(tmp_path / "group.dump", frames, "x y z id mass"), timestep=0.5)
    by_id = np.argsort(ids)
    np.testing.assert_allclose(trajectory.positions, 0.1 * walk[:, by_id], atol=1e-6)
    np.testing.assert_array_equal(trajectory.masses, 10.0 + by_id)
    np.testing.assert_allclose(trajectory.times, 0.5 * np.arange(6))


# what one of each means, from LAMMPS' documentation of units, by hand in SI
SI = dict(
    real=(1e-10, 1e-15, 1.66053906892e-27, 1e5, 4184 / 6.02214076e23 / 1e-10),
    metal=(1e-10, 1e-12, 1.66053906892e-27, 1e2, 1.602176634e-19 / 1e-10),
    si=(1.0, 1.0, 1.0, 1.0, 1.0),
    cgs=(1e-2, 1.0, 1e-3, 1e-2, 1e-5),
    electron=(5.29177210544e-11, 1e-15, 1.66053906892e-27, 5.29177210544e-11 / 1.03275e-15, 4.3597447222060e-18 / 5.29177210544e-11),
    micro=(1e-6, 1e-6, 1e-15, 1.0, 1e-15 * 1e-6 / 1e-12),
    nano=(1e-9, 1e-9, 1e-21, 1.0, 1e-21 * 1e-9 / 1e-18),
)  # fmt: skip


@pytest.mark.parametrize("name", SI)
def test_unit_styles(name):
    length, time, mass, velocity, force = SI[name]
    units = ENGINE_UNITS[name]
    found = (units.length, units.time, units.mass, units.velocity, units.force)
    expected = (
        length / 1e-9,
        time / 1e-12,
        mass / 1.66053906892e-27,
        velocity / 1e3,
        force * 6.02214076e23 * 1e-3 * 1e-9,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.parametrize("name", [*SI, "lj"])
def test_units_by_file_and_by_argument(tmp_path, name):
    unit = ENGINE_UNITS.get(name, ENGINE_UNITS["gromacs"])
    v, f = np.array([3.0, 4.0, 5.0]), np.array([6.0, 7.0, 8.0])
    frame = [(1, 2.0 / unit.mass, 0, 0, 0, *(v / unit.velocity), *(f / unit.force))]
    columns = "id mass xu yu zu vx vy vz fx fy fz"
    times = [0, 2.0 / unit.time]
    by_file = ama.load(dump(tmp_path / "a.dump", [frame, frame], columns, units=name, times=times))
    by_user = ama.load(dump(tmp_path / "b.dump", [frame, frame], columns, units=None, times=times), units=name)
    for trajectory in (by_file, by_user):
        assert trajectory.times[1] == pytest.approx(2.0)
        assert trajectory.masses[0] == pytest.approx(2.0)
        np.testing.assert_allclose(trajectory.velocities[0, 0], v, rtol=1e-6)
        np.testing.assert_allclose(trajectory.forces[0, 0], f, rtol=1e-6)


def test_wrong_units_are_noticed(tmp_path):
    frame = [(1, 2.0, 1, 1, 1)]
    with pytest.raises(InputError, match="which no simulation has; the file is damaged or its units are others"):
        ama.load(dump(tmp_path / "a.dump", [frame], "id mass xu yu zu", units="si"), timestep=1.0)


def test_reduced_units_of_argon(tmp_path):
    """Rahman's argon: ε/k_B = 120 K, σ = 0.34 nm, 39.948 u make one reduced time 2.156 ps."""
    argon = {"mass": 39.948, "sigma": 0.34, "epsilon": 120 * 0.00831446261815324}
    path = dump(
        tmp_path / "lj.dump", [[(1, 1.0, 1, 1, 1)], [(1, 1.0, 1, 1, 1)]], "id mass xu yu zu", units="lj", times=[0, 1]
    )
    trajectory = ama.load(path, units=argon)
    assert trajectory.times[1] == pytest.approx(2.1514, abs=2e-3)
    assert trajectory.positions[0, 0, 0] == pytest.approx(0.34)
    assert trajectory.masses[0] == pytest.approx(39.948)
    with pytest.raises(InputError, match="exactly mass"):
        ama.load(path, units={"mass": 1.0})


def test_scaled_columns_and_names_of_elements(tmp_path):
    rows = [[(2, 15.999, "O", 0.5, 0.5, 0.5, "extra"), (1, 12.011, "C", 0.25, 0.5, 0.75, "extra")]]
    trajectory = ama.load(dump(tmp_path / "e.dump", rows, "id mass element xs ys zs c_word"), timestep=1.0)
    assert [atom.name for atom in trajectory.topology.atoms] == ["C", "O"]
    np.testing.assert_allclose(trajectory.positions[0], [[0.25, 0.5, 0.75], [0.5, 0.5, 0.5]])


def test_velocities_and_forces_without_positions(tmp_path):
    trajectory = ama.load(dump(tmp_path / "v.dump", [[(1, 2.0, 3, 4, 5)]], "id mass vx vy vz"), timestep=1.0)
    assert trajectory.positions is None
    np.testing.assert_allclose(trajectory.velocities[0, 0], [300, 400, 500])


@pytest.mark.parametrize(
    ("suffix", "opener"), [(".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open), (".zst", None)]
)
def test_compressed_dumps(tmp_path, suffix, opener):
    plain = gzip.decompress(GOLD.read_bytes())
    path = tmp_path / f"np.lammpstrj{suffix}"
    if opener is None:
        import zstandard

        path.write_bytes(zstandard.ZstdCompressor().compress(plain))
    else:
        with opener(path, "wb") as file:
            file.write(plain)
    np.testing.assert_array_equal(ama.load(path).forces, ama.load(GOLD).forces)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FormatError, match="truncated or damaged: frame"):
        ama.load(path)


def test_any_name_will_do(tmp_path):
    """LAMMPS users name dumps as they like; the first line tells."""
    path = tmp_path / "run.np.out"
    path.write_bytes(gzip.decompress(GOLD.read_bytes()))
    assert ama.load(path).n_atoms == 95


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.replace("ITEM: UNITS\nreal\n", ""), "does not say its units .* give units="),
        (lambda t: t.replace("real", "furlong"), "Units 'furlong' are not known"),
        (lambda t: t.replace("ITEM: TIME\n0\n", "").replace("ITEM: TIME\n10\n", ""), "give timestep="),
        (lambda t: t.replace("x y z", "q r s"), "has the columns"),
        (lambda t: t.replace("2 40.0 1 2 3", "2 40.0 1 2"), "truncated or damaged"),
        (
            lambda t: t.replace("2 40.0 1 2 3", "2 40.0 1 two 3"),
            "column y of frame 0 holds something that is not a number",
        ),
        (lambda t: t.replace("2 40.0 1 2 3", "1 40.0 1 2 3", 1), "atom id twice"),
        (lambda t: t[::-1].replace("3 2 1 0.04 2", "3 2 1 0.04 9", 1)[::-1], "other atoms in frame 1"),
        (lambda t: t.replace("NUMBER OF ATOMS\n2", "NUMBER OF ATOMS\nmany"), "expected a number in frame 0"),
        (lambda t: t.replace("0 10\n0 10\n0 10", "0 10\nfoo\n0 10"), "box of frame 0"),
        (lambda t: t.replace("ITEM: ATOMS", "ITEM: ATOMZ"), "unknown section"),
        (lambda t: t.replace("id mass", "id bass"), "holds no masses; give topology="),
        (lambda t: "hello\n" + t, "is this a LAMMPS dump"),
    ],
)
def test_damage_gets_one_sentence(tmp_path, change, sentence):
    rows = [[(1, 40.0, 1, 2, 3), (2, 40.0, 1, 2, 3)]] * 2
    path = dump(tmp_path / "d.lammpstrj", rows, "id mass x y z", times=[0, 10])
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=sentence) as caught:
        ama.load(path)
    assert "\n" not in str(caught.value)


def test_lammps_data_file_gives_masses_and_bonds(tmp_path):
    (tmp_path / "sys.data").write_text(
        "made by hand\n\n3 atoms\n2 bonds\n2 atom types\n1 bond types\n\n0 10 xlo xhi\n0 10 ylo yhi\n0 10 zlo zhi\n\n"
        "Masses\n\n1 15.9994\n2 1.008\n\nAtoms # full\n\n1 1 1 -0.8 9.9 5 5\n2 1 2 0.4 0.5 5 5\n3 1 2 0.4 9.7 5.9 5\n\n"
        "Bonds\n\n1 1 1 2\n2 1 1 3\n"
    )
    rows = [[(1, 9.9, 5, 5), (2, 0.5, 5, 5), (3, 9.7, 5.9, 5)]]
    trajectory = ama.load(dump(tmp_path / "w.dump", rows, "id x y z"), topology=tmp_path / "sys.data", timestep=1.0)
    np.testing.assert_allclose(trajectory.masses, [15.9994, 1.008, 1.008])
    assert trajectory.masses_source == "sys.data"
    assert trajectory.topology.n_bonds == 2
    np.testing.assert_allclose(trajectory.positions[0, 1], [1.05, 0.5, 0.5], rtol=1e-6)
