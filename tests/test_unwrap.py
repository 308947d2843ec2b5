"""Periodic images: against brute force, in tilted and changing boxes, for molecules, assemblies and large particles."""

from itertools import pairwise

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.trajectory.unwrap import images_of_assembly, made_whole, minimum_image, true_path, unwrapped

CUBE = 3.0 * np.eye(3)
TILTED = np.array([[3.0, 0.0, 0.0], [1.2, 2.8, 0.0], [-1.4, 1.3, 2.5]])
DODECAHEDRON = 3.1 * np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, np.sqrt(0.5)]])


def nearest_by_search(displacement, box):
    shifts = np.stack(np.meshgrid(*[np.arange(-7, 8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) @ box
    images = displacement + shifts
    return images[np.argmin((images**2).sum(axis=1))]


def chain(n_atoms):
    topology = mdtraj.Topology()
    residue = topology.add_residue("POL", topology.add_chain())
    atoms = [topology.add_atom("C", mdtraj.element.carbon, residue) for _ in range(n_atoms)]
    for a, b in pairwise(atoms):
        topology.add_bond(a, b)
    return topology


def wrapped(positions, boxes):
    fractional = np.einsum("fai,fij->faj", positions, np.linalg.inv(boxes))
    return np.einsum("fai,fij->faj", fractional - np.floor(fractional), boxes)


def trajectory(positions, box, topology=None, **options):
    masses = np.full(positions.shape[1], 12.0)
    return ama.Trajectory.from_arrays(
        positions=positions, masses=masses, timestep=1.0, box=box, topology=topology, **options
    )


@pytest.mark.parametrize("box", [CUBE, TILTED, DODECAHEDRON], ids=["cube", "tilted", "dodecahedron"])
def test_minimum_image_is_the_shortest_of_all(box, rng):
    displacements = rng.normal(scale=3.0, size=(300, 3))
    found = minimum_image(displacements, box)
    expected = np.array([nearest_by_search(d, box) for d in displacements])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(expected, axis=1), atol=1e-12)
    turns = (found - displacements) @ np.linalg.inv(box)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


def test_no_box_means_no_images(rng):
    displacements = rng.normal(size=(5, 3))
    np.testing.assert_array_equal(minimum_image(displacements, np.zeros((3, 3))), displacements)


@pytest.mark.parametrize("box", [CUBE, TILTED, DODECAHEDRON], ids=["cube", "tilted", "dodecahedron"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_walk_through_many_boxes_comes_back(box, dtype, rng):
    walk = 1.5 + np.cumsum(rng.normal(scale=0.25, size=(400, 7, 3)), axis=0)
    boxes = np.broadcast_to(box, (400, 3, 3))
    found = trajectory(wrapped(walk, boxes).astype(dtype), box)
    assert found.positions.dtype == dtype
    assert np.abs(walk[-1] - walk[0]).max() > 3.0
    moved = found.positions - found.positions[0]
    np.testing.assert_allclose(moved, walk - walk[0], atol=2e-6 if dtype == np.float32 else 1e-12)


def test_rounding_does_not_add_up(rng):
    """A particle that circles the box for long is as exact in the end as in the beginning."""
    speed = np.array([0.4, -0.3, 0.2])
    walk = (speed * np.arange(20_000)[:, None])[:, None, :]
    found = trajectory(wrapped(walk, np.broadcast_to(CUBE, (20_000, 3, 3))), CUBE)
    np.testing.assert_allclose(found.positions[-1] - found.positions[0], walk[-1], atol=1e-9)


@pytest.mark.parametrize("box", [CUBE, TILTED, DODECAHEDRON], ids=["cube", "tilted", "dodecahedron"])
def test_a_molecule_broken_in_the_first_frame_is_made_whole(box, rng):
    """A chain longer than the box: only its bonds can tell."""
    shape = np.cumsum(np.concatenate([np.zeros((1, 3)), np.tile([0.12, 0.05, 0.06], (39, 1))]), axis=0)
    walk = shape + 0.1 + np.cumsum(rng.normal(scale=0.02, size=(30, 40, 3)), axis=0)
    stored = wrapped(walk, np.broadcast_to(box, (30, 3, 3)))
    found = trajectory(stored, box, chain(40))
    bonds = np.diff(found.positions, axis=1)
    np.testing.assert_allclose(bonds, np.diff(walk, axis=1), atol=1e-12)
    np.testing.assert_array_equal(found.positions[0, 0], stored[0, 0])
    np.testing.assert_allclose(found.positions - found.positions[0, 0], walk - walk[0, 0], atol=1e-12)


def test_molecules_stay_whole_in_a_changing_box(rng):
    """Under a barostat positions scale with the box, while bonds keep their length."""
    scale = 1.0 + 0.02 * np.sin(np.arange(200) / 7.0)
    boxes = scale[:, None, None] * TILTED
    centre = 1.0 + np.cumsum(rng.normal(scale=0.2, size=(200, 1, 3)), axis=0)
    walk = centre + np.cumsum(np.full((5, 3), 0.08), axis=0)
    found = trajectory(wrapped(walk, boxes), boxes, chain(5))
    np.testing.assert_allclose(np.diff(found.positions, axis=1), np.diff(walk, axis=1), atol=1e-10)


def test_frames_without_positions_are_passed_over(rng):
    walk = 1.5 + np.cumsum(rng.normal(scale=0.1, size=(40, 3, 3)), axis=0)
    stored = wrapped(walk, np.broadcast_to(CUBE, (40, 3, 3)))
    stored[::3] = np.nan
    source = ama.Trajectory(
        times=np.arange(40.0),
        masses=np.ones(3),
        topology=chain(3),
        positions=stored,
        box=np.broadcast_to(CUBE, (40, 3, 3)),
    )
    found = unwrapped(source.replace(topology=mdtraj.Topology().join(chain(3))))
    held = np.isfinite(stored[:, 0, 0])
    assert np.isnan(found.positions[~held]).all()
    moved = found.positions[held] - found.positions[1]
    turns = (moved - (walk[held] - walk[1])) / 3.0
    np.testing.assert_allclose(turns, np.broadcast_to(turns[0], turns.shape), atol=1e-9)


def test_input_arrays_are_left_alone(rng):
    stored = wrapped(rng.normal(scale=3.0, size=(10, 4, 3)), np.broadcast_to(CUBE, (10, 3, 3)))
    before = stored.copy()
    stored.flags.writeable = False
    trajectory(stored, CUBE)
    np.testing.assert_array_equal(stored, before)


@pytest.mark.parametrize("box", [CUBE, TILTED, DODECAHEDRON], ids=["cube", "tilted", "dodecahedron"])
def test_an_assembly_is_put_together_by_its_contacts(box, rng):
    """A ball of atoms without bonds, across the corner of the box."""
    ball = np.stack(np.meshgrid(*[np.arange(-2, 3) * 0.2] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    ball = ball[(ball**2).sum(axis=1) < 0.2]
    walk = ball + np.cumsum(rng.normal(scale=0.03, size=(20, 1, 3)), axis=0)
    stored = wrapped(walk, np.broadcast_to(box, (20, 3, 3)))
    split = trajectory(stored, box)
    whole = made_whole(split, "all")
    size = np.ptp(whole.positions[0], axis=0).max()
    assert np.ptp(split.positions[0], axis=0).max() > 1.5 > size
    np.testing.assert_allclose(whole.positions - whole.positions[:1, :1], walk - walk[:1, :1], atol=1e-10)
    np.testing.assert_array_equal(whole.positions[:, 0], split.positions[:, 0])
    assert made_whole(whole, "all") is whole


def random_assembly(rng, n_molecules, extent):
    """Molecules of one to four atoms that grow out of each other, up to ``extent`` wide; positions and molecule of each atom."""
    positions, molecules = [np.zeros(3)], [0]
    while molecules[-1] < n_molecules:
        start = positions[rng.integers(len(positions))] + 0.3 * unit_vector(rng)
        size = rng.integers(1, 5)
        atoms = start + np.arange(size)[:, None] * 0.12 * unit_vector(rng)
        if (np.abs(atoms) < 0.5 * extent).all():
            positions += list(atoms)
            molecules += [molecules[-1] + 1] * size
    return np.array(positions), np.array(molecules)


def unit_vector(rng):
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def bonded(molecules):
    topology = mdtraj.Topology()
    residue = topology.add_residue("MOL", topology.add_chain())
    atoms = [topology.add_atom("C", mdtraj.element.carbon, residue) for _ in molecules]
    for k in np.flatnonzero(np.diff(molecules) == 0):
        topology.add_bond(atoms[k], atoms[k + 1])
    return topology


@pytest.mark.parametrize("extent", [1.2, 2.5], ids=["below half the box", "above half the box"])
@pytest.mark.parametrize("box", [2 * CUBE, 2 * TILTED, 1.6 * DODECAHEDRON], ids=["cube", "tilted", "dodecahedron"])
def test_an_assembly_of_molecules_is_whole_by_itself(box, extent, rng):
    """Wherever it lies across the boundary, R is that of the whole, but for full box vectors of all of it."""
    for _ in range(5):
        shape, molecules = random_assembly(rng, 60, extent)
        walk = shape + rng.normal(scale=3.0, size=3) + np.cumsum(rng.normal(scale=0.02, size=(6, 1, 3)), axis=0)
        split = trajectory(wrapped(walk, np.broadcast_to(box, (6, 3, 3))), box, bonded(molecules))
        centre = split.order_parameters("all").centre_of_mass
        turns = (centre - walk.mean(axis=1)) @ np.linalg.inv(box)
        np.testing.assert_allclose(turns, np.broadcast_to(np.round(turns[0]), turns.shape), atol=1e-9)
        whole = made_whole(split, "all")
        np.testing.assert_allclose(whole.positions.mean(axis=1), centre, atol=1e-9)
        np.testing.assert_allclose(np.diff(whole.positions, axis=1), np.diff(walk, axis=1), atol=1e-9)


def test_contacts_are_those_of_a_search_through_all_images(rng):
    """An irregular cloud, larger than half of its box, against the minimum spanning tree of all shortest distances."""
    found = 0
    for _ in range(40):
        cloud = np.concatenate([rng.normal(scale=0.25, size=(12, 3)) + 0.9 * k * unit_vector(rng) for k in range(4)])
        fractional = (cloud + rng.normal(scale=3.0, size=3)) @ np.linalg.inv(TILTED)
        stored = (fractional - np.floor(fractional)) @ TILTED
        images = images_of_assembly(stored, TILTED, np.arange(48), bonded(np.arange(48)))
        if images is not None:
            found += 1
            np.testing.assert_array_equal(images, images_by_tree(stored, TILTED))
    assert found > 10


def images_by_tree(positions, box):
    """Prim's algorithm over shortest-image displacements, from the first atom on."""
    steps = minimum_image(positions[None] - positions[:, None], box)
    lengths = np.linalg.norm(steps, axis=2)
    placed, whole = [0], {0: positions[0]}
    while len(placed) < len(positions):
        rest = [k for k in range(len(positions)) if k not in whole]
        block = lengths[np.ix_(placed, rest)]
        a, b = np.unravel_index(np.argmin(block), block.shape)
        whole[rest[b]] = whole[placed[a]] + steps[placed[a], rest[b]]
        placed.append(rest[b])
    shifts = np.array([whole[k] for k in range(len(positions))]) - positions
    return np.round(shifts @ np.linalg.inv(box)).astype(int)


def test_bonds_outrank_contacts(rng):
    """The ends of a chain longer than the box lie next to each other in the box: that is not where they are."""
    shape = np.zeros((40, 3))
    shape[:, 0] = 0.12 * np.arange(40)  # 4.7 nm in a box of 3
    stored = wrapped(shape[None] + 0.05, np.broadcast_to(CUBE, (1, 3, 3)))
    found = trajectory(stored, CUBE, chain(40))
    ends = found.order_parameters([0, 1, 24, 25]).centre_of_mass[0]
    np.testing.assert_allclose(ends, shape[[0, 1, 24, 25]].mean(axis=0) + 0.05, atol=1e-12)
    loose = trajectory(stored, CUBE).order_parameters([0, 1, 24, 25]).centre_of_mass[0]
    assert loose[0] == pytest.approx(ends[0] - 1.5)


def test_two_far_parts_take_the_shorter_way(rng):
    """Two blobs that fill more than half of the box, and a gap between them on either side."""
    blob = rng.uniform(-0.5, 0.5, (150, 3))
    for gap, turn in ((1.4, 0), (1.8, -1)):  # of 3.2 nm that are left over in a box of 6 with blobs of 1 and 1.8
        second = rng.uniform(-0.9, 0.9, (600, 3)) + [0.5 + gap + 0.9, 0, 0]
        stored = np.concatenate([blob, second])[None] + [1.0, 3.0, 3.0]
        found = images_of_assembly(stored[0], 2 * CUBE, np.arange(750), bonded(np.arange(750)))
        np.testing.assert_array_equal(found[:150], 0)
        np.testing.assert_array_equal(found[150:], np.broadcast_to([turn, 0, 0], (600, 3)))


@pytest.mark.parametrize("is_changing", [False, True], ids=["constant box", "changing box"])
def test_in_memory_in_the_store_and_streamed_an_assembly_is_the_same(is_changing, rng, tmp_path):
    shape, molecules = random_assembly(rng, 50, 3.5)
    n_frames = 60
    scale = 1.0 + (0.01 * rng.normal(size=n_frames) if is_changing else np.zeros(n_frames))
    boxes = scale[:, None, None] * 2.0 * CUBE
    walk = shape + np.cumsum(rng.normal(scale=0.05, size=(n_frames, 1, 3)), axis=0)
    walk += np.cumsum(rng.normal(scale=0.01, size=walk.shape), axis=0) * (molecules[:, None] % 2)
    velocities, forces = rng.normal(size=(2, *walk.shape))
    split = ama.Trajectory.from_arrays(
        positions=wrapped(walk, boxes), velocities=velocities, forces=forces, masses=rng.uniform(1, 20, len(shape)),
        timestep=1.0, box=boxes, topology=bonded(molecules),
    )  # fmt: skip
    expected = made_whole(split, "all").order_parameters("all")
    series = {"in memory": split.order_parameters("all")}
    assert np.abs(split.positions[0].mean(axis=0) - made_whole(split, "all").positions[0].mean(axis=0)).max() > 0.1
    split.store()
    series["store"] = split.order_parameters("all")
    split.save(tmp_path / "run.h5md")
    series["sidecar"] = ama.ingest(tmp_path / "run.h5md").order_parameters("all")
    series["streamed"] = ama.stream_series(tmp_path / "run.h5md", select="all")
    for name, found in series.items():
        tolerance = 1e-9 if name in ("in memory", "store") else 2e-5  # files are in single precision
        np.testing.assert_allclose(found.centre_of_mass, expected.centre_of_mass, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(found.momentum, expected.momentum, atol=1e-3, err_msg=name)
        np.testing.assert_allclose(found.net_force, expected.net_force, atol=1e-3, err_msg=name)


def test_wrapped_files_of_an_assembly_read_alike(rng, tmp_path):
    """The images of a wrapped file are taken out as it is read: in memory, into the store and on the way by."""
    ball = rng.uniform(-0.4, 0.4, (60, 3)) + 0.05
    walk = ball + np.cumsum(rng.normal(scale=0.05, size=(40, 1, 3)), axis=0)
    stored = wrapped(walk, np.broadcast_to(CUBE, (40, 3, 3)))
    file = mdtraj.Trajectory(stored, bonded(np.arange(60)), time=np.arange(40.0))
    file.unitcell_vectors = np.broadcast_to(CUBE, (40, 3, 3))
    file.save_xtc(str(tmp_path / "run.xtc"))
    file[0].save_pdb(str(tmp_path / "run.pdb"))
    files = tmp_path / "run.xtc", tmp_path / "run.pdb"
    expected = walk.mean(axis=1)
    for series in (
        ama.load(*files).order_parameters("all"),
        ama.ingest(*files).order_parameters("all"),
        ama.stream_series(*files, select="all"),
    ):
        turns = (series.centre_of_mass - expected) / 3.0
        np.testing.assert_allclose(turns, np.broadcast_to(np.round(turns[0]), turns.shape), atol=1e-3)
        first = stored[0, 0] - walk[0, 0]  # the first atom stays where the file has it
        np.testing.assert_allclose(series.centre_of_mass - expected, np.broadcast_to(first, (40, 3)), atol=2e-3)


def test_a_particle_that_touches_its_image_is_refused():
    line = np.zeros((1, 15, 3))
    line[0, :, 0] = 0.2 * np.arange(15)  # 15 × 0.2 = the box: an endless wire
    with pytest.raises(InputError, match="touch their own periodic images"):
        made_whole(trajectory(line, CUBE), "all")


def test_unwrapped_motion_is_that_of_the_velocities(rng):
    """ΔR = ∫ P/m dt: what `check` reports as path mismatch."""
    from amaexplore.trajectory.checks import path_difference

    times = 0.05 * np.arange(400)
    velocities = np.stack([np.cos(times), np.sin(1.3 * times), 0.5 + 0 * times], axis=1)[:, None] * np.ones((1, 6, 1))
    path = np.stack([np.sin(times), (1 - np.cos(1.3 * times)) / 1.3, 0.5 * times], axis=1)[:, None] + rng.random(
        (1, 6, 3)
    )
    stored = wrapped(path, np.broadcast_to(CUBE, (400, 3, 3)))
    source = ama.Trajectory.from_arrays(
        positions=stored, velocities=velocities, masses=np.ones(6), timestep=0.05, box=CUBE, topology=chain(6)
    )
    worst, allowed = path_difference(source.order_parameters("all"))
    assert worst < 10 * allowed < 0.02
    wrong = source.replace(positions=stored)
    assert path_difference(wrong.order_parameters("all"))[0] > 0.3
    assert "path_mismatch" in ama.check(wrong, subset="all").codes
    assert "path_mismatch" not in ama.check(source, subset="all").codes


def breathing(rng, n_frames=4000, edge=3.0):
    """A dimer that is carried through many boxes by kicks while a barostat scales the box and what is in it.

    As engines do it: every atom is in the box, is scaled about its origin with the box, moves on, and is put back. Returns
    stored positions, boxes, and the path of the centre by what really moved it.
    """
    edges = edge * (1.0 + 0.01 * np.sin(np.arange(n_frames) / 3.0) + 0.003 * rng.normal(size=n_frames))
    stored, path = np.empty((n_frames, 2, 3)), np.empty((n_frames, 3))
    bond = np.array([0.1, 0.0, 0.0])
    centre = np.full(3, 0.5 * edge)
    travelled = centre.copy()
    for frame, size in enumerate(edges):
        if frame:
            moved = centre * (size / edges[frame - 1] - 1.0) + rng.normal(loc=0.02, scale=0.1, size=3)
            travelled = travelled + moved
            centre = (centre + moved) % size
        stored[frame] = np.stack([centre - bond, centre + bond]) % size
        path[frame] = travelled
    return stored, edges[:, None, None] * np.eye(3), path


def test_a_breathing_box_does_not_shake_what_has_crossed_it(rng):
    stored, boxes, path = breathing(rng)
    found = trajectory(stored, boxes, chain(2))
    whole = found.positions.mean(axis=1)
    assert np.abs(whole - path).max() > 0.5  # the image in the lattice, boxes away, moves with the box
    series = found.order_parameters([0, 1])
    np.testing.assert_allclose(series.centre_of_mass - series.centre_of_mass[0], path - path[0], atol=1e-9)


def test_from_the_store_and_streamed_the_path_is_the_same(rng, tmp_path):
    stored, boxes, path = breathing(rng, n_frames=500)
    file = tmp_path / "npt.h5md"
    found = trajectory(stored, boxes, chain(2))
    found.save(file)
    for series in (
        ama.load(file).order_parameters("index 0 to 1"),
        ama.stream_series(file, select="index 0 to 1"),
    ):
        np.testing.assert_allclose(series.centre_of_mass - series.centre_of_mass[0], path - path[0], atol=1e-5)


def test_a_box_that_does_not_change_changes_nothing(rng):
    centre = np.cumsum(rng.normal(size=(50, 3)), axis=0)
    assert true_path(centre, np.broadcast_to(TILTED, (50, 3, 3))) is centre
    assert true_path(centre, None) is centre
    boxes = np.linspace(1.0, 1.1, 50)[:, None, None] * TILTED
    centre[::4] = np.nan
    assert np.isnan(true_path(centre, boxes)[::4]).all()
    assert np.isfinite(np.delete(true_path(centre, boxes), np.s_[::4], axis=0)).all()


def test_long_steps_that_image_flags_know_stay_whole(rng):
    """An engine counts images itself: a particle that crosses a box and more between two frames has still gone all that way."""
    edges = 3.0 * (1.0 + 0.01 * rng.normal(size=60))
    boxes = edges[:, None, None] * np.eye(3)
    steps = rng.normal(loc=2.5, scale=0.4, size=(60, 3))  # most of a box, past the middle of it
    place, path, stored = np.full(3, 1.5), np.zeros((60, 3)), np.zeros((60, 3))
    crossed = np.zeros(3)
    for frame in range(60):
        if frame:
            moved = place * (edges[frame] / edges[frame - 1] - 1.0) + steps[frame]
            path[frame] = path[frame - 1] + moved
            place = place + moved
            crossed += np.floor(place / edges[frame])
            place = place % edges[frame]
        stored[frame] = place + crossed * edges[frame]
    found = true_path(stored, boxes)
    assert np.abs(stored - stored[0] - path).max() > 0.1
    np.testing.assert_allclose(found - found[0], path, atol=1e-9)


def test_a_tilted_box_that_flips_moves_nothing(rng):
    """LAMMPS and GROMACS replace a box that has tilted too far by an equivalent one, in between two frames."""
    tilt = np.linspace(1.2, 1.8, 80)
    boxes = np.stack([np.diag([3.0, 3.0, 3.0])] * 80)
    boxes[:, 1, 0] = np.where(tilt > 1.5, tilt - 3.0, tilt)
    walk = np.cumsum(rng.normal(loc=0.1, scale=0.05, size=(80, 1, 3)), axis=0) + 1.0
    found = trajectory(wrapped(walk, boxes), boxes, chain(1)).order_parameters([0]).centre_of_mass
    # what is left is the shear of the box itself, at most a tilt's change for every frame
    assert np.abs(np.diff(found, axis=0) - np.diff(walk[:, 0], axis=0)).max() < 0.03
