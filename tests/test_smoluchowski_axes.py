"""Equation (29) with two and three axes."""

import numpy as np
import pytest
from scipy.linalg import expm

from amaexplore import BrownianDynamics, Grid, InputError, Smoluchowski
from amaexplore.reduced_density.projection import gradient_energy
from amaexplore.reduced_density.splitting import AxisGenerator
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)


def gaussian(x, times, diffusion, spring, mean, std):
    rate = diffusion * spring
    centre = mean * np.exp(-rate * times)[:, None]
    variance = (1.0 / spring + (std**2 - 1.0 / spring) * np.exp(-2.0 * rate * times))[:, None]
    return np.exp(-0.5 * (x - centre) ** 2 / variance) / np.sqrt(2.0 * np.pi * variance)


@pytest.mark.parametrize("times", [np.linspace(0.0, 10.0, 41), np.array([0.5, 1.0, 10.0])])
def test_two_harmonic_axes_are_a_product(times):
    grids = (Grid(-4.0, 4.0, 120), Grid(-4.0, 4.0, 100))
    s = Smoluchowski(
        grids, (0.05, 0.08), mean_force=lambda x, y: (-2.0 * KT * x, -1.0 * KT * y), temperature=TEMPERATURE
    )
    w = s.evolve(("gaussian", (1.0, -0.5), (0.4, 0.5)), times)
    exact = np.einsum(
        "ti,tj->tij",
        gaussian(grids[0].centres, times, 0.05, 2.0, 1.0, 0.4),
        gaussian(grids[1].centres, times, 0.08, 1.0, -0.5, 0.5),
    )
    assert np.abs(w.values - exact).max() < 2e-3 * exact.max()
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert w.values.min() >= 0.0
    assert w.diagnostics["removed_force"] < 1e-9


@pytest.mark.parametrize("ends", [("reflecting", "reflecting"), ("periodic", "reflecting"), ("periodic", "periodic")])
def test_boltzmann_is_stationary(ends):
    grids = (Grid(-1.0, 1.0, 24, ends[0]), Grid(-1.0, 1.0, 20, ends[1]))
    s = Smoluchowski(
        grids, 0.1, potential=lambda x, y: 0.6 * KT * np.cos(np.pi * x) * np.sin(np.pi * y), temperature=TEMPERATURE
    )
    rest = s.equilibrium()
    for times in (np.linspace(0.0, 20.0, 41), [1.0, 50.0]):
        w = s.evolve(rest, times)
        assert np.abs(w.values - rest).max() < 1e-12 * rest.max()
    start = ("gaussian", (0.3, 0.2), (0.2, 0.2))
    assert np.abs(s.evolve(start, np.linspace(0.0, 100.0, 401)).values[-1] - rest).max() < 1e-6 * rest.max()
    # one frame far away is reached in steps that grow, second order in time
    assert np.abs(s.evolve(start, [200.0]).values[0] - rest).max() < 5e-4 * rest.max()


@pytest.mark.parametrize("ring", [False, True])
def test_line_solves_against_dense(ring, rng):
    n, m, scale = 7, 3, 0.4
    rise, fall = rng.uniform(0.1, 3.0, (n, m)), rng.uniform(0.1, 3.0, (n, m))
    loss = np.zeros(m) if ring else rng.uniform(0.0, 1.0, m)
    if not ring:
        rise[-1] = fall[-1] = 0.0
    axis = AxisGenerator(Grid(0.0, 1.0, n, "periodic" if ring else "absorbing"), rise, fall, loss, 2.0 * loss)
    state = rng.uniform(size=(n, m))
    found = axis.solve(scale, state)
    for j in range(m):
        matrix = np.zeros((n, n))
        for i in range(n):
            k = (i + 1) % n
            matrix[k, i] += rise[i, j]
            matrix[i, i] -= rise[i, j]
            matrix[i, k] += fall[i, j]
            matrix[k, k] -= fall[i, j]
        matrix[0, 0] -= loss[j]
        matrix[-1, -1] -= 2.0 * loss[j]
        np.testing.assert_allclose(found[:, j], np.linalg.solve(np.eye(n) - scale * matrix, state[:, j]), rtol=1e-12)
        small = axis.damped(0.01, state)[:, j]
        np.testing.assert_allclose(small, expm(0.01 * matrix) @ state[:, j], atol=2e-5)


def test_three_axes_with_an_exit():
    grids = (Grid(0.0, 2.0, 24, "periodic"), Grid(-1.0, 1.0, 20), Grid(-1.0, 1.0, 30, "absorbing"))
    s = Smoluchowski(grids, 0.1, potential=lambda x, y, z: KT * np.cos(np.pi * x), temperature=TEMPERATURE)
    w = s.evolve(("gaussian", (0.5, 0.0, 0.0), (0.3, 0.3, 0.2)), [5.0, 8.0])
    rate = 0.1 * np.pi**2 / 4.0
    assert np.log(w.probability[0] / w.probability[1]) == pytest.approx(3.0 * rate, rel=5e-3)
    assert w.mean.shape == (2, 3)
    assert w.marginal(2).values.shape == (2, 30)
    with pytest.raises(InputError, match="absorbing"):
        s.equilibrium()


def test_what_is_no_gradient_is_removed_and_reported():
    grids = (Grid(-2.0, 2.0, 60), Grid(-2.0, 2.0, 60))
    x, y = np.meshgrid(grids[0].centres, grids[1].centres, indexing="ij")
    bump = np.exp(-(x**2 + y**2))
    swirl = np.stack([-y, x]) * bump  # no divergence, nothing through the walls
    spring = np.stack([-x, -y])
    found = gradient_energy(grids, spring + 0.5 * swirl, TEMPERATURE)
    exact = 0.5 * (x**2 + y**2) / KT
    inside = (np.abs(x) < 1.8) & (np.abs(y) < 1.8)
    np.testing.assert_allclose((found.energy - exact)[inside] - (found.energy - exact)[30, 30], 0.0, atol=2e-3)
    part = np.sqrt((0.25 * swirl**2).sum() / ((spring + 0.5 * swirl) ** 2).sum())
    assert found.removed == pytest.approx(part, rel=0.05)
    assert [notice.code for notice in found.warnings] == ["not_a_gradient"]


def test_splitting_agrees_with_particles():
    grids = (Grid(-1.5, 1.5, 30), Grid(-1.5, 1.5, 30))

    def potential(x, y):
        return KT * (3.0 * (x**2 - 1.0) ** 2 + 2.0 * (y - 0.3 * x) ** 2)

    s = Smoluchowski(grids, 0.1, potential=potential, temperature=TEMPERATURE)
    b = BrownianDynamics(grids, 0.1, potential=potential, temperature=TEMPERATURE)
    start = ("gaussian", (-1.0, -0.3), (0.2, 0.2))
    n = 10_000
    w = s.evolve(start, [1.0])
    coarse = w.values[0].reshape(6, 5, 6, 5).sum(axis=(1, 3)) * w.cell_volume
    counts = (
        b.sample(n, [1.0], start, seed=5, timestep=0.004).density().values[0].reshape(6, 5, 6, 5).sum(axis=(1, 3))
        * w.cell_volume
    )
    kept = coarse > 20.0 / n
    # the statistical error, and 0.004 for the discretisation of both
    error = np.sqrt(coarse[kept] / n) + 0.004 * coarse.max()
    assert (np.abs(counts[kept] - coarse[kept]) / error).max() < 4.0


def test_bad_input_gets_a_sentence():
    grids = (Grid(-1.0, 1.0, 10), Grid(-1.0, 1.0, 12))
    for options, message in (
        ({"diffusion": (0.1, -0.1)}, "diffusion must be positive"),
        ({"diffusion": [[1.0, 0.5], [0.4, 1.0]]}, "symmetric"),
        ({"diffusion": np.ones((3, 5))}, "one per axis"),
        ({"potential": np.ones(5)}, "potential has shape"),
        ({"mean_force": np.ones((3, 10, 12))}, "mean_force needs"),
        ({"mean_force": np.full((2, 10, 12), np.nan)}, "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            Smoluchowski(grids, **{"diffusion": 0.1, "temperature": 300.0, **options})
    s = Smoluchowski(grids, 0.1, temperature=300.0)
    with pytest.raises(InputError, match="along one axis"):
        s.relaxation_rates(2)
