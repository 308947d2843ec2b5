"""What the view of the atoms shows, and what a pick means, without drawing."""

from itertools import pairwise

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import AmaError
from amaexplore.explorer.molecule_view import MoleculeView
from amaexplore.explorer.scene import MOST_SHOWN, THINNED, Scene


def system(n_waters=5, n_frames=3, box=2.0, spread=5.0):
    """A ligand of four carbons and waters of three atoms, anywhere in space."""
    rng = np.random.default_rng(2)
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    ligand = topology.add_residue("LIG", chain)
    atoms = [topology.add_atom(f"C{n}", mdtraj.element.carbon, ligand) for n in range(4)]
    for one, other in pairwise(atoms):
        topology.add_bond(one, other)
    for _ in range(n_waters):
        residue = topology.add_residue("HOH", chain)
        oxygen = topology.add_atom("O", mdtraj.element.oxygen, residue)
        for name in ("H1", "H2"):
            topology.add_bond(oxygen, topology.add_atom(name, mdtraj.element.hydrogen, residue))
    n_atoms = topology.n_atoms
    positions = rng.uniform(-spread, spread, size=(n_frames, n_atoms, 3))
    positions[:, :4] = [[7.0 + 0.15 * n, 0.0, 0.0] for n in range(4)]
    for water in range(n_waters):
        start = 4 + 3 * water
        positions[:, start + 1 : start + 3] = positions[:, start : start + 1] + [[0.08, 0.05, 0.0], [-0.08, 0.05, 0.0]]
    masses = [atom.element.mass for atom in topology.atoms]
    return ama.Trajectory.from_arrays(
        positions=positions, masses=masses, timestep=0.5, topology=topology, box=[box, box, box]
    )


@pytest.fixture(scope="module")
def traj():
    return system()


def test_the_nanoparticle_is_in_the_middle_and_the_bath_whole_around_it(traj):
    scene = Scene(traj, traj.select("resname LIG"))
    positions = scene.positions(1).astype(float)
    masses = traj.masses
    assert np.allclose(masses[:4] @ positions[:4] / masses[:4].sum(), 0.0, atol=1e-6)
    assert np.allclose(np.diff(positions[:4, 0]), 0.15, atol=1e-6)
    heads = positions[4::3]
    assert (np.abs(heads) <= 1.0 + 1e-6).all()
    assert np.allclose(positions[5::3] - heads, [0.08, 0.05, 0.0], atol=1e-6)
    # an image only: whole boxes away from where the atom is stored
    centre = masses[:4] @ traj.positions[1, :4].astype(float) / masses[:4].sum()
    boxes = (traj.positions[1] - centre - positions) / 2.0
    assert np.allclose(boxes, np.round(boxes), atol=1e-5)


def test_without_a_box_nothing_is_moved():
    traj = system().replace(box=None)
    scene = Scene(traj, traj.select([0]))
    assert np.allclose(scene.positions(0), traj.positions[0] - traj.positions[0, 0], atol=1e-6)
    assert scene.box(0) is None


def test_a_large_bath_is_thinned_by_whole_molecules():
    traj = system(n_waters=40_000, n_frames=1)
    subset = traj.select("resname LIG")
    scene = Scene(traj, subset)
    assert MOST_SHOWN / 3 < len(scene.atoms) <= MOST_SHOWN
    assert set(subset.indices) <= set(scene.atoms.tolist())
    counts = np.bincount(scene.residue_of[scene.atoms])
    assert set(counts[1:]) <= {0, 3}
    assert f"{len(scene.atoms):,} of 120,004 atoms" in scene.caption
    few = Scene(traj, subset, "thinned")
    assert len(few.atoms) <= THINNED + 4
    assert Scene(traj, subset, "hidden").atoms.tolist() == [0, 1, 2, 3]


def test_a_particle_without_a_bath_is_shown_whole():
    traj = system(n_waters=40_000, n_frames=1)
    scene = Scene(traj, traj.select("all"))
    assert len(scene.atoms) == traj.n_atoms


@pytest.mark.parametrize(
    ("atoms", "mode", "whole", "expected"),
    [
        ([5], "toggle", "atom", [0, 1, 2, 3, 5]),
        ([2], "toggle", "atom", [0, 1, 3]),
        ([2, 5], "toggle", "atom", [0, 1, 3]),
        ([5], "toggle", "residue", [0, 1, 2, 3, 4, 5, 6]),
        ([8, 12], "add", "molecule", [0, 1, 2, 3, 7, 8, 9, 10, 11, 12]),
        ([1, 2, 5], "remove", "atom", [0, 3]),
    ],
)
def test_a_pick_becomes_a_selection(traj, atoms, mode, whole, expected):
    text = Scene(traj, traj.select("resname LIG")).picked(atoms, mode, whole)
    assert traj.select(text).indices.tolist() == expected


def test_a_pick_that_changes_nothing_or_leaves_nothing_is_none(traj):
    scene = Scene(traj, traj.select("resname LIG"))
    assert scene.picked([0], "toggle", "residue") is None
    assert scene.picked([0, 1], "add") is None
    assert scene.picked([9], "remove") is None
    assert scene.picked([]) is None
    assert scene.picked([10_000, -1]) is None


def test_picks_are_of_what_is_shown():
    traj = system(n_waters=2_000, n_frames=1)
    scene = Scene(traj, traj.select("resname LIG"), "thinned")
    place = len(scene.atoms) - 1
    text = scene.picked([place], "add")
    assert traj.select(text).indices.tolist() == [0, 1, 2, 3, scene.atoms[place]]


def test_without_positions_there_is_a_sentence():
    traj = ama.Trajectory.from_arrays(velocities=np.zeros((2, 3, 3)), masses=np.ones(3), timestep=1.0)
    with pytest.raises(AmaError, match="no positions"):
        Scene(traj, traj.select([0]))


def test_the_cursor_of_the_plots_and_the_frame_follow_each_other(traj):
    view = MoleculeView()
    view.show(traj, traj.select("resname LIG"))
    moved = []
    view.on_moved(moved.append)
    view.show_time(0.9)
    assert (view.frame, view.time) == (2, 1.0)
    view._answer(None, {"kind": "frame", "frame": 1.0}, [])
    assert moved == [0.5]
    view._answer(None, {"kind": "frame", "frame": 99}, [])
    assert view.frame == 2
    view._answer(None, {"kind": "frame", "frame": "x"}, [])
    assert view.frame == 2


def test_a_slow_page_gets_the_newest_frame_only(traj, monkeypatch):
    view = MoleculeView()
    sent = []
    monkeypatch.setattr(view, "send", lambda content, buffers: sent.append((content, buffers)))
    view.show(traj, traj.select("resname LIG"))
    assert sent == []
    view._answer(None, {"kind": "hello", "view": "a"}, [])
    assert [content["kind"] for content, _ in sent] == ["scene"]
    view.show_time(0.5)
    view.show_time(1.0)
    assert len(sent) == 1
    view._answer(None, {"kind": "drawn", "serial": sent[0][0]["serial"]}, [])
    assert [content["kind"] for content, _ in sent] == ["scene", "frame"]
    assert sent[1][0]["time"] == "1 ps"
    assert np.array_equal(np.frombuffer(sent[1][1][0], dtype=np.float32).reshape(-1, 3), view.scene.positions(2))
    # a page that reloads asks again and is given everything
    view._answer(None, {"kind": "drawn", "serial": sent[1][0]["serial"]}, [])
    view._answer(None, {"kind": "hello", "view": "b"}, [])
    assert sent[-1][0]["kind"] == "scene"


def test_the_page_shows_and_picks(traj):
    rng = np.random.default_rng(1)
    shape = (300, traj.n_atoms, 3)
    data = ama.Trajectory.from_arrays(
        positions=np.repeat(traj.positions[:1], 300, axis=0), velocities=rng.normal(size=shape),
        forces=rng.normal(size=shape), masses=traj.masses, timestep=0.1, topology=traj.topology,
    )  # fmt: skip
    explorer = ama.explore(data, selection="resname LIG")
    session, board = explorer.session, explorer.dashboard
    assert session.wait(60)
    board.force.value = "atoms"
    assert board.shown_in("mean_force") == "atoms"
    assert board.atoms.caption == "19 atoms, 4 with θ = 1"
    assert board.series.cursor.visible
    board.atoms._answer(None, {"kind": "pick", "atoms": [4], "mode": "add"}, [])
    assert session.result("subset", 60).indices.tolist() == [0, 1, 2, 3, 4]
    assert session.wait(60)
    explorer.refresh()
    assert board.atoms.caption == "19 atoms, 5 with θ = 1"
    # two clicks in a row are two steps
    board.atoms._answer(None, {"kind": "pick", "atoms": [6], "mode": "add"}, [])
    assert session.undo()
    assert session.selection == "index 0 to 4"
    assert session.undo()
    assert session.selection == "resname LIG"
    board.series.cursor.location = 12.34
    assert board.atoms.time == pytest.approx(12.3)
    session.stop()
