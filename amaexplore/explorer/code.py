"""The Python that reproduces what is on the page."""

from .steps import DENSITY_CELLS, DENSITY_TIMES, PHASE_SPACE_CELLS

__all__ = ["reproduce"]


def reproduce(session):
    """A script that computes the numbers of a session anew.

    Parameters
    ----------
    session : Session

    Returns
    -------
    str
        Python; data in memory are named ``data`` there and must be at hand.
    """
    lines = ["import amaexplore as ama", ""]
    lines += _source(session)
    lines += ["", *_analysis(session), "print(analysis.text())"]
    lines += _densities(session)
    return "\n".join(lines) + "\n"


def _source(session):
    source = session.source
    if source["kind"] == "demo":
        settings = {name: source[name] for name in ("seed", "duration", "stride") if source.get(name) is not None}
        return [f"data = ama.demo({_arguments(source['name'], **settings)})"]
    if source["kind"] == "files":
        files = source["files"][0] if len(source["files"]) == 1 else list(source["files"])
        if session.latest("subset") is None and session.state("subset").status == "fresh":
            return [f"data = ama.load_series({files!r})"]
        options = {name: source[name] for name in ("topology", "units", "timestep") if source.get(name)}
        return [f"data = ama.load({_arguments(files, **options)})"]
    return ["# data: the trajectory or series that was handed to ama.explore(data)"]


def _analysis(session):
    options = {"select": session.selection or None, "regime": session.regime, "axis": session.axis}
    options |= {name: getattr(session, name) for name in ("window", "estimator", "temperature", "typical_mass")}
    given = ", ".join(f"{name}={value!r}" for name, value in options.items() if value is not None)
    return [f"analysis = ama.analyze(data, {given})"]


def _densities(session):
    lines = []
    wanted = {"smoluchowski": DENSITY_CELLS, "fokker-planck": PHASE_SPACE_CELLS}
    for regime, n_cells in wanted.items():
        if session.regime not in (regime, "both"):
            continue
        options = {"boundary": session.boundary, "n_times": DENSITY_TIMES, "n_cells": n_cells}
        if session.initial:
            options["initial"] = ("gaussian", float(session.initial["mean"]), float(session.initial["std"]))
        if session.horizon is not None:
            options["horizon"] = session.horizon
        if session.span:
            options["lower"], options["upper"] = session.span
        name = regime.replace("-", "_")
        lines += [f"{name} = analysis.predict({_arguments(regime, **options)})"]
    return ["", *lines]


def _arguments(*positional, **named):
    return ", ".join([*map(repr, positional), *(f"{name}={value!r}" for name, value in named.items())])
