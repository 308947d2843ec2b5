"""Nanocanonical sampling: f^th and θ with the nanoparticle held where one wants to know them.

The nanocanonical ensemble of equations (19) and (47) is the Boltzmann distribution of everything else at given R (and Π).
Held dynamics samples it, so that the time average of the force is f^th(R), and the integral of its fluctuations is εθ, with
a plateau that does not end: the momentum that would relax is held.
"""

from dataclasses import dataclass, field

import numpy as np

from ..correlation import group_correlation, n_blocks_for
from ..errors import InputError, InsufficientDataError, Notice
from ..results import Result, format_value
from ..uncertainty import jackknife_std, mean_with_error
from ..units import BOLTZMANN
from ..window import axes_std, propose_plateau
from .dynamics import Engine, equilibrate
from .parallel import job_seed, run_jobs
from .progress import part
from .systems import MolecularSystem

__all__ = ["HeldRun", "HeldSampling", "run_held", "sample_held"]

LONGEST_MEMORY = 0.15  # τ_K/τ_P above which the friction of a held particle is not that of a moving one


@dataclass(frozen=True, eq=False)
class HeldRun:
    """One simulation with the nanoparticle held: all that a process elsewhere needs to know.

    Parameters
    ----------
    system : MolecularSystem
    position : ndarray, shape (3,), nm, or None
        Where R is held; None, where it starts.
    duration, equilibration : float, ps
    seed : int
    platform : str or None
    """

    system: MolecularSystem
    position: np.ndarray | None
    duration: float
    equilibration: float
    seed: int
    platform: str | None = None


def held_engine(run, progress=None):
    """An engine with the particle held at the run's position and equilibrated there."""
    engine = Engine(run.system, seed=run.seed, platform=run.platform)
    temperature = run.system.temperature
    equilibrate(engine, duration=run.equilibration, progress=part(progress, 0.0, 0.5))
    engine.hold("held")
    if run.position is not None:
        engine.move_particle(run.position, temperature=temperature)
    settle_held(engine, run.equilibration, part(progress, 0.5, 1.0))
    return engine


def settle_held(engine, duration, progress=None):
    """Equilibrate what is around a held particle: velocities redrawn every half ps, then the mean energy."""
    temperature = engine.system.temperature
    stretch = max(1, round(0.5 / engine.timestep))
    n_stretches = max(4, round(duration / (stretch * engine.timestep)))
    energies = []
    for n in range(n_stretches):
        engine.redraw_velocities(temperature)
        engine.run(stretch)
        energies.append(engine.potential_energy())
        if progress is not None:
            progress((n + 1) / n_stretches, "")
    potential = np.mean(energies[n_stretches // 2 :])
    engine.set_total_energy(potential + 0.5 * engine.degrees_of_freedom * BOLTZMANN * temperature)
    engine.n_steps = 0


def run_held(run, progress=None):
    """The net force on a held nanoparticle at every step.

    Parameters
    ----------
    run : HeldRun
    progress : callable, optional
        Called with a fraction and a text.

    Returns
    -------
    net_force : ndarray, shape (n_steps, 3), kJ/mol/nm
    temperature : float, K
        Of all atoms, over the run.
    centre : ndarray, shape (3,), nm
        Where R was held.
    """
    preparation = 2.0 * run.equilibration / (2.0 * run.equilibration + run.duration)
    engine = held_engine(run, part(progress, 0.0, preparation))
    n_steps = max(8, round(run.duration / engine.timestep))
    net_force = np.empty((n_steps, 3))
    temperature = 0.0
    for n in range(n_steps):
        snapshot = engine.step()
        net_force[n] = snapshot.forces[engine.particle].sum(axis=0)
        temperature += engine.kinetic_temperature(snapshot.velocities)
        if progress is not None and n % 200 == 0:
            progress(preparation + (1.0 - preparation) * n / n_steps, "")
    # what is left of a held place is rounding
    return net_force, temperature / n_steps, np.round(engine.centre_of_mass(), 12) + 0.0


@dataclass(frozen=True, eq=False, repr=False)
class HeldSampling(Result):
    """Mean force and friction at the places where the nanoparticle was held.

    Parameters
    ----------
    positions : ndarray, shape (n_positions, 3), nm
    mean_force, mean_force_std : ndarray, shape (n_positions, 3), kJ/mol/nm
        f^th(R), equation (19), with its standard error.
    theta_raw, theta_raw_std : ndarray, shape (n_positions, 3, 3), u² nm²/ps³
        εθ(R), equation (55): the integral of ⟨δF δF⟩ up to the window.
    friction, friction_std : ndarray, shape (n_positions,), u/ps
        ζ = εθ/k_BT, a third of the trace.
    memory_time : ndarray, shape (n_positions,), ps
        τ_K: how long the force remembers, from the approach of the integral to its plateau.
    window : ndarray, shape (n_positions,), ps
    plateau : ndarray of bool, shape (n_positions,)
    lags : ndarray, shape (n_lags,), ps
    running_friction, running_friction_std : ndarray, shape (n_positions, n_lags), u/ps
        ζ as a function of where the window ends.
    temperature : ndarray, shape (n_positions,), K
        Measured over the runs, and used for ζ.
    mass, epsilon : float
        m in u, ε = m̂/m.
    n_replicas : int
        Independent runs per position.
    duration : float, ps
        Of each.
    label : str
    warnings : tuple of Notice
    """

    positions: np.ndarray
    mean_force: np.ndarray
    mean_force_std: np.ndarray
    theta_raw: np.ndarray
    theta_raw_std: np.ndarray
    friction: np.ndarray
    friction_std: np.ndarray
    memory_time: np.ndarray
    window: np.ndarray
    plateau: np.ndarray
    lags: np.ndarray
    running_friction: np.ndarray
    running_friction_std: np.ndarray
    temperature: np.ndarray
    mass: float
    epsilon: float
    n_replicas: int
    duration: float
    label: str = ""
    warnings: tuple[Notice, ...] = field(default=())

    @property
    def theta(self):
        """θ in the paper's variables, (εθ)/ε, shape (n_positions, 3, 3)."""
        return self.theta_raw / self.epsilon

    @property
    def theta_std(self):
        """Standard error of `theta`."""
        return self.theta_raw_std / self.epsilon

    @property
    def diffusion(self):
        """k_BT/ζ, shape (n_positions,), nm²/ps."""
        return BOLTZMANN * self.temperature / self.friction

    @property
    def diffusion_std(self):
        """Standard error of `diffusion`, to first order."""
        return self.diffusion * self.friction_std / self.friction

    def potential_of_mean_force(self):
        """Work −∫ f^th · dR along the positions in their order, and its error.

        Returns
        -------
        potential, potential_std : ndarray, shape (n_positions,), kJ/mol
            Zero at the first position. Trapezoid rule: positions must be close where f^th bends.
        """
        steps = np.diff(self.positions, axis=0)
        work = -np.einsum("na,na->n", 0.5 * (self.mean_force[1:] + self.mean_force[:-1]), steps)
        # each force enters with half the steps on either side of it
        weights = np.zeros((len(self.positions), len(self.positions), 3))
        for end in range(1, len(self.positions)):
            weights[end] = weights[end - 1]
            weights[end, end - 1] += 0.5 * steps[end - 1]
            weights[end, end] += 0.5 * steps[end - 1]
        std = np.sqrt(np.einsum("ena,na->e", weights**2, self.mean_force_std**2))
        return np.concatenate([[0.0], np.cumsum(work)]), std

    def summary(self):
        rows = [
            ("held at", f"{len(self.positions)} positions, {self.n_replicas} × {self.duration:.6g} ps each"),
        ]
        for n in range(min(len(self.positions), 5)):
            place = ", ".join(f"{x:.3g}" for x in self.positions[n])
            force = ", ".join(format_value(f, s) for f, s in zip(self.mean_force[n], self.mean_force_std[n]))
            rows.append((f"f^th({place})", f"{force} kJ/mol/nm"))
            rows.append((f"ζ({place})", format_value(self.friction[n], self.friction_std[n], "u/ps")))
        return rows


def sample_held(
    system,
    positions=None,
    *,
    duration=200.0,
    equilibration=20.0,
    n_replicas=2,
    window=None,
    max_lag=None,
    seed=2026,
    workers=None,
    client=None,
    platform=None,
    progress=None,
):
    """f^th(R) and θ(R) by holding the nanoparticle at one or many places.

    Parameters
    ----------
    system : MolecularSystem or str
        Or the name of a demo.
    positions : array_like, shape (n_positions, 3) or (3,), nm, optional
        Where R is held; default where the system starts, the origin.
    duration : float, ps
        Of each run. ζ comes with a relative error of about √(4 t₀/3T) for a window t₀ and total time T.
    equilibration : float, ps
    n_replicas : int
        Independent runs per position.
    window : float, ps, optional
        Where the integral of ⟨δF δF⟩ is read; default where its plateau begins.
    max_lag : float, ps, optional
        Default 10 ps, at most a quarter of a run.
    seed : int
        The result depends on it, and not on how the runs are spread.
    workers : int, optional
        Processes; default one per core.
    client : distributed.Client, optional
        A Dask cluster instead.
    platform : str, optional
        OpenMM's; default the fastest there is.
    progress : callable, optional

    Returns
    -------
    HeldSampling

    Raises
    ------
    InputError, InsufficientDataError
    """
    system = as_system(system)
    places = [None] if positions is None else list(as_places(positions))
    if not (np.isfinite(duration) and duration > 0) or n_replicas < 1:
        raise InputError(f"duration must be positive (ps) and n_replicas at least 1; got {duration!r}, {n_replicas!r}.")
    runs = [
        HeldRun(system, place, float(duration), float(equilibration), job_seed(seed, index, replica), platform)
        for index, place in enumerate(places)
        for replica in range(n_replicas)
    ]
    done = run_jobs(run_held, runs, workers=workers, client=client, progress=progress, text="sampling with R held")
    force = np.array([result[0] for result in done]).reshape(len(places), n_replicas, -1, 3)
    temperature = np.array([result[1] for result in done]).reshape(len(places), n_replicas).mean(axis=1)
    centres = np.array([result[2] for result in done]).reshape(len(places), n_replicas, 3)[:, 0]
    return held_statistics(force, temperature, centres, system, window=window, max_lag=max_lag)


def as_system(system):
    if isinstance(system, str):
        from .demo import find_demo

        return find_demo(system).build()
    if not isinstance(system, MolecularSystem):
        raise InputError(f"Expected a MolecularSystem or the name of a demo; got {type(system).__name__}.")
    return system


def as_places(positions):
    places = np.atleast_2d(np.asarray(positions, dtype=float))
    if places.ndim != 2 or places.shape[1] != 3 or not np.isfinite(places).all():
        raise InputError(f"positions has shape {np.shape(positions)}; expected finite values (n_positions, 3), in nm.")
    return places


def held_statistics(force, temperature, positions, system, *, window=None, max_lag=None):
    """Means and integrals of the forces of held runs.

    Parameters
    ----------
    force : ndarray, shape (n_positions, n_replicas, n_steps, 3), kJ/mol/nm
    temperature : ndarray, shape (n_positions,), K
    positions : ndarray, shape (n_positions, 3), nm
    system : MolecularSystem
    window, max_lag : float, ps, optional

    Returns
    -------
    HeldSampling
    """
    n_positions, n_replicas, n_steps, _ = force.shape
    timestep = system.timestep
    mass = float(system.masses[system.particle].sum())
    epsilon = 1.0 / len(system.particle)
    longest = timestep * (n_steps // 4)
    n_lags = int(min(10.0 if max_lag is None else max_lag, longest) / timestep + 0.5) + 1
    index = None
    if window is not None:
        index = round(float(window) / timestep)
        if not 1 <= index < n_steps // 2:
            raise InputError(f"window = {window!r} ps must lie between one step and half a run ({2 * longest:.4g} ps).")
        n_lags = max(n_lags, index + 1)
    if n_lags < 8:
        raise InsufficientDataError(f"Runs of {n_steps} steps are too short for a correlation; take at least 32 steps.")
    lags = timestep * np.arange(n_lags)
    places = [_Place.of(force[n], lags, BOLTZMANN * temperature[n], index) for n in range(n_positions)]

    def gathered(name):
        return np.array([getattr(place, name) for place in places])

    return HeldSampling(
        positions=positions,
        mean_force=gathered("mean"),
        mean_force_std=gathered("mean_std"),
        theta_raw=gathered("theta"),
        theta_raw_std=gathered("theta_std"),
        friction=gathered("friction"),
        friction_std=gathered("friction_std"),
        memory_time=gathered("memory"),
        window=gathered("window"),
        plateau=gathered("plateau"),
        lags=lags,
        running_friction=gathered("running"),
        running_friction_std=gathered("running_std"),
        temperature=temperature,
        mass=mass,
        epsilon=epsilon,
        n_replicas=n_replicas,
        duration=n_steps * timestep,
        label=system.selection,
        warnings=_notices(places, mass),
    )


@dataclass(frozen=True, eq=False)
class _Place:
    """What the forces at one position give."""

    mean: np.ndarray
    mean_std: np.ndarray
    theta: np.ndarray
    theta_std: np.ndarray
    friction: float
    friction_std: float
    memory: float
    yielding: float
    yielding_std: float
    window: float
    plateau: bool
    running: np.ndarray
    running_std: np.ndarray

    @classmethod
    def of(cls, force, lags, thermal, index):
        means = [mean_with_error(force[..., axis], "the force on the held particle") for axis in range(3)]
        mean = np.array([value for value, _, _ in means])
        fluctuation = force - mean
        n_replicas, n_frames, _ = force.shape
        groups = group_correlation(fluctuation, fluctuation, len(lags), n_blocks_for(n_replicas, n_frames))
        # time reversal makes the tensor symmetric: use both halves
        stacked = groups.stacked(0.5 * (groups.forward + groups.forward.swapaxes(1, 2)))
        integral = np.zeros_like(stacked)
        step = lags[1]
        np.cumsum(0.5 * step * (stacked[..., 1:] + stacked[..., :-1]), axis=-1, out=integral[..., 1:])
        left_out = np.einsum("gaan->gan", integral[1:])
        isotropic = np.einsum("aan->n", integral[0]) / 3.0
        isotropic_std = axes_std(left_out)
        plateau = True
        if index is None:
            proposal = propose_plateau(lags, isotropic, left_out)
            index, plateau = proposal.index, proposal.found
        # τ_K ζ: the mass below which a free particle would have yielded before the force forgets
        yielding = memory_time(lags, isotropic, index) * isotropic[index]
        groups_yield = [memory_time(lags, curve, index) * curve[index] for curve in left_out.mean(axis=1)]
        return cls(
            mean=mean,
            mean_std=np.array([std for _, std, _ in means]),
            theta=integral[0, ..., index],
            theta_std=jackknife_std(integral[1:, ..., index]),
            friction=isotropic[index] / thermal,
            friction_std=isotropic_std[index] / thermal,
            memory=memory_time(lags, isotropic, index),
            yielding=yielding / thermal,
            yielding_std=float(jackknife_std(np.array(groups_yield))) / thermal,
            window=lags[index],
            plateau=plateau,
            running=isotropic / thermal,
            running_std=isotropic_std / thermal,
        )


def memory_time(lags, integral, index):
    """τ_K = ∫₀^t0 (1 − G/G∞) dt; where G overshoots, the last t at which it is off by more than 1/e."""
    missing = 1.0 - integral[: index + 1] / integral[index]
    if missing.min() < -1.0 / np.e:
        return float(lags[np.flatnonzero(np.abs(missing) > 1.0 / np.e)[-1]])
    return float(np.trapezoid(missing, lags[: index + 1]))


def _notices(places, mass):
    notices = []
    without = sum(not place.plateau for place in places)
    if without:
        notices.append(
            Notice(
                "no_plateau",
                f"At {without} of {len(places)} positions the integral of ⟨δF δF⟩ has no plateau up to the longest lag; "
                "sample longer, or raise max_lag.",
            )
        )
    # short data may not show that the two times are apart: that must be said as well
    at_most = [(place.yielding + 2.0 * place.yielding_std) / mass for place in places]
    worst = places[int(np.argmax(at_most))]
    if max(at_most) > LONGEST_MEMORY:
        notices.append(_fixed_solute(worst, mass))
    return tuple(notices)


def _fixed_solute(place, mass):
    """θ of a held particle that is not, or not clearly, heavy enough for its free friction to be the same."""
    ratio, std = place.yielding / mass, place.yielding_std / mass
    found = (
        "is not small" if ratio > LONGEST_MEMORY else f"may be more than {LONGEST_MEMORY:g}, as far as these data tell"
    )
    return Notice(
        "fixed_solute",
        f"The force remembers {place.memory:.2g} ps, the momentum would relax in {mass / place.friction:.2g} ps: their ratio "
        f"{ratio:.2g} ± {std:.1g} {found}. θ was measured on a particle that does not move, which is the limit ε → 0; a free one of "
        "this mass yields to its surroundings, and its friction can differ by a factor of 2. Compare with γ of a free run.",
    )
