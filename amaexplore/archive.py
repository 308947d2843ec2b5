"""All results and series in one HDF5 file, every number with its unit."""

import io
import json

import h5py
import numpy as np

from . import __version__
from .files import replacing, writable_target
from .results import jsonable

__all__ = ["write_archive"]

SERIES_UNITS = {"centre_of_mass": "nm", "momentum": "u nm/ps", "net_force": "kJ/mol/nm"}


def write_archive(path, analysis, *, curves=None, predictions=None, others=None):
    """Write an analysis, and what was made of it, as HDF5; the file appears when all of it is there.

    Parameters
    ----------
    path : str or Path
    analysis : Analysis
    curves : dict of CorrelationFunction, optional
    predictions : dict of Prediction, optional
    others : dict of Result, optional
        Anything else with numbers; its arrays and numbers are written under its name.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        The folder does not exist or cannot be written to.

    Notes
    -----
    Every dataset has an attribute ``unit``; the settings are attributes of the groups. The attribute ``analysis`` of the
    file is the JSON of ``amaexplore analyze``.
    """
    path = writable_target(path)
    # in memory first: HDF5 does not survive a disk that fills up while it writes
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.attrs["amaexplore"] = __version__
        file.attrs["analysis"] = json.dumps(analysis.to_dict(), ensure_ascii=False)
        _series(file.create_group("order_parameters"), analysis.series)
        for name, curve in (curves or {}).items():
            group = file.create_group(f"correlation/{name}")
            _put(group, "lags", curve.lags, "ps")
            _put(group, "values", curve.values, curve.unit)
            _put(group, "values_std", curve.values_std, curve.unit)
        for name in ("gamma", "theta"):
            result = getattr(analysis, name)
            if result is not None:
                _coefficient(file.create_group(name), result)
        if analysis.mean_force is not None:
            _mean_force(file.create_group("mean_force"), analysis.mean_force)
        for name, prediction in (predictions or {}).items():
            _prediction(file.create_group(f"density/{name}"), prediction)
        for name, result in (others or {}).items():
            _anything(file.create_group(name), result)
    with replacing(path) as temporary:
        temporary.write_bytes(image.getbuffer())
    return path


def _put(group, name, values, unit):
    data = group.create_dataset(name, data=np.asarray(values))
    data.attrs["unit"] = unit


def _note(group, **attributes):
    for name, value in attributes.items():
        if value is not None:
            group.attrs[name] = value


def _series(group, series):
    _put(group, "time", series.time, "ps")
    for name, unit in SERIES_UNITS.items():
        if series.has(name):
            _put(group, name, getattr(series, name), unit)
    _note(group, mass=series.mass, mass_unit="u", epsilon=series.epsilon, typical_mass=series.typical_mass)
    _note(group, label=series.label, temperature=series.temperature, temperature_unit="K")


def _coefficient(group, result):
    for name in ("tensor", "tensor_raw", "running", "running_raw", "running_isotropic"):
        _put(group, name, getattr(result, name), result.unit)
        error = {"tensor_raw": "tensor_raw_std", "running_raw": "running_raw_std"}.get(name, f"{name}_std")
        _put(group, error, getattr(result, error), result.unit)
    _put(group, "lags", result.lags, "ps")
    _put(group, "isotropic_raw", result.isotropic_raw, result.unit)
    _put(group, "isotropic_raw_std", result.isotropic_raw_std, result.unit)
    names = ("window", "window_reason", "estimator", "plateau", "n_groups", "mass", "epsilon", "temperature")
    _note(group, **{name: getattr(result, name) for name in names})


def _mean_force(group, result):
    for name in ("positions", "bins"):
        _put(group, name, getattr(result, name), "nm")
    for name in ("values", "from_density", "combined", "constant"):
        _put(group, name, getattr(result, name), "kJ/mol/nm")
        _put(group, f"{name}_std", getattr(result, f"{name}_std"), "kJ/mol/nm")
    _put(group, "counts", result.counts, "frames")
    _note(group, axis=result.axis, n_groups=result.n_groups, temperature=result.temperature)


def _prediction(group, prediction):
    density = prediction.density
    _put(group, "times", density.times, "ps")
    _put(group, "positions", density.grid.centres, "nm")
    _put(group, "values", density.values, "1/nm")
    _put(group, "mean", density.mean, "nm")
    _put(group, "variance", density.variance, "nm^2")
    _note(group, regime=prediction.regime, force_used=prediction.force_used, axis=str(prediction.axis))
    _note(group, diffusion=prediction.diffusion, diffusion_std=prediction.diffusion_std, diffusion_unit="nm^2/ps")
    _note(group, friction=prediction.friction, friction_std=prediction.friction_std, friction_unit="u/ps")
    _note(group, diagnostics=json.dumps(jsonable(density.diagnostics)), boundary=str(density.grid.boundary))
    if prediction.phase_space is not None:
        space = prediction.phase_space
        _put(group, "momenta", space.momentum_grid.centres, "u nm/ps")
        _put(group, "phase_space", space.values, "1/(nm u nm/ps)")


UNITS = {
    "times": "ps", "positions": "nm", "tau_momentum": "ps", "target": "nm", "mean": "ps", "mean_std": "ps",
    "values": "1/nm", "values_std": "1/nm", "samples": "1/nm", "smoluchowski": "1/nm", "fokker_planck": "1/nm",
    "running": "kJ/mol/nm", "running_std": "kJ/mol/nm", "replica_means": "kJ/mol/nm", "replica_std": "kJ/mol/nm",
    "correlation_time": "ps", "rates": "1/ps", "modes": "1/nm", "temperature": "K",
}  # fmt: skip
"""Of the fields of what `write_archive` takes as others; what is not here has none."""


def _anything(group, result):
    fields = result if isinstance(result, dict) else vars(result)
    for name, value in fields.items():
        if isinstance(value, np.ndarray | int | float) and not isinstance(value, bool):
            _put(group, name, value, UNITS.get(name, ""))
        elif isinstance(value, str):
            group.attrs[name] = value
