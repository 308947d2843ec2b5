"""What can be asked of a density: moments, marginals, quantiles and free energies of distributions whose answers are known."""

import builtins
import re

import numpy as np
import pytest
from scipy.stats import norm

import amaexplore as ama
from amaexplore import Grid, InputError, PhaseSpaceDensity, ReducedDensity, Smoluchowski
from amaexplore.reduced_density import driven, splitting
from amaexplore.reduced_density.driven import depends_on_time
from amaexplore.reduced_density.force_field import force_table
from amaexplore.reduced_density.initial import check_times, density_of_samples, drawn_density, initial_density
from amaexplore.reduced_density.tensor import sample_tensor
from amaexplore.units import thermal_energy

TEMPERATURE = 300.0
KT = thermal_energy(TEMPERATURE)


def gaussian(mean, covariance, grids, temperature=TEMPERATURE):
    """A Gaussian at two times, the second with twice the covariance; wide grids, so that nothing is cut off."""
    centres = np.stack(np.meshgrid(*(grid.centres for grid in grids), indexing="ij"), axis=-1) - mean
    values = []
    for factor in (1.0, 2.0):
        inverse = np.linalg.inv(factor * np.asarray(covariance))
        values.append(np.exp(-0.5 * np.einsum("...a,ab,...b->...", centres, inverse, centres)))
        values[-1] *= np.sqrt(np.linalg.det(inverse) / (2.0 * np.pi) ** len(grids))
    times = np.array([0.0, 2.0])
    return ReducedDensity(times, np.array(values), grids if len(grids) > 1 else grids[0], temperature)


MEAN, COVARIANCE = np.array([0.3, -0.5]), np.array([[0.2, 0.12], [0.12, 0.4]])
GRIDS = Grid(-5.0, 6.0, 220), Grid(-7.0, 6.0, 200)


@pytest.fixture(scope="module")
def plane():
    return gaussian(MEAN, COVARIANCE, GRIDS)


@pytest.fixture(scope="module")
def line():
    return gaussian(MEAN[:1], COVARIANCE[:1, :1], GRIDS[:1])


def test_moments_of_a_correlated_gaussian(plane):
    # sums over evenly spaced cells are exact to rounding for a Gaussian that they resolve
    np.testing.assert_allclose(plane.probability, 1.0, rtol=1e-10)
    np.testing.assert_allclose(plane.mean, [MEAN, MEAN], atol=1e-10)
    np.testing.assert_allclose(plane.variance, [COVARIANCE, 2.0 * COVARIANCE], atol=1e-9)
    widths = np.diag(COVARIANCE)
    np.testing.assert_allclose(plane.moments(2)[0], widths + MEAN**2, rtol=1e-8)
    np.testing.assert_allclose(plane.moments(4, central=True)[1], 3.0 * (2.0 * widths) ** 2, rtol=1e-8)


def test_marginals_are_the_gaussians_of_fewer_axes(plane, line):
    np.testing.assert_allclose(plane.marginal(0).values, line.values, atol=1e-10)
    turned = plane.marginal(1, 0)
    np.testing.assert_array_equal(turned.values, plane.values.swapaxes(1, 2))
    assert turned.grid == GRIDS[::-1]
    np.testing.assert_allclose(turned.variance, plane.variance[:, ::-1, ::-1])
    for axes in ((), (0, 0), (2,)):
        with pytest.raises(InputError, match="distinct axes among 0 to 1"):
            plane.marginal(*axes)


def test_quantiles_and_moments_along_one_axis(plane, line):
    shares = [0.05, 0.5, 0.9]
    exact = MEAN[0] + np.sqrt([[0.2], [0.4]]) * norm.ppf(shares)
    # linear within a cell of 0.05 nm
    np.testing.assert_allclose(line.quantile(shares), exact, atol=1e-3)
    np.testing.assert_allclose(line.quantile(0.5), MEAN[0], atol=1e-3)
    np.testing.assert_allclose(line.moments(3), MEAN[0] ** 3 + 3 * MEAN[0] * np.array([0.2, 0.4]), rtol=1e-8)
    with pytest.raises(InputError, match=r"take \.marginal"):
        plane.quantile(0.5)
    with pytest.raises(InputError, match="from 0 to 1"):
        line.quantile([0.5, 1.2])


def test_the_free_energy_of_a_gaussian_is_a_parabola(line):
    energy = line.free_energy()
    distance = line.grid.centres - MEAN[0]
    near = np.abs(distance) < 2.0
    parabola = 0.5 * KT * distance[near] ** 2 / 0.2
    np.testing.assert_allclose(energy[0, near], parabola - parabola.min(), rtol=1e-9, atol=1e-9)
    # where W is 10^-12 of its largest value there is nothing to take the logarithm of
    assert np.isnan(energy[0, np.abs(distance) > np.sqrt(2 * 0.2 * 12 * np.log(10)) + 0.1]).all()
    with pytest.raises(InputError, match="carries no temperature"):
        gaussian(MEAN[:1], COVARIANCE[:1, :1], GRIDS[:1], temperature=np.nan).free_energy()


def test_between_frames_it_is_linear_in_time(line):
    np.testing.assert_allclose(line.at(0.5), 0.75 * line.values[0] + 0.25 * line.values[1])
    np.testing.assert_array_equal(line.at(2.0), line.values[1])
    single = ReducedDensity(line.times[:1], line.values[:1], line.grid)
    np.testing.assert_array_equal(single.at(0.0), line.values[0])
    with pytest.raises(InputError, match="not between the frames, 0 to 2 ps"):
        line.at(2.1)


def test_scaled_densities_are_those_of_the_scaled_variable(plane):
    scaled = plane.scaled(0.25)
    np.testing.assert_allclose(scaled.probability, plane.probability)
    np.testing.assert_allclose(scaled.mean, 0.5 * plane.mean)
    np.testing.assert_allclose(scaled.variance, 0.25 * plane.variance)
    for epsilon in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="positive number"):
            plane.scaled(epsilon)


def test_phase_space_moments_and_scaling(plane):
    joint = PhaseSpaceDensity(plane.times, plane.values, *GRIDS, mass=40.0, temperature=TEMPERATURE)
    np.testing.assert_allclose(joint.mean, plane.mean)
    np.testing.assert_allclose(joint.covariance, plane.variance, atol=1e-10)
    np.testing.assert_array_equal(joint.marginal("momentum").values, plane.marginal(1).values)
    np.testing.assert_array_equal(joint.frame(1), plane.values[1])
    scaled = joint.scaled(0.25)
    np.testing.assert_allclose(scaled.probability, joint.probability)
    np.testing.assert_allclose(scaled.covariance, 0.25 * joint.covariance)
    with pytest.raises(InputError, match='"position" or "momentum"'):
        joint.marginal("energy")
    assert ("cells", "220 × 200") in joint.summary()
    again = PhaseSpaceDensity.from_dict(joint.to_dict())
    assert (again.grid, again.momentum_grid) == GRIDS
    np.testing.assert_array_equal(again.values, joint.values)


def test_several_grids_survive_as_a_document(plane):
    cut = (Grid(0.0, 1.0, 4, boundary=("absorbing", "reflecting")), Grid(0.0, 1.0, 5, boundary="periodic"))
    density = ReducedDensity(np.zeros(1), np.ones((1, 4, 5)), cut, TEMPERATURE, {"drift": 1.23456, "scheme": "none"})
    again = ReducedDensity.from_dict(density.to_dict())
    assert again.grid == cut
    assert dict(again.summary())["drift"] == "1.23"
    assert dict(again.summary())["cells"] == "4 × 5"


# -- where it begins ------------------------------------------------------------------------------------


def test_a_density_of_samples_is_the_one_they_come_from(rng):
    grid = Grid(-5.0, 5.0, 200)
    found, _ = initial_density((grid,), density_of_samples(rng.normal(0.5, 0.8, 20_000)))
    # 0.9 n^-1/5 of the spread is the kernels' width: they widen by 2 %, and the sample's error is 1 %
    assert np.sum(found * grid.centres) * grid.width == pytest.approx(0.5, abs=0.02)
    assert np.abs(found - norm.pdf(grid.centres, 0.5, 0.8)).max() < 0.03
    for few in ([], [1.0], [2.0, 2.0], [1.0, np.nan]):
        with pytest.raises(InputError, match="two different positions"):
            density_of_samples(few)


def test_a_drawn_density_follows_its_points():
    grid = Grid(-1.0, 3.0, 400)
    drawn, _ = initial_density((grid,), drawn_density([(2.0, 0.0), (0.0, 0.0), (1.0, 1.0)]))
    # a triangle of area 1 from 0 to 2, whose corners are rounded by a thirtieth of its width
    assert np.abs(drawn - np.clip(1.0 - np.abs(grid.centres - 1.0), 0.0, None)).max() < 0.06
    assert np.sum(drawn * grid.centres) * grid.width == pytest.approx(1.0, abs=1e-3)
    for points in ([(0.0, 1.0)], "abc", [(0.0, 1.0), (1.0, np.inf)], 3):
        with pytest.raises(InputError, match="at least two points"):
            drawn_density(points)
    for points in ([(1.0, 1.0), (1.0, 2.0)], [(0.0, 0.0), (1.0, -2.0)]):
        with pytest.raises(InputError, match="different R, and at least one above zero"):
            drawn_density(points)


def test_on_a_ring_a_wide_gaussian_is_everywhere_the_same():
    ring = Grid(0.0, 2.0, 50, boundary="periodic")
    np.testing.assert_allclose(initial_density((ring,), ("gaussian", 0.3, 100.0))[0], 0.5)
    # and one that crosses the seam is as high on both sides of it
    narrow, _ = initial_density((ring,), ("gaussian", 2.0, 0.1))
    np.testing.assert_allclose(narrow, narrow[::-1])
    assert narrow[0] == pytest.approx(norm.pdf(0.02, 0.0, 0.1), rel=1e-6)


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        (("lorentzian", 0.0, 1.0), 'only named initial density is \\("gaussian"'),
        (("gaussian", "here", 1.0), r"one mean and one std per axis \(1\)"),
        (("gaussian", [0.0, 1.0], 1.0), r"one mean and one std per axis \(1\)"),
        (("gaussian", 0.0, -1.0), "std of at least zero"),
        (("gaussian", 9.0, 0.1), "lies outside the grid"),
        (lambda x, y: x, "could not be evaluated on the grid's positions"),
        (object(), "array of cell values, a callable"),
        (np.ones(7), r"has shape \(7,\), but the grid has \(50,\) cells"),
        (np.full(50, np.nan), "not finite in 50 cells"),
        (np.linspace(-1.0, 1.0, 50), "cannot be negative; the lowest initial value is -1"),
        (np.zeros(50), "zero on every cell"),
    ],
)
def test_what_is_no_initial_density_is_said(initial, words):
    with pytest.raises(InputError, match=words):
        initial_density((Grid(-1.0, 1.0, 50),), initial)


def test_rounding_below_zero_is_cut_off():
    given = np.ones(50)
    given[3] = -1e-12
    density, _ = initial_density((Grid(-1.0, 1.0, 50),), given)
    assert density[3] == 0.0


@pytest.mark.parametrize(
    ("times", "words"),
    [("soon", "numbers in ps"), ([], "at least one number"), ([[1.0]], "at least one number"), ([np.inf], "finite"),
     ([-1.0, 1.0], "cannot be negative"), ([1.0, 0.5], "must ascend; 1 ps is followed by 0.5 ps")],
)  # fmt: skip
def test_what_are_no_times_is_said(times, words):
    with pytest.raises(InputError, match=words):
        check_times(times)


# -- forces, potentials, passages -----------------------------------------------------------------------


def test_a_committor_in_a_flat_landscape_is_a_straight_line():
    flat = Smoluchowski(Grid(0.0, 4.0, 80), 0.1, temperature=TEMPERATURE)
    starts = np.array([0.5, 1.0, 1.75, 3.0])
    np.testing.assert_allclose(flat.committor(1.0, 3.0, starts), [0.0, 0.0, 0.375, 1.0], atol=1e-9)
    np.testing.assert_allclose(flat.committor(3.0, 1.0, starts), [1.0, 1.0, 0.625, 0.0], atol=1e-9)
    with pytest.raises(InputError, match="two different places; got 1 nm twice"):
        flat.committor(1.0, 1.0)
    ring = Smoluchowski(Grid(0.0, 4.0, 80, boundary="periodic"), 0.1, temperature=TEMPERATURE)
    with pytest.raises(InputError, match="cut the ring open"):
        ring.committor(1.0, 3.0)
    for target in ("far", [3.0, 1.0], [1.0, 2.0, 3.0], np.nan):
        with pytest.raises(InputError, match="a position in nm, or an ascending pair"):
            flat.mean_first_passage_time(target)


def test_a_passage_out_of_the_lower_end_mirrors_that_out_of_the_upper():
    def slope(x):
        return 1.5 * KT * x

    up = Smoluchowski(
        Grid(-1.0, 1.0, 200, boundary=("reflecting", "absorbing")), 0.1, potential=slope, temperature=TEMPERATURE
    )
    down = Smoluchowski(
        Grid(-1.0, 1.0, 200, boundary=("absorbing", "reflecting")),
        0.1,
        potential=lambda x: slope(-x),
        temperature=TEMPERATURE,
    )
    # from the side of the target that has an exit of its own
    assert up.mean_first_passage_time(-0.5, 0.3) == pytest.approx(down.mean_first_passage_time(0.5, -0.3), rel=1e-9)
    # from the side without one, reached against the slope by Kramers' double integral
    y = np.linspace(-0.4, 1.0, 4001)
    inner = np.array([np.trapezoid(np.exp(-1.5 * y[: k + 1]), y[: k + 1]) for k in range(0, len(y), 10)])
    climb = Smoluchowski(Grid(-0.4, 1.0, 700), 0.1, potential=slope, temperature=TEMPERATURE)
    exact = np.trapezoid(np.exp(1.5 * y[::10]) * inner, y[::10]) / 0.1
    assert climb.mean_first_passage_time(1.0, -0.4) == pytest.approx(exact, rel=1e-3)


def test_potentials_and_forces_that_do_not_fit_are_said():
    grid = Grid(-1.0, 1.0, 50)
    plane = (grid, Grid(0.0, 1.0, 20))
    for where, shape in ((grid, r"\(50,\)"), (plane, r"\(50, 20\)")):
        with pytest.raises(InputError, match=rf"potential has shape \(7,\), but the grid has {shape} cells"):
            Smoluchowski(where, 0.1, potential=np.ones(7), temperature=TEMPERATURE)
        with pytest.raises(InputError, match="not both"):
            Smoluchowski(where, 0.1, potential=0.0, mean_force=0.0, temperature=TEMPERATURE)
    with pytest.raises(InputError, match="not finite in 50 of 50 places"):
        Smoluchowski(grid, 0.1, potential=lambda x: np.inf * np.ones_like(x), temperature=TEMPERATURE)
    with pytest.raises(InputError, match="not finite in 20 of 1000 cells"):
        Smoluchowski(plane, 0.1, potential=lambda x, y: np.where(x < -0.97, np.nan, y), temperature=TEMPERATURE)


def test_forces_that_know_the_time_are_known_by_their_parameters():
    assert depends_on_time(lambda x, t: x + t)
    assert depends_on_time(lambda x, y, t: x, n_axes=2)
    assert not depends_on_time(lambda x, strength=2.0: x)
    assert not depends_on_time(3.0)
    # some functions written in C do not say what they take
    assert not depends_on_time(builtins.min)


def test_a_force_that_changes_too_fast_is_said_and_progress_is_told(monkeypatch):
    driven_model = Smoluchowski(
        Grid(-1.0, 1.0, 40), 0.1, mean_force=lambda x, t: 2.0 * np.sin(50.0 * t) - 5.0 * x, temperature=TEMPERATURE
    )
    told = []
    times = [0.1, 0.2]
    density = driven_model.evolve(("gaussian", 0.0, 0.2), times, progress=lambda part, text: told.append(part))
    np.testing.assert_allclose(density.probability, 1.0, atol=1e-10)
    assert told == [0.5, 1.0]
    monkeypatch.setattr(driven, "MOST_STEPS", 3)
    with pytest.raises(InputError, match="so fast that 3 steps reach only"):
        driven_model.evolve(("gaussian", 0.0, 0.2), times)


def test_what_is_clipped_keeps_its_probability():
    values = np.array([[[0.5, 0.5], [0.1, -0.1]], [[0.25, 0.25], [0.25, 0.25]]])
    totals = values.sum(axis=(1, 2))
    found = splitting._clip(values)
    np.testing.assert_allclose(values.sum(axis=(1, 2)), totals)
    assert values.min() == 0.0
    assert found["lowest"] == pytest.approx(-0.2)
    assert found["clipped"] == pytest.approx(0.1)


def test_the_potential_of_a_measured_force_has_it_as_its_slope(rng):
    """Also beyond the data, where the force is constant and the potential straight."""
    spring, n = 20.0, 4000
    position = rng.normal(0.0, np.sqrt(KT / spring), (n, 3))
    force = -spring * position + rng.normal(0.0, 1.0, (n, 3))
    series = ama.OrderParameters.from_arrays(
        timestep=1.0, mass=100.0, centre_of_mass=position, net_force=force, temperature=TEMPERATURE
    )
    measured = ama.mean_force(series, axis="x", temperature=TEMPERATURE)
    places = np.concatenate([np.linspace(-1.5, 1.5, 301), [4.0, 5.0]])
    step = 1e-4
    slope = (measured.potential(places + step) - measured.potential(places - step)) / (2.0 * step)
    np.testing.assert_allclose(-slope, measured.at(places), atol=1e-5)
    assert measured.potential(5.0) - measured.potential(4.0) == pytest.approx(-float(measured.at(4.5)), rel=1e-9)
    assert min(measured.potential(measured.positions)) == pytest.approx(0.0, abs=1e-12)


def test_the_force_of_a_potential_on_a_plane_is_its_slope_also_across_the_seam_of_a_ring():
    ring, across = Grid(0.0, 2.0, 160, boundary="periodic"), Grid(-1.0, 1.0, 120)

    def energy(x, y):
        return 2.0 * np.cos(np.pi * x) + 3.0 * y**2

    found = force_table((ring, across), None, energy, TEMPERATURE)
    x, y = np.meshgrid(ring.centres, across.centres, indexing="ij")
    # one more node beyond each end of the ring; central differences of second order
    inner = found.values[:, 1:-1]
    np.testing.assert_allclose(inner[0], 2.0 * np.pi * np.sin(np.pi * x), atol=2e-3 * np.pi)
    np.testing.assert_allclose(inner[1], -6.0 * y, atol=1e-9)
    np.testing.assert_array_equal(found.values[:, 0], inner[:, -1])
    np.testing.assert_array_equal(found.values[:, -1], inner[:, 0])
    assert found.energy.min() == 0.0
    with pytest.raises(InputError, match="not both"):
        force_table((ring, across), 0.0, energy, TEMPERATURE)


def test_a_diffusion_tensor_that_makes_no_sense_is_said():
    plane = Grid(-1.0, 1.0, 20), Grid(0.0, 1.0, 30)

    def turning(x, y):
        return np.array([[1.0 + 0.0 * x, 0.3 * y], [0.3 * y, 1.0 + 0.0 * x]])

    np.testing.assert_allclose(sample_tensor(plane, turning)[0, 1], 0.3 * plane[1].centres * np.ones((20, 1)))
    assert sample_tensor(plane, "fast") is None
    with pytest.raises(InputError, match="got shape"):
        Smoluchowski(plane, "fast", temperature=TEMPERATURE)
    for tensor, words in (
        ([[1.0, 0.2], [0.1, 1.0]], "is symmetric; give ½"),
        ([[1.0, np.inf], [np.inf, 1.0]], "finite everywhere"),
        ([[1.0, 2.0], [2.0, 1.0]], "positive"),
    ):
        with pytest.raises(InputError, match=words):
            Smoluchowski(plane, np.array(tensor), temperature=TEMPERATURE)
    rings = Grid(-1.0, 1.0, 20, boundary="periodic"), Grid(0.0, 1.0, 30, boundary="periodic")
    with pytest.raises(InputError, match="multiple of the second; got 20 and 30"):
        Smoluchowski(rings, np.array([[1.0, 0.2], [0.2, 1.0]]), temperature=TEMPERATURE)


def test_what_is_left_in_a_leaking_well_is_its_survival():
    """Out of both ends of a flat stretch: the slowest of the modes is all that is left after a while."""
    length, diffusion = 2.0, 0.1
    leaking = Smoluchowski(Grid(0.0, length, 400, boundary="absorbing"), diffusion, temperature=TEMPERATURE)
    times = np.array([4.0, 8.0])
    left = leaking.survival(np.ones(400), times)
    rate = diffusion * (np.pi / length) ** 2
    np.testing.assert_allclose(left, 8.0 / np.pi**2 * np.exp(-rate * times), rtol=1e-3)
    assert repr(leaking).startswith("Smoluchowski(Grid(")


def test_a_fan_over_potentials_spreads_as_its_members():
    grid, times, told = Grid(-3.0, 3.0, 120), [50.0], []
    model = Smoluchowski(grid, 0.5, mean_force=lambda x: -KT * x, temperature=TEMPERATURE)
    springs = (1.0, 2.0, 4.0)
    wells = [lambda x, k=k: 0.5 * k * KT * x**2 for k in springs]
    fan = model.fan(("gaussian", 0.0, 0.5), times, potentials=wells, progress=lambda part, text: told.append(part))
    assert told == pytest.approx([1 / 3, 2 / 3, 1.0])
    # after many relaxation times each is the Boltzmann factor of its own well, the model's own force forgotten
    for values, spring in zip(fan.samples, springs):
        np.testing.assert_allclose(values[0], norm.pdf(grid.centres, 0.0, spring**-0.5), atol=4e-3)
    np.testing.assert_allclose(fan.quantile(0.5), np.median(fan.samples, axis=0))
    assert dict(fan.summary())["samples"] == "3"
    again = ama.DensityFan.from_dict(fan.to_dict())
    assert again.grid == grid
    np.testing.assert_array_equal(again.values_std, fan.values_std)
    with pytest.raises(InputError, match="at least two samples; got 1"):
        ama.DensityFan.of([ReducedDensity(np.zeros(1), np.ones((1, 120)), grid)])


def test_a_plane_that_is_too_steep_for_its_cells_is_told():
    plane = Grid(-1.0, 1.0, 20), Grid(-1.0, 1.0, 20)
    steep = Smoluchowski(plane, 0.1, potential=lambda x, y: 40.0 * KT * x + 0.0 * y, temperature=TEMPERATURE)
    density = steep.evolve(("gaussian", 0.0, 0.2), [0.01])
    (notice,) = [notice for notice in density.warnings if notice.code == "steep_potential"]
    # 40 k_BT/nm over cells of 0.1 nm
    assert "by up to 4 k_BT" in notice.message


# -- series that make no sense --------------------------------------------------------------------------


def test_series_that_make_no_sense_are_said(rng):
    values = rng.normal(size=(10, 3))
    for facts, words in (
        (dict(mass=1.0, typical_mass=-1.0, momentum=values), "typical_mass must be a positive number"),
        (dict(mass=1.0), "needs centre_of_mass, momentum or net_force"),
        (dict(mass=1.0, momentum=values, net_force=values[:5]), r"momentum \(10, 3\), net_force \(5, 3\)"),
    ):
        with pytest.raises(InputError, match=words):
            ama.OrderParameters(time=np.arange(10.0), **facts)
    holes = np.full((10, 3), np.nan)
    holes[4] = 1.0
    with pytest.raises(InputError, match="Only 1 of 10 frames hold momentum"):
        ama.OrderParameters(time=np.arange(10.0), mass=1.0, momentum=holes).even("momentum")


def test_subsets_of_another_system_and_without_mass_are_said(rng):
    def system(n_atoms, masses):
        return ama.Trajectory.from_arrays(positions=rng.normal(size=(3, n_atoms, 3)), masses=masses, timestep=1.0)

    small, large = system(4, np.array([1.0, 1.0, 0.0, 0.0])), system(6, np.ones(6))
    with pytest.raises(InputError, match="made for 6 atoms, this trajectory has 4"):
        small.order_parameters(large.select([0, 1]))
    with pytest.raises(InputError, match=r"2 atoms of .* have no mass"):
        small.order_parameters([2, 3])


def test_mapped_frames_are_summed_in_pieces_to_the_same_numbers(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("amaexplore.trajectory.frames.CHUNK_BYTES", 2000)
    fields = {name: rng.normal(size=(50, 30, 3)).astype("f4") for name in ("positions", "velocities", "forces")}
    mapped = {}
    for name, values in fields.items():
        values.tofile(tmp_path / name)
        mapped[name] = np.memmap(tmp_path / name, dtype="f4", mode="r", shape=values.shape)
    given = dict(masses=rng.uniform(1.0, 20.0, 30), timestep=1.0)
    one, other = (
        ama.Trajectory.from_arrays(**arrays, **given).order_parameters([3, 8, 21]) for arrays in (fields, mapped)
    )
    for name in ("centre_of_mass", "momentum", "net_force"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-12)


def test_a_gibbs_check_says_which_replicas_are_stuck(rng):
    force = rng.normal(size=(4, 2000, 3))
    force[2] += [1.0, 0.0, 0.0]
    series = ama.OrderParameters.from_arrays(timestep=1.0, mass=10.0, net_force=force, temperature=TEMPERATURE)
    rows = dict(ama.gibbs_check(series).summary())
    assert rows["time average of"] == "net force"
    assert rows["stuck replicas"] == "2"
    chi_square, p_value = re.match(r"χ² per degree of freedom (\S+) .*p = (\S+)", rows["replicas"]).groups()
    assert float(chi_square) > 100.0
    assert float(p_value) < 1e-6
    alone = dict(
        ama.gibbs_check(ama.OrderParameters.from_arrays(timestep=1.0, mass=10.0, net_force=force[0])).summary()
    )
    assert alone == {"time average of": "net force", "stuck replicas": "none"}
