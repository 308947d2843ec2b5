"""Equation (56) against Klein-Kramers' exact Gaussians, the Smoluchowski limit and free flight."""

import ast
import gc
import pickle
import weakref

import numpy as np
import pytest
from scipy.linalg import expm

from amaexplore import FokkerPlanck, Grid, InputError, Smoluchowski
from amaexplore.reduced_density.phase_space_basis import hermite_functions
from amaexplore.units import thermal_energy

TEMPERATURE = 240.0
KT = thermal_energy(TEMPERATURE)
MASS = 519.0
SPRING = 50.0
SIGMA = np.sqrt(KT / SPRING)
OMEGA = np.sqrt(SPRING / MASS)


def trap(damping, n_cells=160, **options):
    """The harmonic trap with friction ζ = damping · mω."""
    return FokkerPlanck(
        Grid(-6.0 * SIGMA, 6.0 * SIGMA, n_cells),
        MASS,
        damping * MASS * OMEGA,
        mean_force=lambda x: -SPRING * x,
        temperature=TEMPERATURE,
        **options,
    )


def klein_kramers(damping, mean, std, times, momentum=0.0, momentum_std=None):
    """Exact mean (n, 2) and covariance (n, 2, 2) of (R, P)."""
    drift = np.array([[0.0, 1.0 / MASS], [-SPRING, -damping * OMEGA]])
    rest = np.diag([KT / SPRING, MASS * KT])
    flows = [expm(drift * t) for t in times]
    means = np.array([flow @ [mean, momentum] for flow in flows])
    spread = np.diag([std**2, MASS * KT if momentum_std is None else momentum_std**2]) - rest
    return means, np.array([rest + flow @ spread @ flow.T for flow in flows])


@pytest.mark.parametrize("damping", [0.3, 1.0, 2.0, 20.0])
def test_trap_is_klein_kramers(damping):
    times = np.linspace(0.0, 12.0 * max(1.0, damping), 41) / OMEGA
    w = trap(damping).evolve(("gaussian", 1.5 * SIGMA, 0.6 * SIGMA), times)
    means, covariances = klein_kramers(damping, 1.5 * SIGMA, 0.6 * SIGMA, times)
    x, p = np.meshgrid(w.grid.centres, w.momentum_grid.centres, indexing="ij")
    for k in (0, 3, 10, 40):
        offset = np.stack([x - means[k, 0], p - means[k, 1]])
        form = np.einsum("aij,ab,bij->ij", offset, np.linalg.inv(covariances[k]), offset)
        exact = np.exp(-0.5 * form) / (2.0 * np.pi * np.sqrt(np.linalg.det(covariances[k])))
        assert np.abs(w.values[k] - exact).max() < 1.5e-3 * exact.max()
    np.testing.assert_allclose(w.mean[:, 0], means[:, 0], atol=2e-3 * SIGMA)
    np.testing.assert_allclose(w.mean[:, 1], means[:, 1], atol=2e-3 * np.sqrt(MASS * KT))
    np.testing.assert_allclose(w.probability, 1.0, atol=1e-12)
    assert w.values.min() >= 0.0


@pytest.mark.parametrize("damping", [0.01, 1.0, 100.0])
def test_boltzmann_is_stationary(damping):
    f = trap(damping, 80)
    rest = f.equilibrium()
    w = f.evolve(rest.sum(axis=1), [0.0, 1.0, 100.0])
    expected = f.equilibrium(w.momentum_grid)
    assert np.abs(w.values - expected).max() < 1e-12 * expected.max()


def test_smoluchowski_limit_is_reached_like_inverse_square_of_friction():
    """In units of the slow time ζ/k: the marginal's distance from equation (29) falls as Γ⁻²."""
    distances = []
    for damping in (8.0, 16.0, 32.0):
        f = trap(damping, 120)
        s = Smoluchowski(
            f.grid, KT / (damping * MASS * OMEGA), mean_force=lambda x: -SPRING * x, temperature=TEMPERATURE
        )
        times = np.array([0.7, 1.4]) * damping / OMEGA
        start = ("gaussian", 1.2 * SIGMA, 0.8 * SIGMA)
        marginal = f.evolve(start, times).marginal("position")
        reference = s.evolve(start, times)
        distances.append(np.abs(marginal.values - reference.values).max() / reference.values.max())
    slopes = np.log2(np.array(distances[:-1]) / distances[1:])
    np.testing.assert_allclose(slopes, 2.0, atol=0.15)


def test_a_vanishing_mass_leaves_smoluchowski():
    """ε → 0: the mass falls at fixed friction, and the marginal of (56) comes to (29), its distance falling as m."""
    friction = 2.0 * MASS * OMEGA
    start = ("gaussian", 1.2 * SIGMA, 0.8 * SIGMA)
    times = np.array([0.7, 1.4]) * friction / SPRING
    grid, force = Grid(-6.0 * SIGMA, 6.0 * SIGMA, 120), {"mean_force": lambda x: -SPRING * x}
    limit = Smoluchowski(grid, KT / friction, temperature=TEMPERATURE, **force).evolve(start, times).values
    distances = []
    for share in (16.0, 32.0, 64.0):
        f = FokkerPlanck(grid, MASS / share, friction, temperature=TEMPERATURE, **force)
        marginal = f.evolve(start, times).marginal("position").values
        distances.append(np.abs(marginal - limit).max() / limit.max())
    np.testing.assert_allclose(np.array(distances[:-1]) / distances[1:], 2.0, atol=0.2)
    assert distances[-1] < 5e-3


def test_without_friction_it_is_pure_transport():
    """A quarter period swaps position and momentum: Liouville's equation, θ = 0 but for 1e-6."""
    w = trap(1e-6).evolve(("gaussian", 1.0 * SIGMA, 0.7 * SIGMA), [0.5 * np.pi / OMEGA])
    position, momentum = w.marginal("position"), w.marginal("momentum")
    root = np.sqrt(MASS * KT)
    assert momentum.mean[0] == pytest.approx(-1.0 * root, rel=3e-3)
    assert momentum.variance[0] == pytest.approx(0.49 * root**2, rel=1e-2)
    assert position.variance[0] == pytest.approx(SIGMA**2, rel=3e-3)


def test_double_well_relaxes_to_boltzmann_with_friction_that_varies():
    grid = Grid(-1.7, 1.7, 120)
    f = FokkerPlanck(
        grid,
        50.0,
        lambda x: 60.0 * (1.0 + 0.5 * np.tanh(x)),
        potential=lambda x: 2.0 * KT * (x**2 - 1.0) ** 2,
        temperature=TEMPERATURE,
    )
    w = f.evolve(("gaussian", -1.0, 0.25), [0.0, 5.0, 5000.0])
    expected = f.equilibrium(w.momentum_grid)
    assert np.abs(w.values[-1] - expected).max() < 1e-8 * expected.max()
    assert w.marginal("position").mean[1] < -0.3


def test_driven_ring_drifts_at_force_over_friction():
    grid = Grid(0.0, 1.0, 60, "periodic")
    f = FokkerPlanck(grid, 10.0, 40.0, mean_force=3.0, temperature=TEMPERATURE)
    w = f.evolve(("gaussian", 0.5, 0.15), [0.0, 0.25, 20.0])
    momentum = w.marginal("momentum").mean
    assert momentum[-1] == pytest.approx(10.0 * 3.0 / 40.0, rel=1e-6)
    # from rest: m F/ζ (1 − e^{−ζt/m})
    assert momentum[1] == pytest.approx(0.75 * (1.0 - np.exp(-1.0)), rel=1e-3)


def test_frames_between_steps_are_on_the_curve():
    f = trap(0.5)
    start = ("gaussian", 1.0 * SIGMA, 0.7 * SIGMA)
    fine = np.linspace(0.0, 10.0 / OMEGA, 200)
    coarse = f.evolve(start, fine[[50, 120, 199]])
    np.testing.assert_allclose(
        f.evolve(start, fine).values[[50, 120, 199]], coarse.values, atol=2e-4 * coarse.values.max()
    )


def test_scaled_variables():
    epsilon = 1.0 / 13.0
    f = trap(1.0, 80)
    raw = f.evolve(("gaussian", SIGMA, 0.6 * SIGMA), [3.0])
    root = np.sqrt(epsilon)
    # Π = √ε P, Φ = √ε R, time alike: dΦ/dt = Π/m and dΠ/dt = √ε F − ζ/m Π + √ε noise. So mass, friction and spring stay,
    # and the noise is that of the temperature εT; exp(−βΠ²/2m̂) with m̂ = εm says the same.
    scaled = FokkerPlanck(
        f.grid.scaled(root), MASS, MASS * OMEGA, mean_force=lambda x: -SPRING * x, temperature=epsilon * TEMPERATURE
    )
    solved = scaled.evolve(("gaussian", root * SIGMA, 0.6 * root * SIGMA), [3.0])
    mapped = raw.scaled(epsilon)
    assert mapped.grid == solved.grid
    np.testing.assert_allclose(mapped.momentum_grid.centres, solved.momentum_grid.centres, rtol=1e-9)
    # W̃(Φ, Π) = W(R, P)/ε per axis
    np.testing.assert_allclose(mapped.values, raw.values / epsilon, rtol=1e-12)
    np.testing.assert_allclose(mapped.values, solved.values, rtol=0, atol=1e-9 * solved.values.max())
    assert mapped.marginal("position").probability[0] == pytest.approx(1.0, abs=1e-12)


def test_hermite_functions_are_orthonormal():
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    functions = hermite_functions(20, nodes)
    gram = (functions * weights / np.sqrt(2.0 * np.pi)) @ functions.T
    np.testing.assert_allclose(gram, np.eye(20), atol=1e-11)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": -1.0}, "mass must be"),
        ({"friction": 0.0}, "friction must be positive"),
        ({"friction": -np.ones(40)}, "friction must be positive"),
        ({"mean_force": np.nan}, "not finite"),
        ({"momentum_grid": 5}, "momentum_grid is a Grid"),
        ({"grid": (Grid(0.0, 1.0, 4), Grid(0.0, 1.0, 4))}, "one position axis"),
    ],
)
def test_bad_input_gets_a_sentence(options, message):
    arguments = {"grid": Grid(-1.0, 1.0, 40), "mass": 1.0, "friction": 1.0, "temperature": 300.0, **options}
    with pytest.raises(InputError, match=message):
        FokkerPlanck(**arguments)


def test_absorbing_ends_lose_what_particles_lose():
    """Free flight without a wall's echo: at high friction survival is that of equation (29)."""
    grid = Grid(0.0, 2.0, 60, "absorbing")
    f = FokkerPlanck(grid, 50.0, 200.0, temperature=TEMPERATURE)
    times = [0.0, 20.0, 60.0]
    w = f.evolve(("gaussian", 1.0, 0.2), times, n_particles=8000)
    assert w.diagnostics["scheme"] == "particles"
    s = Smoluchowski(grid, KT / 200.0, temperature=TEMPERATURE).evolve(("gaussian", 1.0, 0.2), times)
    np.testing.assert_allclose(w.probability, s.probability, atol=0.1)
    # a wall that absorbs particles with momentum leaves a little more than density zero on it does
    assert (w.probability[1:] > s.probability[1:] - 0.02).all()
    with pytest.raises(InputError, match="absorbing"):
        f.evolve(("gaussian", 1.0, 0.2), times, method="modes")


def test_what_modes_cannot_show_is_sampled_and_said():
    """A spike far up the wall of the trap: energies where the equilibrium has e^{-18} of its weight."""
    w = trap(1.0, 100).evolve(("gaussian", 5.5 * SIGMA, 0.05 * SIGMA), [0.0, 3.0], n_particles=5000)
    assert w.diagnostics["scheme"] == "particles"
    assert "phase_space_resolution" in [notice.code for notice in w.warnings]
    means, _ = klein_kramers(1.0, 5.5 * SIGMA, 0.05 * SIGMA, [3.0])
    assert w.mean[1, 0] == pytest.approx(means[0, 0], abs=0.06 * SIGMA)
    assert w.mean[1, 1] == pytest.approx(means[0, 1], abs=0.06 * np.sqrt(MASS * KT))


def test_particles_and_modes_agree():
    f = trap(1.0, 100)
    start = ("gaussian", SIGMA, 0.6 * SIGMA)
    modes, particles = f.evolve(start, [4.0]), f.evolve(start, [4.0], method="particles", n_particles=20_000)
    scale = np.array([SIGMA, np.sqrt(MASS * KT)])
    np.testing.assert_allclose(particles.mean / scale, modes.mean / scale, atol=0.03)
    with pytest.raises(InputError, match="method is"):
        f.evolve(start, [4.0], method="magic")


@pytest.mark.parametrize("method", ["modes", "particles"])
def test_a_momentum_of_ones_own(method):
    """Thrown upwards with 1.2 thermal momenta and a spread of 0.7: exact Gaussians again."""
    root = np.sqrt(MASS * KT)
    times = np.array([0.0, 1.0, 4.0, 12.0])
    start, thrown = ("gaussian", -0.5 * SIGMA, 0.6 * SIGMA), ("gaussian", 1.2 * root, 0.7 * root)
    w = trap(0.7, 200).evolve(start, times, momentum=thrown, method=method, n_particles=20_000)
    means, covariances = klein_kramers(0.7, -0.5 * SIGMA, 0.6 * SIGMA, times, 1.2 * root, 0.7 * root)
    scale = np.array([SIGMA, root])
    tolerance = 5e-3 if method == "modes" else 0.04
    np.testing.assert_allclose(w.mean / scale, means / scale, atol=tolerance)
    np.testing.assert_allclose(
        w.covariance / np.outer(scale, scale), covariances / np.outer(scale, scale), atol=2 * tolerance
    )


def test_probability_is_kept_to_rounding_over_many_steps():
    """The first coefficient is the probability; nothing in the equation changes it, so nothing else may."""
    grid, mass = Grid(-2.0, 2.0, 120), 50.0
    velocity = np.sqrt(KT / mass)
    f = FokkerPlanck(
        grid, mass, 0.5 * mass * velocity, potential=lambda x: 3.0 * KT * (x**2 - 1.0) ** 2, temperature=TEMPERATURE
    )
    w = f.evolve(("gaussian", -1.0, 0.2), np.linspace(0.0, 200.0 / velocity, 401))
    assert w.diagnostics["probability_drift"] < 1e-13


def test_what_is_kept_for_the_next_time_can_be_given_back():
    grid = Grid(-2.0, 2.0, 100)
    f = FokkerPlanck(grid, 50.0, 40.0, potential=lambda x: 2.0 * x**2, temperature=TEMPERATURE)
    first = f.evolve(("gaussian", 0.3, 0.3), [0.5, 1.0]).marginal("position").values
    assert f._steppers
    f.release()
    assert not f._steppers
    np.testing.assert_array_equal(f.evolve(("gaussian", 0.3, 0.3), [0.5, 1.0]).marginal("position").values, first)


def test_a_fan_is_the_scatter_of_its_members(rng):
    """In a trap, at equilibrium, only the force matters: the spread of the variance is that of 1/k."""
    grid = Grid(-4.0, 4.0, 128)
    f = FokkerPlanck(grid, 40.0, 60.0, potential=lambda x: KT * x**2, temperature=TEMPERATURE)
    springs = 2.0 * KT * (1.0 + 0.1 * rng.standard_normal(12))
    fan = f.fan(("gaussian", 0.0, 0.4), [400.0], mean_forces=[lambda x, k=k: -k * x for k in springs])
    variance = (fan.samples[:, 0] * grid.width) @ grid.centres**2
    assert variance == pytest.approx(KT / springs, rel=2e-3)
    np.testing.assert_allclose(fan.values_std, fan.samples.std(axis=0, ddof=1))
    only_friction = f.fan(("gaussian", 0.5, 0.4), [1.0], frictions=[40.0, 80.0])
    assert only_friction.values_std.max() > 1e-3
    with pytest.raises(InputError, match="same length"):
        f.fan(("gaussian", 0.0, 0.4), [1.0], frictions=[1.0, 2.0], mean_forces=[0.0])


def test_frames_are_made_when_they_are_looked_at():
    f = trap(0.5, n_cells=80)
    times = np.linspace(0.0, 5.0 / OMEGA, 21)
    w = f.evolve(("gaussian", 1.5 * SIGMA, 0.5 * SIGMA), times)
    position = w.marginal("position")
    assert w.diagnostics["scheme"] == "modes"
    assert "made" not in w._frames.__dict__
    frames = [w.frame(k) for k in (0, 7, -1)]
    assert "made" not in w._frames.__dict__
    for frame, k in zip(frames, (0, 7, -1)):
        np.testing.assert_allclose(frame, w.values[k], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(w.values.sum(axis=2) * w.momentum_grid.width, position.values, rtol=1e-10, atol=1e-12)
    assert set(w.diagnostics) >= {"lowest", "clipped", "scheme"}
    again = type(w).from_dict(w.to_dict())
    np.testing.assert_array_equal(again.values, w.values)
    assert again.diagnostics["clipped"] == w.diagnostics["clipped"]


def test_a_phase_space_is_freed_when_nobody_has_it_any_more():
    """Not when the collector comes by: some of them are large."""
    gc.disable()
    try:
        w = trap(0.5, n_cells=80).evolve(("gaussian", 1.5 * SIGMA, 0.5 * SIGMA), [0.5, 1.0])
        parts = [weakref.ref(w), weakref.ref(w._frames)]
        position = w.marginal("position")
        del w
        assert parts[0]() is None
        assert position.diagnostics["clipped"] >= 0.0  # what a marginal tells of needs the frames
        del position
        assert parts[1]() is None
    finally:
        gc.enable()


def test_what_is_clipped_can_be_asked_before_the_frames():
    w = trap(0.5, n_cells=80).evolve(("gaussian", 1.5 * SIGMA, 0.5 * SIGMA), [1.0])
    assert w.diagnostics.get("nothing") is None
    assert 0.0 <= w.diagnostics["clipped"] < 1e-2
    assert "lowest" in w.diagnostics
    with pytest.raises(KeyError):
        w.diagnostics["nothing"]


def test_diagnostics_that_come_late_look_like_any_dict():
    """What was below zero is known when all frames are made, and until then costs nothing."""

    def density():
        return trap(1.0).evolve(("gaussian", 0.5 * SIGMA, 0.5 * SIGMA), times=[1.0, 5.0])

    made = density()
    assert made.values.min() >= 0.0
    known = dict(made.diagnostics.items())
    assert known["clipped"] >= 0.0 >= known["lowest"]
    for ask in (
        dict,
        lambda one: {name: one[name] for name in one},
        lambda one: {name: one.get(name) for name in known},
        lambda one: dict(zip(one.keys(), one.values())),
        lambda one: pickle.loads(pickle.dumps(one)),
        lambda one: ast.literal_eval(repr(one)),
    ):
        late = density().diagnostics
        assert "clipped" in late
        assert "nothing" not in late
        assert late.get("nothing", 3) == 3
        with pytest.raises(KeyError, match="nothing"):
            late["nothing"]
        assert ask(late) == known
        assert late == known
        assert len(late) == len(known)
