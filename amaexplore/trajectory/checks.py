"""check(): what is in the files, and what is wrong with them, in sentences with numbers and what to do.

Each check looks at one thing and returns `Notice` objects with a stable code; none of them stops an analysis.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import InputError, Notice
from ..results import Result
from ..uncertainty import correlation_time
from ..units import BOLTZMANN
from .degrees_of_freedom import rigid_pairs
from .frames import FIELDS
from .half_step import measure_offset
from .memory import mapped_file, require_whole
from .temperature import (
    host_is_missing,
    is_complete,
    measure_temperature,
    net_force_fraction,
    temperature_series,
    total_momentum,
    total_momentum_is_zero,
)
from .trajectory import Trajectory
from .unwrap import split_images

__all__ = [
    "CheckReport",
    "check",
    "host_is_missing",
    "is_complete",
    "measure_temperature",
    "total_momentum_is_zero",
]

SIGNIFICANT = 4.0  # standard errors
MOST_CONTACTS = 20_000  # atoms whose contacts are looked for


@dataclass(frozen=True, eq=False, repr=False)
class CheckReport(Result):
    """What data holds, and what to know about it before trusting numbers made from it.

    Parameters
    ----------
    facts : dict
        Plain JSON types: files, atoms, frames, spacing, fields, masses, box, temperature, and more.
    warnings : tuple of Notice
        Errors first, then warnings, then information.
    """

    facts: dict
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def notices(self):
        """The same as ``warnings``."""
        return self.warnings

    @property
    def codes(self):
        """The codes of all notices."""
        return tuple(notice.code for notice in self.notices)

    def summary(self):
        return [(name.replace("_", " "), _shown(value)) for name, value in self.facts.items() if value is not None]

    def text(self):
        """The report for people, as ``amaexplore check`` prints it."""
        rows = self.summary()
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {text}" for name, text in rows]
        if not self.notices:
            return "\n".join([*lines, "", "Nothing to complain about."])
        marks = {"error": "ERROR", "warning": "warning", "info": "note"}
        return "\n".join([*lines, "", *(f"{marks[n.severity]} [{n.code}] {n.message}" for n in self.notices)])


def _shown(value):
    if isinstance(value, list | tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def check(trajectory_or_files, topology=None, subset=None, **load_options):
    """Look data over before analysing it.

    Parameters
    ----------
    trajectory_or_files : Trajectory, OrderParameters, or what `amaexplore.load` takes
    topology : str or Path, optional
    subset : AtomSubset or selection, optional
        The nanoparticle; with it, its forces, momenta and temperature are looked at as well.
    **load_options
        As for `amaexplore.load`.

    Returns
    -------
    CheckReport

    Raises
    ------
    InputError
        Reading options beside a trajectory that is loaded, or files that cannot be read.
    """
    from ..order_parameters import OrderParameters

    if isinstance(trajectory_or_files, OrderParameters):
        return _report(_series_facts(trajectory_or_files), _series_notices(trajectory_or_files, None))
    if isinstance(trajectory_or_files, Trajectory):
        if topology is not None or load_options:
            raise InputError(
                "topology and reading options go with files; a trajectory that is loaded already has them."
            )
        trajectory = trajectory_or_files
    else:
        from .readers import load

        trajectory = load(trajectory_or_files, topology=topology, **load_options)
    for name in FIELDS:
        require_whole(mapped_file(getattr(trajectory, name)))
    view = _View(trajectory, subset)
    notices = [*trajectory.notices]
    for look in _LOOKS:
        notices += look(view)
    facts = _facts(view)
    if view.series is not None:
        notices += _series_notices(view.series, view)
    return _report(facts, notices)


def _report(facts, notices):
    rank = {"error": 0, "warning": 1, "info": 2}
    unique = {notice.code: notice for notice in reversed(notices)}
    ordered = [notice for code, notice in reversed(unique.items()) if code]
    return CheckReport(facts, tuple(sorted(ordered, key=lambda notice: rank[notice.severity])))


class _View:
    """A trajectory and its nanoparticle, with what several checks need computed once."""

    def __init__(self, trajectory, subset):
        self.trajectory = trajectory
        self.chosen = subset is not None or "subset" in trajectory.metadata
        chosen = subset if subset is not None else trajectory.metadata.get("subset")
        self.subset = None if chosen is None else trajectory.select(chosen)

    @cached_property
    def all_atoms(self):
        return self.trajectory.select(np.arange(self.trajectory.n_atoms))

    @cached_property
    def complete(self):
        return is_complete(self.trajectory)

    @cached_property
    def offset(self):
        return measure_offset(self.trajectory)

    @cached_property
    def rigid(self):
        return rigid_pairs(self.trajectory)

    @cached_property
    def series(self):
        return None if self.subset is None else self.trajectory.order_parameters(self.subset)


# -- facts --------------------------------------------------------------------------------------------


def _facts(view):
    trajectory = view.trajectory
    temperature, std = measure_temperature(trajectory, view.all_atoms)
    step = trajectory.timestep
    facts = {
        "files": list(trajectory.files),
        "n_atoms": trajectory.n_atoms,
        "n_frames": trajectory.n_frames,
        "first_time_ps": float(trajectory.times[0]),
        "duration_ps": trajectory.duration,
        "timestep_ps": float(step) if np.isfinite(step) else "uneven",
        "md_timestep_ps": trajectory.md_timestep,
        **{name: _presence(trajectory, name) for name in FIELDS},
        "velocity_offset_ps": trajectory.velocity_offset if trajectory.velocities is not None else None,
        "masses_from": trajectory.masses_source,
        "total_mass_u": float(trajectory.masses.sum()),
        "bonds": trajectory.topology.n_bonds,
        "rigid_distances": len(view.rigid),
        "box": _box_fact(trajectory),
        "everything_simulated": {True: "yes", False: "no", None: "unknown"}[view.complete],
        "temperature_K": None if temperature is None else f"{temperature:.5g} ± {std or float('nan'):.2g}",
    }
    if view.subset is not None:
        temperature, std = measure_temperature(trajectory, view.subset)
        facts["subset"] = f"{view.subset.selection}: {view.subset.n_atoms} atoms, {view.subset.mass:.6g} u"
        facts["subset_temperature_K"] = (
            None if temperature is None else f"{temperature:.5g} ± {std or float('nan'):.2g}"
        )
        facts |= {key: value for key, value in _series_facts(view.series).items() if key not in facts}
    return facts


def _presence(trajectory, name):
    held = np.flatnonzero(trajectory.frames_with[name])
    if len(held) == 0:
        return "none"
    if len(held) == trajectory.n_frames:
        return "every frame"
    strides = np.diff(held)
    if len(strides) and (strides == strides[0]).all():
        return f"every {strides[0]} frames ({len(held)} of {trajectory.n_frames})"
    return f"{len(held)} of {trajectory.n_frames} frames"


def _box_fact(trajectory):
    if trajectory.box is None:
        return "none"
    box = trajectory.box
    kind = "rectangular" if not (box[0] - np.diag(np.diag(box[0]))).any() else "triclinic"
    lengths = " × ".join(f"{length:.5g}" for length in np.linalg.norm(box[0], axis=1))
    volumes = np.linalg.det(box)
    change = np.ptp(volumes) / volumes.mean() if volumes.all() else 0.0
    return f"{kind}, {lengths} nm" + (f", volume changes by {100 * change:.2g} %" if change > 1e-6 else "")


def _series_facts(series):
    facts = {
        "holds": [name.replace("_", " ") for name in ("centre_of_mass", "momentum", "net_force") if series.has(name)],
        "mass_u": series.mass,
        "epsilon": series.epsilon,
    }
    if series.has("momentum") and series.has("net_force") and np.isfinite(series.timestep):
        scaled = _correlation_at_one_frame(series.replicas("net_force"))
        facts["force_correlation_after_one_frame"] = None if scaled is None else float(f"{scaled:.3g}")
    difference = path_difference(series)
    if difference is not None:
        facts["path_against_momentum_nm"] = float(f"{difference[0]:.3g}")
    if series.has("momentum"):
        facts["temperature_of_momentum_K"] = float(f"{series.kinetic_temperature:.5g}")
    return facts


# -- checks of the data as a whole --------------------------------------------------------------------


def _uneven_times(view):
    trajectory = view.trajectory
    if trajectory.n_frames == 1:
        yield Notice(
            "one_frame", "There is one frame only: nothing can be said about motion; load a trajectory.", "warning"
        )
    elif not np.isfinite(trajectory.timestep):
        steps = np.diff(trajectory.times)
        yield Notice(
            "uneven_times",
            f"Frames are {steps.min():.6g} to {steps.max():.6g} ps apart, not evenly spaced; correlations need an even stretch or "
            "the frames of one field (the order parameters offer both).",
        )


def _velocity_time(view):
    trajectory, found = view.trajectory, view.offset
    if found is None or "half_step_velocities" in {notice.code for notice in trajectory.notices}:
        return
    if trajectory.velocity_offset == 0.0 and abs(found.offset) > 5.0 * found.std:
        yield Notice(
            "velocity_time",
            f"Velocities seem {found.offset * 1e3:.3g} ± {found.std * 1e3:.2g} fs from positions and forces, which is not half of "
            f"the MD step ({trajectory.md_timestep or float('nan'):.4g} ps): is the system in equilibrium, and are these the "
            "forces of these frames? Give integrator= to say how velocities are stored.",
        )


def _total_momentum(view):
    trajectory = view.trajectory
    if view.complete is not True or trajectory.velocities is None:
        return
    momentum, thermal = total_momentum(trajectory)
    if len(momentum) < 3 or thermal == 0:
        return
    change = np.sqrt(momentum.var(axis=0).sum()) / thermal
    if change <= 1e-2 or trajectory.metadata.get("external_forces"):
        return
    rate = trajectory.metadata.get("host_friction")
    if rate:
        yield Notice(
            "host_thermostat",
            f"A bath of {rate:g} 1/ps acts on the host's atoms and carries its momentum away; none acts on the nanoparticle.",
            "info",
        )
    else:
        resets = (np.linalg.norm(momentum, axis=1) < 1e-3 * thermal).sum()
        what = "centre-of-mass removal or a thermostat" if resets else "a thermostat"
        yield Notice(
            "momentum_not_conserved",
            f"The total momentum changes by {change:.2g} of its thermal size while the net force is zero: {what} acts on the atoms. "
            "It adds its own friction to γ and θ; run without it (NVE) after equilibration.",
        )


def _virtual_sites(view):
    trajectory = view.trajectory
    sites = np.flatnonzero(trajectory.masses == 0)
    if len(sites) == 0:
        return
    message = f"{len(sites)} sites have no mass (virtual sites)."
    severity = "info"
    if trajectory.forces is not None:
        frames = np.flatnonzero(trajectory.frames_with["forces"])[:5]
        forces = trajectory.forces[frames]
        if forces[:, sites].any():
            severity = "warning"
            real = np.flatnonzero(trajectory.masses > 0)
            with_sites, without = (
                np.linalg.norm(forces[:, chosen].astype(float).sum(axis=1)) for chosen in (slice(None), real)
            )
            counted = (
                " and the forces sum to less without them: they are counted twice" if without < 0.1 * with_sites else ""
            )
            message += (
                f" They carry forces in the file{counted}. If the engine has spread these onto the real atoms already, "
                "leave the sites out of the selection."
            )
    yield Notice("virtual_sites", message, severity)


def _temperature_drift(view):
    trajectory = view.trajectory
    frames, series = temperature_series(trajectory, view.all_atoms)
    if len(series) < 50:
        return
    times = trajectory.times[frames] - trajectory.times[frames].mean()
    slope = (times @ series) / (times @ times)
    residual = series - series.mean() - slope * times
    memory = correlation_time(residual)
    std = residual.std() * np.sqrt(2.0 * memory.integrated / (times @ times))
    change = slope * trajectory.duration
    if abs(slope) > SIGNIFICANT * std and abs(change) > 0.01 * series.mean():
        yield Notice(
            "temperature_drift",
            f"The temperature changes by {change:.3g} ± {std * trajectory.duration:.2g} K over the run (mean {series.mean():.4g} K): "
            "not in equilibrium, or the energy drifts. Leave out the beginning, or use a smaller step.",
        )


def _changing_box(view):
    box = view.trajectory.box
    if box is None or len(box) < 2:
        return
    volumes = np.abs(np.linalg.det(box))
    change = np.ptp(volumes) / volumes.max() if volumes.max() > 0 else 0.0
    if change > 1e-4:
        yield Notice(
            "changing_box",
            f"The volume changes by {100 * change:.2g} %: a barostat moves the atoms without their momenta, so that R is not quite the "
            "integral of P/m. Run the production at constant volume.",
        )


def _split_particle(view):
    trajectory, subset = view.trajectory, view.subset
    if subset is None or trajectory.box is None or trajectory.positions is None or subset.n_atoms > MOST_CONTACTS:
        return
    if split_images(trajectory, subset.indices) is None:
        yield Notice(
            "particle_split",
            f"The {subset.n_atoms} atoms touch their own periodic images or lie apart by more than half the box, and nothing in the files "
            "holds all of them together (bonds, image flags), so that no arrangement of images is whole: R is off by a constant, P and "
            "F are not. Select one particle, or give a topology with bonds.",
        )


def _rigid_bonds_cut(view):
    if view.subset is None or len(view.rigid) == 0:
        return
    inside = view.subset.indicator[view.rigid]
    cut = view.rigid[inside[:, 0] != inside[:, 1]]
    if len(cut):
        atoms = list(view.trajectory.topology.atoms)
        named = ", ".join(f"{atoms[a]}–{atoms[b]}" for a, b in cut[:4]) + (", ..." if len(cut) > 4 else "")
        yield Notice(
            "rigid_bonds_cut",
            f"The selection cuts {len(cut)} rigid distances ({named}); engines do not store the constraint forces, so F is not dP/dt. "
            "Select whole molecules or rigid groups.",
        )


def _host(view):
    if view.subset is None:
        return
    reason = host_is_missing(view.trajectory, view.subset)
    if reason:
        yield Notice("no_host", reason, "error")


def _temperatures_differ(view):
    trajectory = view.trajectory
    if view.subset is None or view.subset.n_atoms == trajectory.n_atoms:
        return
    inner, inner_std = measure_temperature(trajectory, view.subset)
    outer, outer_std = measure_temperature(trajectory, ~view.subset)
    if None in (inner, inner_std, outer, outer_std):
        return
    std = np.hypot(inner_std, outer_std)
    if abs(inner - outer) > SIGNIFICANT * std and abs(inner - outer) > 0.02 * outer:
        yield Notice(
            "temperatures_differ",
            f"The atoms of the nanoparticle are at {inner:.4g} ± {inner_std:.2g} K, the others at {outer:.4g} ± {outer_std:.2g} K: not "
            "in equilibrium, or thermostatted apart. Equilibrate longer.",
        )


def _net_force_of_complete(view):
    fraction = net_force_fraction(view.trajectory)
    if view.complete is True and fraction is not None and fraction > 1e-5:
        yield Notice(
            "net_force_of_all",
            f"The forces of all atoms sum to {fraction:.1e} of their own size (round-off would be 1e-7): typical of particle-mesh "
            "electrostatics; small against the force on a nanoparticle.",
            "info",
        )


_LOOKS = (
    _uneven_times,
    _velocity_time,
    _total_momentum,
    _net_force_of_complete,
    _virtual_sites,
    _temperature_drift,
    _changing_box,
    _split_particle,
    _host,
    _rigid_bonds_cut,
    _temperatures_differ,
)


# -- checks of the order parameters -------------------------------------------------------------------


def _series_notices(series, view):
    notices = []
    if series.zero_total_momentum and series.total_mass:
        factor = 1.0 - series.mass / series.total_mass
        notices.append(
            Notice(
                "zero_total_momentum",
                f"The total momentum is zero, so <P^2> = m(1 - m/m_total) k_B T: a factor {factor:.5g} that is put into "
                "temperatures and coefficients.",
                "info",
            )
        )
    if not np.isfinite(series.timestep):
        return notices
    return notices + [
        *_sparse(series),
        *_force_against_momentum(series),
        *_momentum_temperature(series),
        *_path(series),
    ]


def _correlation_at_one_frame(forces):
    forces = forces[np.isfinite(forces).all(axis=(0, 2)).nonzero()[0].size and slice(None)]
    if not np.isfinite(forces).all() or forces.shape[1] < 10:
        return None
    centred = forces - forces.mean(axis=(0, 1))
    power = (centred**2).mean()
    return None if power == 0 else float((centred[:, 1:] * centred[:, :-1]).mean() / power)


def _sparse(series):
    if not series.has("net_force"):
        return
    scaled = _correlation_at_one_frame(series.replicas("net_force"))
    if scaled is not None and scaled < 0.5:
        yield Notice(
            "frames_too_sparse",
            f"The force correlation falls to {scaled:.2g} of its start within one frame ({series.timestep:.4g} ps): integrals over it "
            "are not resolved. Write frames more often, at least five times within the first decay.",
        )


def _force_against_momentum(series):
    """ΔP over two frames against ∫F dt by Simpson's rule; what is left over h and over 2h tells its cause."""
    if not (series.has("momentum") and series.has("net_force")):
        return
    series = series.synchronised()
    momentum, force = series.replicas("momentum"), series.replicas("net_force")
    if momentum.shape[1] < 20 or not (np.isfinite(momentum).all() and np.isfinite(force).all()):
        return
    left = {}
    for stride in (1, 2):
        p, f = momentum[:, ::stride], force[:, ::stride]
        step = stride * series.timestep
        impulse = step / 3.0 * (f[:, :-2] + 4.0 * f[:, 1:-1] + f[:, 2:])
        change = p[:, 2:] - p[:, :-2]
        left[stride] = ((change - impulse) ** 2).mean() / max((change**2).mean(), 1e-300)
    if left[1] < 0.02:
        return
    # an unresolved force makes errors that grow with a high power of the step; a random force, a fixed fraction
    if left[2] > 4.0 * left[1] and left[1] < 0.3:
        return
    noise = left[1] * ((momentum[:, 2:] - momentum[:, :-2]) ** 2).mean() / (2.0 * series.timestep)
    friction = ""
    if series.temperature:
        friction = f" As a thermostat's random force it would mean a friction of {noise / (2 * BOLTZMANN * series.temperature):.3g} u/ps."
    yield Notice(
        "force_is_not_dpdt",
        f"{100 * np.sqrt(left[1]):.2g} % of the change of P over two frames is not the integral of F: forces are missing (a thermostat, "
        f"constraints that the selection cuts, restraints), or frames are too sparse to tell.{friction} γ from P stays right; θ from F "
        "does not contain what is missing.",
    )


def _momentum_temperature(series):
    if not series.has("momentum") or series.temperature is None:
        return
    momentum = series.replicas("momentum")
    if not np.isfinite(momentum).all() or momentum.shape[1] < 20:
        return
    squares = (momentum**2).sum(axis=2) / (3.0 * series.effective_mass * BOLTZMANN)
    memory = correlation_time(squares)
    kinetic, std = squares.mean(), squares.std() / np.sqrt(memory.n_effective)
    # the scatter of a few samples of a chi-square with three degrees of freedom says little about its error
    std = max(std, series.temperature * np.sqrt(2.0 / 3.0 / memory.n_effective))
    if memory.n_effective > 10 and abs(kinetic - series.temperature) > SIGNIFICANT * std:
        yield Notice(
            "momentum_temperature",
            f"The momentum of the nanoparticle is at {kinetic:.4g} ± {std:.2g} K, its atoms at {series.temperature:.4g} K: it drifts, "
            "is driven or held, or its mass is not the given one.",
        )


def _path(series):
    """ΔR against ∫P/m dt."""
    difference = path_difference(series)
    if difference is None:
        return
    worst, allowed = difference
    if worst > max(0.05, 10.0 * allowed):
        yield Notice(
            "path_mismatch",
            f"R moves up to {worst:.3g} nm away from the integral of P/m (integration itself is good to {allowed:.1g} nm): periodic "
            "images are not taken out right, frames are too sparse to do so, or masses are wrong. Write frames more often, or give a "
            "topology with bonds.",
        )


def path_difference(series):
    """Largest distance between R(t) − R(0) and ∫P/m dt, nm, and what the integration rule itself leaves open.

    Returns
    -------
    worst, allowed : float, nm
        Or ``None`` where positions and velocities are not both there at even times.
    """
    if not (series.has("momentum") and series.has("centre_of_mass")) or not np.isfinite(series.timestep):
        return None
    series = series.synchronised()
    path, momentum = series.replicas("centre_of_mass"), series.replicas("momentum")
    if path.shape[1] < 5 or not (np.isfinite(path).all() and np.isfinite(momentum).all()):
        return None
    velocity = momentum / series.mass
    walked = np.zeros_like(path)
    walked[:, 1:] = np.cumsum(0.5 * series.timestep * (velocity[:, 1:] + velocity[:, :-1]), axis=1)
    coarse = np.zeros_like(path[:, ::2])
    coarse[:, 1:] = np.cumsum(series.timestep * (velocity[:, 2::2] + velocity[:, :-2:2]), axis=1)
    moved = path - path[:, :1]
    worst = np.abs(moved - walked).max()
    return float(worst), float(np.abs(coarse - walked[:, ::2]).max() / 3.0 + 1e-6)
