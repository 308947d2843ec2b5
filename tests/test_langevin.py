"""Stochastic dynamics against exact moments and against the densities."""

import numpy as np
import pytest
from scipy.linalg import expm

from amaexplore import BrownianDynamics, FokkerPlanck, Grid, InputError, Langevin, Smoluchowski
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)
N = 6_000


def test_free_particle_spreads_by_two_d_t():
    b = BrownianDynamics(Grid(-20.0, 20.0, 50), 0.05, temperature=TEMPERATURE)
    e = b.sample(N, [0.0, 1.0, 10.0], np.zeros((N, 1)), seed=2)
    expected = 2.0 * 0.05 * e.times
    np.testing.assert_allclose(e.variance[1:, 0], expected[1:], rtol=4.0 * np.sqrt(2.0 / N))


def test_langevin_in_a_trap_has_exact_moments():
    mass, friction, spring = 50.0, 30.0, 2.0 * KT
    model = Langevin(Grid(-5.0, 5.0, 200), mass, friction, mean_force=lambda x: -spring * x, temperature=TEMPERATURE)
    times = np.array([2.0, 5.0, 40.0])
    e = model.sample(N, times, ("gaussian", 1.5, 0.3), seed=3)
    drift = np.array([[0.0, 1.0 / mass], [-spring, -friction / mass]])
    rest = np.diag([KT / spring, mass * KT])
    for k, time in enumerate(times):
        flow = expm(drift * time)
        mean = flow @ [1.5, 0.0]
        covariance = rest + flow @ (np.diag([0.09, mass * KT]) - rest) @ flow.T
        found = np.stack([e.positions[k, :, 0], e.momenta[k, :, 0]])
        # five standard errors, and a half per cent for the time step
        scale = np.sqrt(np.diag(covariance))
        assert (np.abs(found.mean(axis=1) - mean) < (5.0 / np.sqrt(N) + 0.005) * scale).all()
        assert (np.abs(np.cov(found) - covariance) < (5.0 * np.sqrt(2.0 / N) + 0.01) * np.outer(scale, scale)).all()


def test_tensor_friction_in_three_dimensions_samples_boltzmann():
    grid = Grid(-4.0, 4.0, 40)
    tensor = np.array([[30.0, 8.0, 0.0], [8.0, 30.0, 0.0], [0.0, 0.0, 40.0]])
    stiffness = np.array([[2.0, 0.5, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 2.0]])

    def potential(x, y, z):
        return 0.5 * KT * (2.0 * (x * x + y * y + z * z) + x * y)

    model = Langevin((grid,) * 3, 50.0, tensor, potential=potential, temperature=TEMPERATURE)
    e = model.sample(4000, [8.0], seed=4)
    covariance = np.cov(e.positions[0].T)
    np.testing.assert_allclose(covariance, np.linalg.inv(stiffness), atol=5.0 * 0.5 * np.sqrt(2.0 / 4000) + 0.01)
    np.testing.assert_allclose(np.cov(e.momenta[0].T) / 50.0 / KT, np.eye(3), atol=0.1)


def test_tensor_diffusion_spreads_by_the_tensor():
    tensor = np.array([[0.05, 0.03], [0.03, 0.08]])
    model = BrownianDynamics((Grid(-9.0, 9.0, 20),) * 2, tensor, temperature=TEMPERATURE)
    e = model.sample(N, [4.0], np.zeros((N, 2)), seed=6)
    np.testing.assert_allclose(np.cov(e.positions[0].T), 8.0 * tensor, atol=0.64 * 5.0 * np.sqrt(2.0 / N))


@pytest.mark.parametrize("varying", [False, True])
def test_brownian_histogram_is_the_density_of_equation_29(varying):
    grid = Grid(-2.0, 2.0, 40)

    def diffusion(x):
        return 0.1 * (1.0 + 0.6 * np.tanh(x))

    def potential(x):
        return 2.0 * KT * (x**2 - 1.0) ** 2

    arguments = {"potential": potential, "temperature": TEMPERATURE}
    coefficient = diffusion if varying else 0.1
    w = Smoluchowski(Grid(-2.0, 2.0, 400), coefficient, **arguments).evolve(("gaussian", -0.9, 0.2), [3.0])
    e = BrownianDynamics(Grid(-2.0, 2.0, 400), coefficient, **arguments).sample(
        N, [3.0], ("gaussian", -0.9, 0.2), seed=7
    )
    share = w.values[0].reshape(40, 10).sum(axis=1) * w.grid.width
    found = e.density(grid).values[0] * grid.width
    kept = share > 20.0 / N
    z = (found[kept] - share[kept]) / np.sqrt(share[kept] / N)
    # chi-square per cell around one; a wrong Itô drift gives over ten
    assert np.mean(z**2) < 2.0


def test_langevin_histogram_is_the_marginal_of_equation_56():
    grid = Grid(-1.8, 1.8, 180)
    arguments = {"potential": lambda x: 2.0 * KT * (x**2 - 1.0) ** 2, "temperature": TEMPERATURE}
    start = ("gaussian", -1.0, 0.25)

    def friction(x):
        return 20.0 * (1.0 + 0.5 * np.tanh(x))

    w = FokkerPlanck(grid, 50.0, friction, **arguments).evolve(start, [4.0])
    e = Langevin(grid, 50.0, friction, **arguments).sample(N, [4.0], start, seed=8)
    share = w.marginal("position").values[0].reshape(30, 6).sum(axis=1) * grid.width
    found = e.density(Grid(-1.8, 1.8, 30)).values[0] * grid.width * 6.0
    kept = share > 20.0 / N
    z = (found[kept] - share[kept]) / np.sqrt(share[kept] / N)
    assert np.mean(z**2) < 2.0


def test_walls_reflect_wrap_and_absorb():
    for boundary in ("reflecting", "periodic"):
        grid = Grid(0.0, 1.0, 20, boundary)
        for model in (
            BrownianDynamics(grid, 0.1, temperature=TEMPERATURE),
            Langevin(grid, 10.0, 20.0, temperature=TEMPERATURE),
        ):
            e = model.sample(4000, [5.0], np.full((4000, 1), 0.9), seed=9)
            assert e.positions.min() >= 0.0
            assert e.positions.max() <= 1.0
            counts = e.density(Grid(0.0, 1.0, 10)).values[0] * 400.0
            assert ((counts - 400.0) ** 2 / 400.0).sum() < 30.0
    exit_grid = Grid(0.0, 2.0, 100, "absorbing")
    gone = BrownianDynamics(exit_grid, 0.05, temperature=TEMPERATURE).sample(
        4000, [5.0, 10.0], ("gaussian", 1.0, 0.2), seed=1, timestep=0.004
    )
    w = Smoluchowski(exit_grid, 0.05, temperature=TEMPERATURE).evolve(("gaussian", 1.0, 0.2), [5.0, 10.0])
    # a walker can cross the wall and come back within a step: survival is high by about 0.6 √(2Dτ)/L per rate
    np.testing.assert_allclose(gone.survival, w.probability, atol=0.04)
    assert np.isnan(gone.positions[1]).any()


def test_a_seed_is_a_seed():
    model = Langevin(Grid(-1.0, 1.0, 20), 10.0, 20.0, temperature=TEMPERATURE)
    first, again, other = (model.sample(9000, [0.0, 0.3], seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert not np.array_equal(first.positions, other.positions)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: Langevin(g, 0.0, 1.0, temperature=300.0), "mass must be"),
        (lambda g: Langevin(g, 1.0, -1.0, temperature=300.0), "friction must be positive"),
        (lambda g: Langevin(g, 1.0, np.ones((2, 2)), temperature=300.0), "shape"),
        (lambda g: BrownianDynamics((g, g), lambda x, y: x, temperature=300.0), "along one axis"),
        (lambda g: BrownianDynamics(g, 0.1, mean_force=np.nan, temperature=300.0), "not finite"),
        (lambda g: BrownianDynamics(g, 0.1, temperature=300.0).sample(0, [1.0]), "count of particles"),
        (lambda g: BrownianDynamics(g, 0.1, temperature=300.0).sample(1, [1.0], np.full((1, 1), 9.0)), "outside"),
        (lambda g: BrownianDynamics(g, 0.1, temperature=300.0).sample(1, [1.0], timestep=-1.0), "timestep"),
    ],
)
def test_bad_input_gets_a_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make(Grid(-1.0, 1.0, 20))


def test_a_force_that_depends_on_time_has_no_sample_paths_here():
    grid = Grid(-2.0, 2.0, 50)
    driven = Smoluchowski(grid, 0.1, mean_force=lambda x, t: np.sin(t) - x, temperature=TEMPERATURE)
    with pytest.raises(InputError, match="does not depend on time"):
        BrownianDynamics.from_equation(driven)
