"""The atom-major store: equal to a naive loop by every path to a selection, planned at the least cost."""

import threading

import mdtraj
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import amaexplore as ama
from amaexplore.errors import Cancelled, InputError
from amaexplore.kernels.store import expand_plan, plan_levels
from amaexplore.trajectory import store as room
from amaexplore.trajectory import workers
from amaexplore.trajectory.memory import memory_budget, parse_size
from amaexplore.trajectory.store import atom_edges, build_store, prepare_store, ready_store, spread_edges


def make_trajectory(rng, n_frames=37, n_atoms=300, dtype=np.float32, topology=None):
    def values(scale, offset=0.0):
        return (offset + scale * rng.standard_normal((n_frames, n_atoms, 3))).astype(dtype)

    return ama.Trajectory.from_arrays(
        positions=values(2.0, 5.0),
        velocities=values(0.4),
        forces=values(800.0),
        masses=rng.uniform(1, 40, n_atoms),
        timestep=0.02,
        topology=topology,
    )


def naive(trajectory, chosen):
    """The sums in extended precision, one product at a time, and the scale their rounding is measured by."""
    sums, scales = {}, {}
    for name in ("positions", "velocities", "forces"):
        weights = trajectory.masses[chosen] if name != "forces" else np.ones(np.count_nonzero(chosen))
        terms = getattr(trajectory, name)[:, chosen].astype(np.longdouble) * weights[None, :, None]
        sums[name] = terms.sum(axis=1).astype(float)
        scales[name] = np.abs(terms).sum(axis=1).astype(float)
    return sums, scales


def assert_same(found, trajectory, chosen):
    # 1e-12 of the sum of absolute values: what double precision allows when terms cancel
    sums, scales = naive(trajectory, chosen)
    for name, expected in sums.items():
        assert found[name].shape == expected.shape
        assert (np.abs(found[name] - expected) <= 1e-12 * scales[name]).all(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_frames", "n_atoms"), [(1, 1), (1, 70), (16, 64), (37, 300), (600, 65)])
def test_sums_equal_a_naive_loop(rng, dtype, n_frames, n_atoms):
    trajectory = make_trajectory(rng, n_frames, n_atoms, dtype)
    store = build_store(trajectory)
    for share in (0.0, 0.03, 0.5, 0.97, 1.0):
        chosen = rng.random(n_atoms) < share
        chosen[rng.integers(n_atoms)] = True
        assert_same(store.sums(chosen), trajectory, chosen)
        store.forget()
        assert_same(store.sums(chosen), trajectory, chosen)


def test_several_blocks_of_time_join_seamlessly(rng, monkeypatch):
    monkeypatch.setattr(room, "LONGEST_BLOCK", 16)
    trajectory = make_trajectory(rng, n_frames=41)
    store = build_store(trajectory)
    assert [block.n_frames for block in store.blocks] == [16, 16, 9]
    chosen = rng.random(300) < 0.4
    assert_same(store.sums(chosen), trajectory, chosen)
    for block in store.blocks:
        part = slice(block.first, block.first + block.n_frames)
        np.testing.assert_array_equal(block.frame_major("forces"), trajectory.forces[part])


def test_the_number_of_threads_changes_no_bit(rng, monkeypatch):
    trajectory = make_trajectory(rng, n_frames=500, n_atoms=900)
    store = build_store(trajectory)
    chosen = rng.random(900) < 0.5
    results = []
    for count in ("1", "2", "3"):
        monkeypatch.setenv("AMAEXPLORE_THREADS", count)
        store.forget()
        results.append(store.sums(chosen))
    for other in results[1:]:
        for name, values in other.items():
            np.testing.assert_array_equal(values, results[0][name])


def test_many_threads_may_ask_at_once(rng):
    trajectory = make_trajectory(rng, n_frames=200, n_atoms=900)
    store = build_store(trajectory)
    masks = rng.random((12, 900)) < 0.5
    found = [None] * len(masks)

    def ask(k):
        for _ in range(5):
            found[k] = store.sums(masks[k])

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(len(masks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for chosen, sums in zip(masks, found):
        assert_same(sums, trajectory, chosen)


class Toggling(RuleBasedStateMachine):
    """Any sequence of toggles, ranges, complements and jumps leads to the sums that a fresh store gives."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def start(self, seed):
        self.rng = np.random.default_rng(seed)
        self.trajectory = make_trajectory(self.rng, n_frames=9, n_atoms=260)
        self.store = build_store(self.trajectory)
        self.chosen = np.zeros(260, dtype=bool)
        self.chosen[0] = True
        self.seen = [self.chosen.copy()]

    def _now(self, chosen):
        if not chosen.any():
            chosen[self.rng.integers(260)] = True
        self.chosen = chosen
        self.seen.append(chosen.copy())

    @rule(count=st.integers(1, 60))
    def toggle(self, count):
        chosen = self.chosen.copy()
        chosen[self.rng.choice(260, count, replace=False)] ^= True
        self._now(chosen)

    @rule(ends=st.tuples(st.integers(0, 259), st.integers(1, 260)), value=st.booleans())
    def fill(self, ends, value):
        chosen = self.chosen.copy()
        chosen[min(ends) : max(ends)] = value
        self._now(chosen)

    @rule()
    def complement(self):
        self._now(~self.chosen)

    @rule(data=st.data())
    def go_back(self, data):
        self._now(data.draw(st.sampled_from(self.seen)).copy())

    @rule()
    def forget(self):
        self.store.forget()

    @invariant()
    def right(self):
        assert_same(self.store.sums(self.chosen), self.trajectory, self.chosen)


TestToggling = Toggling.TestCase
TestToggling.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_a_long_walk_ends_where_a_fresh_sum_begins(rng):
    # 3000 moves of up to 20 atoms, shrinking to three atoms at the end
    trajectory = make_trajectory(rng, n_frames=8, n_atoms=2000)
    store, fresh = build_store(trajectory), build_store(trajectory)
    chosen = np.ones(2000, dtype=bool)
    for step in range(3000):
        toggled = rng.choice(2000, rng.integers(1, 21), replace=False)
        chosen[toggled] = rng.random(len(toggled)) < (0.5 if step < 2500 else 0.02)
        chosen[:3] = True
        found = store.sums(chosen)
        if step % 250 == 249:
            assert_same(found, trajectory, chosen)
    small = np.zeros(2000, dtype=bool)
    small[:3] = True
    assert_same(store.sums(small), trajectory, small)
    for name, values in store.sums(chosen).items():
        np.testing.assert_allclose(values, fresh.sums(chosen)[name], rtol=1e-12, atol=1e-12 * np.abs(values).max())


# -- the planner --------------------------------------------------------------------------------------


def cheapest_by_trial(change, edges, prefix_cost):
    """All 3^n_blocks choices of levels."""
    n_blocks = len(edges) - 1
    best = np.inf
    for code in range(3**n_blocks):
        levels = [code // 3**b % 3 - 1 for b in range(n_blocks)]
        cost = sum(np.count_nonzero(change[edges[b] : edges[b + 1]] != levels[b]) for b in range(n_blocks))
        cost += prefix_cost * sum(a != b for a, b in zip(levels, [*levels[1:], 0]))
        best = min(best, cost)
    return best


@settings(max_examples=60, deadline=None)
@given(
    change=st.lists(st.integers(-1, 1), min_size=1, max_size=40),
    n_blocks=st.integers(1, 5),
    prefix_cost=st.integers(1, 3),
    runs=st.integers(1, 9),
)
def test_the_plan_is_the_cheapest_and_adds_up(change, n_blocks, prefix_cost, runs):
    change = np.repeat(np.array(change, dtype=np.int8), runs)
    edges = np.unique(np.linspace(0, len(change), n_blocks + 1).astype(np.int64))
    levels = np.empty(len(edges) - 1, dtype=np.int8)
    cost = plan_levels(change, edges, float(prefix_cost), levels)
    assert cost == cheapest_by_trial(change, edges, prefix_cost)
    atoms, coefficients, prefixes, prefix_coefficients = expand_plan(change, edges, levels)
    assert cost == len(atoms) + prefix_cost * len(prefixes)
    total = np.zeros(len(change))
    total[atoms] += coefficients
    for edge, coefficient in zip(edges[1:][prefixes], prefix_coefficients):
        total[:edge] += coefficient
    np.testing.assert_array_equal(total, change)


def test_what_selections_cost(rng):
    trajectory = make_trajectory(rng, n_frames=4, n_atoms=6400)
    store = build_store(trajectory)
    everything = np.ones(6400, dtype=bool)
    assert store.cost(everything) == 2  # one prefix row
    block = np.zeros(6400, dtype=bool)
    block[640:3200] = True
    assert store.cost(block) == 4  # two prefix rows
    block[650:660] = False
    assert store.cost(block) == 14
    assert store.cost(~block) == 14 + 2  # what lies outside is two runs, the last of them to the end
    scattered = np.zeros(6400, dtype=bool)
    scattered[::64] = True
    assert store.cost(scattered) == 100
    store.sums(scattered)
    assert store.cost(scattered) == 0
    scattered[rng.choice(6400, 30, replace=False)] ^= True
    assert store.cost(scattered) == 30


def test_edges_stand_at_residues_where_those_lie_well():
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for size in (60, 60, 10, 10, 10, 10, 3, 200):
        residue = topology.add_residue("R", chain)
        for _ in range(size):
            topology.add_atom("C", mdtraj.element.carbon, residue)
    edges = atom_edges(topology)
    assert edges[0] == 0
    assert edges[-1] == topology.n_atoms
    assert {60, 120, 160}.issubset(edges.tolist())
    assert np.diff(edges).max() <= 64
    # the last stretch may be short: it ends where the atoms end
    assert np.diff(edges)[:-1].min() >= 32
    np.testing.assert_array_equal(spread_edges(np.array([0]), 128), [0, 64, 128])


# -- behind order_parameters --------------------------------------------------------------------------


def test_order_parameters_do_not_depend_on_the_store(rng):
    trajectory = make_trajectory(rng)
    subset = trajectory.select(np.flatnonzero(rng.random(300) < 0.3))
    plain = trajectory.order_parameters(subset)
    assert ready_store(trajectory) is None
    store = trajectory.store()
    assert trajectory.store() is store
    assert ready_store(trajectory.replace(notices=())) is store
    fast = trajectory.order_parameters(subset)
    np.testing.assert_allclose(fast.centre_of_mass, plain.centre_of_mass, rtol=1e-12)
    np.testing.assert_allclose(fast.momentum, plain.momentum, rtol=0, atol=1e-12 * 100 * 40)
    np.testing.assert_allclose(fast.net_force, plain.net_force, rtol=0, atol=1e-12 * 100 * 1000)
    # what one caller does with the result does not reach the next
    fast.momentum[:] = 0.0
    np.testing.assert_allclose(trajectory.order_parameters(subset).momentum, plain.momentum, atol=1e-9)


def test_the_store_goes_with_its_trajectory(rng):
    trajectory = make_trajectory(rng)
    trajectory.store()
    key = room._identity(trajectory)
    assert key in room._stores
    del trajectory
    assert key not in room._stores


def test_frames_that_lack_a_field_are_nan_in_every_path(rng):
    trajectory = make_trajectory(rng, n_frames=20)
    forces = trajectory.forces.copy()
    forces[::3] = np.nan
    trajectory = trajectory.replace(forces=forces)
    store = build_store(trajectory)
    chosen = np.zeros(300, dtype=bool)
    for ends in ((0, 5), (0, 200), (10, 290), (280, 300)):
        chosen[slice(*ends)] ^= True
        sums = store.sums(chosen)
        np.testing.assert_array_equal(np.isnan(sums["forces"]).all(axis=1), np.arange(20) % 3 == 0)
        kept = np.arange(20) % 3 != 0
        expected, scales = naive(trajectory.frames(kept), chosen)
        assert (np.abs(sums["forces"][kept] - expected["forces"]) <= 1e-12 * scales["forces"]).all()
        assert np.isfinite(sums["positions"]).all()


def test_large_data_gets_its_store_from_the_second_question_on(rng, monkeypatch):
    trajectory = make_trajectory(rng)
    monkeypatch.setattr(room, "WORTH_A_STORE", 1000)
    trajectory.order_parameters([0, 1])
    assert not room._building
    assert ready_store(trajectory) is None
    trajectory.order_parameters([0, 1])
    for thread in list(room._building.values()):
        thread.join()
    assert ready_store(trajectory) is not None
    assert prepare_store(trajectory) is None


def test_small_data_stays_with_the_plain_loop(rng):
    trajectory = make_trajectory(rng)
    for _ in range(4):
        trajectory.order_parameters([0, 1])
    assert ready_store(trajectory) is None
    assert not room._building


def test_no_store_beyond_the_memory_budget(rng, monkeypatch):
    trajectory = make_trajectory(rng)
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "100K")
    with pytest.raises(InputError, match=r"more than the memory budget of .* use amaexplore\.ingest"):
        trajectory.store()
    monkeypatch.setattr(room, "WORTH_A_STORE", 1000)
    for _ in range(3):
        trajectory.order_parameters([0, 1])
    assert not room._building


def test_memory_budget(monkeypatch):
    assert parse_size("4G") == 4 * 2**30
    assert parse_size(" 1.5 GiB ") == 1.5 * 2**30
    assert parse_size("200000000") == 200_000_000
    for wrong in ("", "much", "-1G", "0"):
        with pytest.raises(InputError, match="is not understood"):
            parse_size(wrong)
    monkeypatch.setenv("AMAEXPLORE_MEMORY", "3M")
    assert memory_budget() == 3 * 2**20
    monkeypatch.delenv("AMAEXPLORE_MEMORY")
    assert memory_budget() > 2**28


def test_making_a_store_reports_and_can_be_stopped(rng):
    trajectory = make_trajectory(rng)
    told = []
    build_store(trajectory, lambda fraction, text: told.append((fraction, text)))
    assert [round(fraction, 3) for fraction, _ in told] == [0.0, 0.333, 0.667]

    def stop(fraction, text):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        trajectory.store(progress=stop)
    assert ready_store(trajectory) is None


def test_slices_cover_the_row_once(monkeypatch):
    monkeypatch.setenv("AMAEXPLORE_THREADS", "3")
    for length in (1, 15, 16, 17, 48, 1000):
        counts = np.zeros(length, dtype=int)

        def work(low, high, counts=counts):
            counts[low:high] += 1

        workers.share(work, length)
        np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("longest", [64, 8192])
def test_large_scattered_selections_come_in_stages(rng, monkeypatch, longest):
    monkeypatch.setattr(room, "LONGEST_BLOCK", longest)
    trajectory = make_trajectory(rng, n_frames=1500 if longest > 64 else 500)
    chosen = rng.random(300) < 0.4
    store = trajectory.store()
    patience = int(store.cost(chosen) * store._row_bytes * 0.13)
    stages = list(store.progressively(chosen, patience))
    counts = [n_frames for n_frames, _ in stages]
    assert len(counts) == 2 + (longest > 64 and counts[0] * 4 < 750)
    assert counts[-1] == trajectory.n_frames
    for n_frames, sums in stages:
        assert_same(sums, trajectory.frames(slice(0, n_frames)), chosen)
    # the last one is remembered, so that nothing has to be shown before it next time
    assert [n_frames for n_frames, _ in store.progressively(chosen, patience)] == [trajectory.n_frames]
    # from a known selection by difference
    chosen[rng.choice(300, 60, replace=False)] ^= True
    *_, (_, sums) = store.progressively(chosen, 1000)
    assert_same(sums, trajectory, chosen)


def test_progressive_order_parameters_say_that_more_follows(rng, monkeypatch):
    trajectory = make_trajectory(rng, n_frames=400)
    subset = trajectory.select(np.arange(0, 300, 2))
    assert len(list(trajectory.order_parameters_progressively(subset))) == 1
    store = trajectory.store()
    stages = store.progressively
    monkeypatch.setattr(store, "progressively", lambda indicator: stages(indicator, 1000))
    *early, last = trajectory.order_parameters_progressively(subset)
    assert [series.n_frames for series in early] == [64]
    assert early[0].warnings[-1].code == "first_frames"
    assert "first 64 of 400 frames" in early[0].warnings[-1].message
    assert not [notice for notice in last.warnings if notice.code == "first_frames"]
    whole = trajectory.order_parameters(subset)
    np.testing.assert_array_equal(last.momentum, whole.momentum)
    np.testing.assert_allclose(early[0].net_force, whole.net_force[:64], rtol=1e-10, atol=1e-9)
