"""The derivation itself: statements of the paper between its equations, on systems small enough to be exact.

Two systems: three atoms on a line, whose ensemble averages are plain quadratures; and `HarmonicBath`, whose Liouville
equation is solved exactly.
"""

import numpy as np
import pytest
from scipy import integrate

from amaexplore.harmonic_bath import HarmonicBath
from amaexplore.units import BOLTZMANN

BETA = 1.0 / (BOLTZMANN * 240.0)


class ThreeAtoms:
    """Atoms 0 and 1 are the nanoparticle, bound to each other; atom 2 is the host; all in an outer potential."""

    masses = np.array([12.0, 28.0, 40.0])
    indicator = np.array([True, True, False])

    def __init__(self, n=161):
        self.mass = self.masses[self.indicator].sum()
        self.typical_mass = 20.0
        self.epsilon = self.typical_mass / self.mass
        # bond length and host position, over which the ensemble average runs
        self.bond, self.host = np.meshgrid(np.linspace(-0.2, 1.0, n), np.linspace(-2.5, 2.5, 2 * n), indexing="ij")

    def positions(self, centre):
        share = self.masses[:2] / self.mass
        first, second = centre + share[1] * self.bond, centre - share[0] * self.bond
        return np.stack([first, second, self.host])

    @staticmethod
    def potential(r):
        bond = 60.0 * (r[0] - r[1] - 0.4) ** 2
        pairs = sum(6.0 * np.exp(-(((r[k] - r[2]) / 0.3) ** 2)) for k in (0, 1))
        return bond + pairs + 1.5 * r[0] ** 4 + 2.0 * r[1] ** 2 + 3.0 * r[2] ** 2

    def force(self, r, step=1e-5):
        """F_i = −∂V/∂r_i by differences of the potential itself."""
        out = np.empty_like(r)
        for i in range(3):
            up, down = r.copy(), r.copy()
            up[i] += step
            down[i] -= step
            out[i] = -(self.potential(up) - self.potential(down)) / (2.0 * step)
        return out

    def average(self, centre, values=None):
        """Q₁(R), or the nanocanonical average of ``values`` at R: (18) and (19) with the momenta integrated out."""
        weight = np.exp(-BETA * self.potential(self.positions(centre)))

        def integral(f):
            inner = integrate.trapezoid(f, self.host[0], axis=1)
            return integrate.trapezoid(inner, self.bond[:, 0])

        return integral(weight) if values is None else integral(weight * values) / integral(weight)

    def mean_force(self, centre):
        return self.average(centre, self.force(self.positions(centre))[self.indicator].sum(axis=0))


@pytest.mark.parametrize("centre", [-0.7, 0.1, 0.45])
def test_gradient_of_ln_q_is_beta_times_the_mean_force(centre):
    atoms, step = ThreeAtoms(), 1e-4
    gradient = (np.log(atoms.average(centre + step)) - np.log(atoms.average(centre - step))) / (2.0 * step)
    assert gradient == pytest.approx(BETA * atoms.mean_force(centre), rel=1e-6)


def test_gradient_of_the_nanocanonical_density_in_scaled_variables():
    # ∂ρ̂/∂Φ = −βρ̂f^th at fixed Γ: with Φ = ε^½R and f = ε^−½F both sides carry the same ε
    atoms, centre, step = ThreeAtoms(), 0.3, 1e-5
    root = np.sqrt(atoms.epsilon)
    energy = 1.7  # H at some fixed Γ

    def density(scaled_position):
        return np.exp(-BETA * energy) / atoms.average(scaled_position / root)

    scaled = root * centre
    left = (density(scaled + step) - density(scaled - step)) / (2.0 * step)
    right = -BETA * density(scaled) * atoms.mean_force(centre) / root
    assert left == pytest.approx(right, rel=1e-6)


def test_potential_moves_with_the_centre_of_mass_by_the_net_force():
    # ∂V/∂R at fixed residuals σ_i is −Σ F_i θ_i; the residuals of a nanoparticle obey Σ m_i σ_i θ_i = 0
    atoms, r, step = ThreeAtoms(), np.array([0.5, 0.1, -0.3]), 1e-5
    centre = atoms.masses[:2] @ r[:2] / atoms.mass
    residual = r - centre * atoms.indicator
    assert atoms.masses[:2] @ residual[:2] == pytest.approx(0.0, abs=1e-12)
    assert abs(residual[:2].sum()) > 0.01  # without the masses the constraint of the paper does not hold
    change = atoms.potential(r + step * atoms.indicator) - atoms.potential(r - step * atoms.indicator)
    assert change / (2.0 * step) == pytest.approx(-atoms.force(r)[:2].sum(), rel=1e-7)


def _momentum_integral(masses, epsilon, beta):
    """∫ δ(Π − √ε Σp) e^{−βΣp²/2m} dp on a grid of Π, by convolving one atom after the other."""
    width = np.sqrt(epsilon * sum(masses) / beta)
    grid = np.linspace(-12.0 * width, 12.0 * width, 4097)
    step, out = grid[1] - grid[0], None
    for mass in masses:
        # density of √ε p of one atom
        one = np.exp(-beta * grid**2 / (2.0 * mass * epsilon)) / np.sqrt(epsilon)
        out = one if out is None else np.convolve(out, one, mode="same") * step
    return grid, out


def test_q_depends_on_the_scaled_momentum_as_the_appendix_says():
    masses, beta = [12.0, 16.0, 1.0, 1.0, 30.0], BETA
    typical = float(np.mean(masses))
    epsilon = typical / sum(masses)
    grid, numeric = _momentum_integral(masses, epsilon, beta)
    near = np.abs(grid) < 4.0 * np.sqrt(typical / beta)
    gaussian = np.exp(-beta * grid**2 / (2.0 * typical))
    constant = np.prod(np.sqrt(2.0 * np.pi * np.array(masses) / beta)) * np.sqrt(beta / (2.0 * np.pi * typical))
    np.testing.assert_allclose(numeric[near], (constant * gaussian)[near], rtol=1e-8)
    # the constant as printed differs, by a number that does not depend on Π
    printed = np.prod(np.sqrt(np.array(masses) / (2.0 * np.pi * beta))) * np.sqrt(2.0 * np.pi * beta / typical)
    assert printed / constant == pytest.approx((2.0 * np.pi) ** (1 - len(masses)))


def test_gradient_of_the_nanocanonical_density_in_momentum():
    # ∂ρ̂/∂Π = +βρ̂Π/m̂, the sign that a Q without Π would lose
    masses = [12.0, 16.0, 30.0]
    typical = float(np.mean(masses))
    grid, q = _momentum_integral(masses, typical / sum(masses), BETA)
    density = 1.0 / q
    inner = slice(1500, 2600)
    gradient = np.gradient(density, grid, edge_order=2)[inner]
    expected = (BETA * density * grid / typical)[inner]
    np.testing.assert_allclose(gradient, expected, atol=2e-4 * np.abs(expected).max())


def test_given_the_total_the_momenta_of_the_atoms_are_gaussian_about_their_share(rng):
    # the nanocanonical ensemble at fixed Π: p_i = m_i/m P + a rest without total
    masses = np.array([12.0, 16.0, 1.0])
    total = 30.0
    p = rng.normal(size=(400_000, 3)) * np.sqrt(masses / BETA)
    held = p + masses / masses.sum() * (total - p.sum(axis=1))[:, None]
    np.testing.assert_allclose(held.mean(axis=0), masses / masses.sum() * total, atol=0.05)
    expected = masses / BETA * (1.0 - masses / masses.sum())
    np.testing.assert_allclose(held.var(axis=0), expected, rtol=0.02)


def test_the_chain_rule_gives_plus_l0():
    # (8), (37): the text writes −𝓛₀ρ, the definition (10) makes it +𝓛₀ρ; ρ depends on Γ directly and through R, P
    atoms, r, p = ThreeAtoms(), np.array([0.5, 0.1, -0.3]), np.array([3.0, -8.0, 5.0])
    root, m = np.sqrt(atoms.epsilon), atoms.masses
    force = atoms.force(r)

    def order(r, p):
        return root * (m[:2] @ r[:2]) / atoms.mass, root * p[:2].sum()

    def direct(r, p, phi, pi):
        return np.sin(r @ [0.3, 1.1, -0.7]) * np.exp(-0.01 * p @ p) * np.cos(phi) * np.exp(-0.01 * pi**2)

    def along(function, step=1e-5):
        """−(d/dt) along Newton's equations, which is what 𝓛 does."""
        rate_r, rate_p = p / m, force
        up, down = function(r + step * rate_r, p + step * rate_p), function(r - step * rate_r, p - step * rate_p)
        return -(up - down) / (2.0 * step)

    phi, pi = order(r, p)
    whole = along(lambda r, p: direct(r, p, *order(r, p)))
    fixed = along(lambda r, p: direct(r, p, phi, pi))
    step = 1e-5
    by_phi = (direct(r, p, phi + step, pi) - direct(r, p, phi - step, pi)) / (2.0 * step)
    by_pi = (direct(r, p, phi, pi + step) - direct(r, p, phi, pi - step)) / (2.0 * step)
    scaled_force = force[:2].sum() / root
    first = -pi / atoms.typical_mass * by_phi - scaled_force * by_pi  # 𝓛₁ of (40)
    assert whole == pytest.approx(fixed + atoms.epsilon * first, rel=1e-7)
    assert abs(whole - (-fixed + atoms.epsilon * first)) > 0.01 * abs(whole)


BATH = HarmonicBath(mass=520.0, friction=330.0, memory=0.1, trap=40.0, n_atoms=400)
UNIT = np.sqrt(BATH.mass * BATH.thermal_energy)
SPREAD = np.array([[0.01, 0.5], [0.5, 2.0 * UNIT**2]])


def test_the_reduced_density_of_the_lowest_order_is_w():
    # ∫Δ ρ̂W = W: with the atoms in ρ̂ nothing is added to W at time zero
    state = BATH.evolve([0.0], (0.2, 30.0), SPREAD)
    np.testing.assert_allclose(state.mean[0, :2], [0.2, 30.0], rtol=1e-9)
    np.testing.assert_allclose(state.covariance[0, :2, :2], SPREAD, rtol=1e-9)


@pytest.mark.parametrize("time", [0.05, 0.4, 2.0])
def test_conservation_of_probability(time):
    # (7), (36) in weak form: d⟨g⟩/dt = ⟨g'_R P/m⟩ + ⟨g'_P F⟩ for g = R, P, R², RP, P²
    step = 1e-4
    before, now, after = (BATH.evolve([time + shift], (0.2, UNIT), SPREAD) for shift in (-step, 0.0, step))

    def rate(pick):
        return (pick(after) - pick(before)) / (2.0 * step)

    def second(state, a, b):
        return state.covariance[0, a, b] + state.mean[0, a] * state.mean[0, b]

    m = BATH.mass
    assert rate(lambda s: s.mean[0, 0]) == pytest.approx(now.mean[0, 1] / m, rel=1e-5)
    assert rate(lambda s: s.mean[0, 1]) == pytest.approx(now.mean[0, 2], rel=1e-5)
    assert rate(lambda s: second(s, 0, 0)) == pytest.approx(2.0 * second(now, 0, 1) / m, rel=1e-5)
    mixed = second(now, 1, 1) / m + second(now, 0, 2)
    assert rate(lambda s: second(s, 0, 1)) == pytest.approx(mixed, rel=1e-5, abs=1e-4 * UNIT**2 / m)
    scale = abs(BATH.friction / m * UNIT**2)
    assert rate(lambda s: second(s, 1, 1)) == pytest.approx(2.0 * second(now, 1, 2), rel=1e-5, abs=1e-4 * scale)


def _held_force(y, p, time):
    """δF at the phase-space point reached after ``time`` of motion with R and P held (e^{−𝓛₀t} f)."""
    w, host = BATH.frequencies, BATH.typical_mass
    return BATH.couplings @ (y * np.cos(w * time) + p / (host * w) * np.sin(w * time))


def test_the_first_order_solution_solves_its_equation(rng):
    # (21), (49): I = ∫_{−t0}^0 e^{−𝓛₀s} f ds obeys (∂/∂t0 − 𝓛₀) I = f, so that (22) and (50) follow
    w, host = BATH.frequencies, BATH.typical_mass
    y = rng.normal(size=BATH.n_atoms) * np.sqrt(BATH.thermal_energy / host) / w
    p = rng.normal(size=BATH.n_atoms) * np.sqrt(host * BATH.thermal_energy)

    def integral(t0, y, p):
        return BATH.couplings @ (y * np.sin(w * t0) / w - p / (host * w) * (1.0 - np.cos(w * t0)) / w)

    t0, step = 0.7, 1e-4
    quadrature = integrate.quad(lambda s: _held_force(y, p, s), -t0, 0.0, limit=400)[0]
    assert quadrature == pytest.approx(integral(t0, y, p), rel=1e-6)
    by_t0 = (integral(t0 + step, y, p) - integral(t0 - step, y, p)) / (2.0 * step)
    moved = [
        integral(
            t0, y * np.cos(w * s) + p / (host * w) * np.sin(w * s), p * np.cos(w * s) - host * w * y * np.sin(w * s)
        )
        for s in (step, -step)
    ]
    liouville = -(moved[0] - moved[1]) / (2.0 * step)
    assert by_t0 - liouville == pytest.approx(_held_force(y, p, 0.0), rel=1e-5)


def test_what_is_left_after_the_secular_terms_grows_as_a_root():
    # (25), (52): ∫(f − f^th) of one phase-space point wanders, rms √(2 k_BT ζ t0): ρ₁/t0 → 0, but not because ρ₁ is
    # bounded or grows linearly: a random walk is neither
    w, host = BATH.frequencies, BATH.typical_mass
    t0 = np.array([1.0, 2.0, 4.0, 8.0])[:, None]
    of_y, of_p = np.sin(w * t0) / w, (1.0 - np.cos(w * t0)) / (host * w**2)
    variance = (BATH.couplings * of_y) ** 2 @ (BATH.thermal_energy / (host * w**2))
    variance += (BATH.couplings * of_p) ** 2 @ np.full(BATH.n_atoms, host * BATH.thermal_energy)
    slope = np.diff(variance) / np.diff(t0[:, 0])
    np.testing.assert_allclose(slope, 2.0 * BATH.theta_raw, rtol=1e-3)
    rate = np.sqrt(variance) / t0[:, 0]
    assert np.all(np.diff(np.log(rate)) / np.log(2.0) < -0.45)


def test_without_momentum_as_slow_variable_nothing_moves_at_first_order():
    # (24): from ρ̂W with Maxwellian P, the mean stays and the variance grows as t, not t² (which a t₁ drift would give)
    free = HarmonicBath(mass=520.0, friction=330.0, memory=0.05, n_atoms=800)
    times = np.array([12.0, 14.0, 16.0])
    state = free.evolve(times, (0.3, 0.0))
    np.testing.assert_allclose(state.mean[:, 0], 0.3, atol=1e-9)
    growth = np.diff(state.covariance[:, 0, 0]) / np.diff(times)
    np.testing.assert_allclose(growth, 2.0 * free.diffusion, rtol=2e-3)


def test_another_first_order_initial_state_is_forgotten():
    # closure: with Ā₁ ≠ 0 the force starts off its conditional mean; once the memory has gone, what is left of it obeys
    # the same equation (56), started from a shifted momentum
    bath = HarmonicBath(mass=4000.0, friction=330.0, memory=0.05, n_atoms=800)
    rest = bath.couplings / (bath.typical_mass * bath.frequencies**2)
    times = np.array([0.0, 1.0, 3.0, 6.0])
    shifted = bath.evolve(times, displacement=0.05 * rest).mean
    assert shifted[0, 2] == pytest.approx(0.05 * bath.kernel(0.0), rel=1e-6)
    kick = shifted[1, 1] * np.exp(bath.friction / bath.mass * times[1])
    # the impulse of the memory, ζ times the displacement
    assert kick == pytest.approx(0.05 * bath.friction, rel=0.02)
    np.testing.assert_allclose(shifted[1:, 1], kick * np.exp(-bath.friction / bath.mass * times[1:]), rtol=0.02)


def test_both_sets_of_variables_give_one_equation():
    # (56) in Φ, Π against raw R, P: the drift matrix is the same, the noise differs by ε
    epsilon, theta = BATH.epsilon, BATH.theta_raw / BATH.epsilon
    beta = 1.0 / BATH.thermal_energy
    raw = np.array([[0.0, 1.0 / BATH.mass], [-BATH.trap, -BATH.friction / BATH.mass]])
    stiffness = BATH.trap / epsilon  # f^th = ε^−½F^th = −(k/ε) Φ
    scaled = np.array(
        [
            [0.0, epsilon / BATH.typical_mass],
            [-epsilon * stiffness, -(epsilon**2) * theta * beta / BATH.typical_mass],
        ]
    )
    np.testing.assert_allclose(scaled, raw, rtol=1e-12)
    assert 2.0 * epsilon**2 * theta == pytest.approx(epsilon * 2.0 * BATH.theta_raw)
    # (29): ε²γ/m̂² is γ/m²
    gamma = BATH.mass**2 * BATH.diffusion
    assert epsilon**2 * gamma / BATH.typical_mass**2 == pytest.approx(gamma / BATH.mass**2)


def test_taken_literally_the_long_window_loses_friction_and_mean_force():
    # real dynamics and t0 → ∞: the time average of the force in a trap is zero, and ∫⟨FF⟩ of a free particle is zero
    free = HarmonicBath(mass=520.0, friction=330.0, memory=0.1, n_atoms=200)
    start = np.diag([0.0, free.mass * free.thermal_energy])
    times = np.linspace(0.0, 10.0, 801)
    rows = free.rows(times)
    host = free.rows([0.0])[0, 2, 2:] * free._host_variances
    correlation = rows[:, 2, 2:] @ host + rows[:, 2, :2] @ start @ free.rows([0.0])[0, 2, :2]
    running = integrate.cumulative_simpson(correlation, x=times, initial=0.0) / free.thermal_energy
    assert 0.5 * free.friction < running.max() < 0.95 * free.friction
    assert abs(running[-1]) < 0.01 * free.friction
