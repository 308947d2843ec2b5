"""γ, θ and what follows, against systems whose values are known exactly."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, InsufficientDataError, MissingFieldError
from amaexplore.green_kubo import ESTIMATORS
from amaexplore.kernels.volterra import discrete_memory, solve_scalar, solve_tensor
from amaexplore.synthetic import BEDS, MemoryMode, bed
from amaexplore.transport import prepare
from amaexplore.units import BOLTZMANN
from amaexplore.window import later_lags

MASS, TEMPERATURE, RELAXATION, STEP = 100.0, 300.0, 0.5, 0.02
THERMAL = BOLTZMANN * TEMPERATURE


def ornstein_uhlenbeck(rng, n_replicas=20, n_frames=5000):
    """Momentum with ⟨P(0)P(t)⟩ = m k_BT exp(−t/τ), stepped exactly."""
    decay = np.exp(-STEP / RELAXATION)
    momentum = np.empty((n_replicas, n_frames, 3))
    momentum[:, 0] = np.sqrt(MASS * THERMAL) * rng.normal(size=(n_replicas, 3))
    noise = np.sqrt(MASS * THERMAL * (1 - decay**2)) * rng.normal(size=momentum.shape)
    for k in range(1, n_frames):
        momentum[:, k] = decay * momentum[:, k - 1] + noise[:, k]
    return momentum


@cache
def sampled(name, seed=0, **settings):
    return bed(name).sample(seed=seed, **settings)


# -- exact cases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [None, 4.0])
def test_ornstein_uhlenbeck_velocity(rng, window):
    """γ = m k_BT τ and D = k_BT τ/m, from the momentum alone."""
    series = ama.OrderParameters.from_arrays(timestep=STEP, mass=MASS, momentum=ornstein_uhlenbeck(rng))
    result = ama.gamma(series, window=window, temperature=TEMPERATURE)
    assert result.estimator == "window"
    exact = MASS * THERMAL * RELAXATION
    assert abs(result.isotropic - exact) < 3 * result.isotropic_std
    assert result.isotropic_std < 0.07 * exact
    assert result.diffusion == pytest.approx(result.isotropic / MASS**2)
    assert result.diffusion_std == pytest.approx(result.isotropic_std / MASS**2)
    assert result.trace == pytest.approx(np.trace(result.tensor))
    assert result.trace == pytest.approx(3 * result.isotropic)
    off = result.tensor[~np.eye(3, dtype=bool)]
    assert np.all(np.abs(off) < 4 * result.tensor_std[~np.eye(3, dtype=bool)])
    np.testing.assert_array_equal(result.tensor, result.tensor.T)


def test_ornstein_uhlenbeck_with_its_white_noise_force(rng):
    """F = ΔP/Δt of a process without memory: the kernel's integral is ζ/m from the first step on."""
    momentum = ornstein_uhlenbeck(rng, n_frames=5001)
    force = np.diff(momentum, axis=1) / STEP
    series = ama.OrderParameters.from_arrays(timestep=STEP, mass=MASS, momentum=momentum[:, :-1], net_force=force)
    friction = MASS / RELAXATION
    result = ama.theta(series, temperature=TEMPERATURE)
    assert result.estimator == "kernel"
    # the trapezoid sees a kernel that is a delta function only to order h/τ = 4 %
    assert result.friction == pytest.approx(friction, rel=0.08)
    assert ama.gamma(series, temperature=TEMPERATURE).diffusion == pytest.approx(THERMAL / friction, rel=0.08)


def test_force_with_the_momentum_held_has_a_true_plateau():
    system = bed("free, two modes")
    series = system.sample_held(seed=3, n_replicas=20, n_frames=5000)
    for window in (None, 4.0):
        result = ama.theta(series, window=window)
        assert result.estimator == "window"
        assert abs(result.isotropic_raw - system.theta_raw) < 3 * result.isotropic_raw_std
        assert result.isotropic_raw_std < 0.1 * system.theta_raw
        assert result.friction == pytest.approx(system.friction, rel=0.2)


def test_momentum_stored_but_held_is_recognised():
    system = bed("free, one mode")
    held = system.sample_held(seed=3, n_replicas=20, n_frames=3000)
    for constant in (0.0, 5.0):
        series = ama.OrderParameters.from_arrays(
            timestep=held.timestep,
            mass=held.mass,
            net_force=held.net_force,
            momentum=np.full(held.net_force.shape, constant),
            temperature=240.0,
        )
        result = ama.theta(series)
        assert result.estimator == "window"
        assert result.friction == pytest.approx(system.friction, rel=0.15)
        assert "force_is_not_momentum_change" in {notice.code for notice in result.warnings}


@pytest.mark.parametrize("name", BEDS)
def test_kernel_estimator_meets_the_exact_coefficients(name):
    """The full calibration is in test_transport_calibration.py; this is one seed of each bed."""
    system, series = bed(name), sampled(name)
    friction, diffusion = ama.theta(series), ama.gamma(series)
    assert (friction.estimator, diffusion.estimator) == ("kernel", "kernel")
    assert friction.plateau
    assert abs(friction.friction - system.friction) < 3 * friction.friction_std
    assert abs(diffusion.diffusion - system.diffusion) < 3 * diffusion.diffusion_std
    assert friction.friction_std < 0.1 * system.friction
    assert friction.relaxation_time == pytest.approx(system.mass / friction.friction)
    # one plateau gives both: consistent to second order in the anisotropy of the noise
    product = diffusion.isotropic * friction.isotropic_raw / (system.mass * system.thermal_energy) ** 2
    assert product == pytest.approx(1.0, abs=0.05)


def test_running_kernel_integral_follows_the_exact_one():
    system, series = bed("free, oscillating kernel"), sampled("free, oscillating kernel", n_replicas=30)
    result = ama.theta(series, estimator="kernel", isotropic=True)
    lags = result.lags[1:150]
    exact = system.kernel_integral(lags) * system.mass * system.thermal_energy
    deviation = (result.running_isotropic[1:150] * series.epsilon - exact) / (
        result.running_isotropic_std[1:150] * series.epsilon
    )
    # early lags are nearly free of noise; there the trapezoid's own error of (h/τ)² shows
    assert np.max(np.abs(result.running_isotropic[1:150] * series.epsilon / exact - 1)) < 0.08
    assert np.median(np.abs(deviation)) < 2.0


@pytest.mark.parametrize("name", ["free, one mode", "free, two modes"])
def test_plain_rules_fail_on_finite_mass_by_more_than_ten_per_cent(name):
    """The two customary cuts of ∫⟨FF⟩, its maximum and the first zero of ⟨FF⟩: exactly, and on data."""
    system, step = bed(name), 0.02
    correlation = system.force_correlation(step * np.arange(101))
    exact = step * (np.cumsum(correlation) - 0.5 * (correlation[0] + correlation))
    zero = int(np.argmax(correlation <= 0))
    assert max(exact[zero], exact.max()) < 0.86 * system.theta_raw

    bench = prepare(sampled(name))
    zero = int(np.argmax(bench.force.isotropic <= 0))
    assert 0 < zero < len(bench.lags) - 1
    for result in (bench.theta(zero * bench.timestep, "window"), bench.theta(estimator="maximum")):
        assert result.friction < 0.9 * system.friction
        # not by chance: the error bar is much smaller than what is missing
        assert result.friction_std < 0.03 * system.friction


@pytest.mark.parametrize(
    ("estimator", "tolerance"),
    [("corrected", 0.25), ("mori", 0.2), ("tail", 0.25), ("kramers-moyal", 0.25), ("msd", 0.25), ("window", 0.25)],
)
def test_the_other_estimators_are_near_on_the_free_bed(estimator, tolerance):
    """τ_K/τ_P = 0.1 here, so the slow pole is 10 % above ζ/m; the rest is noise."""
    system, series = bed("free, one mode"), sampled("free, one mode", n_replicas=30)
    result = ama.gamma(series, estimator=estimator)
    assert result.diffusion == pytest.approx(system.diffusion, rel=tolerance)
    assert 0 < result.diffusion_std < 0.15 * system.diffusion
    if estimator in ("corrected", "tail"):
        assert result.diffusion < system.diffusion


def test_zero_total_momentum_is_corrected_for_the_recoil_of_the_host(rng):
    """P decays with ζ/μ and ⟨P²⟩ = μ k_BT; D, ζ must come out as for the particle alone."""
    total, friction = 300.0, MASS / RELAXATION
    reduced = MASS * (1 - MASS / total)
    relaxation = reduced / friction
    decay = np.exp(-STEP / relaxation)
    momentum = np.empty((20, 5001, 3))
    momentum[:, 0] = np.sqrt(reduced * THERMAL) * rng.normal(size=(20, 3))
    for k in range(1, 5001):
        momentum[:, k] = decay * momentum[:, k - 1] + np.sqrt(reduced * THERMAL * (1 - decay**2)) * rng.normal(
            size=(20, 3)
        )
    series = ama.OrderParameters.from_arrays(
        timestep=STEP,
        mass=MASS,
        momentum=momentum[:, :-1],
        net_force=np.diff(momentum, axis=1) / STEP,
        total_mass=total,
        zero_total_momentum=True,
    )
    for estimator in ("window", "kernel"):
        result = ama.gamma(series, temperature=TEMPERATURE, estimator=estimator)
        assert result.diffusion == pytest.approx(THERMAL / friction, rel=0.1), estimator
    assert ama.theta(series, temperature=TEMPERATURE).friction == pytest.approx(friction, rel=0.1)
    assert "zero_total_momentum" in {n.code for n in ama.gamma(series, estimator="window").warnings}


def test_half_step_momenta_change_nothing():
    series = sampled("free, one mode")
    offset = -0.01
    shifted = ama.OrderParameters.from_arrays(
        timestep=series.timestep,
        mass=series.mass,
        momentum=series.momentum + offset * series.net_force,
        net_force=series.net_force,
        momentum_offset=offset,
        typical_mass=series.typical_mass,
        temperature=series.temperature,
    )
    assert ama.theta(shifted).friction == pytest.approx(ama.theta(series).friction, rel=1e-9)


def test_anisotropic_friction_is_a_tensor(rng):
    """Axes of different friction, turned by a rotation: the tensor comes out turned."""
    slow, fast = bed("free, one mode"), bed("free, oscillating kernel")
    strong = replace(slow, modes=(replace(slow.modes[0], rate=1.5),))
    series = [system.sample(seed=9, n_replicas=30) for system in (slow, strong, fast)]
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    arrays = {
        name: np.stack([getattr(s, name)[..., k] for k, s in enumerate(series)], axis=-1) @ q.T
        for name in ("momentum", "net_force")
    }
    turned = ama.OrderParameters.from_arrays(timestep=0.02, mass=slow.mass, temperature=240.0, **arrays)
    result = ama.theta(turned, estimator="kernel")
    exact = q @ np.diag([slow.friction, strong.friction, fast.friction]) @ q.T
    deviation = (result.friction_tensor - exact) / result.friction_tensor_std
    assert np.sqrt(np.mean(deviation**2)) < 2.0
    assert np.max(np.abs(result.friction_tensor - exact)) < 0.2 * strong.friction
    diffusion = ama.gamma(turned, estimator="kernel")
    np.testing.assert_allclose(
        diffusion.diffusion_tensor @ result.friction_tensor / slow.thermal_energy, np.eye(3), atol=1e-9
    )


def test_mean_force_may_be_given():
    system, series = bed("trap, τ_R = 3 τ_P"), sampled("trap, τ_R = 3 τ_P")
    by_itself = ama.theta(series)
    exact = ama.theta(series, mean_force=system.mean_force)
    assert exact.friction == pytest.approx(by_itself.friction, rel=0.05)
    without = ama.theta(series, mean_force=None)
    assert without.friction > 1.2 * system.friction
    with pytest.raises(InputError, match="mean_force must be"):
        ama.theta(series, mean_force=3.0)
    with pytest.raises(InputError, match="mean_force returned an array"):
        ama.theta(series, mean_force=lambda position: position[..., 0])
    along_x = ama.mean_force(series, axis="x")
    assert prepare(series, mean_force=along_x)._force_field[..., 1:].any() == np.False_


# -- the contract ------------------------------------------------------------------------------------------


def test_theta_in_the_papers_variables_and_raw():
    series = sampled("free, one mode")
    result = ama.theta(series, window=2.0)
    epsilon = series.epsilon
    np.testing.assert_allclose(result.tensor_raw, epsilon * result.tensor, rtol=1e-14)
    np.testing.assert_allclose(result.running_raw, epsilon * result.running, rtol=1e-14)
    index = int(np.argmin(np.abs(result.lags - result.window)))
    np.testing.assert_array_equal(result.running[index], result.tensor)
    np.testing.assert_array_equal(result.running_std[index], result.tensor_std)
    assert result.isotropic == pytest.approx(np.trace(result.tensor) / 3)
    assert result.isotropic_raw == pytest.approx(epsilon * result.isotropic)
    assert result.isotropic_raw_std == pytest.approx(epsilon * result.isotropic_std)
    assert result.friction == pytest.approx(result.isotropic_raw / (BOLTZMANN * 240.0))
    other = result.scaled(0.5)
    np.testing.assert_allclose(other.tensor_raw, result.tensor_raw, rtol=1e-13)
    assert other.tensor[0, 0] == pytest.approx(result.tensor_raw[0, 0] / 0.5)
    # γ is of the unscaled momentum; ε²γ/m̂² with m̂ = εm is D whatever ε is
    gamma = ama.gamma(series)
    assert gamma.scaled(0.3).epsilon == 0.3
    assert gamma.scaled(0.3).diffusion == gamma.diffusion
    with pytest.raises(InputError, match="epsilon must be a positive number"):
        gamma.scaled(-1.0)


def test_window_estimator_is_the_trapezoid_of_the_correlation_function():
    series = sampled("free, one mode", n_replicas=3, n_frames=2000)
    for compute, correlation, raw in (
        (ama.gamma, ama.momentum_correlation, "tensor"),
        (ama.theta, ama.force_correlation, "tensor_raw"),
    ):
        function = correlation(series, max_lag=1.0)
        expected = np.trapezoid(function.values, function.lags, axis=0)
        result = compute(series, window=1.0, estimator="window")
        np.testing.assert_allclose(getattr(result, raw), 0.5 * (expected + expected.T), rtol=1e-10)


CURVES = [name for name, entry in ESTIMATORS.items() if entry.direct is None]


@pytest.mark.parametrize("estimator", CURVES)
def test_every_estimator_gives_both_coefficients_and_round_trips(estimator):
    series = sampled("trap, τ_R = 10 τ_P", n_frames=2000)
    for compute in (ama.gamma, ama.theta):
        result = compute(series, window=1.0, estimator=estimator)
        assert result.estimator == estimator
        assert result.window == pytest.approx(1.0)
        assert result.window_reason == "given"
        assert np.isfinite(result.isotropic)
        assert result.isotropic_std > 0
        again = type(result).from_dict(result.to_dict())
        np.testing.assert_allclose(again.tensor, result.tensor)
        assert again.warnings == result.warnings
        assert "window 1 ps" in repr(result)


def test_estimators_say_what_they_assume():
    for entry in ama.estimators():
        assert set(entry) >= {"name", "label", "assumes", "fails", "cost", "measures", "available"}
        assert all(text for key, text in entry.items() if key != "available")


def test_a_prepared_series_reads_other_windows_for_next_to_nothing():
    import time

    bench = prepare(sampled("free, one mode"))
    bench.gamma(1.0), bench.theta(1.0)
    start = time.perf_counter()
    for window in np.linspace(0.5, 3.0, 50):
        bench.gamma(window)
        bench.theta(window)
    each = (time.perf_counter() - start) / 100
    whole = -time.perf_counter()
    prepare(sampled("free, one mode")).gamma(1.0)
    whole += time.perf_counter()
    # ratios within one run: the machine is shared
    assert each < whole / 20
    assert bench.gamma(2.0).isotropic == ama.gamma(sampled("free, one mode"), window=2.0).isotropic
    # a window beyond the prepared lags makes them longer
    assert bench.gamma(50.0).window == pytest.approx(50.0)


def test_table_has_every_estimator_or_says_why_not():
    rows = prepare(sampled("free, one mode", n_frames=2000)).table()
    assert [row["estimator"] for row in rows] == CURVES
    assert all(np.isfinite(row["diffusion"]) and row["friction_std"] > 0 for row in rows)
    held = bed("free, one mode").sample_held(seed=0, n_frames=2000)
    rows = {row["estimator"]: row for row in prepare(held).table()}
    assert "holds no velocities" in rows["kernel"]["note"]
    assert np.isfinite(rows["window"]["friction"])


def test_inconsistent_force_and_momentum_are_noticed(rng):
    """Momentum of one run with the force of another: no memory kernel, the plain integrals instead."""
    system = bed("free, one mode")
    series = system.sample(seed=1, n_replicas=10, n_frames=4000)
    wrong = ama.OrderParameters.from_arrays(
        timestep=0.02, mass=520.0, momentum=series.momentum, net_force=series.net_force[::-1], temperature=240.0
    )
    result = ama.gamma(wrong)
    assert result.estimator == "window"
    assert "force_is_not_momentum_change" in {notice.code for notice in result.warnings}
    assert result.diffusion == pytest.approx(system.diffusion, rel=0.3)


def test_temperature_comes_from_where_it_is_known():
    series = sampled("free, one mode", n_frames=2000)
    assert ama.theta(series).temperature_source == "velocities of the atoms"
    assert ama.theta(series, temperature=200.0).temperature == 200.0
    bare = ama.OrderParameters.from_arrays(
        timestep=0.02, mass=520.0, momentum=series.momentum, net_force=series.net_force
    )
    result = ama.theta(bare)
    assert result.temperature == pytest.approx(bare.kinetic_temperature)
    assert "temperature_from_momentum" in {notice.code for notice in result.warnings}
    force_only = ama.OrderParameters.from_arrays(timestep=0.02, mass=520.0, net_force=series.net_force)
    result = ama.theta(force_only)
    assert np.isnan(result.friction)
    assert result.isotropic_raw > 0
    assert "no_temperature" in {notice.code for notice in result.warnings}


def test_little_data_says_how_much_more_is_needed():
    series = bed("free, one mode").sample(seed=4, n_replicas=1, n_frames=600)
    result = ama.theta(series)
    notices = {notice.code: notice.message for notice in result.warnings}
    assert "times more data would give 10 %" in notices["large_error"]


def test_stiff_wells_are_noticed():
    free = bed("free, one mode")
    stiff = replace(free, trap=free.mass * (12.0 / free.tau_momentum) ** 2)
    codes = {n.code for n in ama.theta(stiff.sample(seed=0, n_replicas=5), estimator="kernel").warnings}
    assert "stiff_well" in codes
    assert "stiff_well" not in {n.code for n in ama.theta(sampled("trap, τ_R = 3 τ_P")).warnings}


def codes(result):
    return {notice.code for notice in result.warnings}


@pytest.mark.parametrize(
    ("modes", "window", "side"),
    [
        ((MemoryMode(0.5, 0.08), MemoryMode(0.25, 3.0)), 0.5, "above"),
        ((MemoryMode(0.35, 0.08), MemoryMode(0.05, 2.5, 1.2)), 1.2, "below"),
    ],
)
def test_a_shoulder_is_told_from_the_plateau_after_it(modes, window, side):
    """A slow mode of memory: the integral stands at one height for a while and goes to another, in both directions."""
    system = replace(bed("free, one mode"), modes=modes)
    bench = prepare(system.sample(seed=0, n_replicas=20))
    # γ goes the other way
    other = {"above": "below", "below": "above"}[side]
    for result, word in ((bench.gamma(window, "kernel"), other), (bench.theta(window, "kernel"), side)):
        (notice,) = (n for n in result.warnings if n.code == "later_lags_differ")
        assert word in notice.message
        later = float(notice.message.split("window=")[1].split(" ")[0])
        assert later > 2 * window
    # what is offered is nearer the exact value
    exact, there = system.friction, bench.theta(later, "kernel").friction
    assert abs(there - exact) < abs(bench.theta(window, "kernel").friction - exact)


def test_later_lags_are_asked_only_where_well_determined(rng):
    lags, groups = np.arange(200), 10
    noise = np.cumsum(rng.normal(size=(groups, 3, 200)), axis=-1)
    noise -= noise.mean(axis=0)
    curve = np.where(lags < 20, lags / 20.0, np.where(lags < 60, 1.0, 0.7))
    tight = later_lags(curve, curve + 1e-4 * noise, 30)
    assert tight.stop == 199
    assert tight.significant
    assert tight.change == pytest.approx(-0.3)
    # noise that grows with the lag leaves the drop out of sight
    assert later_lags(curve, curve + 0.1 * noise, 30) is None
    flat = np.minimum(lags / 20.0, 1.0)
    assert not later_lags(flat, flat + 1e-4 * noise, 30).significant
    assert later_lags(curve, curve + 1e-4 * noise, 199) is None
    assert later_lags(curve, curve[None, None], 30) is None


def test_exact_plateaus_are_not_called_shoulders():
    """At most 2 of 100 seeds of each bed are (600 runs: 5); here a few of each."""
    called = [codes(prepare(bed(name).sample(seed=seed)).theta()) for name in BEDS for seed in range(2)]
    assert sum("later_lags_differ" in found for found in called) <= 1


def test_an_isolated_host_is_named_with_the_later_value():
    series = sampled("free, one mode")
    isolated = replace(series, total_mass=20.0 * series.mass, zero_total_momentum=True)
    notices = {notice.code: notice.message for notice in ama.theta(isolated).warnings}
    assert "1.00 ± 0.0" in notices["isolated_host"]
    assert "isolated_host" not in codes(ama.theta(series))


def test_one_run_of_few_relaxation_times_warns_that_its_error_is_too_small():
    """± one error holds the truth in 0.4-0.6 of single runs of 13 τ_R, in 0.8 of those of 85 τ_R."""
    short = bed("trap, τ_R = 10 τ_P").sample(seed=1, n_replicas=1, n_frames=10_000)
    for compute in (ama.theta, ama.gamma):
        notices = {notice.code: notice.message for notice in compute(short).warnings}
        assert "of its relaxation times τ_R" in notices["few_relaxations"]
    # shorter still, no one can see that there is a well; then the blocks are too short
    shorter = bed("double well").sample(seed=1, n_replicas=1, n_frames=2500)
    for compute in (ama.theta, ama.gamma):
        assert "in place of 68 %" in {n.code: n.message for n in compute(shorter).warnings}["short_blocks"]
    long = bed("trap, τ_R = 3 τ_P").sample(seed=1, n_replicas=1, n_frames=60_000)
    assert not codes(ama.theta(long)) & {"few_relaxations", "short_blocks"}
    assert "few_relaxations" not in codes(ama.theta(sampled("trap, τ_R = 10 τ_P")))


def test_averaging_over_axes_is_a_choice():
    system, series = bed("free, two modes"), sampled("free, two modes")
    result = ama.theta(series, isotropic=True)
    np.testing.assert_array_equal(result.tensor, result.isotropic * np.eye(3))
    assert result.n_groups == 30
    assert abs(result.friction - system.friction) < 3 * result.friction_std
    assert result.friction == pytest.approx(ama.theta(series, window=result.window).friction, rel=0.03)
    window = ama.gamma(series, window=3.0, estimator="window", isotropic=True)
    assert window.isotropic == pytest.approx(ama.gamma(series, window=3.0, estimator="window").isotropic)


@pytest.mark.parametrize("n_replicas", [1, 3])
def test_one_long_run_and_few_replicas(n_replicas):
    system = bed("trap, τ_R = 3 τ_P")
    series = system.sample(seed=11, n_replicas=n_replicas, n_frames=60_000 // n_replicas)
    result = ama.theta(series)
    assert result.n_groups >= 10
    assert abs(result.friction - system.friction) < 3 * result.friction_std
    assert 0.01 < result.friction_std / system.friction < 0.15


def test_coarse_frames_are_noticed():
    series = bed("free, one mode").sample(seed=4, timestep=0.2, n_frames=2000)
    assert "coarse_frames" in {n.code for n in ama.theta(series, estimator="kernel").warnings}


@pytest.mark.slow
def test_stacie_beside_the_others():
    series = bed("free, one mode").sample(seed=0, n_replicas=6, n_frames=4000)
    (row,) = prepare(series).table(estimators=["stacie"])
    system = bed("free, one mode")
    assert abs(row["diffusion"] - system.diffusion) < 3 * row["diffusion_std"]
    assert row["diffusion_std"] < 0.3 * system.diffusion
    assert row["friction"] * row["diffusion"] == pytest.approx(system.thermal_energy)


def test_an_optional_library_that_is_missing_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "stacie", None)
    with pytest.raises(MissingFieldError, match="pip install 'amaexplore\\[stacie\\]'"):
        ama.gamma(sampled("free, one mode", n_replicas=2, n_frames=300), estimator="stacie")


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(window=1e6), "longer than the data allow"),
        (dict(window=-1.0), "positive time in ps"),
        (dict(window=0.0), "positive time in ps"),
        (dict(window=float("nan")), "positive time in ps"),
        (dict(window="long"), "window must be a time in ps"),
        (dict(window=1e-6), "less than half the time between frames"),
        (dict(estimator="magic"), "No estimator 'magic'; there are kernel, window"),
        (dict(temperature=-3.0), "temperature must be a positive number"),
        (dict(temperature="hot"), "temperature must be a positive number"),
        (dict(max_lag=-1.0), "max_lag must be a positive time"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence):
    series = sampled("free, one mode", n_replicas=2, n_frames=300)
    for compute in (ama.gamma, ama.theta):
        with pytest.raises(InputError, match=sentence):
            compute(series, **arguments)


def test_missing_and_little_data_get_a_sentence(rng):
    momentum = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(100, 3)))
    with pytest.raises(MissingFieldError, match="holds no forces"):
        ama.theta(momentum, estimator="window")
    places = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, centre_of_mass=rng.normal(size=(100, 3)))
    with pytest.raises(MissingFieldError, match="holds no "):
        ama.theta(places)
    few = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(4, 3)))
    with pytest.raises(InsufficientDataError, match="at least 8"):
        ama.gamma(few)


# -- kernels -----------------------------------------------------------------------------------------------


def test_volterra_solution_against_a_naive_loop_and_its_order(rng):
    """K(t) = e^{−t}: C and G are known; the error falls as h² or faster."""
    errors = []
    for step in (0.1, 0.05):
        times = step * np.arange(round(4 / step) + 1)
        # C'' + C' + C = 0 with C(0) = 1, C'(0) = 0
        root = np.sqrt(3) / 2
        c = np.exp(-times / 2) * (np.cos(root * times) + np.sin(root * times) / (2 * root))
        derivative = -np.exp(-times / 2) * np.sin(root * times) / root
        assert np.allclose(np.gradient(c, times)[1:-1], derivative[1:-1], atol=step)
        one = np.ones(1)
        solved = solve_scalar(derivative[None], derivative[None], one, one, one, step)[0]
        naive = np.zeros(len(times))
        for n in range(1, len(times)):
            total = sum(naive[j] * derivative[n - j] for j in range(1, n))
            naive[n] = (-derivative[n] - step * total - step**2 / 12 * derivative[n]) / (1 - step**2 / 12)
        np.testing.assert_allclose(solved, naive, atol=1e-13)
        errors.append(np.max(np.abs(solved - (1 - np.exp(-times)))))
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] > 7.0


def test_tensor_solution_is_the_scalar_one_in_turned_axes(rng):
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    times = 0.05 * np.arange(60)
    drift = np.array([-np.exp(-times / tau) * np.sin(times) for tau in (0.5, 1.0, 2.0)])
    norm = np.array([1.0, 1.5, 2.0])
    scalar = solve_scalar(drift, drift, norm, norm, np.ones(3), 0.05)

    def turned(values):
        return np.einsum("ai,i...,bi->ab...", q, values, q)[None]

    tensor = solve_tensor(turned(drift), turned(drift), turned(norm), turned(norm), turned(np.ones(3)), 0.05)
    np.testing.assert_allclose(tensor, turned(scalar), atol=1e-12)


def test_discrete_memory_sums_a_geometric_correlation_exactly():
    correlation = 0.8 ** np.arange(30)[None]
    total = discrete_memory(correlation)
    np.testing.assert_allclose(total[0, 1:], 0.8)
    # h [1/(1−ΣΩ) − ½] is then the trapezoid of the whole series
    assert pytest.approx((0.8 ** np.arange(500)).sum() - 0.5) == 1 / (1 - 0.8) - 0.5


# -- one workbench, many readers --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["free, one mode", "double well"])
def test_threads_that_read_from_one_workbench_get_what_one_alone_gets(name):
    """The workbench grows while it is read: nobody may see it half done, and no number may depend on what was asked before."""
    from concurrent.futures import ThreadPoolExecutor

    from amaexplore.synthetic import BEDS

    series = BEDS[name].sample(seed=3, n_frames=2000)
    lags = series.timestep * np.array([40, 300, 90, 600, 20, 450])

    def read(bench, job):
        window = None if job % 3 == 0 else float(lags[job % len(lags)])
        kind = ("theta", "gamma")[job % 2]
        estimator = ("kernel", "window", "mori")[job % 3] if kind == "gamma" else "kernel"
        result = getattr(bench, kind)(window, estimator)
        return result.isotropic, result.isotropic_std

    alone = {job: read(prepare(series), job) for job in range(24)}
    for _ in range(3):
        bench = prepare(series)
        with ThreadPoolExecutor(6) as pool:
            found = dict(zip(alone, pool.map(partial(read, bench), alone)))
        for job, (value, std) in found.items():
            assert value == pytest.approx(alone[job][0], rel=1e-9), job
            assert std == pytest.approx(alone[job][1], rel=1e-6), job


def test_a_workbench_travels_between_processes():
    import pickle

    from amaexplore.synthetic import BEDS

    bench = prepare(BEDS["free, one mode"].sample(seed=1, n_frames=1000))
    again = pickle.loads(pickle.dumps(bench))
    assert again.theta().isotropic == bench.theta().isotropic


def test_without_forces_a_free_particle_has_its_friction_from_its_momentum_alone():
    from dataclasses import replace

    from amaexplore.synthetic import BEDS

    bed = BEDS["free, one mode"]
    series = replace(bed.sample(seed=2), net_force=None)
    theta, gamma = ama.theta(series), ama.gamma(series)
    assert (theta.estimator, gamma.estimator) == ("mori", "window")
    assert theta.friction == pytest.approx(bed.friction, abs=3.0 * theta.friction_std)
    assert gamma.isotropic == pytest.approx(bed.gamma, abs=3.0 * gamma.isotropic_std)
    trapped = replace(BEDS["trap, τ_R = 3 τ_P"].sample(seed=2), net_force=None)
    with pytest.raises(MissingFieldError, match="holds no forces"):
        ama.theta(trapped)
