"""Recorders: what is written can be read while it grows, after a kill, and by other programs; live runs."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import AmaError, FormatError, InsufficientDataError
from amaexplore.simulate.dynamics import Engine, equilibrate
from amaexplore.simulate.live import LiveRun
from amaexplore.simulate.own import alanine_dipeptide, system_from_openmm, with_subset
from amaexplore.simulate.recorder import H5MDRecorder, H5MDReporter, recorded_series, recover
from amaexplore.simulate.recording import Growing, Recording
from amaexplore.simulate.systems import argon_nanoparticle

SMALL = {"n_atoms": 180, "density": 0.4}


def recorded(system, record, n_steps, seed=1):
    """Run n_steps and hand every one to a record."""
    engine = Engine(system, seed=seed)
    equilibrate(engine, duration=1.6)
    snapshots = []
    for _ in range(n_steps):
        snapshot = engine.step()
        snapshots.append(snapshot)
        record.take(snapshot, engine.kinetic_temperature(snapshot.velocities), engine)
    return engine, snapshots


def test_growing_rows_keep_what_was_appended():
    rows = Growing((2,))
    for n in range(1000):
        rows.append((n, -n))
        if n == 100:
            early = rows.rows(101)
    np.testing.assert_array_equal(rows.rows(1000)[:, 0], np.arange(1000))
    np.testing.assert_array_equal(early[:, 1], -np.arange(101))


def test_series_at_every_step_against_sums_over_the_atoms():
    system = argon_nanoparticle(**SMALL)
    recording = Recording(system, stride=3)
    _, snapshots = recorded(system, recording, 20)
    series, trajectory = recording.series(), recording.trajectory(seed=1)
    masses = system.masses[:13]
    for n, snapshot in enumerate(snapshots):
        centre = sum(m * x for m, x in zip(masses, snapshot.positions[:13])) / masses.sum()
        momentum = sum(m * v for m, v in zip(masses, snapshot.velocities[:13]))
        np.testing.assert_allclose(series.centre_of_mass[n], centre, atol=1e-12)
        np.testing.assert_allclose(series.momentum[n], momentum, atol=1e-10)
        np.testing.assert_allclose(series.net_force[n], snapshot.forces[:13].sum(axis=0), atol=1e-9)
    # frames every third step, in single precision
    assert trajectory.n_frames == 7
    np.testing.assert_allclose(trajectory.times, 0.06 * np.arange(7))
    from_atoms = trajectory.order_parameters(trajectory.select("resname NP"))
    np.testing.assert_allclose(from_atoms.momentum, series.momentum[::3], atol=1e-3)
    # impulse: P(t+dt) − P(t) = dt [F(t) + F(t+dt)]/2, exactly, for velocity Verlet
    change = np.diff(series.momentum, axis=0)
    np.testing.assert_allclose(change, 0.01 * (series.net_force[1:] + series.net_force[:-1]), atol=1e-10)


def test_recorded_file_is_the_run(tmp_path):
    system = argon_nanoparticle(**SMALL)
    path = tmp_path / "run.h5md"
    memory = Recording(system, stride=4)
    with H5MDRecorder(path, system, stride=4, metadata={"note": "a test"}) as recorder:

        class Both:
            def take(self, *args):
                memory.take(*args)
                recorder.take(*args)

        recorded(system, Both(), 300)
    expected, loaded = memory.trajectory(), ama.load(path)
    for name in ("times", "positions", "velocities", "forces", "masses", "box"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(expected, name))
    assert loaded.metadata["note"] == "a test"
    assert loaded.complete_system
    assert loaded.topology.n_bonds == 42
    series = recorded_series(path)
    np.testing.assert_array_equal(series.net_force, memory.series().net_force)
    np.testing.assert_array_equal(series.momentum, memory.series().momentum)
    assert series.zero_total_momentum
    assert series.temperature == pytest.approx(memory.series().temperature)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mdanalysis_reads_a_recorded_file(tmp_path):
    import MDAnalysis

    system = argon_nanoparticle(**SMALL)
    path = tmp_path / "run.h5md"
    with H5MDRecorder(path, system, stride=5) as recorder:
        _, snapshots = recorded(system, recorder, 11)
    universe = MDAnalysis.Universe.empty(system.n_atoms, trajectory=True)
    universe.load_new(str(path), format="H5MD")
    assert len(universe.trajectory) == 3
    frame = universe.trajectory[1]
    np.testing.assert_allclose(frame.positions, 10.0 * snapshots[5].positions, atol=1e-4)
    np.testing.assert_allclose(frame.velocities, 10.0 * snapshots[5].velocities, atol=1e-4)
    assert frame.time == pytest.approx(0.1)


KILLED = """
import sys
import amaexplore as ama
ama.simulate("argon-isolated", duration=1e4, equilibration=0.8, stride=4, output=sys.argv[1], seed=5)
"""


def test_what_was_written_before_a_kill_is_readable_and_the_run_goes_on(tmp_path):
    path = tmp_path / "run.h5md"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stderr=subprocess.PIPE)
    try:
        n_steps = 0
        deadline = time.monotonic() + 120
        while n_steps < 2100:  # beyond the first checkpoint
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.1)
            try:
                n_steps = recorded_series(path).n_frames
            except (FormatError, ama.InputError, OSError, KeyError, RuntimeError):
                continue  # it is just being made
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    killed, series = ama.load(path), recorded_series(path)
    assert series.n_frames >= 2100
    assert killed.n_frames >= 500
    assert np.isfinite(killed.forces).all()
    resumed = ama.simulate("argon-isolated", duration=60.0, stride=4, output=path, resume=True, seed=5)
    again = recorded_series(path)
    assert again.n_frames == 3000
    assert resumed.n_frames == 750
    np.testing.assert_array_equal(resumed.positions[:500], killed.positions[:500])
    # the seam does not show: the impulse is right at every step
    change = np.diff(again.momentum, axis=0)
    np.testing.assert_allclose(change, 0.01 * (again.net_force[1:] + again.net_force[:-1]), atol=1e-9)


def test_recover_leaves_a_good_file_alone_and_names_a_missing_one(tmp_path):
    path = tmp_path / "run.h5md"
    system = argon_nanoparticle(**SMALL)
    with H5MDRecorder(path, system) as recorder:
        recorded(system, recorder, 5)
    before = path.read_bytes()
    recover(path)
    assert path.read_bytes() == before
    with pytest.raises(FormatError, match="does not exist"):
        recover(tmp_path / "other.h5md")
    with pytest.raises(ama.InputError, match="exists already"):
        H5MDRecorder(path, system)
    with pytest.raises(FormatError, match="180 atoms"):
        H5MDRecorder(path, argon_nanoparticle(n_atoms=200, density=0.4), resume=True)
    plain = tmp_path / "plain.h5md"
    ama.load(path).save(plain)
    with pytest.raises(FormatError, match="no checkpoint"):
        H5MDRecorder(plain, system, resume=True)
    with pytest.raises(FormatError, match="no series"):
        recorded_series(plain)


# -- OpenMM's own reporters -------------------------------------------------------------------------------


def test_reporter_in_an_openmm_simulation(tmp_path):
    """Velocities of the leapfrog integrator arrive at the time of the positions."""
    import openmm
    from openmm import app

    system = argon_nanoparticle(**SMALL)
    topology = system.topology.to_openmm()
    integrator = openmm.VerletIntegrator(0.02)
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(topology, system.system, integrator, platform, {"Threads": "1"})
    engine = Engine(system, seed=2)
    equilibrate(engine, duration=1.6)
    simulation.context.setPositions(engine.positions)
    simulation.context.setVelocities(engine.half_step_velocities)
    path = tmp_path / "reported.h5md"
    reporter = H5MDReporter(path, 2, "resname NP")
    simulation.reporters.append(reporter)
    simulation.step(8)
    reporter.close()
    engine.run(2)
    loaded = ama.load(path)
    assert loaded.n_frames == 4
    assert loaded.md_timestep == pytest.approx(0.02)
    for frame in range(2):
        snapshot = engine.step()
        np.testing.assert_allclose(loaded.positions[frame], snapshot.positions, atol=1e-5)
        np.testing.assert_allclose(loaded.velocities[frame], snapshot.velocities, atol=1e-4)
        np.testing.assert_allclose(loaded.forces[frame], snapshot.forces, atol=0.05)
        engine.run(1)


# -- the user's own ---------------------------------------------------------------------------------------


def test_own_openmm_system_is_cleaned_and_said_so():
    import openmm

    made = argon_nanoparticle(**SMALL)
    dirty = openmm.XmlSerializer.clone(made.system)
    dirty.addForce(openmm.CMMotionRemover())
    dirty.addForce(openmm.AndersenThermostat(240.0, 1.0))
    n_forces = dirty.getNumForces()
    system = system_from_openmm(
        dirty, made.positions, made.topology, "resname NP", temperature=240.0, timestep=0.02, name="mine"
    )
    assert dirty.getNumForces() == n_forces
    assert system.system.getNumForces() == n_forces - 2
    assert [notice.code for notice in system.notices] == ["thermostat_removed"]
    assert system.conserves_momentum
    trajectory = ama.simulate(system, duration=0.4, equilibration=1.6, stride=2, store="subset")
    assert trajectory.n_atoms == 13
    assert trajectory.complete_system is False
    assert trajectory.metadata["total_mass"] == pytest.approx(made.masses.sum())
    assert trajectory.notices == system.notices


def test_a_pdb_file_with_openmms_force_field(tmp_path):
    from openmm import app

    made = alanine_dipeptide()
    path = tmp_path / "dipeptide.pdb"
    with open(path, "w") as file:
        app.PDBFile.writeFile(made.topology.to_openmm(), 10.0 * made.positions[:], file)
    assert len(made.particle) == 22
    assert made.masses[made.particle].sum() == pytest.approx(144.18, abs=0.02)
    again = alanine_dipeptide()
    np.testing.assert_array_equal(again.positions, made.positions)
    broken = tmp_path / "broken.pdb"
    broken.write_text("ATOM      1  X   XYZ A   1       0.000   0.000   0.000  1.00  0.00           C\nEND\n")
    with pytest.raises(FormatError, match=r"XYZ|cannot describe"):
        ama.simulate(broken, subset="all")
    with pytest.raises(FormatError, match="does not exist"):
        ama.simulate(tmp_path / "none.pdb", subset="all")
    with pytest.raises(ama.errors.SelectionError, match="nanoparticle"):
        ama.simulate(path)
    with pytest.raises(ama.InputError, match="output"):
        ama.simulate("argon-isolated", resume=True)


def test_dipeptide_keeps_its_constraints_when_held():
    """Rigid bonds and water survive the projection: distances in constraints stay to the engine's tolerance."""
    system = alanine_dipeptide()
    engine = Engine(system, seed=1)
    equilibrate(engine, duration=0.2)
    engine.hold("held")
    start = engine.centre_of_mass()
    engine.run(20)
    assert np.abs(engine.centre_of_mass() - start).max() < 1e-13
    constraints = [system.system.getConstraintParameters(n) for n in range(system.system.getNumConstraints())]
    first, second, length = (np.array(column) for column in zip(*[(i, j, d._value) for i, j, d in constraints]))
    distance = np.linalg.norm(engine.positions[first] - engine.positions[second], axis=1)
    np.testing.assert_allclose(distance, length, rtol=2e-5)


def test_another_subset_of_a_known_system():
    system = argon_nanoparticle(**SMALL)
    assert len(with_subset(system, "index 20 to 25").particle) == 6
    with pytest.raises(ama.errors.SelectionError, match="host"):
        with_subset(system, "all")


# -- live runs --------------------------------------------------------------------------------------------


@pytest.fixture
def live():
    system = argon_nanoparticle(**SMALL, host_friction=1.0)
    run = LiveRun(system, duration=1e5, stride=10, equilibration=1.6, seed=4, metadata={"seed": 4})
    yield run
    run.stop()


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_live_run_grows_pauses_goes_on_and_stops(live, tmp_path):
    assert live.state == "ready"
    with pytest.raises(InsufficientDataError, match="ready"):
        live.series()
    live.start()
    wait_until(lambda: live.n_steps > 600)
    assert live.state == "running"
    assert 0.0 < live.fraction < 1.0
    estimate = live.estimate()
    assert estimate.friction > 0
    assert estimate.more >= 0
    assert "u/ps" in estimate.sentence
    live.pause()
    wait_until(lambda: live.state == "paused")
    time.sleep(0.05)  # the step that was under way
    held = live.n_steps
    time.sleep(0.2)
    assert live.n_steps == held
    live.resume()
    wait_until(lambda: live.n_steps > held + 50)
    live.stop()
    assert live.state == "stopped"
    assert not live.alive
    end = live.n_steps
    series = live.series()
    assert series.n_frames == end
    # pausing leaves no seam
    change = np.diff(series.momentum, axis=0)
    np.testing.assert_allclose(change, 0.01 * (series.net_force[1:] + series.net_force[:-1]), atol=1e-9)
    live.save(tmp_path / "live.h5md")
    loaded = ama.load(tmp_path / "live.h5md")
    assert loaded.n_frames == live.trajectory().n_frames
    assert loaded.metadata["seed"] == 4
    saved = ama.load_series(tmp_path / "live.h5md")
    np.testing.assert_array_equal(saved.momentum, series.momentum)
    np.testing.assert_array_equal(saved.net_force, series.net_force)
    with pytest.raises(AmaError, match="stopped"):
        live.start()
    with pytest.raises(AmaError, match="stopped"):
        live.extend(1.0)


def test_the_estimate_says_how_much_more(live):
    live.start()
    wait_until(lambda: live.n_steps > 600)
    live.pause()
    estimate = live.estimate(goal=0.01)
    # errors fall as the root of the time
    expected = estimate.duration * ((estimate.relative_error / 0.01) ** 2 - 1.0)
    assert estimate.more == pytest.approx(expected)
    assert "ps more for 1 %" in estimate.sentence
    assert "known to" in live.estimate(goal=10.0).sentence


def test_a_live_demo_is_the_demo_and_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run = ama.demo(live=True, duration=2.0, stride=2)
    run.start()
    assert run.wait(60.0)
    assert run.state == "finished"
    assert run.error is None
    assert len(list(tmp_path.rglob("*.h5md"))) == 1
    waited = ama.demo(duration=2.0, stride=2)
    np.testing.assert_array_equal(waited.positions, run.trajectory().positions)
    fresh = ama.demo(duration=2.0, stride=2, cache=False)
    np.testing.assert_array_equal(fresh.forces, run.trajectory().forces)


def test_a_failure_in_the_thread_is_told():
    system = argon_nanoparticle(**SMALL).replace(timestep=5.0)
    run = LiveRun(system, duration=1e4, seed=1).start()
    assert run.wait(60.0)
    assert run.state == "failed"
    assert isinstance(run.error, AmaError)


def test_held_runs_live_and_waited_for():
    options = {"duration": 4.0, "equilibration": 1.6, "dynamics": "held", "seed": 6, "stride": 5}
    system = argon_nanoparticle(**SMALL)
    waited = ama.simulate(system, **options)
    particle = waited.order_parameters("resname NP")
    # single precision of the stored atoms
    assert np.ptp(particle.centre_of_mass, axis=0).max() < 1e-6
    assert waited.metadata["dynamics"] == "held"
    run = ama.simulate(system, live=True, **options).start()
    assert run.wait(60.0)
    assert np.abs(run.series().momentum).max() <= 1e-12
    np.testing.assert_array_equal(run.trajectory().forces, waited.forces)
    assert run.estimate().theta.estimator == "window"
    with pytest.raises(ama.InputError, match="host held"):
        ama.simulate(system, dynamics="pinned", subset="resname NP")


def test_stopping_during_equilibration():
    run = LiveRun(argon_nanoparticle(**SMALL), duration=10.0, equilibration=1e6, seed=1).start()
    run.pause()
    time.sleep(0.1)
    run.stop()
    assert run.state == "stopped"
