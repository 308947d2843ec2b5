"""The embedded demos: small simulations that run in under a minute and are remembered.

``amaexplore.demos()`` lists them with what each should give; ``amaexplore.demo(name)`` is the trajectory.
"""

import hashlib
import html
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ..errors import AmaError, InputError, InsufficientDataError, Notice
from ..files import write_text
from ..units import BOLTZMANN
from .live import LiveRun
from .own import alanine_dipeptide, run_recorded
from .potentials import DoubleWell, HarmonicTrap
from .progress import report
from .recording import Recording
from .systems import (
    argon_beside_fixed_particle,
    argon_between_walls,
    argon_nanoparticle,
    fullerene_in_argon,
    rahman_argon,
)

__all__ = ["Demo", "DemoList", "demo", "demos"]

CACHE_FORMAT = 3
"""Raised whenever the same settings would give another trajectory or another file."""


@dataclass(frozen=True)
class Demo:
    """One embedded simulation: what it is, how it is run, and what it should give.

    Parameters
    ----------
    name : str
    summary : str
        What is simulated.
    build : callable
        Makes the `MolecularSystem`; its keyword arguments can be overridden in `demo`.
    duration : float, ps
    stride : int
        MD steps between stored frames.
    equilibration : float, ps
    store : str
        Which atoms the frames hold: ``"all"``, or the ``"subset"`` where the whole would be large.
    expected : dict
        Name of a quantity -> (value, standard error, unit), from long runs or as published; error 0: exact.
    """

    name: str
    summary: str
    build: object = field(repr=False)
    duration: float
    stride: int
    equilibration: float = 20.0
    store: str = "all"
    expected: Mapping = field(default_factory=dict)

    def expectation(self):
        """What it should give, as text."""
        return ", ".join(
            f"{name} {value:.4g}" + (f" ± {std:g}" if std else "") + (f" {unit}" if unit else "")
            for name, (value, std, unit) in self.expected.items()
        )


_HEAVY = {"density": 0.3, "mass_factor": 5.0, "host_friction": 1.0}
_TRAP, _WELL = HarmonicTrap(50.0), DoubleWell(barrier=3.0, half_distance=0.8, stiffness=15.0)


def _thermal(temperature):
    return BOLTZMANN * temperature


_DEMOS = {
    entry.name: entry
    for entry in [
        Demo(
            name="argon-nanoparticle",
            summary="icosahedral particle of 13 argon atoms in 287 of argon at ρ* = 0.5 and 240 K, the argon in a weak bath",
            build=partial(argon_nanoparticle, host_friction=1.0),
            duration=320.0,
            stride=3,
            expected={"friction": (520.0, 15.0, "u/ps")},
        ),
        Demo(
            name="argon-isolated",
            summary="the same in an isolated box: momentum comes back from the host, and the friction falls from 490 to 335",
            build=argon_nanoparticle,
            duration=320.0,
            stride=3,
            expected={"friction, slow": (335.0, 15.0, "u/ps")},
        ),
        Demo(
            name="argon-heavy",
            summary="the particle five times as heavy, at ρ* = 0.3: slow momentum, ε small",
            build=partial(argon_nanoparticle, **_HEAVY),
            duration=320.0,
            stride=3,
            expected={"friction": (255.0, 15.0, "u/ps")},
        ),
        Demo(
            name="argon-trap",
            summary="the heavy particle in a harmonic trap of 50 kJ/mol/nm²: it swings (underdamped)",
            build=partial(argon_nanoparticle, **_HEAVY, potential=_TRAP),
            duration=320.0,
            stride=3,
            expected={"variance of R": (_thermal(240.0) / 50.0, 0.0, "nm²")},
        ),
        Demo(
            name="argon-double-well",
            summary="the light particle in a double well, barrier 3 kJ/mol, minima at ± 0.8 nm",
            build=partial(argon_nanoparticle, host_friction=1.0, potential=_WELL),
            duration=320.0,
            stride=3,
            expected={"barrier of −k_BT ln ρ": (3.0, 0.0, "kJ/mol")},
        ),
        Demo(
            name="argon-walls",
            summary="the particle between two smooth walls 3 nm apart: a mean force that nobody imposed",
            build=argon_between_walls,
            duration=200.0,
            stride=4,
            expected={"mean force at x = 0.7 nm": (38.0, 6.0, "kJ/mol/nm")},
        ),
        Demo(
            name="argon-pair",
            summary="the particle beside a second one that is fixed at x = −1.4 nm",
            build=argon_beside_fixed_particle,
            duration=200.0,
            stride=4,
            expected={"mean force at x = −0.5 nm": (28.0, 5.0, "kJ/mol/nm")},
        ),
        Demo(
            name="c60-argon",
            summary="C60 in 500 atoms of liquid argon at ρ* = 0.75 and 120 K",
            build=fullerene_in_argon,
            duration=100.0,
            stride=8,
            equilibration=10.0,
            expected={"friction, held": (1580.0, 90.0, "u/ps")},
        ),
        Demo(
            name="rahman-argon",
            summary="Rahman's 864 argon atoms at 94.4 K and 1.374 g/cm³ (1964), one of them tagged",
            build=rahman_argon,
            duration=20.0,
            stride=2,
            equilibration=10.0,
            expected={"D of an atom": (2.43e-3, 0.05e-3, "nm²/ps")},
        ),
        Demo(
            name="alanine-dipeptide",
            summary="alanine dipeptide in TIP3P water at 300 K: not slow enough for ε → 0; only the solute is stored",
            build=alanine_dipeptide,
            duration=30.0,
            stride=2,
            equilibration=5.0,
            store="subset",
            expected={"ζ held over k_BT/D free": (1.6, 0.2, "")},
        ),
    ]
}


class DemoList(Mapping):
    """The demos by name; printed as a table."""

    def __getitem__(self, name):
        return _DEMOS[name]

    def __iter__(self):
        return iter(_DEMOS)

    def __len__(self):
        return len(_DEMOS)

    def __repr__(self):
        return "\n".join(
            f"{entry.name}: {entry.summary}; {entry.duration:g} ps. Expected: {entry.expectation()}."
            for entry in _DEMOS.values()
        )

    def _repr_html_(self):
        rows = "".join(
            f"<tr><td><code>{html.escape(entry.name)}</code></td><td style='text-align:left'>{html.escape(entry.summary)}</td>"
            f"<td>{entry.duration:g} ps</td><td style='text-align:left'>{html.escape(entry.expectation())}</td></tr>"
            for entry in _DEMOS.values()
        )
        return f"<table><tr><th>demo</th><th>system</th><th>length</th><th>expected</th></tr>{rows}</table>"


def demos():
    """The embedded demos: names, what they are, what they should give.

    Returns
    -------
    DemoList
        A mapping from name to `Demo`.
    """
    return DemoList()


def find_demo(name):
    """The `Demo` of that name.

    Raises
    ------
    InputError
        There is none; the names there are.
    """
    try:
        return _DEMOS[name]
    except (KeyError, TypeError):
        raise InputError(f"There is no demo {name!r}; there are: {', '.join(_DEMOS)}.") from None


def demo(
    name="argon-nanoparticle",
    *,
    seed=2026,
    duration=None,
    stride=None,
    progress=None,
    cache=True,
    live=False,
    platform=None,
    threads=1,
    **settings,
):
    """The trajectory of an embedded simulation: simulated at first, read from the cache afterwards.

    Equilibrated with a thermostat, then nothing acts on the nanoparticle but its host. Positions, velocities and forces of
    all atoms are of the same time: velocities are the mean of the leapfrog integrator's half-step ones, v(t) =
    [v(t − dt/2) + v(t + dt/2)]/2, and forces are m dv/dt over the same step. In an isolated box (``host_friction=0``) the
    energy is conserved and the total momentum is zero.

    Parameters
    ----------
    name : str
        See `demos`.
    seed : int
        The same seed gives the same trajectory (on the same platform of the same machine).
    duration : float, ps, optional
    stride : int, optional
        MD steps between frames.
    progress : callable, optional
        Called with a fraction and a text; may raise `Cancelled`.
    cache : bool
        Keep the result in, and take it from, the user's cache directory (``XDG_CACHE_HOME`` is honoured).
    live : bool
        Return a `LiveRun` that is not started yet, instead of waiting; when it ends by itself, its trajectory goes into the
        cache.
    platform : str, optional
        OpenMM platform; default the fastest there is.
    threads : int
        For the CPU platform.
    **settings
        Parameters of the system, such as ``density``; see the demo's ``build``.

    Returns
    -------
    Trajectory or LiveRun
        Complete system; ``metadata["subset"]`` is the selection of the nanoparticle. Where it comes from the cache,
        ``files[0]`` also holds R, P and F at every MD step, for `amaexplore.load_series`.

    Raises
    ------
    InputError
        No such demo, or settings it does not have.
    """
    system, request, n_frames = _requested(name, seed, duration, stride, settings)
    options = {"platform": platform, "threads": threads}
    if live:
        return _live(system, request, n_frames, cache, options)
    if not cache:
        return _simulate(system, request, n_frames, progress, options).trajectory(**request)
    path = cache_file(request)
    remembered = _read_cache(
        path, request, n_frames, system.n_atoms if request["store"] == "all" else len(system.particle)
    )
    if remembered is not None:
        report(progress, 1.0, "read from the cache")
        return remembered
    return _remembered(_simulate(system, request, n_frames, progress, options), request, path)


def is_remembered(name, *, seed=2026, duration=None, stride=None, **settings):
    """Whether the cache holds a demo, so that it need not be simulated."""
    _, request, _ = _requested(name, seed, duration, stride, settings)
    return _checksum_file(cache_file(request)).is_file()


def remember_part(run):
    """Put what a live demo has simulated so far, whole frames of it, in the cache.

    Parameters
    ----------
    run : LiveRun
        From ``demo(..., live=True)``; no longer going on.

    Returns
    -------
    trajectory : Trajectory
        The same that ``demo`` gives for ``duration``.
    duration : float, ps
    """
    recording, request = run.recording, dict(run.metadata)
    n_frames = recording.n_steps // recording.stride
    if n_frames < 2:
        raise InsufficientDataError(f"The run was stopped after {n_frames} frames; nothing can be made of them.")
    timestep = recording.system.timestep
    if n_frames != _frame_count(request["duration"], recording.stride, timestep):
        request["duration"] = float(f"{n_frames * recording.stride * timestep:.9g}")
    trajectory = recording.trajectory(**request).frames(slice(0, n_frames))
    series = recording.series().frames(slice(0, n_frames * recording.stride))
    path = cache_file(request)
    if not _checksum_file(path).is_file():
        trajectory = _written(trajectory, series, path)
    return trajectory, request["duration"]


def _requested(name, seed, duration, stride, settings):
    """The system, all that determines the simulation, and its number of frames."""
    entry = find_demo(name)
    try:
        system = entry.build(**settings)
    except TypeError as error:
        raise InputError(f"Demo {name!r}: {error}.") from None
    duration = entry.duration if duration is None else float(duration)
    stride = entry.stride if stride is None else int(stride)
    n_frames = _frame_count(duration, stride, system.timestep)
    request = {
        "demo": name,
        "seed": int(seed),
        "duration": duration,
        "stride": stride,
        "equilibration": entry.equilibration,
        "store": entry.store,
        "settings": system.settings,
        "format": CACHE_FORMAT,
    }
    # as it comes back from a file: lists, not tuples
    return system, json.loads(json.dumps(request)), n_frames


def _frame_count(duration, stride, timestep):
    if not (np.isfinite(duration) and duration > 0) or stride < 1:
        raise InputError(f"duration must be positive (ps) and stride at least 1; got {duration!r} and {stride!r}.")
    return max(1, round(duration / (stride * timestep)))


def _simulate(system, request, n_frames, progress, options):
    recording = Recording(system, request["stride"], _stored(system, request))
    duration = n_frames * request["stride"] * system.timestep
    run_recorded(system, recording, duration, request["equilibration"], {"seed": request["seed"], **options}, progress)
    return recording


def _stored(system, request):
    """The atoms in the frames, or None for all."""
    return system.particle if request["store"] == "subset" else None


def _live(system, request, n_frames, cache, options):
    def remember(recording):
        if cache:
            _remembered(recording, request, cache_file(request))

    return LiveRun(
        system,
        duration=n_frames * request["stride"] * system.timestep,
        stride=request["stride"],
        equilibration=request["equilibration"],
        seed=request["seed"],
        atoms=_stored(system, request),
        metadata=request,
        when_finished=remember,
        **options,
    )


def _remembered(recording, request, path):
    """The trajectory, written to the cache; with a notice where that cannot be."""
    return _written(recording.trajectory(**request), recording.series(), path)


def _written(trajectory, series, path):
    try:
        _write_cache(trajectory, series, path)
    except (OSError, InputError) as error:
        notice = Notice("cache_unavailable", f"The demo was not cached, so it will be simulated again: {error}", "info")
        return trajectory.replace(notices=(*trajectory.notices, notice))
    return trajectory


def cache_directory():
    """Where demos are kept: the user's cache directory for amaexplore."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("amaexplore", appauthor=False)) / "demos"


def cache_file(request):
    """The file that holds a simulation, named by all that determines it."""
    text = json.dumps(request, sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=10).hexdigest()
    return cache_directory() / f"{request['demo']}-{digest}.h5md"


def _read_cache(path, request, n_frames, n_atoms):
    """The remembered trajectory, or None where there is none or the file is damaged."""
    try:
        if _checksum_file(path).read_text() != _checksum(path):
            return None
        from ..trajectory.readers import load

        trajectory = load(path)
    except (OSError, UnicodeDecodeError, AmaError):
        return None
    whole = trajectory.n_frames == n_frames and trajectory.n_atoms == n_atoms
    same = all(trajectory.metadata.get(key) == value for key, value in request.items())
    return trajectory if whole and same else None


def _write_cache(trajectory, series, path):
    """The frames, and R, P and F at every step, which `amaexplore.load_series` reads from the same file."""
    from ..trajectory.h5md import write_h5md
    from .recorder import write_series

    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"no permission to write in {path.parent}.")
    # two programs may be about it at once, each in a file of its own until that is complete
    write_h5md(trajectory, path, lambda file: write_series(file, series))
    # last, so that whatever was cut short has no valid checksum
    write_text(_checksum_file(path), _checksum(path))


def _checksum_file(path):
    return path.with_suffix(".blake2b")


def _checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()
