"""Periodic images: against brute force, in tilted and changing boxes, for molecules, assemblies and large particles."""

from itertools import pairwise

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.trajectory.unwrap import made_whole, minimum_image, true_path, unwrapped

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
