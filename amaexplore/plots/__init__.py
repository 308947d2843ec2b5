"""Results as Bokeh figures: `figure_of` for one picture, the ``*Plot`` classes for pictures that live on.

Each class has ``root`` (the figure), its data sources, and ``update(result)``, which changes the figure in place.
"""

from ..errors import InputError
from .curves import curves, show
from .style import apply_theme

__all__ = ["apply_theme", "curves", "figure_of", "show"]


def figure_of(result, **options):
    """A Bokeh figure of a result.

    Parameters
    ----------
    result : OrderParameters, CorrelationFunction, CorrelationIntegral, MeanForce, ReducedDensity, Prediction, ...
    **options
        Passed to the plot of that kind of result.

    Returns
    -------
    bokeh.models.LayoutDOM
        A figure or a column of figures; show it with `bokeh.io.show` or embed it.

    Raises
    ------
    InputError
        There is no picture for this kind of result.
    """
    for kind in type(result).__mro__:
        if kind.__name__ in _PICTURES:
            return _PICTURES[kind.__name__](result, **options)
    raise InputError(f"There is no picture of a {type(result).__name__}; there are for {', '.join(_PICTURES)}.")


def _series(series):
    from bokeh.layouts import column

    from .time_series import QUANTITIES, SeriesPlot

    plots = [SeriesPlot(name) for name in QUANTITIES if series.has(name)]
    for plot in plots:
        plot.update(series)
        plot.root.height = 220
        # one time axis for all
        plot.root.x_range = plots[0].root.x_range
    return column([plot.root for plot in plots], sizing_mode="stretch_width")


def _correlation(curve, window=None):
    from .correlations import CorrelationPlot

    plot = CorrelationPlot()
    plot.update({curve.quantity: curve}, window)
    return plot.root


def _running(coefficient):
    from .correlations import RunningPlot

    plot = RunningPlot()
    plot.update(coefficient)
    return plot.root


def _mean_force(result):
    from .mean_force import MeanForcePlot

    plot = MeanForcePlot()
    plot.update(result)
    return plot.root


def _density(density, regime="smoluchowski", time=None):
    from bokeh.layouts import column

    from .densities import DensityLines, DensityMap, PhaseSpacePlot

    last = float(density.times[-1])
    if density.values.ndim == 3:
        plot = PhaseSpacePlot()
        plot.update(density)
        plot.show_time(last if time is None else time)
        return plot.root
    if density.values.ndim != 2:
        raise InputError(
            f"The density has {density.values.ndim - 1} dimensions; pictures are made of one (position) or two (phase space): "
            "take a marginal first."
        )
    lines, heat = DensityLines(), DensityMap()
    lines.update({regime: density})
    lines.show_time(last if time is None else time)
    heat.update(density, regime)
    return column([lines.root, heat.root], sizing_mode="stretch_width")


def _prediction(prediction, **options):
    return _density(prediction.density, regime=prediction.regime, **options)


def _analysis(analysis):
    from bokeh.layouts import column

    parts = (analysis.series, analysis.mean_force, analysis.gamma, analysis.theta)
    return column([figure_of(part) for part in parts if part is not None], sizing_mode="stretch_width")


_PICTURES = {
    "OrderParameters": _series,
    "CorrelationFunction": _correlation,
    "CorrelationIntegral": _running,
    "MeanForce": _mean_force,
    "ReducedDensity": _density,
    "PhaseSpaceDensity": _density,
    "Prediction": _prediction,
    "Analysis": _analysis,
}
