"""R, P and F against a naive loop, the scaled variables, frames without a field, uneven times."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, MissingFieldError, UnevenTimesError
from amaexplore.order_parameters import OrderParameters, even_timestep, longest_even_stretch


@pytest.fixture
def trajectory(rng):
    return ama.Trajectory.from_arrays(
        positions=rng.normal(size=(7, 20, 3)),
        velocities=rng.normal(size=(7, 20, 3)),
        forces=rng.normal(size=(7, 20, 3)) * 500,
        masses=rng.uniform(1, 40, size=20),
        timestep=0.02,
    )


def test_order_parameters_equal_a_naive_loop(trajectory):
    atoms = [0, 3, 4, 11, 19]
    series = trajectory.order_parameters(trajectory.select(atoms))
    for frame in range(trajectory.n_frames):
        mass, first_moment, momentum, force = 0.0, np.zeros(3), np.zeros(3), np.zeros(3)
        for atom in atoms:
            mass += trajectory.masses[atom]
            first_moment += trajectory.masses[atom] * trajectory.positions[frame, atom]
            momentum += trajectory.masses[atom] * trajectory.velocities[frame, atom]
            force += trajectory.forces[frame, atom]
        # the sums differ only in the order of a few roundings
        np.testing.assert_allclose(series.centre_of_mass[frame], first_moment / mass, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(series.momentum[frame], momentum, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(series.net_force[frame], force, rtol=1e-12, atol=1e-9)
    assert series.mass == pytest.approx(mass, rel=1e-14)
    assert series.typical_mass == pytest.approx(mass / 5, rel=1e-14)
    assert series.epsilon == pytest.approx(1 / 5, rel=1e-14)
    assert series.timestep == 0.02


def test_single_precision_data_is_summed_in_double(rng):
    # 1e5 atoms in single precision: a float32 sum would be wrong in the fourth digit
    velocities = rng.normal(size=(1, 100_000, 3)).astype(np.float32) + np.float32(10)
    trajectory = ama.Trajectory.from_arrays(velocities=velocities, masses=np.full(100_000, 40.0), timestep=1.0)
    series = trajectory.order_parameters(np.arange(100_000))
    np.testing.assert_allclose(series.momentum[0], 40.0 * velocities[0].astype(float).sum(axis=0), rtol=1e-12)


def test_scaled_variables_are_equations_31_to_33(trajectory):
    series = trajectory.order_parameters(range(4))
    scaled = series.scaled()
    assert scaled.epsilon == pytest.approx(0.25)
    np.testing.assert_allclose(scaled.scaled_position, 0.5 * series.centre_of_mass)
    np.testing.assert_allclose(scaled.scaled_momentum, 0.5 * series.momentum)
    np.testing.assert_allclose(scaled.scaled_force, 2.0 * series.net_force)
    with pytest.raises(InputError, match="epsilon must be a positive number"):
        series.scaled(-1.0)


def test_typical_mass_changes_epsilon_only(trajectory):
    series = trajectory.order_parameters(range(4))
    other = series.with_typical_mass(1.0)
    assert other.epsilon == pytest.approx(1.0 / series.mass)
    np.testing.assert_array_equal(other.momentum, series.momentum)


def test_a_missing_field_is_missed_only_where_it_is_needed(rng):
    trajectory = ama.Trajectory.from_arrays(positions=rng.normal(size=(3, 4, 3)), masses=np.ones(4), timestep=1.0)
    series = trajectory.order_parameters([0, 1])
    assert series.centre_of_mass.shape == (3, 3)
    assert series.momentum is None
    with pytest.raises(MissingFieldError, match="No momentum: the data holds no velocities"):
        series.require("momentum")
    with pytest.raises(MissingFieldError, match="holds no forces"):
        trajectory.require("forces")


def test_frames_that_lack_a_field_stay_nan_and_even_finds_the_others(rng):
    # positions in every frame, momenta in every second, forces in every third
    momentum, force = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    momentum[1::2] = np.nan
    force[np.arange(12) % 3 != 0] = np.nan
    series = OrderParameters(time=0.1 * np.arange(12), mass=1.0, momentum=momentum, net_force=force)
    np.testing.assert_allclose(series.even("momentum").time, 0.2 * np.arange(6))
    np.testing.assert_allclose(series.even("momentum", "net_force").time, [0.0, 0.6])


def test_uneven_times_are_refused_with_the_longest_even_stretch(rng):
    time = np.array([0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9])
    series = OrderParameters(time=time, mass=1.0, momentum=rng.normal(size=(8, 3)))
    assert np.isnan(series.timestep)
    with pytest.raises(UnevenTimesError, match=r"longest even stretch is frames 3 to 7 \(5 frames\)"):
        series.even("momentum")
    assert series.frames(slice(3, 8)).timestep == pytest.approx(0.1)
    assert longest_even_stretch(time) == (3, 8)


def test_single_precision_times_count_as_even():
    times = (np.float32(0.01) * np.arange(200_000, dtype=np.float32)).astype(float)
    assert even_timestep(times) == pytest.approx(0.01, rel=1e-6)
    assert np.isnan(even_timestep([0.0]))
    assert np.isnan(even_timestep([0.0, 1.0, 1.5]))


def test_half_step_momenta_are_brought_to_the_time_of_the_forces():
    # harmonic motion, P(t) = cos(wt), F = dP/dt: the leapfrog momentum lies half a step behind
    step, frequency = 0.002, 5.0
    time = step * np.arange(1000)
    exact = np.cos(frequency * time)[:, None] * np.ones(3)
    stored = np.cos(frequency * (time - step / 2))[:, None] * np.ones(3)
    force = -frequency * np.sin(frequency * time)[:, None] * np.ones(3)
    series = OrderParameters(time=time, mass=1.0, momentum=stored, net_force=force, momentum_offset=-step / 2)
    assert np.abs(stored - exact).max() > 4e-3
    # what is left is second order in half a step: (w dt/2)²/2
    assert np.abs(series.synchronised().momentum - exact).max() < 1.01 * (frequency * step / 2) ** 2 / 2
    assert series.synchronised().momentum_offset == 0.0


def test_replicas_and_reduced_mass(rng):
    series = OrderParameters.from_arrays(
        timestep=0.1, mass=100.0, momentum=rng.normal(size=(4, 50, 3)), total_mass=400.0, zero_total_momentum=True
    )
    assert (series.n_replicas, series.n_frames) == (4, 50)
    assert series.replicas("momentum").shape == (4, 50, 3)
    assert series.effective_mass == pytest.approx(75.0)
    expected = np.mean(np.sum(series.momentum**2, axis=-1)) / (3 * 75.0 * 0.00831446261815324)
    assert series.kinetic_temperature == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(timestep=0.1, mass=-1.0, momentum=np.zeros((5, 3))), "mass must be a positive number"),
        (dict(timestep=0.0, mass=1.0, momentum=np.zeros((5, 3))), "timestep must be a positive number"),
        (dict(timestep=0.1, mass=1.0, momentum=np.zeros((5, 2))), "expected \\(n_frames, 3\\)"),
        (dict(timestep=0.1, mass=1.0), "none was given"),
        (dict(timestep=0.1, mass=1.0, momentum=np.full((5, 3), np.nan)), "15 values that are not finite"),
        (dict(timestep=0.1, mass=1.0, momentum=np.zeros((5, 3)), net_force=np.zeros((4, 3))), "must all have shape"),
    ],
)
def test_bad_series_get_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        OrderParameters.from_arrays(**arguments)
