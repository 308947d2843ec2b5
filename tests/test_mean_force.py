"""f^th(R) by its three routes on wells whose force is known, its errors over repeats, and the Gibbs diagnostic."""

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.confinement import confinement
from amaexplore.errors import InputError, InsufficientDataError, MissingFieldError
from amaexplore.synthetic import GeneralizedLangevin, bed


@pytest.mark.parametrize("name", ["trap, τ_R = 3 τ_P", "double well"])
def test_three_routes_meet_the_exact_force(name):
    system = bed(name)
    result = ama.mean_force(system.sample(seed=3, n_replicas=20), axis="y", bins=30)
    exact = system.mean_force(result.positions)
    middle = result.counts > 0.01 * result.counts.sum()
    for values, std in (
        (result.values, result.values_std),
        (result.combined, result.combined_std),
        (result.from_density, result.from_density_std),
    ):
        known = middle & np.isfinite(values)
        assert known.sum() >= 8
        deviation = (values[known] - exact[known]) / std[known]
        assert np.sqrt(np.mean(deviation**2)) < 1.8
    rms = lambda values: np.sqrt(np.nanmean(np.square(values - exact)[middle]))  # noqa: E731
    assert rms(result.combined) < rms(result.values) < 0.5 * np.sqrt(np.mean(exact[middle] ** 2))
    assert 0.3 < result.agreement < 3.0


def test_errors_of_bins_and_spline_are_calibrated():
    system = bed("double well")
    edges = np.linspace(-0.45, 0.45, 10)
    centres = 0.5 * (edges[1:] + edges[:-1])
    binned, spline, density = [], [], []
    # the mean over a bin differs from the force at its centre by the curvature: compare with the Boltzmann average
    fine = np.linspace(edges[:-1], edges[1:], 41)
    weight = np.exp(-system.potential(fine) / system.thermal_energy)
    exact = (system.mean_force(fine) * weight).sum(axis=0) / weight.sum(axis=0)
    for seed in range(30):
        result = ama.mean_force(system.sample(seed=seed, n_replicas=10, n_frames=2000, inner_steps=4), bins=edges)
        binned.append((result.values - exact) / result.values_std)
        spline.append((result.combined - system.mean_force(centres)) / result.combined_std)
        density.append((result.from_density - system.mean_force(centres))[1:-1] / result.from_density_std[1:-1])
    for values, low, high in ((binned, 0.58, 0.78), (spline, 0.5, 0.8), (density, 0.5, 0.8)):
        inside = np.mean(np.abs(np.array(values)) < 1)
        # 30 × 9 deviations, neighbours correlated
        assert low < inside < high


def test_potential_is_minus_the_integral_of_the_force():
    system = bed("double well")
    result = ama.mean_force(system.sample(seed=0, n_replicas=15), bins=24)
    x = np.linspace(-0.4, 0.4, 41)
    np.testing.assert_allclose(-np.gradient(result.potential(x), x)[2:-2], result.at(x)[2:-2], atol=0.5)
    shift = np.mean(result.potential(x) - system.potential(x))
    # a fraction of k_BT = 2 kJ/mol
    assert np.max(np.abs(result.potential(x) - system.potential(x) - shift)) < 0.6
    assert result(0.1) == result.at(0.1)
    # constant force beyond the data, so the potential is linear there
    far = result.knots[-1] + np.array([0.0, 1.0, 2.0])
    assert np.ptp(result.at(far)) == 0.0
    assert np.diff(result.potential(far)) == pytest.approx(-result.at(far[1:]))


def test_relaxing_data_need_the_momentum_as_regressor():
    """Released from one side all at once, the particle drifts and feels drag, which is not mean force.

    P and F are made to follow the drag law exactly, F = −kR − λP, so the regressor must take all of it.
    """
    rng = np.random.default_rng(4)
    position = rng.normal(1.0, 0.3, size=(10, 400, 3))
    momentum = 5.0 - 4.0 * position + rng.normal(size=position.shape)
    force = -20.0 * position - 3.0 * momentum
    series = ama.OrderParameters.from_arrays(
        timestep=0.1, mass=50.0, centre_of_mass=position, momentum=momentum, net_force=force
    )
    x = np.array([0.6, 1.0, 1.4])
    plain = ama.mean_force(series, intervals=1).at(x)
    fitted = ama.mean_force(series, intervals=1, relaxing=True).at(x)
    np.testing.assert_allclose(fitted, -20.0 * x, rtol=1e-3)
    assert np.max(np.abs(plain + 20.0 * x)) > 5.0


def test_held_particle_gives_the_mean_at_its_place(rng):
    force = 7.0 + rng.normal(size=(12, 500, 3))
    series = ama.OrderParameters.from_arrays(
        timestep=0.1, mass=1.0, centre_of_mass=np.full((12, 500, 3), 2.0), net_force=force
    )
    result = ama.mean_force(series)
    assert result.positions == pytest.approx([2.0], abs=1e-3)
    assert result.values[0] == pytest.approx(7.0, abs=0.1)
    assert result.values_std[0] == pytest.approx(1 / np.sqrt(6000), rel=0.6)
    assert result.at(2.0) == pytest.approx(result.values[0])
    assert result.constant == pytest.approx(force[..., 0].mean())


def test_without_positions_the_mean_over_the_run_is_still_there(rng):
    series = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, net_force=rng.normal(size=(1000, 3)))
    result = ama.mean_force(series, axis="z")
    assert len(result.positions) == 0
    assert abs(result.constant) < 4 * result.constant_std
    assert result.constant_std == pytest.approx(1 / np.sqrt(1000), rel=0.3)
    assert [n.code for n in result.warnings] == ["no_positions"]
    np.testing.assert_array_equal(result.at([0.0, 1.0]), result.constant)


def test_any_direction(rng):
    system = bed("trap, τ_R = 3 τ_P")
    series = system.sample(seed=1)
    diagonal = ama.mean_force(series, axis=[1.0, 1.0, 0.0])
    np.testing.assert_allclose(diagonal.direction, np.array([1, 1, 0]) / np.sqrt(2))
    slope = np.polyfit(diagonal.positions, diagonal.combined, 1)[0]
    assert slope == pytest.approx(-system.trap, rel=0.15)
    again = ama.MeanForce.from_dict(diagonal.to_dict())
    np.testing.assert_allclose(again.at([0.1]), diagonal.at([0.1]))


def test_free_particle_is_said_not_to_be_confined():
    series = bed("free, one mode").sample(seed=0)
    assert not confinement(series).axes.any()
    assert "not_confined" in {notice.code for notice in ama.mean_force(series).warnings}
    assert confinement(bed("trap, τ_R = 10 τ_P").sample(seed=0)).axes.all()


def test_one_confined_axis_is_found_among_free_ones():
    free, trap = (
        bed("free, one mode").sample(seed=0, n_replicas=20),
        bed("trap, τ_R = 3 τ_P").sample(seed=1, n_replicas=20),
    )
    position = free.centre_of_mass.copy()
    position[..., 1] = trap.centre_of_mass[..., 1]
    series = ama.OrderParameters.from_arrays(timestep=0.02, mass=520.0, centre_of_mass=position)
    assert confinement(series).axes.tolist() == [False, True, False]


def test_one_long_run_is_judged_by_its_pieces():
    system = GeneralizedLangevin(trap=100.0)
    assert confinement(system.sample(seed=0, n_replicas=1, n_frames=40_000)).axes.all()
    assert not confinement(bed("free, one mode").sample(seed=0, n_replicas=1, n_frames=40_000)).axes.any()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (dict(axis="w"), "axis must be 'x', 'y', 'z'"),
        (dict(axis=[0, 0, 0]), "axis must be"),
        (dict(axis=3), "axis must be"),
        (dict(bins=0), "bins must be a number of bins"),
        (dict(bins=[1.0, 0.0]), "each larger than the one before"),
        (dict(bins=[50.0, 60.0]), "No frame has its position between 50 and 60 nm"),
        (dict(temperature=-1.0), "temperature must be a positive number"),
        (dict(intervals=0), "intervals must be"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence):
    series = bed("trap, τ_R = 3 τ_P").sample(seed=0, n_replicas=2, n_frames=500)
    with pytest.raises(InputError, match=sentence):
        ama.mean_force(series, **arguments)


def test_too_little_data_and_no_forces(rng):
    few = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, net_force=np.cumsum(rng.normal(size=(60, 3)), axis=0))
    with pytest.raises(InsufficientDataError, match="a mean needs about 30"):
        ama.mean_force(few)
    with pytest.raises(MissingFieldError, match="No net force"):
        ama.mean_force(ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=rng.normal(size=(60, 3))))


def test_gibbs_check_passes_one_ensemble_and_flags_a_stuck_replica():
    system = bed("trap, τ_R = 3 τ_P")
    p_values = []
    for seed in range(20):
        series = system.sample(seed=seed, n_replicas=8, n_frames=4000)
        check = ama.gibbs_check(series, "centre_of_mass")
        p_values.append(check.p_value)
        assert check.stuck == ()
        inside = np.abs(check.running[-1]) < 4 * check.running_std[-1]
        assert inside.all()
    # uniform between 0 and 1 where replicas agree
    assert 0.3 < np.mean(p_values) < 0.75
    assert min(p_values) > 1e-4
    moved = series.centre_of_mass.copy()
    moved[3, :, 0] += 0.35
    stuck = ama.OrderParameters.from_arrays(timestep=0.02, mass=520.0, centre_of_mass=moved)
    check = ama.gibbs_check(stuck, "centre_of_mass")
    assert check.stuck == (3,)
    assert "stuck: 3" in check.warnings[0].message
    assert type(check).from_dict(check.to_dict()).chi_square == check.chi_square
    with pytest.raises(InputError, match="quantity must be one of"):
        ama.gibbs_check(series, "weight")


def test_gibbs_check_of_a_single_run_has_no_chi_square():
    check = ama.gibbs_check(bed("free, one mode").sample_held(seed=0, n_replicas=1, n_frames=2000))
    assert np.isnan(check.chi_square)
    assert np.all(np.diff(check.times) > 0)
    assert np.abs(check.running[-1] / check.running_std[-1]).max() < 4


def test_scaled_variables_keep_the_energy(rng):
    """f^th = ε^-½ F^th against Φ = ε^½ R: −∫ f^th dΦ is the potential of R."""
    from amaexplore.synthetic import BEDS

    profile = ama.mean_force(BEDS["trap, τ_R = 3 τ_P"].sample(seed=1, n_frames=3000), axis="x", bins=12)
    epsilon = 0.04
    scaled = profile.scaled(epsilon)
    R = np.linspace(profile.bins[0], profile.bins[-1], 40)
    assert scaled.at(0.2 * R) == pytest.approx(5.0 * profile.at(R))
    assert scaled.potential(0.2 * R) == pytest.approx(profile.potential(R), abs=1e-10)
    assert scaled.combined_std == pytest.approx(5.0 * profile.combined_std)
    assert scaled.scaled(1.0 / epsilon).combined == pytest.approx(profile.combined)
    with pytest.raises(InputError, match="positive number"):
        profile.scaled(0.0)


def test_what_a_mean_force_says_of_itself_and_is_without_a_profile(rng):
    series = ama.OrderParameters.from_arrays(
        timestep=0.1, mass=50.0, net_force=3.0 + rng.normal(size=(4, 500, 3)), temperature=300.0
    )
    plain = ama.mean_force(series, "z")
    # without positions it is the same everywhere, and has no error along R to draw
    np.testing.assert_array_equal(plain.at(np.array([-1.0, 0.0, 7.0])), plain.constant)
    assert abs(plain.constant - 3.0) < 4.0 * plain.constant_std
    assert plain.sample(rng) is plain
    assert [name for name, _ in plain.summary()] == ["axis", "mean over the run"]
    whole = ama.mean_force(GeneralizedLangevin(trap=50.0).sample(seed=1, n_replicas=2, n_frames=3000), "x")
    words = dict(whole.summary())
    assert words["bins"] == f"{len(whole.positions)} from {whole.bins[0]:.4g} to {whole.bins[-1]:.4g} nm"
    assert words["binned against spline"].startswith(f"χ² per bin {whole.agreement:.2g} ")
