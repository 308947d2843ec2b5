"""What the density step shows beside W̃: initial states, fans, modes, passage times, other masses; without drawing."""

import asyncio
import dataclasses
import json
import threading
import time

import numpy as np
import pytest
from explorer_systems import MASS, RATE, THERMAL, brownian_particle

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.prediction import mass_ladder
from amaexplore.reduced_density.initial import density_of_samples, drawn_density
from amaexplore.units import BOLTZMANN

KELVIN = THERMAL / BOLTZMANN


@pytest.fixture(scope="module")
def particle():
    return brownian_particle()


@pytest.fixture(scope="module")
def analysis(particle):
    return ama.analyze(particle)


def well(n_frames=20000, seed=3):
    """R, P and F of a strongly damped particle in a harmonic well, by exact steps of the overdamped motion."""
    rng = np.random.default_rng(seed)
    stiffness, relax, step = 50.0, 5.0, 0.5
    sigma, forget = np.sqrt(THERMAL / stiffness), np.exp(-step / relax)
    kicks = rng.normal(scale=sigma * np.sqrt(1.0 - forget**2), size=(n_frames, 3))
    position = np.empty_like(kicks)
    position[0] = kicks[0]
    for k in range(1, n_frames):
        position[k] = forget * position[k - 1] + kicks[k]
    force = -stiffness * position + rng.normal(scale=40.0, size=position.shape)
    return ama.OrderParameters.from_arrays(
        timestep=step,
        mass=MASS,
        momentum=rng.normal(scale=np.sqrt(MASS * THERMAL), size=position.shape),
        net_force=force,
        centre_of_mass=position,
        temperature=KELVIN,
    )


# -- initial states --------------------------------------------------------------------------------------------


def test_a_drawn_density_is_what_was_drawn():
    drawn = drawn_density([(0.0, 0.0), (2.0, -1.0), (1.0, 3.0)])
    # away from the corner a smoothed straight line is itself
    assert drawn(0.5) == pytest.approx(1.5, rel=1e-9)
    assert drawn(np.array([-1.0, 5.0])).tolist() == [0.0, 0.0]
    assert 2.8 < drawn(1.0) < 3.0
    w = ama.Smoluchowski(ama.Grid(-1.0, 3.0, 400), diffusion=0.1, temperature=300.0).evolve(drawn, [0.0, 1.0])
    assert w.probability == pytest.approx([1.0, 1.0], abs=1e-10)
    assert w.mean[0] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("points", [[], [(0, 1)], [(0, 1), (0, 2)], [(0, 0), (1, -1)], [(0, np.nan), (1, 1)], "line"])
def test_what_is_no_drawing_is_refused(points):
    with pytest.raises(InputError, match="drawn density needs"):
        drawn_density(points)


def test_a_density_of_samples_has_their_moments(rng):
    samples = rng.normal(0.3, 0.2, size=4000)
    density = density_of_samples(samples)
    places = np.linspace(-1.5, 2.0, 2001)
    weights = density(places)
    weights /= weights.sum()
    mean = weights @ places
    assert mean == pytest.approx(samples.mean(), abs=1e-3)
    # the kernels add their own width
    assert samples.std() < np.sqrt(weights @ (places - mean) ** 2) < 1.04 * samples.std()
    with pytest.raises(InputError, match="two different positions"):
        density_of_samples([1.0, 1.0])


def test_predictions_begin_where_they_are_told(analysis, particle):
    along = particle.centre_of_mass[:, 0]
    from_data = analysis.predict("smoluchowski", initial="data", horizon=20.0, n_times=5)
    assert from_data.density.mean[0] == pytest.approx(along.mean(), abs=0.02 * along.std())
    points = [(along[0] - 2.0, 0.0), (along[0], 1.0), (along[0] + 2.0, 0.0)]
    for regime in ("smoluchowski", "fokker-planck"):
        drawn = analysis.predict(regime, initial=("drawn", points), horizon=20.0, n_times=5)
        # a triangle of half width b has variance b²/6
        assert drawn.density.mean[0] == pytest.approx(along[0], abs=0.01)
        assert drawn.density.variance[0] == pytest.approx(4.0 / 6.0, rel=0.03)
        np.testing.assert_allclose(drawn.initial_values, drawn.density.values[0], atol=2e-3)
    with pytest.raises(InputError, match='"data"'):
        analysis.predict("smoluchowski", initial="somewhere")


# -- uncertainty -----------------------------------------------------------------------------------------------


def test_the_fan_is_the_propagated_error_of_d(analysis):
    prediction = analysis.predict("smoluchowski", horizon=40.0, n_times=5)
    fan = prediction.fan(n=200)
    # W of a free Gaussian at its centre goes as 1/√(σ₀² + 2Dt)
    centre = np.argmax(prediction.density.values[-1])
    variance, growth = prediction.density.variance[-1], 2.0 * prediction.diffusion * 40.0
    expected = prediction.density.values[-1, centre] * 0.5 * growth / variance
    expected *= prediction.diffusion_std / prediction.diffusion
    assert prediction.diffusion_std == analysis.gamma.diffusion_std
    # 200 draws know their spread to 5 %; the curvature of W adds a few per cent
    assert fan.values_std[-1, centre] == pytest.approx(expected, rel=0.2)
    assert fan.values_std[0].max() < 1e-9
    np.testing.assert_array_equal(prediction.fan(n=3).samples, fan.samples[:3])


def test_sample_paths_are_those_of_the_density(analysis):
    for regime in ("smoluchowski", "fokker-planck"):
        prediction = analysis.predict(regime, horizon=40.0, n_times=5, n_cells=96)
        paths, density = prediction.sample_paths(n=20_000), prediction.density
        np.testing.assert_array_equal(paths.times, density.times)
        std = np.sqrt(density.variance)
        assert np.abs(paths.mean[:, 0] - density.mean).max() < 0.05 * std.max()
        np.testing.assert_allclose(paths.positions[:, :, 0].std(axis=1), std, rtol=0.03)
        np.testing.assert_array_equal(prediction.sample_paths(n=3).positions, prediction.sample_paths(n=3).positions)


def test_the_fan_of_the_fokker_planck_equation(analysis):
    prediction = analysis.predict("fokker-planck", horizon=40.0, n_times=5, n_cells=96)
    fan, other = prediction.fan(n=12), analysis.predict("smoluchowski", horizon=40.0, n_times=5, n_cells=96).fan(n=12)
    assert fan.values.shape == prediction.density.values.shape
    # long after τ_P both equations are uncertain by the same amount; each is known to 20 % from 12 draws
    ratio = fan.values_std[-1].max() / other.values_std[-1].max()
    relative = analysis.theta.relative_error / analysis.gamma.relative_error
    assert 0.5 < ratio / relative < 2.0


def test_drawn_mean_forces_scatter_by_their_error(rng):
    force = ama.mean_force(well())
    samples = np.array([force.sample(rng).at(force.positions) for _ in range(400)])
    known = np.isfinite(force.combined_std)
    # the spread of 400 Gaussian draws is known to 4 %
    np.testing.assert_allclose(samples.std(axis=0)[known], force.combined_std[known], rtol=0.2)
    np.testing.assert_allclose(
        samples.mean(axis=0)[known], force.combined[known], atol=5.0 * force.combined_std.max() / 20.0
    )
    again = type(force).from_dict(force.to_dict())
    np.testing.assert_array_equal(again.left_out, force.left_out)


# -- modes and passage times -----------------------------------------------------------------------------------


def test_the_modes_of_a_well_are_hermite_functions():
    stiffness, diffusion = 20.0, 0.03
    sigma, rate = np.sqrt(THERMAL / stiffness), diffusion * stiffness / THERMAL
    grid = ama.Grid(-8.0 * sigma, 8.0 * sigma, 800)
    equation = ama.Smoluchowski(
        grid, diffusion=diffusion, potential=lambda r: 0.5 * stiffness * r**2, temperature=KELVIN
    )
    rates, modes = equation.relaxation_modes(3)
    np.testing.assert_allclose(rates, rate * np.arange(1, 4), rtol=1e-3)
    np.testing.assert_allclose(rates, equation.relaxation_rates(3), rtol=1e-9)
    first = grid.centres * np.exp(-0.5 * (grid.centres / sigma) ** 2)
    first /= np.abs(first).sum() * grid.width
    np.testing.assert_allclose(modes[0], first, atol=2e-4 * first.max())
    np.testing.assert_allclose(modes.sum(axis=1) * grid.width, 0.0, atol=1e-9)
    # a mode put into the equation decays at its own rate
    start = equation.equilibrium() + 0.2 * modes[0] * equation.equilibrium().max() / modes[0].max() * 0.5
    assert start.min() > -1e-9 * start.max()
    w = equation.evolve(np.maximum(start, 0.0), [0.0, 1.0 / rate])
    left = (w.values[1] - equation.equilibrium()) @ np.sign(grid.centres)
    assert left / ((w.values[0] - equation.equilibrium()) @ np.sign(grid.centres)) == pytest.approx(
        np.exp(-1), rel=1e-3
    )


def test_modes_on_a_ring_with_a_current_are_refused():
    grid = ama.Grid(0.0, 1.0, 100, boundary="periodic")
    ring = ama.Smoluchowski(grid, diffusion=0.1, mean_force=5.0, temperature=KELVIN)
    with pytest.raises(InputError, match="complex pairs"):
        ring.relaxation_modes(2)


def test_the_time_to_a_place(analysis):
    prediction = analysis.predict(
        "smoluchowski", horizon=40.0, n_times=5, lower=0.0, upper=4.0, initial=("gaussian", 1.0, 0.1)
    )
    passage = prediction.first_passage(3.0)
    # free diffusion from a wall at 0: (b² − x²)/2D
    below = passage.positions < 2.9
    exact = (9.0 - passage.positions[below] ** 2) / (2.0 * prediction.diffusion)
    np.testing.assert_allclose(passage.times[below], exact, rtol=0.03)
    assert passage.mean == pytest.approx((9.0 - 1.0 - 0.01) / (2.0 * prediction.diffusion), rel=0.03)
    assert passage.mean_std / passage.mean == pytest.approx(analysis.gamma.relative_error)
    with pytest.raises(InputError, match="outside the grid"):
        prediction.first_passage(5.0)


# -- another mass ----------------------------------------------------------------------------------------------


def test_lighter_particles_bring_the_two_equations_together(analysis):
    prediction = analysis.predict("fokker-planck", horizon=20.0, n_times=11, n_cells=96)
    ladder = mass_ladder(prediction, epsilon=0.1)
    own = int(np.flatnonzero(ladder.factors == 1.0)[0])
    np.testing.assert_array_equal(ladder.fokker_planck[own], prediction.density.values)
    np.testing.assert_allclose(ladder.epsilon * ladder.factors, 0.1)
    # ζ stays: τ_P is proportional to the mass
    assert ladder.tau_momentum[own] == pytest.approx(MASS / prediction.friction)
    assert 1.0 / ladder.tau_momentum[own] == pytest.approx(RATE, rel=0.1)
    np.testing.assert_allclose(ladder.tau_momentum / ladder.factors, ladder.tau_momentum[own])
    assert (np.diff(ladder.distance[:, -1]) > 0.0).all()
    # for t ≫ τ_P the distance of the two goes as τ_P/t: halving the mass halves it
    light = ladder.distance[:4, -1]
    np.testing.assert_allclose(light[1:] / light[:-1], 2.0, rtol=0.25)
    with pytest.raises(InputError, match="mass changes equation"):
        mass_ladder(analysis.predict("smoluchowski", horizon=5.0, n_times=3), 0.1)


def test_the_noise_of_particles_is_no_distance(analysis):
    # absorbing ends are the affair of particles
    prediction = analysis.predict("fokker-planck", horizon=1.0, n_times=3, n_cells=48, boundary="absorbing")
    ladder = mass_ladder(prediction, epsilon=0.1, factors=(1.0, 2.0))
    assert ladder.distance.shape == (2, 3)
    assert np.isnan(ladder.distance).all()
    assert np.isfinite(ladder.fokker_planck).all()


def test_another_mass_by_the_times_of_the_real_one(analysis):
    diagnosis = analysis.diagnosis
    tau, fast, memory = diagnosis.with_mass([1.0, 4.0])
    np.testing.assert_allclose(tau, [diagnosis.tau_momentum, 4.0 * diagnosis.tau_momentum])
    assert fast[0] == pytest.approx(diagnosis.verdicts["smoluchowski"]["ratio"])
    assert memory[0] == pytest.approx(diagnosis.verdicts["fokker-planck"]["ratio"])
    assert fast[1] == pytest.approx(4.0 * fast[0])
    assert memory[1] == pytest.approx(memory[0] / 4.0)


# -- the page, without a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explorer(particle):
    explorer = ama.explore(particle)
    assert explorer.session.wait(60)
    yield explorer
    explorer.session.stop()


def drawn_line(points):
    """What the page sends when a curve is finished: all bins, most of them empty."""
    heights = dict(points)
    return json.dumps([[place, heights.get(place, 0.0)] for place in np.linspace(-4.0, 4.0, 33).tolist()])


def test_any_direction_is_typed_and_undone(explorer):
    session, step = explorer.session, explorer.density
    step.direction.value = "1, 1, 0"
    assert session.axis == [1.0, 1.0, 0.0]
    assert step.axis.value is None
    assert session.result("mean_force", 60).axis == "(0.7071, 0.7071, 0)"
    along = session.latest("series").centre_of_mass @ np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)
    assert session.result("smoluchowski", 60).initial[1] == pytest.approx(along[0])
    step.direction.value = "nonsense"
    assert step.direction.value == "1, 1, 0"
    step.axis.value = "y"
    assert session.axis == "y"
    assert step.direction.value == ""
    step.direction.value = "0 0 0"
    assert session.wait(60)
    assert "direction of three numbers" in step.message.value
    session.axis = "x"
    assert session.wait(60)


def test_a_curve_drawn_with_the_mouse_becomes_the_initial_state(explorer):
    session, step, sketch = explorer.session, explorer.density, explorer.dashboard.lines.sketch
    assert not sketch.enabled
    step.start.value = "draw"
    assert sketch.enabled
    assert "draw" in step.facts.value
    sketch.mail.name = drawn_line([(-1.0, 0.5), (-0.75, 1.0), (-0.5, 1.0), (-0.25, 0.5)])
    assert [place for place, _ in session.initial["points"]] == [-1.25, -1.0, -0.75, -0.5, -0.25, 0.0]
    prediction = session.result("smoluchowski", 60)
    assert prediction.density.mean[0] == pytest.approx(-0.625, abs=0.01)
    again = ama.Session.from_dict(json.loads(json.dumps(session.to_dict())), data=session.data_in_memory)
    assert again.initial == session.initial
    # a slip of the mouse that draws nothing changes nothing
    sketch.mail.name = drawn_line([])
    sketch.mail.name = "not a curve"
    assert session.latest("smoluchowski") is prediction
    step.start.value = "data"
    assert session.initial == {"kind": "data"}
    assert not sketch.enabled
    step.start.value = "gaussian"
    assert session.initial == {}
    assert session.wait(60)


def test_the_horizon_in_natural_units(explorer):
    session, step = explorer.session, explorer.density
    tau = session.latest("diagnosis").tau_momentum
    step.unit.value = "τ_P"
    step.horizon.value = "10"
    assert session.horizon == pytest.approx(10.0 * tau, rel=1e-5)
    step.unit.value = "ps"
    assert float(step.horizon.value) == pytest.approx(10.0 * tau, rel=1e-4)
    step.unit.value = "τ_R"
    assert float(step.horizon.value) == pytest.approx(10.0 * tau / session.latest("diagnosis").tau_position, rel=1e-4)
    step.unit.value, step.horizon.value = "ps", ""
    assert session.horizon is None
    assert session.wait(60)


def test_errors_masses_and_places_are_drawn(explorer):
    session, dashboard = explorer.session, explorer.dashboard
    explorer.density.fan.value = True
    explorer.regime.what_if.value = True
    assert dashboard.shown_in("lines") == "masses"
    explorer.regime.mass.value = explorer.regime.mass.min
    assert session.view["mass_factor"] == 16.0
    assert session.wait(60)
    ladder, tau = session.latest("masses"), session.latest("diagnosis").tau_momentum
    assert dashboard.masses.chosen.location == pytest.approx(ladder.epsilon[-1])
    assert f"τ_P {16.0 * tau:.3g} ps" in explorer.regime.other.value
    index = int(np.argmin(np.abs(ladder.times - explorer.density.time)))
    np.testing.assert_allclose(dashboard.masses.source.data["distance"], ladder.distance[:, index])
    explorer.regime.mass.value = explorer.regime.mass.min + 1
    assert dashboard.masses.chosen.location == pytest.approx(ladder.epsilon[-2])
    explorer.regime.mass.value = explorer.regime.mass.min
    dashboard.density.value = "lines"
    lines = dashboard.lines
    np.testing.assert_array_equal(lines.other.data["W"], ladder.fokker_planck[-1, index])
    fan, density = session.latest("fans")["smoluchowski"], session.latest("smoluchowski").density
    np.testing.assert_allclose(lines.bands["smoluchowski"].data["high"], density.values[index] + fan.values_std[index])
    dashboard.density.value = "passage"
    dashboard.passage.target.location = 6.0
    assert session.target == 6.0
    assert session.wait(60)
    assert explorer.density.target.value == "6"
    np.testing.assert_array_equal(dashboard.passage.source.data["time"], session.latest("passage").times)
    explorer.density.target.value = ""
    assert session.target is None
    explorer.density.paths.value = True
    assert session.wait(60)
    drawn, paths = dashboard.heat.paths.data, session.latest("paths")
    shown = "smoluchowski" if dashboard.map_of.value != "fokker_planck" else "fokker_planck"
    np.testing.assert_array_equal(np.stack(drawn["R"]), paths[shown].positions[:, :, 0].T)
    session.choose(fan=False, what_if=False, paths=False)
    dashboard.density.value = "lines"
    assert session.wait(60)
    assert (
        len(lines.bands["smoluchowski"].data["R"])
        == len(lines.other.data["R"])
        == len(dashboard.heat.paths.data["R"])
        == 0
    )


def test_pictures_of_the_landscape_follow_the_cursor(explorer):
    session, dashboard = explorer.session, explorer.dashboard
    density = session.latest("smoluchowski").density
    for name in ("free_energy", "modes", "gibbs", "lines"):
        (dashboard.force if name == "gibbs" else dashboard.density).value = name
    dashboard.density.value = "free_energy"
    explorer.density.frame.value = 30
    energy = np.asarray(dashboard.free_energy.now["smoluchowski"].data["A"])
    expected = density.free_energy()[30]
    known = np.isfinite(energy)
    assert known.sum() > 20
    np.testing.assert_allclose(energy[known], expected[known])
    dashboard.density.value = "modes"
    rates = session.latest("modes")[0]
    assert dashboard.modes.sources[0].data["rate"][0] == rates[0]
    check = session.latest("gibbs")
    np.testing.assert_array_equal(dashboard.gibbs.sources["x"].data["mean"], check.running[:, 0])
    dashboard.force.value, dashboard.density.value = "mean_force", "lines"


def test_the_phase_space_has_its_marginals(explorer):
    dashboard, space = explorer.dashboard, explorer.session.latest("fokker_planck").phase_space
    dashboard.map_of.value = "phase"
    explorer.density.frame.value = 60
    data = dashboard.phase
    np.testing.assert_allclose(data.marginal_position.data["W"], space.marginal("position").values[-1], rtol=1e-12)
    np.testing.assert_allclose(data.marginal_momentum.data["W"], space.marginal("momentum").values[-1], rtol=1e-12)
    dashboard.map_of.value = "smoluchowski"


def test_the_play_button_shows_what_it_does(explorer):
    step = explorer.density
    step.play.value = True
    assert step.play.description == "⏸"
    step.play.value = False
    assert step.play.description == "▶"


def test_playing_runs_to_the_end_and_pauses_on_the_way(explorer, monkeypatch):
    from amaexplore.explorer.panels import density

    monkeypatch.setattr(density, "FRAME_SECONDS", 0.001)
    step = explorer.density

    async def scene():
        step.frame.value = 50
        step.play.value = True
        await asyncio.sleep(0.004)
        step.play.value = False
        paused = step.frame.value
        await asyncio.sleep(0.02)
        assert step.frame.value == paused
        step.play.value = True
        while step.play.value:
            await asyncio.sleep(0.002)

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert step.frame.value == step.frame.max


def test_what_was_stopped_says_so_and_how_to_go_on(particle):
    explorer = ama.explore(particle)
    session = explorer.session
    real, held = session.graph._slots["correlations"].node, threading.Event()

    def slow(values, progress):
        while not held.wait(0.01):
            progress(0.1, "slowly")
        return real.compute(values, progress)

    session.graph._slots["correlations"].node = dataclasses.replace(real, compute=slow)
    session.start()
    while session.state("correlations").status != "working":
        time.sleep(0.005)
    session.cancel()
    assert session.wait(60)
    plots = explorer.dashboard.plots
    for name in ("correlation", "running", "lines", "heat"):
        assert plots[name].root.title.text.endswith("press Retry, or change something"), plots[name].root.title.text
        assert "not in the data" not in plots[name].root.title.text
    # nothing is said to be missing from the data that was only not computed
    assert session.state("smoluchowski").status == "waiting"
    held.set()
    session.retry()
    assert session.wait(60)
    assert session.state("smoluchowski").status == "fresh"
    assert "Retry" not in plots["lines"].root.title.text
    session.stop()


def test_a_step_folds(explorer):
    step = explorer.window
    step.fold.value = True
    assert step.body.layout.display == "none"
    step.fold.value = False
    assert step.body.layout.display is None
