"""What the explorer shows beside the coefficients and the densities, as nodes of the graph.

Fans, modes, first passages, other masses, the Gibbs hypothesis: each is computed only when it is asked for or cheap,
each in a lane that the slider does not wait for.
"""

import numpy as np

from ..errors import InputError
from .graph import Node

__all__ = ["NODES", "STEP_OF", "initial_of", "simulated_histogram"]

N_MODES = 4
N_BARS = 40
STILL = 0.3  # seconds of still choices before what takes a second or more is begun


def initial_of(choice):
    """What `predict` takes as ``initial``, from the choice of the session; None: the program's own.

    Raises
    ------
    InputError
        A kind that is not known, or numbers that are missing.
    """
    if not choice:
        return None
    kind = choice.get("kind", "gaussian")
    try:
        if kind == "gaussian":
            return ("gaussian", float(choice["mean"]), float(choice["std"]))
        if kind == "data":
            return "data"
        if kind == "drawn":
            return ("drawn", [[float(place), float(height)] for place, height in choice["points"]])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"The initial state {choice!r} lacks its numbers.") from None
    raise InputError(f"The initial state is gaussian, data or drawn; got {kind!r}.")


def gibbs(values, _progress):
    """Whether time averages of F converge, equations (20), (23), (48); None without forces."""
    from ..gibbs import gibbs_check

    return gibbs_check(values["series"]) if values["series"].has("net_force") else None


def fans(values, progress):
    """W̃ with the errors of γ, θ and f^th propagated, by regime; None where not asked for."""
    if not values["fan"]:
        return None
    found = {}
    for name in ("smoluchowski", "fokker_planck"):
        prediction = values[name]
        # the noise of a sampled density would pass for the error of its coefficients
        if prediction is not None and prediction.density.diagnostics.get("scheme") != "particles":
            found[name] = prediction.fan(progress=progress)
    return found


def paths(values, progress):
    """Single particles that follow the equations, by regime; None where not asked for."""
    if not values["paths"]:
        return None
    found = {name: values[name] for name in ("smoluchowski", "fokker_planck") if values[name] is not None}
    return {name: prediction.sample_paths(progress=progress) for name, prediction in found.items()}


def modes(values, _progress):
    """(rates, modes) of equation (29), 1/ps and 1/nm."""
    prediction = values["smoluchowski"]
    return None if prediction is None else prediction.equation.relaxation_modes(N_MODES)


def passage(values, _progress):
    """Mean first-passage times to the chosen place; None where none is chosen."""
    prediction = values["smoluchowski"]
    if prediction is None or values["target"] is None:
        return None
    return prediction.first_passage(values["target"])


def masses(values, progress):
    """The same particle heavier and lighter; None where not asked for."""
    prediction = values["fokker_planck"]
    if not values["what_if"] or prediction is None:
        return None
    from ..prediction import mass_ladder

    return mass_ladder(prediction, values["series"].epsilon, progress=progress)


def simulated_histogram(series, prediction, initial, confined, time):
    """What the simulation itself did, to be drawn behind W̃.

    Parameters
    ----------
    series : OrderParameters
    prediction : Prediction
    initial : dict
        The choice of the session.
    confined : bool
        Whether the particle is, so that one run shows its equilibrium.
    time : float, ps
        Of the cursor.

    Returns
    -------
    (edges, heights, words), or None
        An ensemble is shown at the time of the cursor, if W̃ began as it did; one run, all of it, if it is confined.
        Nothing else could be compared.
    """
    from ..prediction import ENSEMBLE
    from ..thermal_force import axis_direction

    if series is None or not series.has("centre_of_mass"):
        return None
    position = series.replicas("centre_of_mass") @ axis_direction(prediction.axis)[0]
    if len(position) >= ENSEMBLE and initial.get("kind") == "data":
        frame = round(time / series.timestep)
        if frame >= position.shape[1]:
            return None
        position, words = position[:, frame], f"{len(position)} replicas"
    elif confined:
        words = "simulation, all times"
    else:
        return None
    position = position[np.isfinite(position)]
    bars = int(np.clip(np.sqrt(len(position)), 8, N_BARS))
    heights, edges = np.histogram(position, bins=bars, density=True)
    return edges, heights, words


NODES = (
    Node("gibbs", gibbs, needs=("series",), title="the Gibbs hypothesis", lane="pictures"),
    Node("modes", modes, uses=("smoluchowski",), title="the relaxation modes", lane="pictures"),
    Node(
        "paths",
        paths,
        choices=("paths",),
        uses=("smoluchowski", "fokker_planck"),
        title="the sample paths",
        lane="pictures",
    ),
    Node("passage", passage, choices=("target",), uses=("smoluchowski",), title="the passage times", lane="pictures"),
    Node(
        "fans",
        fans,
        choices=("fan",),
        uses=("smoluchowski", "fokker_planck"),
        title="the errors of W̃",
        lane="fans",
        patience=STILL,
    ),
    Node(
        "masses",
        masses,
        choices=("what_if",),
        needs=("series",),
        uses=("fokker_planck",),
        title="other masses",
        lane="masses",
        patience=STILL,
    ),
)

STEP_OF = {
    "gibbs": "window",
    "modes": "density",
    "passage": "density",
    "paths": "density",
    "fans": "density",
    "masses": "regime",
}
