"""amaexplore: all-atom multiscale analysis, from atoms to the slow motion of a nanoparticle.

The chain, each link usable without the next::

    load / demo -> Trajectory.select -> order_parameters -> momentum_correlation, force_correlation
        -> gamma, theta, mean_force, diagnose -> Smoluchowski, FokkerPlanck -> explore

Units everywhere: nm, ps, u, K, kJ/mol (so forces are kJ/mol/nm = u nm/ps²). Theory: Pankavich, Shreif
and Ortoleva, "Multiscaling for Classical Nanosystems"; equation numbers in docstrings are theirs.

Names are imported on first use, so that ``import amaexplore`` stays fast and needs no widget library.
"""

from importlib import import_module as _import_module

__version__ = "0.1.0"

# public name -> the room that holds it
_ROOMS = {
    "load": "trajectory.readers",
    "ingest": "trajectory.ingest",
    "remove_sidecars": "trajectory.sidecar",
    "stream_series": "trajectory.stream",
    "Trajectory": "trajectory.trajectory",
    "check": "trajectory.checks",
    "recompute_forces": "trajectory.derived",
    "AtomSubset": "subset",
    "SelectionSlider": "selection_slider",
    "OrderParameters": "order_parameters",
    "load_series": "trajectory.series_files",
    "write_series": "trajectory.series_files",
    "recipe": "trajectory.recipes",
    "demo": "simulate.demo",
    "demos": "simulate.demo",
    "simulate": "simulate",
    "MolecularSystem": "simulate.systems",
    "HarmonicTrap": "simulate.potentials",
    "DoubleWell": "simulate.potentials",
    "LiveRun": "simulate.live",
    "HeldSampling": "simulate.nanocanonical",
    "sample_held": "simulate.nanocanonical",
    "Ensemble": "simulate.ensemble",
    "release": "simulate.ensemble",
    "compare": "simulate.ensemble",
    "CorrelationFunction": "correlation",
    "momentum_correlation": "correlation",
    "force_correlation": "correlation",
    "CorrelationIntegral": "transport",
    "gamma": "transport",
    "theta": "transport",
    "estimators": "transport",
    "MeanForce": "thermal_force",
    "mean_force": "thermal_force",
    "GibbsCheck": "gibbs",
    "gibbs_check": "gibbs",
    "Correlations": "transport",
    "prepare": "transport",
    "CoefficientProfile": "profiles",
    "coefficient_profile": "profiles",
    "RegimeDiagnosis": "regime",
    "diagnose": "regime",
    "Grid": "reduced_density.grid",
    "ReducedDensity": "reduced_density.density",
    "PhaseSpaceDensity": "reduced_density.density",
    "DensityFan": "reduced_density.density",
    "Smoluchowski": "reduced_density.smoluchowski",
    "FokkerPlanck": "reduced_density.fokker_planck",
    "Langevin": "reduced_density.langevin",
    "BrownianDynamics": "reduced_density.langevin",
    "Analysis": "analysis",
    "analyze": "analysis",
    "Session": "explorer.session",
    "explore": "explorer.app",
    "AmaError": "errors",
    "InputError": "errors",
    "Notice": "errors",
}

__all__ = sorted([*_ROOMS, "__version__"])


def __getattr__(name):
    try:
        room = _ROOMS[name]
    except KeyError:
        raise AttributeError(f"module 'amaexplore' has no attribute {name!r}") from None
    value = getattr(_import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
