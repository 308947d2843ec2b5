"""The whole chain on systems whose coefficients are known exactly, and what is said when a link is missing."""

import json
import re

import numpy as np
import pytest

import amaexplore as ama
from amaexplore.errors import InputError, SelectionError, UnevenTimesError
from amaexplore.order_parameters import OrderParameters
from amaexplore.synthetic import GeneralizedLangevin

KEYS = {
    "version": None,
    "input": {"files", "n_atoms", "n_frames", "timestep", "duration", "velocities", "forces"},
    "subset": {"selection", "n_atoms", "mass"},
    "typical_mass": None,
    "epsilon": None,
    "temperature": {"value", "std", "source"},
    "order_parameters": {"centre_of_mass_first", "momentum_first", "net_force_first", "net_force_mean"},
    "gamma": {"window", "estimator", "tensor", "tensor_std", "isotropic", "isotropic_std", "trace", "unit"},
    "diffusion": {"isotropic", "isotropic_std", "unit"},
    "theta": {
        "window",
        "estimator",
        "tensor",
        "tensor_raw",
        "isotropic_raw",
        "isotropic_raw_std",
        "trace",
        "unit",
    },
    "friction": {"isotropic", "isotropic_std", "unit"},
    "mean_force": {"value", "std"},
    "consistency": {"gamma_theta_ratio", "std"},
    "regime": {"selected", "verdicts", "tau_force", "tau_momentum", "tau_position"},
    "warnings": None,
}

FREE = GeneralizedLangevin()
TRAP = GeneralizedLangevin(trap=50.0)


@pytest.fixture(scope="module")
def free():
    return ama.analyze(FREE.sample(seed=3, n_replicas=8, n_frames=6000))


@pytest.fixture(scope="module")
def trapped():
    return ama.analyze(TRAP.sample(seed=3, n_replicas=8, n_frames=6000))


def assert_json_is_complete(document):
    json.loads(json.dumps(document, allow_nan=False))
    for key, inner in KEYS.items():
        assert key in document
        if inner is not None:
            assert inner <= set(document[key]), key
    assert all(set(item) == {"code", "message"} for item in document["warnings"])


def test_free_particle_meets_its_exact_coefficients(free):
    # 8 runs of 80 τ_P; three standard errors
    assert abs(free.theta.friction - FREE.friction) < 3 * free.theta.friction_std
    assert free.theta.friction_std < 0.1 * FREE.friction
    assert abs(free.gamma.isotropic - FREE.gamma) < 3 * free.gamma.isotropic_std
    assert abs(free.consistency - 1) < 3 * free.consistency_std
    assert abs(free.mean_force.constant) < 3 * free.mean_force.constant_std
    assert free.diagnosis.label == "both"


def test_consistency_is_a_check_and_not_an_identity(free):
    # γ and θ of one kernel plateau multiply to (m k_BT)² exactly; the ratio shown must not be that product
    by_construction = free.gamma.isotropic * free.theta.isotropic_raw / (520.0 * 0.00831446261815324 * 240.0) ** 2
    # up to the small off-diagonal elements of the tensors
    assert by_construction == pytest.approx(1.0, abs=0.05)
    assert free.consistency != pytest.approx(by_construction, abs=1e-6)


def test_json_has_every_key_and_is_strict_json(free):
    document = free.to_dict()
    assert_json_is_complete(document)
    theta = document["theta"]
    np.testing.assert_allclose(np.array(theta["tensor"]) * document["epsilon"], theta["tensor_raw"], rtol=1e-12)
    assert theta["trace"] == pytest.approx(np.trace(theta["tensor"]))
    assert document["gamma"]["trace"] == pytest.approx(3 * document["gamma"]["isotropic"])
    kelvin = document["temperature"]["value"]
    assert document["friction"]["isotropic"] == pytest.approx(theta["isotropic_raw"] / (0.00831446261815324 * kelvin))
    assert document["diffusion"]["isotropic"] == pytest.approx(document["gamma"]["isotropic"] / 520.0**2)


def test_a_given_window_and_temperature_are_used():
    series = FREE.sample(seed=4, n_replicas=4, n_frames=2000)
    analysis = ama.analyze(series, window=1.0, temperature=300.0, axis="z", regime="smoluchowski")
    assert analysis.gamma.window == pytest.approx(1.0)
    assert analysis.theta.window == pytest.approx(1.0)
    assert (analysis.temperature, analysis.temperature_source) == (300.0, "given")
    assert analysis.mean_force.axis == "z"
    assert analysis.to_dict()["regime"]["selected"] == "smoluchowski"


def test_the_recoil_of_a_host_that_was_not_stored():
    series = FREE.sample(seed=7, n_replicas=4, n_frames=3000)
    plain = ama.analyze(series, estimator="window", window=3.0)
    recoiling = ama.analyze(series, estimator="window", window=3.0, total_mass=4 * series.mass)
    # μ = 3m/4, and the integral of ⟨PP⟩ is too small by (μ/m)²
    assert recoiling.gamma.isotropic == pytest.approx(plain.gamma.isotropic / 0.75**2)
    assert recoiling.series.effective_mass == pytest.approx(0.75 * series.mass)
    with pytest.raises(InputError, match="larger than the nanoparticle's 520"):
        ama.analyze(series, total_mass=500.0)


def test_prediction_in_a_trap_relaxes_to_boltzmann(trapped):
    prediction = trapped.predict("smoluchowski")
    density = prediction.density
    np.testing.assert_allclose(density.probability, 1.0, atol=1e-12)
    assert density.values.min() >= 0
    final, boltzmann = density.values[-1], prediction.equation.equilibrium()
    # after four relaxation times e^-4 of the start is left
    assert np.abs(final - boltzmann).max() < 0.05 * boltzmann.max()
    # the variance of the trap is k_BT/k; over these 960 ps the slope of the force is known to √(2θ/T)/σ_R = 12 %
    expected = 0.00831446261815324 * trapped.temperature / 50.0
    assert density.variance[-1] == pytest.approx(expected, rel=0.36)
    assert "fitted to the data" in prediction.force_used


def test_both_regimes_of_a_free_particle_spread_alike(free):
    smoluchowski = free.predict("smoluchowski", horizon=60.0).density
    fokker_planck = free.predict("fokker-planck", horizon=60.0).density
    # after 40 τ_P they differ by the ballistic start: 2Dτ_P of 2D·60 ps, and by the errors of γ and θ
    assert smoluchowski.variance[-1] == pytest.approx(fokker_planck.variance[-1], rel=0.15)
    start = smoluchowski.variance[0]
    expected = start + 2 * free.gamma.diffusion * 60.0
    assert smoluchowski.variance[-1] == pytest.approx(expected, rel=0.01)


def test_without_forces_theta_is_null_with_its_reason():
    series = FREE.sample(seed=5, n_replicas=4, n_frames=3000)
    only_momentum = OrderParameters.from_arrays(
        timestep=series.timestep, mass=series.mass, momentum=series.momentum, temperature=240.0
    )
    analysis = ama.analyze(only_momentum)
    document = analysis.to_dict()
    assert_json_is_complete(document)
    assert analysis.theta is None or np.isfinite(analysis.theta.friction)
    assert document["mean_force"]["value"] is None
    codes = {item["code"]: item["message"] for item in document["warnings"]}
    assert "holds no forces" in codes["mean_force_unavailable"]
    assert abs(analysis.gamma.isotropic - FREE.gamma) < 4 * analysis.gamma.isotropic_std


def test_positions_alone_give_nulls_and_reasons(rng):
    series = OrderParameters.from_arrays(timestep=1.0, mass=10.0, centre_of_mass=rng.normal(size=(50, 3)))
    document = ama.analyze(series).to_dict()
    assert_json_is_complete(document)
    assert document["gamma"]["isotropic"] is None
    assert document["theta"]["tensor"] is None
    assert document["temperature"]["value"] is None
    assert {"gamma_unavailable", "theta_unavailable", "mean_force_unavailable"} <= {
        item["code"] for item in document["warnings"]
    }


def test_report_is_one_offline_page(free, tmp_path):
    page = free.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "γ (28), per axis" in page
    assert "Reduced density, fokker-planck" in page
    # nothing is fetched: every script stands in the page
    # what BokehJS itself says about images stands inside its script and loads nothing
    tags = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    assert "<script" in tags
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", tags)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(regime="brownian"), "regime 'brownian' is not known"),
        (dict(axis="w"), "axis must be"),
        (dict(window=-1.0), "window must be a positive number of ps"),
        (dict(temperature=float("nan")), "temperature must be a positive number of K"),
        (dict(window=1e6), "window"),
        (dict(estimator="magic"), "No estimator 'magic'"),
    ],
)
def test_bad_choices_get_a_sentence(options, sentence):
    series = FREE.sample(seed=6, n_replicas=2, n_frames=400)
    with pytest.raises(InputError, match=sentence):
        ama.analyze(series, **options)


def test_one_frame_and_uneven_times(rng):
    with pytest.raises(InputError, match="only one frame"):
        ama.analyze(OrderParameters(time=np.zeros(1), mass=1.0, momentum=np.ones((1, 3))))
    time = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    with pytest.raises(UnevenTimesError, match="longest even stretch is frames 3 to 9"):
        ama.analyze(OrderParameters(time=time, mass=1.0, momentum=rng.normal(size=(10, 3))))


def closed_system(rng, n_frames=40):
    """Six atoms whose forces cancel pairwise: all that was simulated."""
    forces = rng.normal(size=(n_frames, 6, 3)) * 100
    forces -= forces.mean(axis=1, keepdims=True)
    velocities = rng.normal(size=(n_frames, 6, 3))
    velocities -= velocities.mean(axis=1, keepdims=True)
    return ama.Trajectory.from_arrays(
        positions=rng.normal(size=(n_frames, 6, 3)),
        velocities=velocities,
        forces=forces,
        masses=np.full(6, 40.0),
        timestep=0.1,
    )


def test_selecting_everything_leaves_no_host(rng):
    trajectory = closed_system(rng)
    with pytest.raises(SelectionError, match="host"):
        ama.analyze(trajectory, select="all")
    assert ama.analyze(trajectory, select="index 0 to 2").series.n_atoms == 3
    with pytest.raises(SelectionError, match="Say which atoms are the nanoparticle"):
        ama.analyze(trajectory)


def test_what_is_said_of_both_coefficients_says_of_which():
    short = FREE.sample(seed=1, n_replicas=1, n_frames=800, timestep=0.02)
    messages = [
        notice.message for notice in ama.analyze(short, temperature=240).warnings if notice.code == "short_blocks"
    ]
    assert [message[:2] for message in messages] == ["γ:", "θ:"], messages
