"""Equation (29) along one axis against exact densities, rates, currents and passage times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.linalg import expm

from amaexplore import Grid, InputError, ReducedDensity, Smoluchowski
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)
DIFFUSION = 0.05


def harmonic(n_cells=400, spring=2.0, **options):
    """A well of width σ = (k_BT/k)^½ with k = ``spring`` k_BT/nm²."""
    grid = Grid(-4.0, 4.0, n_cells)
    return Smoluchowski(grid, DIFFUSION, mean_force=lambda x: -spring * KT * x, temperature=TEMPERATURE, **options)


def ornstein_uhlenbeck(x, times, mean, std, spring=2.0):
    """Exact density in the harmonic well from a Gaussian start."""
    rate = DIFFUSION * spring
    centre = mean * np.exp(-rate * times)
    variance = 1.0 / spring + (std**2 - 1.0 / spring) * np.exp(-2.0 * rate * times)
    return np.exp(-0.5 * (x - centre[:, None]) ** 2 / variance[:, None]) / np.sqrt(2.0 * np.pi * variance[:, None])


@pytest.mark.parametrize("scheme", ["radau", "rational"])
def test_harmonic_well_is_ornstein_uhlenbeck(scheme):
    times = np.linspace(0.1, 20.0, 200)
    w = harmonic().evolve(("gaussian", 1.5, 0.3), times, scheme=scheme)
    exact = ornstein_uhlenbeck(w.grid.centres, times, 1.5, 0.3)
    assert np.abs(w.values - exact).max() < 2e-4 * exact.max()
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert w.values.min() >= 0.0
    np.testing.assert_allclose(w.mean, 1.5 * np.exp(-0.1 * times), rtol=3e-4)


def test_uneven_times_use_the_rational_exponential_and_agree_with_even_ones():
    even = harmonic().evolve(("gaussian", 1.0, 0.2), np.linspace(0.0, 10.0, 21))
    uneven = harmonic().evolve(("gaussian", 1.0, 0.2), [0.5, 1.0, 3.5, 10.0])
    assert even.diagnostics["scheme"] == "radau"
    assert uneven.diagnostics["scheme"] == "rational"
    np.testing.assert_allclose(uneven.values, even.values[[1, 2, 7, 20]], atol=2e-6)


def test_space_is_second_order():
    """Error of the density at one time against the exact one: 2.0 as cells shrink."""
    errors = []
    for n_cells in (50, 100, 200, 400):
        w = harmonic(n_cells).evolve(("gaussian", 1.0, 0.5), [3.0])
        exact = ornstein_uhlenbeck(w.grid.centres, w.times, 1.0, 0.5)
        errors.append(np.abs(w.values - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.08)


def test_time_is_fifth_order():
    """Radau steps against the dense exponential, on a smooth start, without the graded first interval."""
    from amaexplore.kernels.tridiagonal import march
    from amaexplore.reduced_density.propagation import RADAU

    s = harmonic(40)
    start = ornstein_uhlenbeck(s.grid.centres, np.zeros(1), 0.5, 0.6)[0]
    exact = expm(8.0 * s.generator.dense()) @ start
    errors = []
    for n_steps in (4, 8, 16):
        steps, frames = np.full(n_steps, 8.0 / n_steps), np.full(n_steps, -1)
        frames[-1] = 0
        out = np.empty((1, 40))
        q = s.generator
        march(q.lower, q.diagonal, q.upper, False, start, steps, frames, *RADAU, out)
        errors.append(np.abs(out[0] - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 5.0) < 0.35).all(), orders


@pytest.mark.parametrize("ring", [False, True])
def test_every_scheme_is_the_matrix_exponential(ring, rng):
    """Random rates, against scipy's dense exponential."""
    grid = Grid(0.0, 1.0, 30, "periodic" if ring else ("absorbing", "reflecting"))
    energy = KT * rng.normal(size=30)
    s = Smoluchowski(grid, rng.uniform(0.5, 1.5, 30), potential=energy, temperature=TEMPERATURE)
    start = rng.uniform(0.0, 2.0, 30)
    start /= start.sum() * grid.width
    times = np.linspace(0.0, 0.05, 11)
    exact = np.array([expm(t * s.generator.dense()) @ start for t in times])
    for scheme in ("radau",) if ring else ("radau", "rational"):
        w = s.evolve(start, times, scheme=scheme)
        np.testing.assert_allclose(w.values, exact, atol=2e-5)
    if not ring:
        np.testing.assert_allclose(w.values, exact, atol=1e-11)
        assert (np.diff(w.probability) < 0.0).all()


@settings(max_examples=40, deadline=None)
@given(
    spring=st.floats(0.0, 40.0),
    tilt=st.floats(-5.0, 5.0),
    barrier=st.floats(0.0, 8.0),
    slope=st.floats(-0.4, 0.4),
    mean=st.floats(-1.5, 1.5),
    std=st.floats(0.0, 1.0),
    horizon=st.floats(-3.0, 5.0),
    boundary=st.sampled_from(["reflecting", "periodic"]),
)
def test_probability_positivity_and_equilibrium(spring, tilt, barrier, slope, mean, std, horizon, boundary):
    grid = Grid(-2.0, 2.0, 80, boundary)

    def potential(x):
        return KT * (0.5 * spring * x**2 + tilt * x + barrier * np.cos(np.pi * x))

    s = Smoluchowski(grid, lambda x: 0.1 * (1.0 + slope * x), potential=potential, temperature=TEMPERATURE)
    times = 10.0**horizon * np.array([0.0, 0.1, 0.5, 1.0])
    w = s.evolve(("gaussian", mean, std), times)
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert w.values.min() >= 0.0
    boltzmann = np.exp(-(potential(grid.centres) - potential(grid.centres).min()) / KT)
    boltzmann /= boltzmann.sum() * grid.width
    np.testing.assert_allclose(s.equilibrium(), boltzmann, rtol=1e-10, atol=1e-300)
    still = s.evolve(boltzmann, times)
    assert np.abs(still.values - boltzmann).max() <= 1e-12 * boltzmann.max()


def double_well(x, barrier=3.0):
    return barrier * KT * (x**2 - 1.0) ** 2


@pytest.mark.parametrize("varying", [False, True])
def test_double_well_against_a_spectral_reference(varying):
    """A Chebyshev-Galerkin-like reference: Legendre polynomials in the weak form, matrix exponential."""

    def diffusion(x):
        return 0.1 * (1.0 + (0.6 * np.tanh(x) if varying else 0.0) + 0.0 * x)

    half, degree = 2.0, 90
    nodes, weights = np.polynomial.legendre.leggauss(400)
    x = half * nodes
    basis = np.polynomial.legendre.legvander(nodes, degree) * np.sqrt((2.0 * np.arange(degree + 1) + 1.0) / 2.0 / half)
    slope = (
        np.stack(
            [
                np.polynomial.legendre.legval(nodes, np.polynomial.legendre.legder(np.eye(degree + 1)[k]))
                for k in range(degree + 1)
            ],
            axis=1,
        )
        * np.sqrt((2.0 * np.arange(degree + 1) + 1.0) / 2.0 / half)
        / half
    )
    force = -3.0 * 4.0 * x * (x**2 - 1.0)
    flux = diffusion(x)[:, None] * (slope - force[:, None] * basis)
    matrix = -slope.T @ ((half * weights)[:, None] * flux)
    start = np.exp(-0.5 * ((x + 1.0) / 0.25) ** 2)
    start /= half * weights @ start
    coefficients = basis.T @ (half * weights * start)
    grid = Grid(-half, half, 400)
    times = np.array([1.0, 5.0, 30.0])
    s = Smoluchowski(grid, diffusion, potential=double_well, temperature=TEMPERATURE)
    w = s.evolve(lambda y: np.exp(-0.5 * ((y + 1.0) / 0.25) ** 2), times)
    there = np.polynomial.legendre.legvander(grid.centres / half, degree) * np.sqrt(
        (2.0 * np.arange(degree + 1) + 1.0) / 2.0 / half
    )
    for k, time in enumerate(times):
        exact = there @ (expm(time * matrix) @ coefficients)
        assert np.abs(w.values[k] - exact).max() < 2e-4 * exact.max()


def test_relaxation_rates_of_the_harmonic_well():
    rates = harmonic(800).relaxation_rates(4)
    np.testing.assert_allclose(rates, DIFFUSION * 2.0 * np.arange(1, 5), rtol=1e-3)


def test_rate_over_a_high_barrier_keeps_its_digits():
    """26 k_BT: the rate is 1e-12 of the fastest, and still meets 1/τ of the passage to the other well."""
    grid = Grid(-1.7, 1.7, 400)
    s = Smoluchowski(grid, 0.1, potential=lambda x: double_well(x, 26.0), temperature=TEMPERATURE)
    rate = s.relaxation_rates(1)[0]
    # two-state kinetics: relaxation is twice the rate of one way, and half of those on the top fall back
    to_top = s.mean_first_passage_time(0.0, -1.0)
    np.testing.assert_allclose(rate, 1.0 / to_top, rtol=2e-3)
    assert rate < 1e-9 * s.generator.diagonal.max() * -1.0


def test_ring_rates():
    s = Smoluchowski(Grid(0.0, 2.0, 200, "periodic"), 0.1, temperature=TEMPERATURE)
    expected = 0.1 * (np.pi * np.array([1, 1, 2, 2])) ** 2
    np.testing.assert_allclose(s.relaxation_rates(4), expected, rtol=1e-3)


def test_tilted_ring_carries_the_exact_current():
    """Stratonovich's formula for the current in a tilted periodic potential."""
    tilt, wave, length = 3.0, 2.0, 2.0
    grid = Grid(0.0, length, 400, "periodic")
    s = Smoluchowski(
        grid,
        DIFFUSION,
        mean_force=lambda x: KT * (tilt + wave * np.cos(np.pi * x)),
        temperature=TEMPERATURE,
    )

    def u(x):
        return -tilt * x - wave * np.sin(np.pi * x) / np.pi

    double = dblquad(lambda y, x: np.exp(u(y) - u(x)), 0.0, length, lambda x: x, lambda x: x + length)[0]
    exact = DIFFUSION * (1.0 - np.exp(-tilt * length)) / double
    assert s.stationary_current() == pytest.approx(exact, rel=2e-4)
    stationary = s.equilibrium()
    w = s.evolve(("gaussian", 1.0, 0.1), [0.0, 1.0, 10.0, 300.0])
    np.testing.assert_allclose(w.values[-1], stationary, atol=1e-10)
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert np.abs(s.evolve(stationary, [100.0]).values - stationary).max() < 1e-12


def test_free_diffusion_spreads_by_two_d_t():
    s = Smoluchowski(Grid(-5.0, 5.0, 400), 0.02, temperature=TEMPERATURE)
    w = s.evolve(("gaussian", 0.3, 0.2), [0.0, 5.0, 10.0])
    np.testing.assert_allclose(w.variance, 0.04 + 0.04 * w.times, rtol=1e-9)
    np.testing.assert_allclose(w.mean, 0.3, atol=1e-10)


def test_force_pushes_where_it_points():
    s = Smoluchowski(Grid(-5.0, 5.0, 400), 0.02, mean_force=2.0 * KT, temperature=TEMPERATURE)
    w = s.evolve(("gaussian", -2.0, 0.2), [0.0, 10.0])
    assert w.mean[1] - w.mean[0] == pytest.approx(0.02 * 2.0 * 10.0, rel=1e-6)


def test_passage_times():
    free = Smoluchowski(Grid(-4.0, 4.0, 400), DIFFUSION, temperature=TEMPERATURE)
    assert free.mean_first_passage_time(4.0, -4.0) == pytest.approx(64.0 / 2.0 / DIFFUSION, rel=1e-12)
    assert free.mean_first_passage_time((-0.5, 0.5), 0.2) == 0.0
    assert free.mean_first_passage_time(0.0).shape == (400,)
    both = Smoluchowski(Grid(0.0, 2.0, 300, "absorbing"), DIFFUSION, temperature=TEMPERATURE)
    # to the target in the middle or out at the end, whichever is first: x(L − x)/2D
    assert both.mean_first_passage_time(1.0, 1.4) == pytest.approx(0.4 * 0.6 / 2.0 / DIFFUSION, rel=1e-3)
    ring = Smoluchowski(Grid(0.0, 2.0, 300, "periodic"), DIFFUSION, temperature=TEMPERATURE)
    assert ring.mean_first_passage_time(0.5, 1.7) == pytest.approx(1.2 * 0.8 / 2.0 / DIFFUSION, rel=1e-3)
    drift = Smoluchowski(Grid(0.0, 6.0, 600), DIFFUSION, mean_force=2.0 * KT, temperature=TEMPERATURE)
    a, b = 2.0, 5.0
    exact = (b / a - (1.0 - np.exp(-a * b)) / a**2) / DIFFUSION
    assert drift.mean_first_passage_time(5.0, 0.0) == pytest.approx(exact, rel=1e-4)


def test_survival_decays_with_the_slowest_rate():
    s = Smoluchowski(Grid(0.0, 2.0, 200, "absorbing"), DIFFUSION, temperature=TEMPERATURE)
    rate = s.relaxation_rates(1)[0]
    assert rate == pytest.approx(DIFFUSION * np.pi**2 / 4.0, rel=1e-3)
    w = s.evolve(("gaussian", 1.0, 0.2), [20.0, 30.0])
    assert np.log(w.probability[0] / w.probability[1]) == pytest.approx(10.0 * rate, rel=1e-6)
    with pytest.raises(InputError, match="absorbing"):
        s.equilibrium()


def test_a_spike_far_up_a_steep_wall_stays_positive():
    """The case that breaks propagation by eigenvectors: a delta where the equilibrium has e^{-100} of its weight."""
    grid = Grid(-4.0, 4.0, 400)
    s = Smoluchowski(grid, DIFFUSION, potential=lambda x: 8.0 * KT * x**2, temperature=TEMPERATURE)
    for times in (np.linspace(0.0, 5.0, 21), [1e-3, 0.1, 1.0, 7.0]):
        w = s.evolve(("gaussian", 3.5, 0.0), times)
        assert w.values.min() >= 0.0
        np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
        exact = 3.5 * np.exp(-DIFFUSION * 16.0 * np.asarray(times))
        np.testing.assert_allclose(w.mean, exact, atol=0.02)


def test_repeated_times_and_time_zero():
    w = harmonic(50).evolve(("gaussian", 1.0, 0.3), [0.0, 0.0, 1.0, 1.0, 2.0])
    np.testing.assert_array_equal(w.values[0], w.values[1])
    np.testing.assert_allclose(w.values[2], w.values[3], atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"diffusion": -1.0}, "diffusion must be positive"),
        ({"diffusion": np.ones(3)}, "shape"),
        ({"mean_force": np.full(50, np.nan)}, "mean_force is not finite in 50 of 50"),
        ({"mean_force": 1.0, "potential": 0.0}, "not both"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"potential": lambda x: 1e5 * x**2}, "Péclet"),
        ({"potential": "steep"}, "a number, an array or a callable"),
    ],
)
def test_bad_coefficients_get_a_sentence(options, message):
    arguments = {"diffusion": 0.1, "temperature": 300.0, **options}
    with pytest.raises(InputError, match=message):
        Smoluchowski(Grid(-1.0, 1.0, 50), **arguments)


@pytest.mark.parametrize(
    ("initial", "times", "message"),
    [
        (("gaussian", 9.0, 0.1), [1.0], "lies outside the grid"),
        (("normal", 0.0, 0.1), [1.0], "only named initial density"),
        (("gaussian", 0.0, -0.1), [1.0], "std of at least zero"),
        (np.ones(7), [1.0], "shape"),
        (-np.ones(50), [1.0], "cannot be negative"),
        (np.zeros(50), [1.0], "zero on every cell"),
        (("gaussian", 0.0, 0.1), [-1.0], "cannot be negative"),
        (("gaussian", 0.0, 0.1), [2.0, 1.0], "must ascend"),
        (("gaussian", 0.0, 0.1), [], "at least one number"),
        (("gaussian", 0.0, 0.1), [np.nan], "finite"),
    ],
)
def test_bad_starts_and_times_get_a_sentence(initial, times, message):
    s = Smoluchowski(Grid(-1.0, 1.0, 50), 0.1, temperature=300.0)
    with pytest.raises(InputError, match=message):
        s.evolve(initial, times)


def test_scaled_and_raw_variables_give_the_same_density():
    """Solving in Φ = √ε R with D̃ = εD and U unchanged, against mapping the raw solution."""
    epsilon = 0.03
    root = np.sqrt(epsilon)
    grid = Grid(-2.0, 2.0, 100)
    raw = Smoluchowski(grid, DIFFUSION, potential=double_well, temperature=TEMPERATURE)
    scaled = Smoluchowski(
        grid.scaled(root), epsilon * DIFFUSION, potential=lambda x: double_well(x / root), temperature=TEMPERATURE
    )
    times = [0.5, 2.0, 20.0]
    mapped = raw.evolve(("gaussian", -1.0, 0.2), times).scaled(epsilon)
    solved = scaled.evolve(("gaussian", -1.0 * root, 0.2 * root), times)
    np.testing.assert_allclose(mapped.values, solved.values, rtol=1e-8, atol=1e-10 * solved.values.max())
    assert mapped.grid == solved.grid


def test_density_survives_json():
    w = harmonic(20).evolve(("gaussian", 0.0, 0.5), [0.0, 1.0])
    again = ReducedDensity.from_dict(w.to_dict())
    np.testing.assert_array_equal(again.values, w.values)
    assert again.grid == w.grid


def test_committor_survival_and_passage_agree():
    s = Smoluchowski(Grid(-2.0, 2.0, 200), DIFFUSION, potential=double_well, temperature=TEMPERATURE)
    assert s.committor(-1.0, 1.0, 0.0) == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(s.committor(-1.0, 1.0), 1.0 - s.committor(1.0, -1.0), atol=1e-12)
    free = Smoluchowski(Grid(0.0, 2.0, 100), DIFFUSION, temperature=TEMPERATURE)
    assert free.committor(0.5, 1.5, 0.7) == pytest.approx(0.2, abs=1e-9)
    # ∫ survival dt is the mean passage time
    target = float(free.grid.centres[75])
    times = np.linspace(0.0, 400.0, 4001)
    alive = free.survival(("gaussian", 0.3, 0.0), times, target)
    integral = np.sum(0.5 * (alive[1:] + alive[:-1])) * 0.1
    assert integral == pytest.approx(free.mean_first_passage_time(target, 0.3), rel=2e-3)
    assert (np.diff(alive) <= 1e-12).all()


def test_fan_propagates_the_error_of_the_coefficient(rng):
    """W of free diffusion depends on D through its variance: the spread must be |∂W/∂D| σ_D."""
    grid = Grid(-5.0, 5.0, 200)
    s = Smoluchowski(grid, DIFFUSION, temperature=TEMPERATURE)
    spread = 0.02 * DIFFUSION
    fan = s.fan(("gaussian", 0.0, 0.3), [0.0, 10.0], diffusions=rng.normal(DIFFUSION, spread, 200))
    variance = 0.09 + 20.0 * DIFFUSION
    peak_slope = 0.5 / variance * 20.0 / np.sqrt(2.0 * np.pi * variance)
    assert fan.values_std[1].max() == pytest.approx(peak_slope * spread, rel=0.15)
    assert fan.values_std[0].max() < 1e-12
    with pytest.raises(InputError, match="same length"):
        s.fan(("gaussian", 0.0, 0.3), [1.0])
