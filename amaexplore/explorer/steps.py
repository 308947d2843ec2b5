"""The steps of the explorer as nodes of the dependency graph: from the choices to every result on the page.

Each function takes the choices and results it named, and a progress callable. They add nothing to the numbers:
every one is what `amaexplore.analyze` computes, cut into pieces so that a change recomputes as little as it may.
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, SelectionError
from ..order_parameters import OrderParameters
from . import pictures
from .graph import Node

__all__ = ["NODES", "STEP_OF", "Folder", "as_analysis"]

DENSITY_TIMES = 61
DENSITY_CELLS = 160
PHASE_SPACE_CELLS = 96
PATIENCE = 0.15  # seconds of a still slider before the phase space is evolved anew


@dataclass(frozen=True)
class Folder:
    """What files a page may open: those below a folder, links followed, and those that were named when it was opened.

    Parameters
    ----------
    path : Path
    named : tuple of str
    """

    path: Path
    named: tuple[str, ...] = ()

    def check(self, file):
        """Refuse a file that lies elsewhere."""
        where = Path(file).resolve()
        if not where.is_relative_to(self.path.resolve()) and str(where) not in {
            str(Path(f).resolve()) for f in self.named
        }:
            raise InputError(
                f"{Path(file).name} is not in the folder {self.path.name!r}; only files in it can be opened here."
            )


def _loaded(values, progress):
    """The trajectory, or the series, that the source names: all its frames."""
    source = values["source"]
    kind = source.get("kind")
    if kind == "given":
        if values["data_in_memory"] is None:
            raise InputError("There are no data in memory: choose a demo or files.")
        return values["data_in_memory"]
    if kind == "demo":
        simulated = values["live"].data(source, progress)
        if simulated is not None:
            return simulated
        from ..simulate.demo import demo

        settings = {name: source[name] for name in ("seed", "duration", "stride") if source.get(name) is not None}
        return demo(source.get("name", ""), progress=progress, **settings)
    if kind == "files":
        return _from_files(source, progress, values["files_within"])
    raise InputError(f"The source {source!r} is not known; its kind must be 'demo', 'files' or 'given'.")


def _from_files(source, progress, within):
    from ..trajectory.readers import load
    from ..trajectory.series_files import is_series_file, load_series

    files = [str(file) for file in source.get("files") or ()]
    if not files:
        raise InputError("No file is chosen yet.")
    topology = source.get("topology")
    if within is not None:
        for file in [*files, topology] if topology else files:
            within.check(file)
    if all(is_series_file(file) for file in files):
        options = {name: source[name] for name in ("units", "timestep", "mass") if source.get(name)}
        return load_series(files if len(files) > 1 else files[0], **options)
    options = {name: source[name] for name in ("topology", "units", "timestep") if source.get(name)}
    return load(files, progress=progress, **options)


def data(values, progress):
    """The chosen frames of what the source names."""
    found, chosen = _loaded(values, progress), values["frames"]
    if not chosen:
        return found
    if len(chosen) != 3 or chosen[2] < 1:
        raise InputError(f"frames must be start, stop and a step of at least 1; got {chosen}.")
    picked = range(found.n_frames)[slice(*chosen)]
    if len(picked) < 2:
        raise InputError(
            f"Frames {chosen[0]} to {chosen[1]} are {len(picked)} of {found.n_frames}; choose more of them."
        )
    return found.frames(slice(*chosen))


def checks(values, _progress):
    """What is in the data, and what to know about it before trusting numbers made from it: a `CheckReport`."""
    from ..trajectory.checks import check

    return check(values["data"], subset=values["subset"])


def subset(values, _progress):
    """The atoms of the nanoparticle; None where the data are a series already."""
    source, text = values["data"], values["selection"].strip()
    if isinstance(source, OrderParameters):
        return None
    text = text or source.metadata.get("subset")
    if not text:
        raise SelectionError("Say which atoms are the nanoparticle, such as 'protein' or 'index 0 to 12'.")
    from ..analysis import chosen_subset

    return chosen_subset(source, text)[0]


def series(values, _progress):
    """R, P and F over time."""
    found = values["data"]
    if not isinstance(found, OrderParameters):
        found = found.order_parameters(values["subset"])
    if values["typical_mass"] is not None:
        found = found.with_typical_mass(values["typical_mass"])
    if found.n_frames < 2:
        raise InputError("There is only one frame; correlations need many, evenly spaced in time.")
    return found


def correlations(values, _progress):
    """What γ and θ are read from at any window."""
    from ..transport import prepare

    return prepare(values["series"], values["temperature"])


@dataclass(frozen=True)
class Compared:
    """A second subset beside the first.

    Parameters
    ----------
    name : str
    series : OrderParameters
    gamma, theta : Gamma, Theta or None
    curves : dict of CorrelationFunction
    note : str
        Why a coefficient is missing.
    """

    name: str
    series: OrderParameters
    gamma: object
    theta: object
    curves: dict
    note: str = ""


def compared_correlations(values, progress):
    """The correlations of the kept subset that is compared; None where none is."""
    name, kept = values["compared"], values["subsets"]
    if not name:
        return None
    if name not in kept:
        raise InputError(f"There is no kept subset {name!r}; kept are {', '.join(kept) or 'none'}.")
    if isinstance(values["data"], OrderParameters):
        raise InputError("The data are the series of one particle; subsets are compared where there are atoms.")
    second = subset({"data": values["data"], "selection": kept[name]}, progress)
    return correlations(values | {"series": series(values | {"subset": second}, progress)}, progress)


def compared(values, progress):
    """Coefficients of the kept subset at the same window, or each at its own proposal."""
    bench = values["compared_correlations"]
    if bench is None:
        return None
    found, note = {"gamma": None, "theta": None}, ""
    for name in found:
        try:
            found[name] = getattr(bench, name)(values["window"], values["estimator"])
        except InputError as error:
            note = str(error)
    return Compared(
        name=values["compared"],
        series=bench.series,
        curves=curves({"correlations": bench}, progress),
        note=note,
        **found,
    )


def gamma(values, _progress):
    """γ, equation (28)."""
    return values["correlations"].gamma(values["window"], values["estimator"])


def theta(values, _progress):
    """θ, equation (55)."""
    return values["correlations"].theta(values["window"], values["estimator"])


def curves(values, _progress):
    """The correlation functions themselves: dict of ``"momentum"`` and ``"force"``, where the data have them."""
    bench = values["correlations"]
    names = {"momentum": "momentum", "force": "net_force"}
    return {name: getattr(bench, name) for name, field in names.items() if bench.series.has(field)}


def mean_force(values, _progress):
    """f^th(R) along the axis."""
    from ..thermal_force import mean_force as compute

    return compute(values["series"], axis=values["axis"], temperature=values["temperature"])


def diagnosis(values, _progress):
    """Which regime holds."""
    from ..regime import diagnose

    return diagnose(values["series"], temperature=values["temperature"], correlations=values["correlations"])


def smoluchowski(values, progress):
    """W̃(R, t) by equation (29); None where the regime is not asked for."""
    return None if values["regime"] == "fokker-planck" else _density(values, "smoluchowski", progress)


def fokker_planck(values, progress):
    """W̃(R, P, t) by equation (56); None where the regime is not asked for."""
    return None if values["regime"] == "smoluchowski" else _density(values, "fokker-planck", progress)


def _density(values, regime, progress):
    from ..prediction import predict

    if values["regime"] not in ("smoluchowski", "fokker-planck", "both"):
        raise InputError(f"regime {values['regime']!r} is not known; choose smoluchowski, fokker-planck or both.")
    initial = pictures.initial_of(values["initial"])
    lower, upper = values["span"] or (None, None)
    return predict(
        as_analysis(values, values, values["series"]),
        regime,
        initial=initial,
        boundary=values["boundary"],
        horizon=values["horizon"],
        lower=lower,
        upper=upper,
        progress=progress,
        n_times=DENSITY_TIMES,
        n_cells=DENSITY_CELLS if regime == "smoluchowski" else PHASE_SPACE_CELLS,
    )


def consistency(values, _progress):
    """γ εθ/(m k_BT)² with its error, γ read from ∫⟨PP⟩ alone, so that the two routes check each other."""
    from ..analysis import _consistency

    bench = values["correlations"]
    return _consistency(values["series"], bench, values["theta"], bench.temperature[0])


def estimators(values, _progress):
    """Every estimator side by side, each at its own proposal or all at the chosen window."""
    return values["correlations"].table(values["window"])


def as_analysis(results, choices, series):
    """An `Analysis` of what the graph has computed.

    Parameters
    ----------
    results : dict
        Results by name; what is missing or None could not be computed.
    choices : dict
    series : OrderParameters
    """
    from ..analysis import assemble

    source = results.get("data")
    return assemble(
        series,
        source=series if source is None else source,
        regime=choices.get("regime", "both"),
        axis=choices.get("axis", "x"),
        temperature=choices.get("temperature"),
        correlations=results.get("correlations"),
        gamma=results.get("gamma"),
        theta=results.get("theta"),
        mean_force=results.get("mean_force"),
        diagnosis=results.get("diagnosis"),
    )


# the workbench of the correlations grows while it is read: it belongs to one lane alone, and a density needs no more
# than what was read from it
_COEFFICIENTS = ("gamma", "theta", "mean_force", "diagnosis")
_DENSITY_CHOICES = ("regime", "axis", "initial", "boundary", "span", "horizon", "temperature")

NODES = (
    Node("data", data, choices=("source", "frames", "data_in_memory", "live", "files_within"), title="the data"),
    Node("subset", subset, choices=("selection",), needs=("data",), title="the choice of the nanoparticle"),
    Node("series", series, choices=("typical_mass",), needs=("data", "subset"), title="the order parameters"),
    Node("correlations", correlations, choices=("temperature",), needs=("series",), title="the correlation functions"),
    Node("gamma", gamma, choices=("window", "estimator"), needs=("correlations",), title="γ, equation (28)"),
    Node("theta", theta, choices=("window", "estimator"), needs=("correlations",), title="θ, equation (55)"),
    Node("curves", curves, needs=("correlations",), title="the correlation functions"),
    Node("mean_force", mean_force, choices=("axis", "temperature"), needs=("series",), title="the mean force"),
    Node("diagnosis", diagnosis, choices=("temperature",), needs=("series", "correlations"), title="the diagnosis"),
    Node(
        "smoluchowski",
        smoluchowski,
        _DENSITY_CHOICES,
        ("series",),
        _COEFFICIENTS,
        "W̃(R, t) of equation (29)",
        "density",
        0.06,
    ),
    Node(
        "fokker_planck",
        fokker_planck,
        _DENSITY_CHOICES,
        ("series",),
        _COEFFICIENTS,
        "W̃(R, P, t) of equation (56)",
        "phase space",
        PATIENCE,
    ),
    Node("consistency", consistency, needs=("series", "correlations", "theta"), title="the check of γ against θ"),
    # slow for large systems, and of no use before the data stand still
    Node("checks", checks, needs=("data",), uses=("subset",), title="the checks", lane="checks", patience=1.0),
    Node("estimators", estimators, choices=("window",), needs=("correlations",), title="the other estimators"),
    Node(
        "compared_correlations",
        compared_correlations,
        choices=("compared", "subsets", "typical_mass", "temperature"),
        needs=("data",),
        title="the compared subset",
        lane="compared",
    ),
    Node(
        "compared",
        compared,
        choices=("compared", "window", "estimator"),
        needs=("compared_correlations",),
        title="the compared subset",
        lane="compared",
    ),
    *pictures.NODES,
)

STEP_OF = {
    "data": "data",
    "checks": "data",
    "subset": "nanoparticle",
    "series": "nanoparticle",
    "compared_correlations": "nanoparticle",
    "compared": "nanoparticle",
    "diagnosis": "regime",
    "correlations": "window",
    "gamma": "window",
    "theta": "window",
    "curves": "window",
    "consistency": "window",
    "estimators": "window",
    "mean_force": "density",
    "smoluchowski": "density",
    "fokker_planck": "density",
    **pictures.STEP_OF,
}
"""Under which step of the page the state of a node is told."""
