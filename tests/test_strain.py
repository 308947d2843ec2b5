"""Numbers far from those of everyday: what is right in one system of units is right in all, and what cannot be is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import amaexplore as ama
from amaexplore.errors import AmaError
from amaexplore.synthetic import bed
from amaexplore.units import BOLTZMANN

SERIES = bed("free, one mode").sample(seed=5)
KELVIN = bed("free, one mode").temperature


def scaled(series, mass, length, time):
    """The same motion told in other units: every number that comes out must scale with its dimension."""
    return ama.OrderParameters.from_arrays(
        timestep=series.timestep * time,
        mass=series.mass * mass,
        centre_of_mass=series.centre_of_mass * length,
        momentum=series.momentum * mass * length / time,
        net_force=series.net_force * mass * length / time**2,
        temperature=KELVIN * mass * length**2 / time**2,
    )


@pytest.mark.parametrize(
    ("mass", "length", "time"),
    [
        (1e6, 1.0, 1.0),
        (1e-6, 1.0, 1.0),
        (1.0, 1e4, 1.0),
        (1.0, 1e-4, 1.0),
        (1.0, 1.0, 1e6),
        (1.0, 1.0, 1e-6),
        (1e12, 1e3, 1e-3),
    ],
)
def test_no_hidden_scale(mass, length, time):
    """Twelve orders of magnitude in mass and time, eight in length: nothing is compared with a bare number."""
    plain, other = scaled(SERIES, 1.0, 1.0, 1.0), scaled(SERIES, mass, length, time)
    before, after = (ama.analyze(one, regime="both") for one in (plain, other))
    for name, factor in (("diffusion", length**2 / time), ("diffusion_std", length**2 / time), ("window", time)):
        assert getattr(after.gamma, name) == pytest.approx(factor * getattr(before.gamma, name), rel=1e-6), name
    for name, factor in (("friction", mass / time), ("friction_std", mass / time), ("relaxation_time", time)):
        assert getattr(after.theta, name) == pytest.approx(factor * getattr(before.theta, name), rel=1e-6), name
    # the length over which a free particle has to diffuse is a choice, in nm unless it is given
    before_times, after_times = ama.diagnose(plain, length=2.0), ama.diagnose(other, length=2.0 * length)
    assert after_times.label == before_times.label
    for name in ("tau_force", "tau_momentum", "tau_position"):
        assert getattr(after_times, name) == pytest.approx(time * getattr(before_times, name), rel=1e-6), name
    assert {n.code for n in after.warnings} == {n.code for n in before.warnings}


def assert_one_line(error):
    assert str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["momentum", "net_force", "centre_of_mass"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_one_number_that_is_none(name, value):
    arrays = {key: getattr(SERIES, key).copy() for key in ("momentum", "net_force", "centre_of_mass")}
    arrays[name][0, 777, 1] = value
    try:
        series = ama.OrderParameters.from_arrays(
            timestep=SERIES.timestep, mass=SERIES.mass, temperature=KELVIN, **arrays
        )
        found = ama.analyze(series)
    except AmaError as error:
        assert_one_line(error)
        return
    # what does not need the broken field is there, and nothing that came of it is
    for result, fields in ((found.gamma, {"momentum"}), (found.theta, {"momentum", "net_force"})):
        assert result is None or name not in fields or value == 1e300
        assert result is None or np.isfinite(result.isotropic) or value == 1e300


@pytest.mark.parametrize("what", ["at rest", "uniform motion", "constant force", "no force", "held without force"])
def test_nothing_happens(what):
    """Zero variance: an answer or a sentence, no division by it."""
    shape = (3000, 3)
    momentum = np.zeros(shape) if what != "uniform motion" else np.tile([1.0, 2.0, 3.0], (3000, 1))
    if what == "no force":
        momentum = np.random.default_rng(2).normal(size=shape)
    force = np.zeros(shape) if what != "constant force" else np.ones(shape)
    series = ama.OrderParameters.from_arrays(
        timestep=0.1, mass=100.0, momentum=momentum, net_force=force, centre_of_mass=np.cumsum(momentum, axis=0) * 1e-3, temperature=300.0
    )  # fmt: skip
    try:
        found = ama.analyze(series)
    except AmaError as error:
        assert_one_line(error)
        return
    assert found.warnings
    json_text = str(found.to_dict())
    assert "inf" not in json_text.replace("info", "")


def test_one_atom_and_all_atoms(rng):
    velocities = rng.normal(size=(2000, 6, 3))
    arrays = {
        "velocities": velocities,
        "positions": np.cumsum(velocities, axis=0) * 0.01,
        "forces": rng.normal(size=(2000, 6, 3)),
    }
    trajectory = ama.Trajectory.from_arrays(masses=np.full(6, 12.0), timestep=0.01, **arrays)
    one, everything = trajectory.order_parameters([3]), trajectory.order_parameters("all")
    assert one.epsilon == 1.0
    np.testing.assert_allclose(one.momentum, 12.0 * velocities[:, 3])
    np.testing.assert_allclose(everything.momentum, 12.0 * velocities.sum(axis=1))
    assert ama.analyze(trajectory, select=[3]).gamma is not None


def test_a_million_frames():
    """An Ornstein-Uhlenbeck momentum for a million steps: the exact coefficient, and errors a tenth of those of 10⁴ steps."""
    from scipy.signal import lfilter

    rng = np.random.default_rng(8)
    mass, rate, step, kelvin = 50.0, 1.0, 0.05, 300.0
    forget = np.exp(-rate * step)
    kicks = rng.normal(scale=np.sqrt(mass * BOLTZMANN * kelvin * (1.0 - forget**2)), size=(1_000_000, 3))
    series = ama.OrderParameters.from_arrays(
        timestep=step, mass=mass, momentum=lfilter([1.0], [1.0, -forget], kicks, axis=0), temperature=kelvin
    )
    found = ama.gamma(series, window=12.0, estimator="window")
    exact = mass * BOLTZMANN * kelvin / rate
    assert found.isotropic_std < 0.03 * exact
    # the trapezoid of an exponential: x/2 coth(x/2) with x = rate · step
    assert abs(found.isotropic - exact) < 4.0 * found.isotropic_std


friction = st.floats(-2.0, 2.0).map(lambda x: 10.0**x)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    mass=st.floats(0.0, 4.0).map(lambda x: 10.0**x),
    rate=friction,
    kelvin=st.floats(1.0, 3.0).map(lambda x: 10.0**x),
    barrier=st.floats(0.0, 4.0),
    place=st.floats(-0.8, 0.8),
)
def test_phase_space_keeps_its_probability(mass, rate, kelvin, barrier, place):
    """From light to heavy, from hardly damped to overdamped: ∫∫W = 1 and W ≥ 0, and the marginal is that of the equilibrium in the end."""
    thermal = BOLTZMANN * kelvin
    oscillation = np.sqrt(8.0 * max(barrier, 0.5) * thermal / mass)

    def well(x):
        return barrier * thermal * (x**2 - 1.0) ** 2

    grid = ama.Grid(-1.8, 1.8, 90)
    equation = ama.FokkerPlanck(grid, mass, rate * oscillation * mass, potential=well, temperature=kelvin)
    found = equation.evolve(("gaussian", place, 0.3), np.linspace(0.0, 3.0, 7) / oscillation)
    np.testing.assert_allclose(found.probability, 1.0, atol=1e-12)
    assert np.asarray(found.values).min() >= 0.0
    assert np.isfinite(np.asarray(found.values)).all()


def test_solvers_refuse_what_has_no_meaning():
    grid = ama.Grid(-1.0, 1.0, 50)
    for bad in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(AmaError):
            ama.Smoluchowski(grid, bad, potential=lambda x: 0.0 * x, temperature=300.0)
        with pytest.raises(AmaError):
            ama.FokkerPlanck(grid, 10.0, bad, potential=lambda x: 0.0 * x, temperature=300.0)
        with pytest.raises(AmaError):
            ama.Smoluchowski(grid, 1.0, potential=lambda x: 0.0 * x, temperature=bad)
