"""What the density step shows beside W̃: initial states, fans, modes, passage times, other masses; without drawing."""

import numpy as np
import pytest
from explorer_systems import MASS, RATE, THERMAL, brownian_particle

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.prediction import mass_ladder
from amaexplore.reduced_density.initial import density_of_samples, drawn_density
from amaexplore.units import BOLTZMANN

KELVIN = THERMAL / BOLTZMANN


@pytest.fixture(scope="module")
def particle():
    return brownian_particle()


@pytest.fixture(scope="module")
def analysis(particle):
    return ama.analyze(particle)


def well(n_frames=20000, seed=3):
    """R, P and F of a strongly damped particle in a harmonic well, by exact steps of the overdamped motion."""
    rng = np.random.default_rng(seed)
    stiffness, relax, step = 50.0, 5.0, 0.5
    sigma, forget = np.sqrt(THERMAL / stiffness), np.exp(-step / relax)
    kicks = rng.normal(scale=sigma * np.sqrt(1.0 - forget**2), size=(n_frames, 3))
    position = np.empty_like(kicks)
    position[0] = kicks[0]
    for k in range(1, n_frames):
        position[k] = forget * position[k - 1] + kicks[k]
    force = -stiffness * position + rng.normal(scale=40.0, size=position.shape)
    return ama.OrderParameters.from_arrays(
        timestep=step,
        mass=MASS,
        momentum=rng.normal(scale=np.sqrt(MASS * THERMAL), size=position.shape),
        net_force=force,
        centre_of_mass=position,
        temperature=KELVIN,
    )


# -- initial states --------------------------------------------------------------------------------------------


def test_a_drawn_density_is_what_was_drawn():
    drawn = drawn_density([(0.0, 0.0), (2.0, -1.0), (1.0, 3.0)])
    # away from the corner a smoothed straight line is itself
    assert drawn(0.5) == pytest.approx(1.5, rel=1e-9)
    assert drawn(np.array([-1.0, 5.0])).tolist() == [0.0, 0.0]
    assert 2.8 < drawn(1.0) < 3.0
    w = ama.Smoluchowski(ama.Grid(-1.0, 3.0, 400), diffusion=0.1, temperature=300.0).evolve(drawn, [0.0, 1.0])
    assert w.probability == pytest.approx([1.0, 1.0], abs=1e-10)
    assert w.mean[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("points", [[], [(0, 1)], [(0, 1), (0, 2)], [(0, 0), (1, -1)], [(0, np.nan), (1, 1)], "line"])
def test_what_is_no_drawing_is_refused(points):
    with pytest.raises(InputError, match="drawn density needs"):
        drawn_density(points)


def test_a_density_of_samples_has_their_moments(rng):
    samples = rng.normal(0.3, 0.2, size=4000)
    density = density_of_samples(samples)
    places = np.linspace(-1.5, 2.0, 2001)
    weights = density(places)
    weights /= weights.sum()
    mean = weights @ places
    assert mean == pytest.approx(samples.mean(), abs=1e-3)
    # the kernels add their own width
    assert samples.std() < np.sqrt(weights @ (places - mean) ** 2) < 1.04 * samples.std()
    with pytest.raises(InputError, match="two different positions"):
        density_of_samples([1.0, 1.0])


def test_predictions_begin_where_they_are_told(analysis, particle):
    along = particle.centre_of_mass[:, 0]
    from_data = analysis.predict("smoluchowski", initial="data", horizon=20.0, n_times=5)
    assert from_data.density.mean[0] == pytest.approx(along.mean(), abs=0.02 * along.std())
    points = [(along[0] - 2.0, 0.0), (along[0], 1.0), (along[0] + 2.0, 0.0)]
    for regime in ("smoluchowski", "fokker-planck"):
        drawn = analysis.predict(regime, initial=("drawn", points), horizon=20.0, n_times=5)
        # a triangle of half width b has variance b²/6
        assert drawn.density.mean[0] == pytest.approx(along[0], abs=0.01)
        assert drawn.density.variance[0] == pytest.approx(4.0 / 6.0, rel=0.03)
        np.testing.assert_allclose(drawn.initial_values, drawn.density.values[0], atol=2e-3)
    with pytest.raises(InputError, match='"data"'):
        analysis.predict("smoluchowski", initial="somewhere")


# -- uncertainty -----------------------------------------------------------------------------------------------


def test_the_fan_is_the_propagated_error_of_d(analysis):
    prediction = analysis.predict("smoluchowski", horizon=40.0, n_times=5)
    fan = prediction.fan(n=200)
    # W of a free Gaussian at its centre goes as 1/√(σ₀² + 2Dt)
    centre = np.argmax(prediction.density.values[-1])
    variance, growth = prediction.density.variance[-1], 2.0 * prediction.diffusion * 40.0
    expected = prediction.density.values[-1, centre] * 0.5 * growth / variance
    expected *= prediction.diffusion_std / prediction.diffusion
    assert prediction.diffusion_std == analysis.gamma.diffusion_std
    # 200 draws know their spread to 5 %; the curvature of W adds a few per cent
    assert fan.values_std[-1, centre] == pytest.approx(expected, rel=0.2)
    assert fan.values_std[0].max() < 1e-9
    np.testing.assert_array_equal(prediction.fan(n=3).samples, fan.samples[:3])


def test_the_fan_of_the_fokker_planck_equation(analysis):
    prediction = analysis.predict("fokker-planck", horizon=40.0, n_times=5, n_cells=96)
    fan, other = prediction.fan(n=12), analysis.predict("smoluchowski", horizon=40.0, n_times=5, n_cells=96).fan(n=12)
    assert fan.values.shape == prediction.density.values.shape
    # long after τ_P both equations are uncertain by the same amount; each is known to 20 % from 12 draws
    ratio = fan.values_std[-1].max() / other.values_std[-1].max()
    relative = analysis.theta.relative_error / analysis.gamma.relative_error
    assert 0.5 < ratio / relative < 2.0


def test_drawn_mean_forces_scatter_by_their_error(rng):
    force = ama.mean_force(well())
    samples = np.array([force.sample(rng).at(force.positions) for _ in range(400)])
    known = np.isfinite(force.combined_std)
    # the spread of 400 Gaussian draws is known to 4 %
    np.testing.assert_allclose(samples.std(axis=0)[known], force.combined_std[known], rtol=0.2)
    np.testing.assert_allclose(
        samples.mean(axis=0)[known], force.combined[known], atol=5.0 * force.combined_std.max() / 20.0
    )
    again = type(force).from_dict(force.to_dict())
    np.testing.assert_array_equal(again.left_out, force.left_out)


# -- modes and passage times -----------------------------------------------------------------------------------


def test_the_modes_of_a_well_are_hermite_functions():
    stiffness, diffusion = 20.0, 0.03
    sigma, rate = np.sqrt(THERMAL / stiffness), diffusion * stiffness / THERMAL
    grid = ama.Grid(-8.0 * sigma, 8.0 * sigma, 800)
    equation = ama.Smoluchowski(
        grid, diffusion=diffusion, potential=lambda r: 0.5 * stiffness * r**2, temperature=KELVIN
    )
    rates, modes = equation.relaxation_modes(3)
    np.testing.assert_allclose(rates, rate * np.arange(1, 4), rtol=1e-3)
    np.testing.assert_allclose(rates, equation.relaxation_rates(3), rtol=1e-9)
    first = grid.centres * np.exp(-0.5 * (grid.centres / sigma) ** 2)
    first /= np.abs(first).sum() * grid.width
    np.testing.assert_allclose(modes[0], first, atol=2e-4 * first.max())
    np.testing.assert_allclose(modes.sum(axis=1) * grid.width, 0.0, atol=1e-9)
    # a mode put into the equation decays at its own rate
    start = equation.equilibrium() + 0.2 * modes[0] * equation.equilibrium().max() / modes[0].max() * 0.5
    assert start.min() > -1e-9 * start.max()
    w = equation.evolve(np.maximum(start, 0.0), [0.0, 1.0 / rate])
    left = (w.values[1] - equation.equilibrium()) @ np.sign(grid.centres)
    assert left / ((w.values[0] - equation.equilibrium()) @ np.sign(grid.centres)) == pytest.approx(
        np.exp(-1), rel=1e-3
    )


def test_modes_on_a_ring_with_a_current_are_refused():
    grid = ama.Grid(0.0, 1.0, 100, boundary="periodic")
    ring = ama.Smoluchowski(grid, diffusion=0.1, mean_force=5.0, temperature=KELVIN)
    with pytest.raises(InputError, match="complex pairs"):
        ring.relaxation_modes(2)


def test_the_time_to_a_place(analysis):
    prediction = analysis.predict(
        "smoluchowski", horizon=40.0, n_times=5, lower=0.0, upper=4.0, initial=("gaussian", 1.0, 0.1)
    )
    passage = prediction.first_passage(3.0)
    # free diffusion from a wall at 0: (b² − x²)/2D
    below = passage.positions < 2.9
    exact = (9.0 - passage.positions[below] ** 2) / (2.0 * prediction.diffusion)
    np.testing.assert_allclose(passage.times[below], exact, rtol=0.03)
    assert passage.mean == pytest.approx((9.0 - 1.0 - 0.01) / (2.0 * prediction.diffusion), rel=0.03)
    assert passage.mean_std / passage.mean == pytest.approx(analysis.gamma.relative_error)
    with pytest.raises(InputError, match="outside the grid"):
        prediction.first_passage(5.0)


# -- another mass ----------------------------------------------------------------------------------------------


def test_lighter_particles_bring_the_two_equations_together(analysis):
    prediction = analysis.predict("fokker-planck", horizon=20.0, n_times=11, n_cells=96)
    ladder = mass_ladder(prediction, epsilon=0.1)
    own = int(np.flatnonzero(ladder.factors == 1.0)[0])
    np.testing.assert_array_equal(ladder.fokker_planck[own], prediction.density.values)
    np.testing.assert_allclose(ladder.epsilon * ladder.factors, 0.1)
    # ζ stays: τ_P is proportional to the mass
    assert ladder.tau_momentum[own] == pytest.approx(MASS / prediction.friction)
    assert 1.0 / ladder.tau_momentum[own] == pytest.approx(RATE, rel=0.1)
    np.testing.assert_allclose(ladder.tau_momentum / ladder.factors, ladder.tau_momentum[own])
    assert (np.diff(ladder.distance[:, -1]) > 0.0).all()
    # for t ≫ τ_P the distance of the two goes as τ_P/t: halving the mass halves it
    light = ladder.distance[:4, -1]
    np.testing.assert_allclose(light[1:] / light[:-1], 2.0, rtol=0.25)
    with pytest.raises(InputError, match="mass changes equation"):
        mass_ladder(analysis.predict("smoluchowski", horizon=5.0, n_times=3), 0.1)
