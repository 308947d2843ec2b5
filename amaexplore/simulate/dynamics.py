"""Molecular dynamics with OpenMM: free, with the particle and its host held, or with the host held alone.

OpenMM's leapfrog integrator keeps velocities half a step behind the positions, v(t − dt/2). Everything handed out here is
of one time t: x(t), F(t) and v(t) = [v(t − dt/2) + v(t + dt/2)]/2, which is what velocity Verlet would give. The force
itself comes from the change of the velocities, F(t) = m [v(t + dt/2) − v(t − dt/2)]/dt: exactly the force that acted
(constraints included), and free of charge, where asking OpenMM for forces costs a whole step.

Held dynamics is the nanocanonical ensemble of the paper, e^{-L₀t}: after each step the group's momentum P = Σmv is taken
out, v −= P/m_group, and its centre of mass is put back. That is a linear constraint, so energy is conserved, and the force
that the constraint balances is F = P/dt. Holding the particle alone is not enough: what it gives its host stays there as a
drift, and the force correlation decays as exp(−ζt/M_host) instead of reaching a plateau. So the host is held as well,
along those axes where nothing else pushes it.
"""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..errors import AmaError, InputError
from ..units import BOLTZMANN
from .progress import report

__all__ = ["DYNAMICS", "Engine", "Snapshot", "begin", "equilibrate", "platforms_by_speed"]

PLATFORMS = ("CUDA", "HIP", "OpenCL", "CPU", "Reference")
"""OpenMM's platforms, the fastest first."""

DYNAMICS = ("free", "held", "host held")
"""What is held: nothing; particle and host; the host alone (an infinite bath for a particle in a potential)."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The atoms at one time t.

    Parameters
    ----------
    time : float, ps
    positions, velocities, forces : ndarray, shape (n_atoms, 3)
        nm, nm/ps, kJ/mol/nm. Forces are those of the potential, before any holding.
    """

    time: float
    positions: np.ndarray
    velocities: np.ndarray
    forces: np.ndarray


@dataclass(frozen=True, eq=False)
class _Group:
    """Atoms whose common momentum is zero and whose centre of mass stays where it is, along some axes."""

    atoms: np.ndarray
    weights: np.ndarray  # m_i / m_group
    axes: list
    centre: np.ndarray

    def hold(self, positions, velocities):
        positions[np.ix_(self.atoms, self.axes)] -= self.weights @ positions[self.atoms][:, self.axes] - self.centre
        velocities[np.ix_(self.atoms, self.axes)] -= self.weights @ velocities[self.atoms][:, self.axes]


@dataclass(frozen=True, eq=False)
class _Bath:
    """Langevin friction and noise on the host's atoms: the exact Ornstein-Uhlenbeck step of their velocities."""

    atoms: np.ndarray
    kept: float  # exp(−rate dt)
    spread: np.ndarray  # of the noise, nm/ps

    @classmethod
    def of(cls, system):
        """The bath of a system, or None."""
        if not system.host_friction > 0.0:
            return None
        kept = float(np.exp(-system.host_friction * system.timestep))
        thermal = BOLTZMANN * system.temperature / system.masses[system.host]
        return cls(system.host, kept, np.sqrt((1.0 - kept**2) * thermal)[:, None])

    def kick(self, velocities, rng):
        noise = rng.standard_normal((len(self.atoms), 3))
        velocities[self.atoms] = self.kept * velocities[self.atoms] + self.spread * noise


SMALL_SYSTEM = 2000
"""Atoms below which one processor core beats a graphics card, since every step is looked at."""


def platforms_by_speed(n_atoms):
    """Names of the OpenMM platforms on this machine, the fastest for so many atoms first."""
    import openmm

    offered = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
    order = sorted(PLATFORMS, key=lambda name: name != "CPU") if n_atoms < SMALL_SYSTEM else PLATFORMS
    return [name for name in order if name in offered]


def _make_context(system, make_integrator, names, threads):
    """A context on the first platform that works: a driver may be there and its card not.

    Returns
    -------
    context, integrator, choice : openmm.Context, openmm.Integrator, tuple
        ``choice`` makes further contexts on the same platform.
    """
    import openmm

    for name in names:
        try:
            choice = _platform(name, threads)
            integrator = make_integrator()
            return openmm.Context(system, integrator, *choice), integrator, choice
        except openmm.OpenMMException as error:
            failure = f"{name}: {str(error).splitlines()[0]}"
    raise AmaError(f"OpenMM cannot simulate this system on any of {', '.join(names)} ({failure}).")


def _platform(name, threads):
    import openmm

    try:
        platform = openmm.Platform.getPlatformByName(name)
    except openmm.OpenMMException:
        offered = ", ".join(openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms()))
        raise InputError(f"OpenMM has no platform {name!r} here; it offers {offered}.") from None
    # the order of a parallel sum changes its last digits, and chaos makes that another trajectory
    properties = {"DeterministicForces": "true"} if name in ("CPU", "CUDA") else {}
    if name == "CPU":
        properties["Threads"] = str(threads)
    return platform, properties


class Engine:
    """A molecular system in motion.

    Parameters
    ----------
    system : MolecularSystem
    seed : int
        Of velocities and thermostat noise; the same seed on the same platform gives the same motion.
    platform : str, optional
        ``"CUDA"``, ``"HIP"``, ``"OpenCL"``, ``"CPU"``, ``"Reference"``; default the fastest that works here.
    threads : int
        For the CPU platform. Independent replicas in separate processes scale better than threads on small systems.

    Attributes
    ----------
    positions : ndarray, shape (n_atoms, 3), nm
        x(t) at the present time, not wrapped into the box.
    half_step_velocities : ndarray, shape (n_atoms, 3), nm/ps
        v(t − dt/2).
    n_steps : int
        Since the engine was made, or `equilibrate` set it to 0.
    dynamics : str
        One of `DYNAMICS`; see `hold`.
    """

    def __init__(self, system, *, seed=0, platform=None, threads=1):
        import openmm

        self.system = system
        self.rng = np.random.default_rng(seed)
        self.timestep = float(system.timestep)
        self.masses = system.masses
        self.particle = system.particle
        self._mobile = self.masses > 0
        n_atoms = system.n_atoms
        self._has_virtual_sites = any(system.system.isVirtualSite(atom) for atom in range(n_atoms))
        self._groups = ()
        self._bath = _Bath.of(system)
        self.dynamics = "free"
        names = platforms_by_speed(n_atoms) if platform is None else [platform]
        self._context, self._integrator, self._platform_choice = _make_context(
            system.system, lambda: openmm.VerletIntegrator(self.timestep), names, threads
        )
        self.platform = self._platform_choice[0].getName()
        self.n_steps = 0
        self.place(system.positions, np.zeros_like(system.positions))

    # -- where the atoms are --------------------------------------------------------------------------

    @property
    def time(self):
        """Simulated time, ps."""
        return self.n_steps * self.timestep

    def place(self, positions, half_step_velocities):
        """Put the atoms somewhere: x(t) in nm and v(t − dt/2) in nm/ps."""
        self.positions = np.array(positions, dtype=float)
        self.half_step_velocities = np.array(half_step_velocities, dtype=float)
        self._hand_over()

    def _hand_over(self):
        self._context.setPositions(self.positions)
        self._context.setVelocities(self.half_step_velocities)
        if self._has_virtual_sites:
            self._context.computeVirtualSites()

    def centre_of_mass(self):
        """R of the nanoparticle at the present time, shape (3,), nm."""
        masses = self.masses[self.particle]
        return masses @ self.positions[self.particle] / masses.sum()

    def hold(self, dynamics):
        """Choose what is held from now on, at its present place: one of `DYNAMICS`."""
        if dynamics not in DYNAMICS:
            raise InputError(f"Dynamics {dynamics!r} is not known; there are: {', '.join(DYNAMICS)}.")
        self.dynamics = dynamics
        groups = []
        if dynamics == "held":
            groups.append((self.particle, [0, 1, 2]))
        # a bath takes up what the particle gives its host, which then need not be held
        if dynamics != "free" and len(self.system.host) and self.system.host_axes and not self._bath:
            groups.append((self.system.host, list(self.system.host_axes)))
        self._groups = tuple(self._group(atoms, axes) for atoms, axes in groups)
        self._hold_groups()
        self._hand_over()

    def _group(self, atoms, axes):
        weights = self.masses[atoms] / self.masses[atoms].sum()
        return _Group(atoms, weights, axes, weights @ self.positions[atoms][:, axes])

    def _hold_groups(self):
        # in place: what came back from OpenMM is ours
        for group in self._groups:
            group.hold(self.positions, self.half_step_velocities)

    # -- motion ---------------------------------------------------------------------------------------

    def step(self):
        """Take one step from t to t + dt, and return what the atoms were and felt at t.

        Returns
        -------
        Snapshot

        Raises
        ------
        AmaError
            The simulation blew up: positions are not finite any more.
        """
        time, positions, before = self.time, self.positions, self.half_step_velocities
        self._advance(1)
        forces = (self.masses / self.timestep)[:, None] * (self.half_step_velocities - before)
        self._hold_groups()
        velocities = 0.5 * (before + self.half_step_velocities)
        self._kick_host()
        return Snapshot(time, positions, velocities, forces)

    def run(self, n_steps):
        """Take many steps without looking."""
        if not (self._groups or self._bath):
            self._advance(n_steps)
            return
        for _ in range(n_steps):
            self._advance(1)
            self._hold_groups()
            self._kick_host()

    def _kick_host(self):
        """Let the bath act, and tell OpenMM what was changed since its step."""
        if self._bath:
            self._bath.kick(self.half_step_velocities, self.rng)
        if self._groups or self._bath:
            self._hand_over()

    def _advance(self, n_steps):
        with self._watched():
            self._integrator.step(n_steps)
            state = self._context.getState(positions=True, velocities=True)
        self.positions = state.getPositions(asNumpy=True)._value
        self.half_step_velocities = state.getVelocities(asNumpy=True)._value
        self.n_steps += n_steps
        if not np.isfinite(self.positions).all():
            raise self._blown_up("positions are not finite")

    @contextmanager
    def _watched(self):
        """OpenMM's exceptions as sentences."""
        import openmm

        try:
            yield
        except openmm.OpenMMException as error:
            raise self._blown_up(str(error).split(".")[0]) from None

    def _blown_up(self, reason):
        return AmaError(
            f"The simulation of {self.system.name} blew up near {self.time:.3g} ps ({reason}); "
            f"try a time step below {self.timestep:g} ps, or a longer equilibration."
        )

    # -- energy ---------------------------------------------------------------------------------------

    def potential_energy(self):
        """Potential energy at the present positions, kJ/mol (costs one force evaluation)."""
        with self._watched():
            return float(self._context.getState(energy=True).getPotentialEnergy()._value)

    def kinetic_energy(self, velocities=None):
        """Kinetic energy of all atoms, kJ/mol; default from v(t − dt/2)."""
        velocities = self.half_step_velocities if velocities is None else velocities
        return 0.5 * float(np.sum(self.masses[:, None] * velocities**2))

    @property
    def degrees_of_freedom(self):
        """3 per mobile atom, less constraints, less what is held, less a total momentum that stays zero."""
        free = 3 * int(self._mobile.sum()) - self.system.system.getNumConstraints()
        held = sum(len(group.axes) for group in self._groups)
        return free - (held or 3 * self.system.conserves_momentum)

    def kinetic_temperature(self, velocities=None):
        """Temperature of all atoms' motion at one moment, K; default from v(t − dt/2)."""
        return 2.0 * self.kinetic_energy(velocities) / (self.degrees_of_freedom * BOLTZMANN)

    def minimise(self, tolerance=100.0, most_iterations=500):
        """Move the atoms downhill, so that no two overlap; velocities become zero."""
        import openmm

        with self._watched():
            openmm.LocalEnergyMinimizer.minimize(self._context, tolerance, most_iterations)
        positions = self._context.getState(positions=True).getPositions(asNumpy=True)._value
        self.place(positions, np.zeros_like(positions))

    def remove_total_momentum(self):
        """Take the whole system's drift out of the velocities."""
        velocities = self.half_step_velocities
        velocities[self._mobile] -= self.masses @ velocities / self.masses.sum()
        self._hand_over()

    def redraw_velocities(self, temperature):
        """Velocities from the Maxwell distribution: Andersen's thermostat, when done every now and then.

        What is held stays held; a total momentum that is conserved is zero.
        """
        self._context.setVelocitiesToTemperature(temperature, self._draw_seed())
        state = self._context.getState(positions=True, velocities=True)
        self.half_step_velocities = state.getVelocities(asNumpy=True)._value
        if self._groups:
            self._hold_groups()
        elif self.system.conserves_momentum:
            self.remove_total_momentum()
        self._hand_over()

    def move_particle(self, position, *, temperature, speed=0.2):
        """Drag the held nanoparticle to a position, slowly, with its host thermostatted.

        Parameters
        ----------
        position : ndarray, shape (3,), nm
        temperature : float, K
        speed : float, nm/ps
        """
        if self.dynamics != "held":
            raise InputError("Only a held nanoparticle can be moved: call hold('held') first.")
        start, target = self.centre_of_mass(), np.asarray(position, dtype=float)
        n_steps = int(np.ceil(np.linalg.norm(target - start) / (speed * self.timestep)))
        redraw = max(1, round(0.2 / self.timestep))
        for n in range(1, n_steps + 1):
            self._groups[0].centre[:] = start + (target - start) * n / n_steps
            if n % redraw == 0:
                self.redraw_velocities(temperature)
            self.run(1)

    def _draw_seed(self):
        return int(self.rng.integers(1, 2**31 - 1))

    def thermostatted(self, temperature, n_steps, progress=None):
        """Run Langevin dynamics (2 ps⁻¹) in a context of its own and take over where it ends.

        Returns
        -------
        float
            Mean potential energy over its second half, kJ/mol.
        """
        import openmm

        thermostat = openmm.LangevinMiddleIntegrator(temperature, 2.0, self.timestep)
        thermostat.setRandomNumberSeed(self._draw_seed())
        context = openmm.Context(self.system.system, thermostat, *self._platform_choice)
        context.setPositions(self.positions)
        context.setVelocitiesToTemperature(temperature, self._draw_seed())
        parts, energies = max(80, n_steps // 100), []
        for part in range(parts):
            with self._watched():
                thermostat.step(n_steps * (part + 1) // parts - n_steps * part // parts)
                if part >= parts // 2:
                    energies.append(context.getState(energy=True).getPotentialEnergy()._value)
            report(progress, (part + 1) / parts, "equilibrating with a thermostat")
        state = context.getState(positions=True, velocities=True)
        self.place(state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value)
        return float(np.mean(energies))

    def set_total_energy(self, energy):
        """Rescale the velocities so that potential and kinetic energy together are ``energy``, kJ/mol."""
        wanted = energy - self.potential_energy()
        if wanted <= 0.0:
            raise AmaError(
                f"{self.system.name} is not equilibrated: its potential energy exceeds the mean total energy of "
                f"{energy:.5g} kJ/mol. Equilibrate longer."
            )
        self.half_step_velocities *= np.sqrt(wanted / self.kinetic_energy())
        self._hand_over()


def equilibrate(engine, *, duration=40.0, temperature=None, progress=None):
    """Bring a system to its temperature, ready for constant energy; nothing is held. Time starts again at 0.

    Minimises, runs Langevin dynamics, removes the total momentum where it will be conserved, then rescales the velocities
    so that the total energy is its canonical mean: at that energy the mean temperature is the wanted one.

    Parameters
    ----------
    engine : Engine
    duration : float, ps
    temperature : float, K, optional
        Default: the system's.
    progress : callable, optional
    """
    temperature = engine.system.temperature if temperature is None else temperature
    engine.hold("free")
    engine.minimise()
    potential = engine.thermostatted(temperature, max(80, round(duration / engine.timestep)), progress)
    if engine.system.conserves_momentum:
        engine.remove_total_momentum()
    engine.set_total_energy(potential + 0.5 * engine.degrees_of_freedom * BOLTZMANN * temperature)
    engine.n_steps = 0


def begin(engine, record, equilibration, dynamics="free", progress=None):
    """Equilibrate, or go on from a record's checkpoint, and hold what is to be held.

    Parameters
    ----------
    engine : Engine
    record : object
        Whatever records the run; its ``checkpoint``, where it has one, is where to go on.
    equilibration : float, ps
    dynamics : str
        One of `DYNAMICS`.
    progress : callable, optional
    """
    checkpoint = getattr(record, "checkpoint", None)
    if checkpoint is None:
        equilibrate(engine, duration=equilibration, progress=progress)
    else:
        engine.place(checkpoint.positions, checkpoint.half_step_velocities)
        engine.n_steps = checkpoint.n_steps
    if dynamics != "free":
        engine.hold(dynamics)
