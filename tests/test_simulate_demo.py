"""The embedded demos: mechanics that must hold exactly, determinism by seed, and the cache."""

import json
import os

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import Cancelled
from amaexplore.simulate import demo as room
from amaexplore.simulate import dynamics, recorder
from amaexplore.simulate.dynamics import Engine, equilibrate, platforms_by_speed
from amaexplore.simulate.systems import argon_nanoparticle, icosahedron
from amaexplore.units import BOLTZMANN

SHORT = {"duration": 2.0, "stride": 1}


@pytest.fixture(scope="module")
def short_demo():
    return ama.demo(cache=False, **SHORT)


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def simulations(monkeypatch):
    """How many times a demo was really simulated."""
    calls = []
    simulate = room._simulate
    monkeypatch.setattr(room, "_simulate", lambda *args: calls.append(1) or simulate(*args))
    return calls


@pytest.mark.parametrize(("n_atoms", "surface"), [(13, 12), (55, 42), (147, 92)])
def test_icosahedron_is_a_closed_shell(n_atoms, surface):
    points = icosahedron(n_atoms, spacing=0.4)
    assert points.shape == (n_atoms, 3)
    np.testing.assert_allclose(points.sum(axis=0), 0.0, atol=1e-12)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)[np.triu_indices(n_atoms, 1)]
    assert distance.min() == pytest.approx(0.4)
    # the centre of a Mackay icosahedron has 12 neighbours, and 10 s^2 + 2 atoms lie on shell s
    from_centre = np.linalg.norm(points - points[0], axis=1)
    assert np.sum(np.isclose(from_centre, 0.4)) == 12
    assert len(points) - {13: 1, 55: 13, 147: 55}[n_atoms] == surface


@pytest.mark.parametrize("settings", [{"n_particle": 14}, {"n_atoms": 13}, {"n_atoms": 60}, {"densty": 0.5}])
def test_settings_that_make_no_system(settings):
    with pytest.raises(ama.InputError, match=r"13, 55 or 147|leave no host|cutoff|densty"):
        ama.demo(cache=False, **settings)


@pytest.mark.parametrize("name", ["argon-nanoparticle", "argon-isolated"])
def test_forces_positions_and_velocities_are_of_one_time(name):
    """Central differences over two steps: x' = v and v' = F/m hold to rounding for velocity Verlet."""
    run = ama.demo(name, cache=False, duration=1.0, stride=1)
    step = run.timestep
    # a bath kicks the host's atoms between steps, never the particle's
    chosen = slice(0, 13) if run.metadata["host_friction"] else slice(None)
    x, v, f = (getattr(run, field)[:, chosen].astype(float) for field in ("positions", "velocities", "forces"))
    # (x(t+dt) - x(t-dt)) / 2dt is exactly (v(t-dt/2) + v(t+dt/2)) / 2; single precision stores 1e-7 of 3 nm
    np.testing.assert_allclose((x[2:] - x[:-2]) / (2 * step), v[1:-1], atol=1e-7 * 3.0 / step * 2)
    second = (x[2:] - 2 * x[1:-1] + x[:-2]) / step**2 * run.masses[chosen, None]
    np.testing.assert_allclose(second, f[1:-1], atol=1e-7 * 3.0 / step**2 * 4 * 40.0)


def test_forces_are_those_of_the_potential():
    """The force taken from the velocities against the one OpenMM computes from the potential."""
    engine = Engine(argon_nanoparticle(), seed=5)
    equilibrate(engine, duration=0.4)
    state = engine._context.getState(forces=True)
    expected = state.getForces(asNumpy=True)._value
    np.testing.assert_allclose(engine.step().forces, expected, atol=1e-4 * np.abs(expected).max())


def test_total_momentum_and_energy_are_conserved():
    engine = Engine(argon_nanoparticle(), seed=6)
    equilibrate(engine, duration=2.0)
    masses = engine.masses[:, None]
    energies, momenta = [], []
    for _ in range(200):
        potential = engine.potential_energy()
        snapshot = engine.step()
        energies.append(potential + 0.5 * np.sum(masses * snapshot.velocities**2))
        momenta.append(np.sum(masses * snapshot.velocities, axis=0))
    thermal = BOLTZMANN * engine.system.temperature
    # 4 ps; the whole system holds some 900 kT/2
    assert np.ptp(energies) < 3.0 * thermal
    typical = np.sqrt(engine.masses.sum() * thermal)
    assert np.abs(momenta).max() < 1e-5 * typical


def test_temperature_is_the_one_asked_for():
    engine = Engine(argon_nanoparticle(n_atoms=300), seed=7)
    equilibrate(engine, duration=10.0)
    measured = np.mean([engine.kinetic_temperature(engine.step().velocities) for _ in range(500)])
    # 10 ps hold about 30 independent values with a scatter of 5 K each, once here and once in the settling
    assert measured == pytest.approx(240.0, abs=6.0)


def test_the_trajectory_says_what_it_is(short_demo):
    assert short_demo.complete_system
    assert short_demo.velocity_offset == 0.0
    assert short_demo.md_timestep == pytest.approx(0.02)
    assert short_demo.metadata["demo"] == "argon-nanoparticle"
    assert short_demo.metadata["total_mass"] == pytest.approx(short_demo.masses.sum())
    json.dumps(short_demo.metadata)
    particle = short_demo.select(short_demo.metadata["subset"])
    assert particle.n_atoms == 13
    assert short_demo.topology.n_bonds == 42
    assert np.trace(short_demo.box[0]) / 3 == pytest.approx((300 * 0.34**3 / 0.5) ** (1 / 3))


def test_the_seed_decides(short_demo):
    again = ama.demo(cache=False, **SHORT)
    other = ama.demo(cache=False, seed=1, **SHORT)
    np.testing.assert_array_equal(again.positions, short_demo.positions)
    np.testing.assert_array_equal(again.forces, short_demo.forces)
    assert np.abs(other.positions - short_demo.positions).max() > 0.1


def test_progress_rises_and_can_cancel():
    seen = []
    ama.demo(cache=False, duration=0.4, stride=1, progress=lambda fraction, text: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(fraction, text):
        raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        ama.demo(cache=False, duration=0.4, progress=stop)


def test_second_start_reads_the_cache(cache_home, simulations):
    first = ama.demo(**SHORT)
    second = ama.demo(**SHORT)
    assert len(simulations) == 1
    for name in ("positions", "velocities", "forces", "times", "masses", "box"):
        np.testing.assert_array_equal(getattr(second, name), getattr(first, name))
    assert second.metadata == first.metadata
    assert second.topology == first.topology
    assert second.topology.n_bonds == first.topology.n_bonds
    assert second.complete_system
    every_step = ama.load_series(second.files[0])
    frames = second.order_parameters("resname NP")
    assert every_step.n_frames == first.n_frames
    np.testing.assert_allclose(every_step.net_force, frames.net_force, atol=1e-2)
    assert not [path for path in cache_home.rglob("*") if path.suffix == ".part"]
    for moment in (1_000_000_000, 4_000_000_000):  # a clock that was wrong
        os.utime(second.files[0], (moment, moment))
        ama.demo(**SHORT)
    assert len(simulations) == 1
    ama.demo(**{**SHORT, "seed": 3})
    assert len(simulations) == 2


@pytest.mark.parametrize("harm", ["cut", "flip", "no checksum"])
def test_a_damaged_cache_is_made_again(cache_home, simulations, harm):
    first = ama.demo(**SHORT)
    (path,) = cache_home.rglob("*.h5md")
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-2000])
    elif harm == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    else:
        path.with_suffix(".blake2b").unlink()
    np.testing.assert_array_equal(ama.demo(**SHORT).positions, first.positions)
    assert len(simulations) == 2
    ama.demo(**SHORT)
    assert len(simulations) == 2


def test_two_programs_that_simulate_the_same_demo_at_once(cache_home, simulations, monkeypatch):
    """The second remembers its run while the first is about to; both go on, and what is left is whole."""
    write_series, others = recorder.write_series, []

    def another_comes_first(*arguments):
        if not others:
            others.append(None)
            others[0] = ama.demo(**SHORT)
        write_series(*arguments)

    monkeypatch.setattr(recorder, "write_series", another_comes_first)
    first = ama.demo(**SHORT)
    assert len(simulations) == 2
    assert not [notice for notice in (*first.notices, *others[0].notices) if notice.code == "cache_unavailable"]
    np.testing.assert_array_equal(others[0].positions, first.positions)
    again = ama.demo(**SHORT)
    assert len(simulations) == 2
    np.testing.assert_array_equal(again.positions, first.positions)
    assert ama.load_series(again.files[0]).n_frames == first.n_frames


def test_without_a_writable_cache_it_works_and_says_so(tmp_path, monkeypatch):
    # a file where the directory should be: unwritable for root as well
    blocked = tmp_path / "not-a-directory"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    trajectory = ama.demo(**SHORT)
    assert [notice.code for notice in trajectory.notices] == ["cache_unavailable"]
    assert trajectory.n_frames == 100


def test_the_list_of_demos():
    listed = ama.demos()
    assert "argon-nanoparticle" in listed
    assert "argon-nanoparticle" in repr(listed)
    assert "335 ± 15 u/ps" in repr(listed["argon-isolated"].expectation())
    assert "<table>" in listed._repr_html_()
    with pytest.raises(ama.InputError, match="argon-nanoparticle"):
        ama.demo("no such demo")


def test_every_demo_can_be_built_and_is_small_enough():
    for entry in ama.demos().values():
        system = entry.build()
        json.dumps(system.settings)
        # within a minute on a quiet core at 1.5 million atom-steps per second
        steps = (entry.duration + entry.equilibration) / system.timestep
        assert steps * system.n_atoms / 1.5e6 < 60.0
        # and a file that is not a burden
        stored = system.n_atoms if entry.store == "all" else len(system.particle)
        assert entry.duration / system.timestep / entry.stride * stored * 36 < 62e6
        assert entry.expectation()


def test_a_demo_with_a_potential_is_remembered(cache_home, simulations):
    options = {"duration": 0.4, "stride": 5}
    first = ama.demo("argon-trap", **options)
    second = ama.demo("argon-trap", **options)
    assert len(simulations) == 1
    assert second.metadata == first.metadata
    assert second.metadata["settings"]["potential"]["stiffness"] == [50.0, 50.0, 50.0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ama.demos())
def test_whole_demos(name):
    """Each demo as it comes, with the particle it names and, where a default run can tell, what it should give."""
    run = ama.demo(name, cache=False)
    particle = run.select(run.metadata["subset"])
    series = run.order_parameters(particle)
    assert series.n_frames == run.n_frames
    assert np.isfinite(series.net_force).all()
    if name in ("argon-nanoparticle", "argon-heavy"):
        expected, std, _ = ama.demos()[name].expected["friction"]
        theta = ama.theta(series)
        assert abs(theta.friction - expected) < 3.0 * np.hypot(theta.friction_std, std)
    if name == "argon-trap":
        variance = series.centre_of_mass.var()
        # 400 ps hold some 25 swings along each of three axes
        assert variance == pytest.approx(ama.demos()[name].expected["variance of R"][0], rel=0.4)


def test_the_fastest_platform_that_works_is_taken(monkeypatch):
    assert platforms_by_speed(300)[0] == "CPU"
    assert "Reference" in platforms_by_speed(100_000)
    with pytest.raises(ama.InputError, match="CPU"):
        ama.demo(cache=False, platform="Abacus", **SHORT)
    assert Engine(argon_nanoparticle(), platform="Reference").platform == "Reference"
    # a driver without its card: OpenMM lists the platform, and a context on it fails
    make = dynamics._platform

    def without_card(name, threads):
        platform, properties = make(name, threads)
        return platform, {"NoSuchProperty": "1"} if name == "CPU" else properties

    monkeypatch.setattr(dynamics, "_platform", without_card)
    assert Engine(argon_nanoparticle()).platform == "Reference"
    with pytest.raises(ama.AmaError, match="on any of CPU"):
        Engine(argon_nanoparticle(), platform="CPU")


def test_same_code_on_another_platform():
    """The reference platform, in double precision, starts on the trajectory of the fast one."""
    system = argon_nanoparticle(n_atoms=180, density=0.4)
    fast, slow = Engine(system, platform="CPU"), Engine(system, platform="Reference")
    equilibrate(fast, duration=1.6)
    slow.place(fast.positions, fast.half_step_velocities)
    for _ in range(10):
        one, other = fast.step(), slow.step()
    # single against double precision, before chaos sets in
    np.testing.assert_allclose(one.positions, other.positions, atol=1e-5)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-3 * np.abs(other.forces).max())
