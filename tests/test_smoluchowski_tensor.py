"""Equation (29) with a diffusion tensor that has mixed components."""

import numpy as np
import pytest
from scipy.linalg import expm, solve_continuous_lyapunov
from scipy.stats import multivariate_normal

from amaexplore import BrownianDynamics, Grid, InputError, Smoluchowski
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)
TENSOR = np.array([[0.05, 0.025], [0.025, 0.04]])
SPRINGS = np.array([2.0, 1.0])  # k_BT/nm²


def exact(grids, times, mean, std, tensor=TENSOR):
    """Ornstein-Uhlenbeck: dR = −D K R dt + √(2D) dB, a Gaussian at all times."""
    drift = tensor @ np.diag(SPRINGS)
    stationary = solve_continuous_lyapunov(drift, 2.0 * tensor)
    places = np.stack(np.meshgrid(*(axis.centres for axis in grids), indexing="ij"), axis=-1)
    out = []
    for time in times:
        carry = expm(-drift * time)
        spread = stationary + carry @ (np.diag(np.square(std)) - stationary) @ carry.T
        out.append(multivariate_normal(carry @ mean, spread).pdf(places))
    return np.array(out)


def well(x, y):
    return 0.5 * KT * (SPRINGS[0] * x**2 + SPRINGS[1] * y**2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_skew_ornstein_uhlenbeck_process_and_its_order(sign):
    tensor = TENSOR * np.array([[1.0, sign], [sign, 1.0]])
    times, mean, std = np.array([0.5, 2.0, 8.0]), (0.8, -0.4), (0.35, 0.45)
    errors = []
    for cells in (48, 96):
        grids = (Grid(-3.5, 3.5, cells), Grid(-4.0, 4.0, cells))
        s = Smoluchowski(grids, tensor, potential=well, temperature=TEMPERATURE)
        w = s.evolve(("gaussian", mean, std), times)
        target = exact(grids, times, mean, std, tensor)
        errors.append(np.abs(w.values - target).max() / target.max())
        assert w.values.min() >= 0.0
        np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert errors[1] < 5e-3
    assert errors[0] / errors[1] > 3.0


@pytest.mark.parametrize(
    ("ends", "cells"),
    [
        (("reflecting", "reflecting"), (20, 24)),
        (("periodic", "reflecting"), (20, 24)),
        (("reflecting", "periodic"), (20, 24)),
        (("periodic", "periodic"), (40, 20)),
    ],
)
def test_boltzmann_is_stationary_whatever_the_tensor(ends, cells, rng):
    lengths = (2.0, 2.0 * cells[1] / cells[0])
    grids = tuple(Grid(0.0, length, n, end) for length, n, end in zip(lengths, cells, ends))
    x, y = np.meshgrid(*(axis.centres for axis in grids), indexing="ij")
    mixed = 0.03 * np.sin(2.0 * np.pi * x / lengths[0]) * np.cos(2.0 * np.pi * y / lengths[1])
    tensor = np.array([[0.06 + 0.01 * np.cos(np.pi * x), mixed], [mixed, np.full(x.shape, 0.05)]])
    potential = KT * np.cos(2.0 * np.pi * x / lengths[0]) * np.sin(2.0 * np.pi * y / lengths[1])
    s = Smoluchowski(grids, tensor, potential=potential, temperature=TEMPERATURE)
    rest = s.equilibrium()
    w = s.evolve(rest, [1.0, 30.0])
    assert np.abs(w.values - rest).max() < 1e-12 * rest.max()
    somewhere = rng.random(x.shape)
    far = s.evolve(somewhere, np.linspace(0.0, 300.0, 61))
    assert far.values.min() >= 0.0
    np.testing.assert_allclose(far.probability, 1.0, atol=1e-12)
    assert np.abs(far.values[-1] - rest).max() < 1e-3 * rest.max()


def test_three_axes_with_every_mixed_component():
    tensor = np.array([[0.05, 0.012, -0.008], [0.012, 0.05, 0.01], [-0.008, 0.01, 0.05]])
    grid = Grid(-2.4, 2.4, 50)
    s = Smoluchowski((grid,) * 3, tensor, temperature=TEMPERATURE)
    std, time = 0.4, 2.0
    w = s.evolve(("gaussian", (0.0,) * 3, (std,) * 3), [time])
    places = np.stack(np.meshgrid(*(grid.centres,) * 3, indexing="ij"), axis=-1)
    spread = std**2 * np.eye(3) + 2.0 * tensor * time
    target = multivariate_normal(np.zeros(3), spread).pdf(places)
    assert np.abs(w.values[0] - target).max() < 8e-3 * target.max()
    weights = w.values[0] * grid.width**3
    found = np.einsum("xyz,xyzi,xyzj->ij", weights, places, places)
    assert found == pytest.approx(spread, abs=2e-3)


def test_a_diagonal_tensor_is_the_same_as_one_number_per_axis():
    grids = (Grid(-3.0, 3.0, 50), Grid(-3.0, 3.0, 40))
    start, times = ("gaussian", (0.5, 0.0), (0.3, 0.3)), [1.0, 5.0]
    one = Smoluchowski(grids, np.diag([0.05, 0.08]), potential=well, temperature=TEMPERATURE).evolve(start, times)
    two = Smoluchowski(grids, (0.05, 0.08), potential=well, temperature=TEMPERATURE).evolve(start, times)
    np.testing.assert_allclose(one.values, two.values, rtol=1e-12)


def test_agrees_with_sample_paths_of_the_same_tensor():
    grids = (Grid(-3.0, 3.0, 60), Grid(-3.0, 3.0, 60))
    s = Smoluchowski(grids, TENSOR, potential=well, temperature=TEMPERATURE)
    w = s.evolve(("gaussian", (0.8, -0.4), (0.3, 0.3)), [3.0])
    paths = BrownianDynamics(grids, TENSOR, potential=well, temperature=TEMPERATURE).sample(
        100_000, [3.0], ("gaussian", (0.8, -0.4), (0.3, 0.3)), seed=5
    )
    x, y = np.meshgrid(*(axis.centres for axis in grids), indexing="ij")
    weights = w.values[0] * grids[0].width * grids[1].width
    covariance = (weights * x * y).sum() - (weights * x).sum() * (weights * y).sum()
    sampled = np.cov(paths.positions[0].T)[0, 1]
    assert covariance == pytest.approx(sampled, abs=6e-3)


@pytest.mark.parametrize(
    ("tensor", "cells", "words"),
    [
        ([[0.05, 0.02], [0.01, 0.05]], (20, 20), "symmetric"),
        ([[0.05, 0.06], [0.06, 0.05]], (20, 20), "positive definite"),
        ([[0.05, 0.045], [0.045, 0.05]], (80, 20), "try 80 × 80 cells"),
    ],
)
def test_what_cannot_be_is_a_sentence(tensor, cells, words):
    grids = tuple(Grid(-1.0, 1.0, n) for n in cells)
    with pytest.raises(InputError, match=words):
        Smoluchowski(grids, np.array(tensor), temperature=TEMPERATURE)


def test_absorbing_ends_are_refused_with_what_to_do_instead():
    with pytest.raises(InputError, match="BrownianDynamics"):
        Smoluchowski((Grid(0, 1, 20, "absorbing"), Grid(0, 1, 20)), TENSOR, temperature=TEMPERATURE)
