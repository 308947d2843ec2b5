"""The verdict on the regime, on systems whose three times are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.regime import SMALL, memory_time
from amaexplore.synthetic import BEDS, MemoryMode, bed

LENGTH = 1.0


def exact_times(system):
    """τ_K, τ_P, τ_R by the definitions, from the closed forms."""
    times = 0.002 * np.arange(5001)
    tau_force = memory_time(system.kernel_integral(times), 0.002)
    if system.trap:
        tau_position = system.tau_position
    elif system.barrier:
        weight = lambda x: np.exp(-system.potential(x) / system.thermal_energy)  # noqa: E731
        variance = quad(lambda x: x * x * weight(x), -2, 2)[0] / quad(weight, -2, 2)[0]
        tau_position = variance / system.diffusion
    else:
        tau_position = LENGTH**2 / system.diffusion
    return tau_force, system.tau_momentum, tau_position


def exact_label(system):
    tau_force, tau_momentum, tau_position = exact_times(system)
    fokker_planck = tau_force / tau_momentum < SMALL
    smoluchowski = max(tau_force, tau_momentum) / tau_position < SMALL
    return {
        (True, True): "both",
        (True, False): "smoluchowski",
        (False, True): "fokker-planck",
        (False, False): "neither",
    }[smoluchowski, fokker_planck]


def test_memory_time_of_closed_forms():
    for name in ("free, one mode", "free, two modes"):
        system = bed(name)
        assert exact_times(system)[0] == pytest.approx(system.tau_force, rel=1e-3)
    # an overshooting kernel: the integral cancels (it is negative), the last excursion counts
    wave = bed("free, oscillating kernel")
    assert wave.tau_force < 0
    assert 0.2 < exact_times(wave)[0] < 0.4


@pytest.mark.parametrize("name", BEDS)
def test_times_and_label(name):
    system = bed(name)
    diagnosis = ama.diagnose(system.sample(seed=7), length=LENGTH)
    tau_force, tau_momentum, tau_position = exact_times(system)
    assert abs(diagnosis.tau_force - tau_force) < max(4 * diagnosis.tau_force_std, 0.03)
    assert diagnosis.tau_momentum == pytest.approx(tau_momentum, rel=0.15)
    assert diagnosis.tau_position == pytest.approx(tau_position, rel=0.3)
    assert diagnosis.label == exact_label(system)
    assert diagnosis.confined == bool(system.trap or system.barrier)
    for verdict in diagnosis.verdicts.values():
        assert "%" in verdict["message"]
        assert verdict["holds"] == (verdict["ratio"] < SMALL)


@pytest.mark.parametrize(
    ("decay", "trap", "label"),
    [(0.05, 0.0, "both"), (0.05, 1 / 3, "fokker-planck"), (0.5, 0.0, "smoluchowski"), (0.5, 1 / 3, "neither")],
)
def test_all_four_labels(decay, trap, label):
    free = replace(bed("free, one mode"), modes=(MemoryMode(0.64, decay),))
    system = replace(free, trap=trap * free.friction / free.tau_momentum)
    assert exact_label(system) == label
    labels = [ama.diagnose(system.sample(seed=seed), length=LENGTH).label for seed in range(2)]
    assert labels == [label] * 2


@pytest.mark.slow
def test_labels_are_right_over_repeats():
    shares = []
    for name, system in BEDS.items():
        labels = [ama.diagnose(system.sample(seed=seed), length=LENGTH).label for seed in range(1000, 1100)]
        shares.append(np.mean([label == exact_label(system) for label in labels]))
        tau_force, tau_momentum, _ = exact_times(system)
        print(
            f"\n{name}: {exact_label(system)}, τ_K/τ_P = {tau_force / tau_momentum:.3f}, right in {100 * shares[-1]:.0f} %"
        )
    # seeds 1000-1099: 99, 97, 100, 100, 100 and 96 %, all beds together 98.7 %. Two beds lie so near the limit of 0.15 that
    # runs of this length cannot always tell: "free, two modes" has τ_K/τ_P = 0.102, measured to ± 0.024, the double well
    # τ_P/τ_R = 0.125, measured to ± 0.010 (and 0.005 too large); each verdict that went wrong is near the limit
    assert min(shares) >= 0.9
    assert np.mean(shares) >= 0.97


def test_a_verdict_near_the_limit_is_said_to_be():
    """Double well, τ_P/τ_R = 0.125: seeds 1009, 1016 and 1097 come out above 0.15, and say that this could turn."""
    for seed in (1009, 1097):
        diagnosis = ama.diagnose(bed("double well").sample(seed=seed), length=LENGTH)
        notices = [n.message for n in diagnosis.warnings if n.code == "near_the_limit"]
        assert any("Smoluchowski" in message for message in notices)
    far = ama.diagnose(bed("trap, τ_R = 3 τ_P").sample(seed=0))
    assert "near_the_limit" not in {n.code for n in far.warnings}


def test_leading_errors_have_the_sign_and_size_of_theory():
    diagnosis = ama.diagnose(bed("trap, τ_R = 10 τ_P").sample(seed=0))
    fokker_planck, smoluchowski = diagnosis.verdicts["fokker-planck"], diagnosis.verdicts["smoluchowski"]
    assert fokker_planck["leading_error"] == pytest.approx(diagnosis.tau_force / diagnosis.tau_momentum)
    expected = (diagnosis.tau_momentum - diagnosis.tau_force) / diagnosis.tau_position
    assert smoluchowski["leading_error"] == pytest.approx(expected)
    # the slow rate of the exact system is (1 + (τ_P − τ_K)/τ_R)/τ_R to first order
    system = bed("trap, τ_R = 10 τ_P")
    slow = np.max(np.linalg.eigvals(system._drift).real)
    error = (system.tau_momentum - system.tau_force) / system.tau_position
    assert -slow * system.tau_position == pytest.approx(1 + error, abs=4 * error**2)


def test_momentum_alone_gives_its_time_and_leaves_memory_open():
    series = bed("free, one mode").sample(seed=0)
    bare = ama.OrderParameters.from_arrays(timestep=0.02, mass=520.0, momentum=series.momentum, temperature=240.0)
    diagnosis = ama.diagnose(bare, length=LENGTH)
    assert diagnosis.tau_momentum == pytest.approx(1 / 0.64, rel=0.3)
    assert np.isnan(diagnosis.tau_force)
    assert diagnosis.verdicts["fokker-planck"]["holds"] is None
    assert diagnosis.verdicts["smoluchowski"]["holds"]


def test_what_cannot_be_told_is_said(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, centre_of_mass=rng.normal(size=(100, 3)))
    diagnosis = ama.diagnose(series)
    assert diagnosis.label == "unknown"
    assert "regime_unknown" in {notice.code for notice in diagnosis.warnings}
    again = type(diagnosis).from_dict(diagnosis.to_dict())
    assert again.label == "unknown"
    with pytest.raises(InputError, match="length must be a positive number"):
        ama.diagnose(series, length=0.0)


def test_runs_shorter_than_the_slow_time_are_noticed():
    diagnosis = ama.diagnose(bed("free, one mode").sample(seed=0, n_frames=500))
    assert "too_short" in {notice.code for notice in diagnosis.warnings}


def test_exponents_over_nested_subsets_are_shown_and_do_not_decide(rng):
    """|P| ∝ ε^-½ by equipartition, whatever else happens."""
    nested = []
    for n_atoms in (1, 4, 16, 64):
        momentum = rng.normal(size=(5000, 3)) * np.sqrt(40.0 * n_atoms)
        force = rng.normal(size=(5000, 3)) * n_atoms ** (1 / 3)
        nested.append(
            ama.OrderParameters.from_arrays(
                timestep=0.1, mass=40.0 * n_atoms, typical_mass=40.0, momentum=momentum, net_force=force
            )
        )
    series = bed("free, one mode").sample(seed=0)
    diagnosis = ama.diagnose(series, nested=nested, length=LENGTH)
    assert diagnosis.exponents["momentum"] == pytest.approx(-0.5, abs=0.02)
    assert diagnosis.exponents["net_force"] == pytest.approx(-1 / 3, abs=0.02)
    assert diagnosis.label == ama.diagnose(series, length=LENGTH).label
    for wrong in (nested[:1], [nested[0], nested[0]]):
        with pytest.raises(InputError, match=r"nested"):
            ama.diagnose(series, nested=wrong)


def test_the_momentum_has_one_relaxation_time():
    """m/ζ of the particle in an unbounded host, in the coefficient and in the diagnosis, whatever box it was measured in."""
    from dataclasses import replace

    series = replace(bed("free, one mode").sample(seed=4, n_frames=3000), zero_total_momentum=True, total_mass=500.0)
    theta, diagnosis = ama.theta(series), ama.diagnose(series)
    assert diagnosis.tau_momentum == pytest.approx(theta.relaxation_time, rel=1e-12)
    assert theta.relaxation_time == pytest.approx(theta.mass / theta.friction)
