"""Sliders over an attribute: the right atoms at every stop, and sums that are there before they are asked for."""

import mdtraj
import numpy as np
import pytest

import amaexplore as ama
from amaexplore import selection_slider as room
from amaexplore.errors import InputError, SelectionError
from amaexplore.subset import sphere
from amaexplore.trajectory import store as store_room


@pytest.fixture
def trajectory(rng):
    topology = mdtraj.Topology()
    for length in (30, 50):
        chain = topology.add_chain()
        for _ in range(length):
            residue = topology.add_residue("ALA", chain)
            for name in ("N", "CA", "C", "O"):
                topology.add_atom(name, mdtraj.element.carbon, residue)
    shape = (25, topology.n_atoms, 3)
    return ama.Trajectory.from_arrays(
        positions=rng.uniform(0, 4, shape).astype(np.float32),
        velocities=rng.normal(size=shape).astype(np.float32),
        forces=rng.normal(0, 500, shape).astype(np.float32),
        masses=rng.uniform(1, 30, topology.n_atoms),
        box=[4.0, 4.0, 4.0],
        topology=topology,
        timestep=0.1,
        unwrap=False,
    )


def assert_stops_equal_plain_sums(slider, trajectory):
    plain = trajectory.replace(masses=trajectory.masses.copy())  # has no store
    for stop in range(len(slider)):
        found, expected = slider.order_parameters(stop), plain.order_parameters(slider.subset(stop))
        assert found.n_atoms == slider.counts[stop]
        np.testing.assert_allclose(found.centre_of_mass, expected.centre_of_mass, rtol=1e-12)
        np.testing.assert_allclose(found.momentum, expected.momentum, atol=1e-12 * expected.mass)
        np.testing.assert_allclose(found.net_force, expected.net_force, atol=1e-12 * 500 * expected.n_atoms)


def test_a_growing_sphere(trajectory):
    with ama.SelectionSlider.sphere(trajectory, 7, largest=2.5, stops=40, frame=3) as slider:
        assert slider.wait()
        assert slider.n_ready == len(slider)
        store = trajectory.store()
        for stop, radius in enumerate(slider.stops):
            expected = sphere(trajectory, 7, radius, frame=3)
            np.testing.assert_array_equal(slider.subset(stop).indices, expected.indices)
            assert store.cost(slider.subset(stop).indicator) == 0
        assert slider.subset(5).selection == f"within {slider.stops[5]:.4g} nm of atom 7 at frame 3"
        assert slider.stops[-1] <= 2.5
        assert_stops_equal_plain_sums(slider, trajectory)
        known = slider.subset(5)
    # closed, it takes no more memory
    store.forget()
    assert store.cost(known.indicator) > 0


def test_along_a_chain_and_by_residues(trajectory):
    chain = ama.SelectionSlider.along_chain(trajectory, 1, stops=10)
    assert chain.wait()
    np.testing.assert_allclose(chain.stops[-1], 1.0)
    np.testing.assert_array_equal(chain.subset(-1).indices, np.arange(120, 320))
    half = chain.subset(chain.nearest(0.5))
    assert half.indices[0] == 120
    assert abs(half.n_atoms - 100) <= 12
    residues = ama.SelectionSlider.residues(trajectory, "chainid 0")
    assert residues.wait()
    np.testing.assert_array_equal(residues.stops, np.arange(1, 31))
    np.testing.assert_array_equal(residues.subset(4).indices, np.arange(20))
    assert_stops_equal_plain_sums(residues, trajectory)
    assert "30 stops from 1 to 30, 4 to 120 atoms; 30 ready" in repr(residues)
    with pytest.raises(SelectionError, match="There is no chain 2; chains run from 0 to 1"):
        ama.SelectionSlider.along_chain(trajectory, 2)


def test_any_attribute_with_ties_and_gaps(trajectory, rng):
    values = rng.integers(0, 5, trajectory.n_atoms).astype(float)
    values[::7] = np.nan
    slider = ama.SelectionSlider(trajectory, values, stops=[-1.0, 0.0, 0.5, 3.0, 3.5, 9.0], label="kind {value:.1f}")
    np.testing.assert_array_equal(slider.stops, [0.0, 3.0, 9.0])
    assert slider.wait()
    np.testing.assert_array_equal(slider.subset(1).indices, np.flatnonzero(values <= 3.0))
    assert_stops_equal_plain_sums(slider, trajectory)
    with pytest.raises(InputError, match="one value for each of 320 atoms"):
        ama.SelectionSlider(trajectory, np.zeros(3))
    with pytest.raises(SelectionError, match="No atom has a finite value"):
        ama.SelectionSlider(trajectory, np.full(320, np.nan))
    with pytest.raises(SelectionError, match="No stop takes an atom: the smallest value is 0"):
        ama.SelectionSlider(trajectory, values, stops=[-2.0])
    with pytest.raises(InputError, match="at least one stop"):
        ama.SelectionSlider(trajectory, values, stops=0)


def test_little_memory_keeps_some_stops_and_reaches_the_others_from_them(trajectory, monkeypatch):
    store = trajectory.store()
    monkeypatch.setattr(room, "TABLE_SHARE", 5 * store.sum_bytes / room.memory_budget())
    slider = ama.SelectionSlider.residues(trajectory)
    assert slider.wait()
    assert len(slider._pinned) == 5
    assert_stops_equal_plain_sums(slider, trajectory)


def test_without_room_for_a_store_it_still_answers(trajectory, monkeypatch):
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "10K")
    slider = ama.SelectionSlider.residues(trajectory, stops=4)
    assert slider.wait()
    assert slider.n_ready == 0
    assert slider.order_parameters(1).n_atoms == slider.counts[1]
    assert store_room.ready_store(trajectory) is None


def test_closing_stops_the_work(trajectory, monkeypatch):
    slider = ama.SelectionSlider.residues(trajectory, prepare=False)
    running = store_room.AtomStore.running

    def and_close(self, *arguments):
        slider._stopped.set()
        return running(self, *arguments)

    monkeypatch.setattr(store_room.AtomStore, "running", and_close)
    assert not slider.wait()
    assert slider.n_ready == room.STOPS_AT_ONCE
    slider.close()
    assert slider.n_ready == 0


def test_where_the_parts_lie_in_the_box_is_found_ahead(rng, monkeypatch):
    """The sphere round an atom at the corner of the box is put together once for each stop, in the background."""
    from amaexplore.trajectory import unwrap

    positions = np.tile(rng.uniform(0, 4.0, (400, 3)), (20, 1, 1))
    positions[:, 0] = 0.0
    traj = ama.Trajectory.from_arrays(
        positions=positions, velocities=rng.normal(size=positions.shape), forces=rng.normal(size=positions.shape),
        masses=rng.uniform(1, 20, 400), timestep=1.0, box=4.0 * np.eye(3),
    )  # fmt: skip
    asked = ama.SelectionSlider.sphere(traj, 0, largest=1.2, stops=12, prepare=False)
    expected = [traj.order_parameters(asked.subset(stop)).centre_of_mass for stop in range(len(asked))]
    unwrap._turns_of.clear()
    with ama.SelectionSlider.sphere(traj, 0, largest=1.2, stops=12) as slider:
        assert slider.wait(60)
        monkeypatch.setattr(unwrap, "split_images", None)  # whoever asks again would fail
        for stop, centre in enumerate(expected):
            np.testing.assert_allclose(slider.order_parameters(stop).centre_of_mass, centre, atol=1e-6)
    atoms = asked.subset(-1).indices
    whole = ((positions[0] + 2.0) % 4.0 - 2.0)[atoms]
    assert np.abs(whole - positions[0, atoms]).max() > 2.0
    np.testing.assert_allclose(expected[-1][0], traj.masses[atoms] @ whole / traj.masses[atoms].sum(), atol=1e-5)
