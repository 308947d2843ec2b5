"""Temperature, completeness, half-step velocities, and every check with data that sets it off."""

from pathlib import Path

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.trajectory.degrees_of_freedom import degrees_of_freedom, rigid_pairs
from amaexplore.trajectory.half_step import measure_offset, with_detected_offset
from amaexplore.trajectory.temperature import host_is_missing, is_complete, measure_temperature, total_momentum_is_zero
from amaexplore.units import BOLTZMANN

DATA = Path(__file__).parent / "data"
WATER = np.array([[0.0, 0.0, 0.0], [0.09572, 0.0, 0.0], [-0.023999, 0.092663, 0.0]])
WATER_MASSES = np.array([15.999, 1.008, 1.008])


def make(rng, n_frames=200, n_atoms=20, temperature=300.0, **changes):
    """Free atoms with Maxwell velocities, independent from frame to frame, and forces without order."""
    masses = changes.pop("masses", rng.uniform(1.0, 40.0, n_atoms))
    scale = np.sqrt(BOLTZMANN * temperature / np.where(masses > 0, masses, np.inf))[:, None]
    given = dict(
        positions=rng.uniform(0, 5, (1, len(masses), 3)) + rng.normal(scale=0.01, size=(n_frames, len(masses), 3)),
        velocities=rng.normal(size=(n_frames, len(masses), 3)) * scale,
        forces=rng.normal(scale=100.0, size=(n_frames, len(masses), 3)),
    )
    return ama.Trajectory.from_arrays(**(given | {"masses": masses, "timestep": 0.01} | changes))


def rigid_waters(rng, n_frames, n_waters, temperature=300.0):
    """Rigid molecules in exact equilibrium: random orientations; Maxwell velocities without their constrained part."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.random(n_frames * n_waters, random_state=7).as_matrix()
    sites = np.einsum("nij,aj->nai", turns, WATER)
    velocities = rng.normal(size=sites.shape) * np.sqrt(BOLTZMANN * temperature / WATER_MASSES)[:, None]
    root = np.repeat(np.sqrt(WATER_MASSES), 3)
    for site, velocity in zip(sites, velocities):
        rows = []
        for a, b in ((0, 1), (0, 2), (1, 2)):
            row = np.zeros((3, 3))
            row[a], row[b] = site[a] - site[b], site[b] - site[a]
            rows.append(row.ravel() / root)
        q, _ = np.linalg.qr(np.array(rows).T)
        scaled = velocity.ravel() * root
        velocity[:] = ((scaled - q @ (q.T @ scaled)) / root).reshape(3, 3)
    shape = (n_frames, n_waters * 3, 3)
    centres = np.repeat(np.arange(n_waters) * 1.0, 3)[:, None] * np.array([1.0, 0, 0])
    return sites.reshape(shape) + centres, velocities.reshape(shape), np.tile(WATER_MASSES, n_waters)


# -- temperature --------------------------------------------------------------------------------------


def test_temperature_of_free_atoms(rng):
    trajectory = make(rng, n_frames=400, temperature=250.0)
    temperature, std = measure_temperature(trajectory, trajectory.select("all"))
    assert std == pytest.approx(250.0 * np.sqrt(2.0 / (3 * 20 * 400)), rel=0.3)
    assert abs(temperature - 250.0) < 4 * std


def test_rigid_molecules_have_fewer_degrees_of_freedom(rng):
    positions, velocities, masses = rigid_waters(rng, 300, 4)
    trajectory = ama.Trajectory.from_arrays(positions=positions, velocities=velocities, masses=masses, timestep=1.0)
    assert len(rigid_pairs(trajectory)) == 12
    assert degrees_of_freedom(trajectory).sum() == pytest.approx(4 * 6.0)
    # the whole, single molecules, and sets that cut molecules
    for chosen in ("all", [0, 1, 2], [0, 3, 6, 9], [1, 2, 4, 5], [1, 4]):
        temperature, std = measure_temperature(trajectory, trajectory.select(chosen))
        assert abs(temperature - 300.0) < 4 * std, chosen
        assert std < 30.0


def test_error_of_the_temperature_covers_the_truth_as_often_as_it_says(rng):
    """Correlated velocities (an Ornstein-Uhlenbeck process); 200 repeats; 68 % within one standard error."""
    kept, inside = np.exp(-0.05), 0
    scale = np.sqrt(BOLTZMANN * 300.0 / 10.0)
    for _ in range(200):
        kicks = rng.normal(size=(600, 8, 3)) * scale * np.sqrt(1 - kept**2)
        kicks[0] = rng.normal(size=(8, 3)) * scale
        from scipy.signal import lfilter

        velocities = lfilter([1.0], [1.0, -kept], kicks, axis=0)
        trajectory = ama.Trajectory.from_arrays(velocities=velocities, masses=np.full(8, 10.0), timestep=1.0)
        temperature, std = measure_temperature(trajectory, trajectory.select("all"))
        inside += abs(temperature - 300.0) < std
    assert 0.57 < inside / 200 < 0.77


def test_zero_total_momentum_takes_its_share(rng):
    """8 atoms with P = 0: a heavy atom of mass m has ⟨v²⟩ = 3 k_BT (1 − m/M)/m."""
    masses = np.array([100.0, 1, 1, 1, 1, 1, 1, 1])
    velocities = rng.normal(size=(4000, 8, 3)) * np.sqrt(BOLTZMANN * 300.0 / masses)[:, None]
    velocities -= np.einsum("i,fij->fj", masses, velocities)[:, None] / masses.sum()
    trajectory = ama.Trajectory.from_arrays(velocities=velocities, masses=masses, timestep=1.0, complete_system=True)
    assert total_momentum_is_zero(trajectory)
    temperature, std = measure_temperature(trajectory, trajectory.select([0]))
    assert abs(temperature - 300.0) < 4 * std
    assert "zero_total_momentum" in ama.check(trajectory, subset=[0]).codes


def test_virtual_sites_and_frozen_atoms_carry_no_motion(rng):
    masses = np.array([10.0, 10.0, 0.0, 10.0])
    velocities = rng.normal(size=(500, 4, 3)) * np.sqrt(BOLTZMANN * 300.0 / 10.0)
    velocities[:, 2:] = 0.0
    trajectory = ama.Trajectory.from_arrays(velocities=velocities, masses=masses, timestep=1.0)
    np.testing.assert_array_equal(degrees_of_freedom(trajectory), [3, 3, 0, 0])
    temperature, std = measure_temperature(trajectory, trajectory.select("all"))
    assert abs(temperature - 300.0) < 4 * std


def test_no_velocities_no_temperature(rng):
    trajectory = make(rng, velocities=None)
    assert measure_temperature(trajectory, trajectory.select("all")) == (None, None)


def test_engines_keep_their_temperature():
    peptide = ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr")
    assert len(rigid_pairs(peptide)) == (peptide.masses < 1.1).sum() == 69
    temperature, _ = measure_temperature(peptide, peptide.select("all"))
    assert temperature == pytest.approx(300.0, abs=45.0)  # 30 frames of one small peptide


# -- completeness -------------------------------------------------------------------------------------


def test_forces_that_cancel_mean_that_nothing_else_was_simulated(rng):
    trajectory = make(rng)
    assert is_complete(trajectory) is False
    assert host_is_missing(trajectory, trajectory.select("all")) is None
    forces = trajectory.forces - trajectory.forces.mean(axis=1, keepdims=True)
    closed = trajectory.replace(forces=forces.astype(np.float32))
    assert is_complete(closed) is True
    sentence = host_is_missing(closed, closed.select("all"))
    assert "no host medium is left" in sentence
    assert host_is_missing(closed, closed.select("index 0 to 5")) is None
    assert "no_host" in ama.check(closed, subset="all").codes


def test_what_the_file_says_comes_first(rng):
    trajectory = make(rng)
    assert is_complete(trajectory.replace(complete_system=True)) is True
    assert total_momentum_is_zero(trajectory.replace(metadata={"zero_total_momentum": True}))
    assert not total_momentum_is_zero(trajectory)


def test_completeness_of_engine_files():
    assert ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr").complete_system is False
    assert ama.load(DATA / "nanoparticle.lammpstrj.gz").complete_system is False
    assert ama.load(DATA / "ace_tip3p.nc", topology=DATA / "ace_tip3p.parm7.gz").complete_system is True


# -- half-step velocities -----------------------------------------------------------------------------


def oscillators(rng, dt=0.002, n_frames=400, stride=5, offset=-0.5):
    """Atoms in harmonic wells by the leap-frog scheme; velocities stored at t + offset·dt."""
    n_atoms = 30
    masses = rng.uniform(5.0, 20.0, n_atoms)
    omega = rng.uniform(20.0, 100.0, n_atoms)  # rad/ps
    spring = (masses * omega**2)[:, None]
    x = rng.normal(size=(n_atoms, 3)) * np.sqrt(BOLTZMANN * 300.0 / spring)
    v = rng.normal(size=(n_atoms, 3)) * np.sqrt(BOLTZMANN * 300.0 / masses)[:, None]
    stored = {"positions": [], "velocities": [], "forces": []}
    for step in range(n_frames * stride):
        force = -spring * x
        later = v + force / masses[:, None] * dt
        if step % stride == 0:
            stored["positions"].append(x.copy())
            stored["velocities"].append({-0.5: v, 0.0: 0.5 * (v + later), 0.5: later}[offset].copy())
            stored["forces"].append(force)
        v = later
        x = x + dt * v
    arrays = {name: np.array(values) for name, values in stored.items()}
    return ama.Trajectory.from_arrays(**arrays, masses=masses, timestep=stride * dt, md_timestep=dt)


@pytest.mark.parametrize("offset", [-0.5, 0.0, 0.5])
def test_half_step_velocities_are_found_and_put_right(rng, offset):
    trajectory = oscillators(rng, offset=offset)
    found = measure_offset(trajectory)
    assert abs(found.offset - offset * 0.002) < 4 * found.std
    assert found.std < 1e-4
    repaired = with_detected_offset(trajectory)
    assert repaired.velocity_offset == offset * 0.002
    assert ("half_step_velocities" in {n.code for n in repaired.notices}) == (offset != 0.0)
    # without the MD step the measured value serves
    unknown = with_detected_offset(trajectory.replace(md_timestep=None))
    assert unknown.velocity_offset == pytest.approx(offset * 0.002, abs=1e-4)
    if offset:
        stored = trajectory.order_parameters([0, 1])
        exact = oscillators(np.random.default_rng(20080826), offset=0.0).order_parameters([0, 1]).momentum
        put_right = repaired.order_parameters([0, 1]).synchronised().momentum
        size = np.sqrt((exact**2).mean())
        assert np.sqrt(((put_right - exact) ** 2).mean()) < 1e-6 * size
        assert np.sqrt(((stored.momentum - exact) ** 2).mean()) > 0.03 * size


@pytest.mark.parametrize(
    ("name", "offset"), [("leapfrog", -0.001), ("velocity-verlet", 0.0), ("LangevinMiddle", -0.001)]
)
def test_integrator_overrides(name, offset):
    trajectory = ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr", integrator=name)
    assert trajectory.velocity_offset == offset
    assert (offset == 0.0) == ("velocity_time" in ama.check(trajectory).codes)


def test_engine_offsets():
    """GROMACS md is half of 2 fs behind, LAMMPS' velocity Verlet is not."""
    peptide = ama.load(DATA / "peptide.trr", topology=DATA / "peptide.tpr")
    found = measure_offset(peptide)
    assert abs(found.offset + 0.001) < 4 * found.std < 0.0005
    assert peptide.velocity_offset == -0.001
    gold = ama.load(DATA / "nanoparticle.lammpstrj.gz")
    assert gold.velocity_offset == 0.0
    found = measure_offset(gold)
    assert abs(found.offset) < 4 * found.std


# -- the report ---------------------------------------------------------------------------------------


def langevin(rng, friction_rate=0.0, n_frames=3000, dt=0.002, drift=0.0):
    """One particle in a harmonic well, with and without a thermostat whose force is not in F; exact splitting."""
    mass, spring = 50.0, 50.0 * 6.0**2
    kept = np.exp(-friction_rate * dt)
    noise = np.sqrt((1 - kept**2) * mass * BOLTZMANN * 300.0)
    kicks = rng.normal(size=(n_frames, 3)) * noise
    x = rng.normal(size=3) * np.sqrt(BOLTZMANN * 300.0 / spring)
    p = rng.normal(size=3) * np.sqrt(mass * BOLTZMANN * 300.0)
    rows = []
    for kick in kicks:
        rows.append((x.copy(), p.copy(), -spring * x))
        p = p - 0.5 * dt * spring * x
        x = x + 0.5 * dt * p / mass
        p = kept * p + kick
        x = x + 0.5 * dt * p / mass
        p = p - 0.5 * dt * spring * x
    position, momentum, force = (np.array(values) for values in zip(*rows))
    return ama.OrderParameters.from_arrays(
        timestep=dt, mass=mass, momentum=momentum + drift, net_force=force, centre_of_mass=position, temperature=300.0
    )


def test_a_thermostat_on_the_particle_is_seen(rng):
    assert "force_is_not_dpdt" not in ama.check(langevin(rng)).codes
    report = ama.check(langevin(rng, friction_rate=20.0))
    message = next(n.message for n in report.notices if n.code == "force_is_not_dpdt")
    friction = float(message.split("a friction of ")[1].split()[0])
    assert friction == pytest.approx(50.0 * 20.0, rel=0.15)


def test_frames_too_sparse(rng):
    trajectory = make(rng)
    assert "frames_too_sparse" in ama.check(trajectory, subset=[0, 1]).codes
    assert "frames_too_sparse" not in ama.check(langevin(rng)).codes


def test_a_drifting_particle_is_too_hot(rng):
    series = langevin(rng, friction_rate=100.0, n_frames=6000)
    assert "momentum_temperature" not in ama.check(series).codes
    assert "momentum_temperature" in ama.check(langevin(rng, friction_rate=100.0, n_frames=6000, drift=60.0)).codes


def test_uneven_times_and_one_frame(rng):
    trajectory = make(rng, n_frames=4, timestep=None, times=[0.0, 1.0, 3.0, 4.0])
    assert "uneven_times" in ama.check(trajectory).codes
    assert "one_frame" in ama.check(make(rng, n_frames=1)).codes


def test_a_thermostat_on_everything_is_seen(rng):
    trajectory = make(rng)
    forces = trajectory.forces - trajectory.forces.mean(axis=1, keepdims=True)
    assert "momentum_not_conserved" in ama.check(trajectory.replace(forces=forces)).codes
    momentum = np.einsum("i,fij->fj", trajectory.masses, trajectory.velocities)
    still = trajectory.velocities - momentum[:, None] / trajectory.masses.sum()
    assert "momentum_not_conserved" not in ama.check(trajectory.replace(forces=forces, velocities=still)).codes
    resets = trajectory.velocities.copy()
    resets[::10] = still[::10]
    report = ama.check(trajectory.replace(forces=forces, velocities=resets))
    assert any("centre-of-mass removal" in notice.message for notice in report.notices)


def test_cut_rigid_bonds_are_named(rng):
    positions, velocities, masses = rigid_waters(rng, 20, 3)
    trajectory = ama.Trajectory.from_arrays(positions=positions, velocities=velocities, masses=masses, timestep=1.0)
    report = ama.check(trajectory, subset=[0, 1, 2, 3])
    message = next(n.message for n in report.notices if n.code == "rigid_bonds_cut")
    assert "cuts 2 rigid distances" in message
    assert "SYS0-O" in message
    assert "rigid_bonds_cut" not in ama.check(trajectory, subset=[0, 1, 2]).codes


def test_virtual_sites_with_forces(rng):
    masses = np.array([16.0, 1.0, 1.0, 0.0, 40.0])
    trajectory = make(rng, masses=masses)
    forces = trajectory.forces.copy()
    forces[:, 3] = rng.normal(scale=50.0, size=(200, 3))
    real = [0, 1, 2, 4]
    forces[:, real] -= forces[:, real].mean(axis=1, keepdims=True)
    report = ama.check(trajectory.replace(forces=forces))
    assert any("counted twice" in n.message for n in report.notices if n.code == "virtual_sites")
    forces[:, 3] = 0.0
    report = ama.check(trajectory.replace(forces=forces))
    assert next(n.severity for n in report.notices if n.code == "virtual_sites") == "info"


def test_temperature_drift_and_difference(rng):
    trajectory = make(rng, n_frames=400)
    assert not {"temperature_drift", "temperatures_differ"} & set(ama.check(trajectory, subset=[0, 1, 2]).codes)
    heating = np.sqrt(np.linspace(0.7, 1.3, 400))[:, None, None]
    assert "temperature_drift" in ama.check(trajectory.replace(velocities=trajectory.velocities * heating)).codes
    hot = trajectory.velocities.copy()
    hot[:, :3] *= np.sqrt(1.5)
    assert "temperatures_differ" in ama.check(trajectory.replace(velocities=hot), subset=[0, 1, 2]).codes


def test_a_barostat_is_seen(rng):
    assert "changing_box" not in ama.check(make(rng, box=6.0 * np.eye(3))).codes
    boxes = (6.0 + 0.01 * rng.normal(size=200))[:, None, None] * np.eye(3)
    assert "changing_box" in ama.check(make(rng, box=boxes)).codes


def test_a_particle_that_cannot_be_whole_is_seen(rng):
    """A ball across the corner is put together without a word; a wire through the whole box has no ends."""
    ball = rng.uniform(-0.3, 0.3, (20, 3))
    split = make(rng, positions=np.tile(ball % 4.0, (200, 1, 1)), box=4.0 * np.eye(3))
    assert "particle_split" not in ama.check(split, subset="all").codes
    wire = np.zeros((200, 20, 3))
    wire[:, :, 0] = 0.2 * np.arange(20)
    assert "particle_split" in ama.check(make(rng, positions=wire, box=4.0 * np.eye(3)), subset="all").codes
    pair = np.zeros((200, 20, 3))
    pair[:, 1:] = 2.0  # from the rest to the first atom it is as far in every direction
    assert "particle_split" in ama.check(make(rng, positions=pair, box=4.0 * np.eye(3)), subset="all").codes


def test_report_of_engine_files():
    report = ama.check(DATA / "peptide.trr", DATA / "peptide.tpr", subset="protein")
    assert {"half_step_velocities"} <= set(report.codes)
    assert not [notice for notice in report.notices if notice.severity == "error"]
    assert report.facts["velocities"] == "every frame"
    assert report.facts["rigid_distances"] == 69
    assert "triclinic" in report.facts["box"]
    assert report.facts["path_against_momentum_nm"] < 1e-4
    text = report.text()
    assert "warning [half_step_velocities]" in text
    assert "0.00729927" in text
    again = type(report).from_dict(report.to_dict())
    assert again.codes == report.codes
    mixed = ama.check(DATA / "mixed_strides.trr", DATA / "mixed_strides.gro")
    assert mixed.facts["forces"] == "3 of 7 frames"
    assert "uneven_times" in mixed.codes


def test_check_says_when_arguments_do_not_fit(rng):
    with pytest.raises(InputError, match="go with files"):
        ama.check(make(rng), topology="x.pdb")


def test_forces_that_do_not_add_up_in_a_complete_system(rng):
    """Random forces cannot be all internal; with their mean taken off they can."""
    trajectory = make(rng).replace(complete_system=True)
    assert "net_force_of_all" in ama.check(trajectory).codes
    forces = trajectory.forces - trajectory.forces.mean(axis=1, keepdims=True)
    assert "net_force_of_all" not in ama.check(trajectory.replace(forces=forces.astype(np.float32))).codes
