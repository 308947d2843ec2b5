"""Figures by their data source: what is drawn is what was computed."""

import re

import numpy as np
import pytest
from bokeh.embed import file_html
from bokeh.models import ColumnDataSource
from bokeh.resources import INLINE
from explorer_systems import brownian_particle

import amaexplore as ama
from amaexplore.errors import InputError
from amaexplore.plots import apply_theme, figure_of
from amaexplore.plots.correlations import CorrelationPlot, RunningPlot
from amaexplore.plots.densities import DensityLines, DensityMap, PhaseSpacePlot
from amaexplore.plots.mean_force import MeanForcePlot
from amaexplore.plots.style import COLOURS, decimated, palette
from amaexplore.plots.time_series import SeriesPlot


@pytest.fixture(scope="module")
def series():
    return brownian_particle()


@pytest.fixture(scope="module")
def bench(series):
    from amaexplore.transport import prepare

    return prepare(series)


def test_every_result_has_a_picture_that_embeds_offline(series, bench):
    results = [series, bench.gamma(), bench.theta(), bench.momentum, bench.force, ama.mean_force(series)]
    for result in results:
        page = file_html(result.plot(), INLINE, "x")
        # the library's own text mentions addresses; the page must not load any
        assert not re.search(r"<(script|link)[^>]+(src|href)=[\"']http", page.split("</script>")[0])
        assert page.count("<script") == page.count("</script>")


def test_what_has_no_picture_is_refused():
    with pytest.raises(InputError, match="no picture of a dict"):
        figure_of({})


def test_the_series_is_drawn_and_extremes_survive_thinning(series):
    plot = SeriesPlot("momentum")
    plot.update(series)
    data = plot.source.data
    assert len(data["t"]) <= 1200
    for column, axis in enumerate("xyz"):
        assert np.max(data[axis]) == series.momentum[:, column].max()
        assert np.min(data[axis]) == series.momentum[:, column].min()
    plot.quantity = "net_force"
    plot.update(series)
    assert "kJ/mol/nm" in plot.root.yaxis.axis_label
    assert np.max(plot.source.data["x"]) == series.net_force[:, 0].max()


def test_a_series_that_lacks_a_quantity_says_so(series):
    bare = ama.OrderParameters.from_arrays(timestep=0.1, mass=1.0, momentum=series.momentum)
    plot = SeriesPlot("net_force")
    plot.update(bare)
    assert "not in the data" in plot.root.title.text
    assert len(plot.source.data["t"]) == 0


def test_thinning_keeps_gaps():
    times = np.arange(5000.0)
    values = np.ones((5000, 1))
    values[1000:3000] = np.nan
    t, v = decimated(times, values)
    assert np.isnan(v[(t > 1100) & (t < 2900)]).all()
    assert (v[t < 900] == 1).all()


def test_correlations_are_drawn_over_their_values_at_zero(bench):
    plot = CorrelationPlot()
    plot.update({"momentum": bench.momentum, "force": bench.force}, window=1.3)
    for name, curve in (("momentum", bench.momentum), ("force", bench.force)):
        data = plot.sources[name].data
        assert data["c"][0] == 1.0
        at = np.searchsorted(curve.lags, data["s"][7])
        assert data["raw"][7] == curve.isotropic[at]
        assert (data["low"] <= data["c"]).all()
    assert plot.window.edge.location == plot.window.shade.right == 1.3
    plot.update({}, None)
    assert len(plot.sources["momentum"].data["s"]) == 0
    assert not plot.window.edge.visible


@pytest.mark.parametrize("kind", ["gamma", "theta"])
def test_the_marked_point_is_the_coefficient(bench, kind):
    plot = RunningPlot()
    for window in (0.5, 1.0, 2.5):
        result = getattr(bench, kind)(window)
        plot.update(result)
        point = {name: values[0] for name, values in plot.point.data.items()}
        assert point["t"] == result.window
        assert point["value"] == result.isotropic_raw
        assert point["high"] - point["value"] == pytest.approx(result.isotropic_raw_std)
        data = plot.source.data
        on_curve = data["value"][np.argmin(np.abs(data["t"] - result.window))]
        assert on_curve == pytest.approx(result.isotropic_raw, rel=1e-12)
        assert plot.window.edge.location == result.window
        assert plot.root.y_range.start <= point["low"] < point["high"] <= plot.root.y_range.end
    symbol = "εθ" if kind == "theta" else "γ"
    assert plot.root.title.text.startswith(symbol)


def test_the_same_figure_is_updated_not_replaced(bench):
    plot = RunningPlot()
    plot.update(bench.gamma(1.0))
    models = set(plot.root.references())
    plot.update(bench.gamma(2.0))
    plot.update(bench.theta(2.0))
    assert {m for m in plot.root.references() if isinstance(m, ColumnDataSource)} <= models


def test_estimators_are_drawn_with_their_own_windows(bench):
    from amaexplore.plots.estimators import EstimatorsPlot

    plot, table = EstimatorsPlot(), bench.table()
    for kind, value in (("gamma", "gamma"), ("theta", "theta_raw")):
        plot.update(table, getattr(bench, kind)(), kind)
        rows = {row["estimator"]: row for row in table}
        for name, shown, window in zip(*(plot.source.data[key] for key in ("label", "value", "window"))):
            assert shown == rows[name][value]
            assert window == rows[name][f"{kind}_window"] > 0.0


def test_the_mean_force_shows_three_routes(series):
    result = ama.mean_force(series)
    plot = MeanForcePlot()
    plot.update(result)
    assert len(plot.spline.data["R"]) == np.isfinite(result.combined).sum()
    assert len(plot.binned.data["R"]) == np.isfinite(result.values).sum()
    assert len(plot.density.data["R"]) == np.isfinite(result.from_density).sum()
    plot.update(None)
    assert len(plot.spline.data["R"]) == 0


def test_densities(series):
    analysis = ama.analyze(series)
    first = analysis.predict("smoluchowski", horizon=20.0, n_times=21, n_cells=80)
    second = analysis.predict("fokker-planck", horizon=20.0, n_times=21, n_cells=64)
    lines, heat, space = DensityLines(), DensityMap(), PhaseSpacePlot()
    lines.update({"smoluchowski": first.density, "fokker-planck": second.density})
    lines.show_time(10.0)
    np.testing.assert_array_equal(lines.now["smoluchowski"].data["W"], first.density.values[10])
    np.testing.assert_array_equal(lines.source["smoluchowski"].data["W"][0], first.density.values[0])
    assert [item.visible for item in lines.root.legend[0].items] == [False, True, True, False]
    heat.update(first.density)
    image = heat.source.data["image"][0]
    np.testing.assert_allclose(image, first.density.values.T, rtol=1e-6, atol=1e-30)
    heat.show_time(4.0)
    assert heat.cursor.location == 4.0
    space.update(second.phase_space)
    space.show_time(20.0)
    shown = space.source.data
    cell = shown["dw"][0] * shown["dh"][0] / shown["image"][0].size
    assert shown["image"][0].sum() * cell == pytest.approx(1.0, abs=2e-2)
    assert file_html(figure_of(first), INLINE, "x")
    assert file_html(figure_of(second.phase_space), INLINE, "x")


def test_every_axis_of_every_figure_has_a_unit(bench, series):
    for plot in (SeriesPlot(), MeanForcePlot(), DensityLines(), DensityMap(), PhaseSpacePlot(), RunningPlot()):
        if isinstance(plot, RunningPlot):
            plot.update(bench.gamma(1.0))
        for axis in (plot.root.xaxis, plot.root.yaxis):
            assert "(" in axis.axis_label, axis.axis_label


def test_themes(bench):
    figure = bench.gamma(1.0).plot()
    apply_theme(figure, "dark")
    dark = figure.background_fill_color
    apply_theme(figure, "light")
    assert figure.background_fill_color != dark


def test_colours_stay_apart_for_the_colour_blind():
    """Simulated deuteranopia and protanopia (Viénot et al. 1999, in linear RGB): pairs used together differ visibly."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lacks = {
        "deuteranopia": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
        "protanopia": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    }

    def seen(colour, matrix):
        rgb = (np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0) ** 2.2
        back = np.linalg.inv(to_lms) @ matrix @ to_lms @ rgb
        return np.clip(back, 0, 1) ** (1 / 2.2)

    together = [
        ("blue", "orange"),
        ("blue", "green"),
        ("orange", "green"),
        ("blue", "vermilion"),
        ("vermilion", "purple"),
    ]
    for matrix in lacks.values():
        for one, other in together:
            assert np.abs(seen(COLOURS[one], matrix) - seen(COLOURS[other], matrix)).max() > 0.12, (one, other)


def test_the_palette_grows_in_brightness():
    brightness = [sum(w * int(c[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5))) for c in palette(64)]
    assert (np.diff(brightness) > -1.0).all()
    assert brightness[-1] - brightness[0] > 150
