"""Missing velocities and forces: by differences where the frames are close enough, or from a force field.

Nothing here happens by itself. What is derived carries a notice with its error, which everything made from it shows.
"""

import numpy as np

from ..errors import InputError, InsufficientDataError, MissingFieldError, Notice

__all__ = ["recompute_forces", "with_derived"]

WORST_ERROR = 0.3  # of the root mean square; above, differences of these frames mean nothing


def with_derived(trajectory, *names, worst_error=WORST_ERROR):
    """The trajectory with velocities by central differences of the positions, or forces by those of the velocities.

    v(t) = [r(t+h) − r(t−h)]/2h + O(h²) and F(t) = m [v(t+h) − v(t−h)]/2h + O(h²). The error is measured on the data
    itself: the same difference over twice the spacing deviates by four times as much, so a third of the deviation
    between the two is the error of the finer one. The first and last frames have no difference and are left out.

    Parameters
    ----------
    trajectory : Trajectory
        Evenly spaced, at least nine frames.
    *names : str
        ``"velocities"``, ``"forces"`` or both; default: what is missing.
    worst_error : float
        Largest error accepted, as a fraction of the root mean square of the result.

    Returns
    -------
    Trajectory
        With a notice ``derived_velocities`` or ``derived_forces`` that states the error.

    Raises
    ------
    MissingFieldError
        There is nothing to take differences of.
    InsufficientDataError
        Frames are too few, uneven, or too far apart for the accuracy asked.
    """
    wanted = names or tuple(name for name in ("velocities", "forces") if getattr(trajectory, name) is None)
    for name in wanted:
        if name not in ("velocities", "forces"):
            raise InputError(f"Only velocities and forces can be derived; got {name!r}.")
    for name in sorted(wanted, reverse=True):  # velocities first: forces are made of them
        trajectory = _with_one(trajectory, name, worst_error)
    return trajectory


def _with_one(trajectory, name, worst_error):
    origin = {"velocities": "positions", "forces": "velocities"}[name]
    if getattr(trajectory, name) is not None:
        raise InputError(
            f"The data holds {name}; derived ones would be worse. Remove them first: replace({name}=None)."
        )
    values = getattr(trajectory, origin)
    if values is None:
        raise MissingFieldError(f"{name.capitalize()} are differences of {origin}, and the data holds no {origin}.")
    step = trajectory.timestep
    if not np.isfinite(step) or trajectory.n_frames < 9 or not trajectory.frames_with[origin].all():
        raise InsufficientDataError(
            f"Differences of {origin} need at least 9 evenly spaced frames that all hold them; this is {trajectory!r}."
        )
    fine = _differences(values, 1, step)[1:-1]
    coarse = _differences(values, 2, step)
    size = np.sqrt(np.mean(np.square(fine, dtype=float)))
    error = np.sqrt(np.mean(np.square(fine - coarse, dtype=float))) / 3.0
    if not error <= worst_error * size:
        raise InsufficientDataError(
            f"{name.capitalize()} by differences of {origin} {step:.4g} ps apart would be wrong by {100 * error / max(size, 1e-300):.0f} % "
            f"(allowed: {100 * worst_error:.0f} %); frames must be closer, well within the fastest vibration. Write {name} in the engine."
        )
    if name == "forces":
        fine = fine * trajectory.masses[:, None].astype(fine.dtype)
    notice = Notice(
        f"derived_{name}",
        f"The file holds no {name}: they are central differences of {origin} {step:.4g} ps apart, with an error of about "
        f"{100 * error / size:.2g} % of their size; everything made of them inherits it.",
    )
    kept = trajectory.frames(slice(2, -2))
    # differences belong to the times of what they are made of
    return kept.replace(
        **{name: fine},
        velocity_offset=0.0 if name == "velocities" else kept.velocity_offset,
        notices=tuple(n for n in kept.notices if not n.code.startswith("no_")) + (notice,),
        metadata=kept.metadata | {"derived": [*kept.metadata.get("derived", []), name]},
    )


def _differences(values, stride, step):
    """[A(t + stride h) − A(t − stride h)] / (2 stride h) at all frames that have both."""
    factor = values.dtype.type(1.0 / (2 * stride * step))
    return (values[2 * stride :] - values[: -2 * stride]) * factor


def recompute_forces(trajectory, system, progress=None, platform=None):
    """The trajectory with forces computed anew from its positions with an OpenMM force field.

    Parameters
    ----------
    trajectory : Trajectory
        With positions of all particles of the system.
    system : openmm.System
        Its virtual sites are placed from the other particles.
    progress : callable (fraction, text), optional
    platform : str, optional
        OpenMM platform; default its fastest.

    Returns
    -------
    Trajectory
        Forces in single precision at every frame, with the notice ``recomputed_forces``. Constraint forces are not among
        them: they cancel within a molecule.

    Raises
    ------
    InputError
        The system has other particles or masses than the trajectory.
    """
    import openmm
    from openmm import unit

    positions = trajectory.require("positions")
    n_particles = system.getNumParticles()
    if n_particles != trajectory.n_atoms:
        raise InputError(
            f"The OpenMM system has {n_particles} particles, the trajectory {trajectory.n_atoms} atoms; they must be the same."
        )
    masses = np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(n_particles)])
    other = np.flatnonzero(np.abs(masses - trajectory.masses) > 0.1)
    if len(other):
        raise InputError(
            f"Particle {other[0]} has {masses[other[0]]:.4g} u in the OpenMM system and {trajectory.masses[other[0]]:.4g} u in the "
            "trajectory; is the order of atoms the same?"
        )
    integrator = openmm.VerletIntegrator(0.001)
    chosen = [] if platform is None else [openmm.Platform.getPlatformByName(platform)]
    context = openmm.Context(system, integrator, *chosen)
    has_sites = any(system.isVirtualSite(i) for i in range(n_particles))
    forces = np.full(positions.shape, np.nan, dtype=np.float32)
    held = np.flatnonzero(trajectory.frames_with["positions"])
    for done, frame in enumerate(held):
        if progress is not None:
            progress(done / len(held), "computing forces")
        if trajectory.box is not None and trajectory.box[frame].any():
            context.setPeriodicBoxVectors(*_reduced(trajectory.box[frame]))
        context.setPositions(positions[frame].astype(float))
        if has_sites:
            context.computeVirtualSites()
        state = context.getState(getForces=True)
        forces[frame] = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    if progress is not None:
        progress(1.0, "forces computed")
    notice = Notice(
        "recomputed_forces",
        "Forces were computed from the positions with an OpenMM force field; they are those of the run only if the force field, cutoffs "
        "and long-range electrostatics are the same. Check with `amaexplore check`: F against dP/dt.",
        "info",
    )
    kept = tuple(n for n in trajectory.notices if n.code not in ("no_forces", "no_velocities_forces"))
    return trajectory.replace(forces=forces, notices=(*kept, notice))


def _reduced(box):
    """Box vectors in the reduced form that OpenMM asks for (tilts within half an edge)."""
    a, b, c = np.array(box, dtype=float)
    c = c - b * np.round(c[1] / b[1])
    c = c - a * np.round(c[0] / a[0])
    b = b - a * np.round(b[0] / a[0])
    return a, b, c
