"""Molecular dynamics with OpenMM: equilibration, and free motion at constant energy.

OpenMM's leapfrog integrator keeps velocities half a step behind the positions, v(t − dt/2). Everything handed out here is
of one time t: x(t), F(t) and v(t) = [v(t − dt/2) + v(t + dt/2)]/2, which is what velocity Verlet would give. The force
itself comes from the change of the velocities, F(t) = m [v(t + dt/2) − v(t − dt/2)]/dt: exactly the force that acted
(constraints included), and free of charge, where asking OpenMM for forces costs a whole step.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import AmaError, InputError
from ..units import BOLTZMANN

__all__ = ["Engine", "Snapshot", "equilibrate", "fastest_platform"]

PLATFORMS = ("CUDA", "HIP", "OpenCL", "CPU", "Reference")
"""OpenMM's platforms, the fastest first."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The atoms at one time t: positions (nm), velocities (nm/ps), forces (kJ/mol/nm), each (n_atoms, 3)."""

    time: float
    positions: np.ndarray
    velocities: np.ndarray
    forces: np.ndarray


def fastest_platform():
    """Name of the fastest OpenMM platform that this machine offers."""
    import openmm

    offered = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
    return next(name for name in PLATFORMS if name in offered)


def _platform(name, threads):
    import openmm

    name = fastest_platform() if name is None else name
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
        ``"CUDA"``, ``"HIP"``, ``"OpenCL"``, ``"CPU"``, ``"Reference"``; default the fastest there is.
    threads : int
        For the CPU platform. Independent replicas in separate processes scale better than threads on small systems.

    Attributes
    ----------
    positions : ndarray, shape (n_atoms, 3), nm
        x(t) at the present time, not wrapped into the box.
    half_step_velocities : ndarray, shape (n_atoms, 3), nm/ps
        v(t − dt/2).
    time : float, ps
        Since the last `equilibrate`.
    """

    def __init__(self, system, *, seed=0, platform=None, threads=1):
        import openmm

        self.system = system
        self.seed = int(seed)
        self.timestep = float(system.timestep)
        self.masses = system.masses
        self._mobile = self.masses > 0
        self._integrator = openmm.VerletIntegrator(self.timestep)
        platform, properties = _platform(platform, threads)
        self._context = openmm.Context(system.system, self._integrator, platform, properties)
        self.platform = platform.getName()
        self.n_steps = 0
        self.place(system.positions, np.zeros_like(system.positions))

    @property
    def time(self):
        """Simulated time, ps."""
        return self.n_steps * self.timestep

    def place(self, positions, half_step_velocities):
        """Put the atoms somewhere: x(t) in nm and v(t − dt/2) in nm/ps."""
        self._context.setPositions(positions)
        self._context.setVelocities(half_step_velocities)
        self.positions = np.array(positions, dtype=float)
        self.half_step_velocities = np.array(half_step_velocities, dtype=float)

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
        after = self.half_step_velocities
        forces = (self.masses / self.timestep)[:, None] * (after - before)
        return Snapshot(time, positions, 0.5 * (before + after), forces)

    def run(self, n_steps):
        """Take many steps without looking."""
        self._advance(n_steps)

    def _advance(self, n_steps):
        self._integrator.step(n_steps)
        state = self._context.getState(positions=True, velocities=True)
        self.positions = state.getPositions(asNumpy=True)._value
        self.half_step_velocities = state.getVelocities(asNumpy=True)._value
        self.n_steps += n_steps
        if not np.isfinite(self.positions).all():
            raise AmaError(
                f"The simulation of {self.system.name} blew up near {self.time:.3g} ps: positions are not finite. "
                f"Try a time step below {self.timestep:g} ps, or a longer equilibration."
            )

    def potential_energy(self):
        """Potential energy at the present positions, kJ/mol (costs one force evaluation)."""
        return float(self._context.getState(energy=True).getPotentialEnergy()._value)

    def kinetic_temperature(self, velocities=None):
        """Temperature of all atoms' motion at one moment, K; default from v(t − dt/2)."""
        velocities = self.half_step_velocities if velocities is None else velocities
        kinetic = 0.5 * np.sum(self.masses[:, None] * velocities**2)
        return 2.0 * kinetic / (degrees_of_freedom(self.system) * BOLTZMANN)

    def minimise(self, tolerance=100.0):
        """Move the atoms downhill, so that no two overlap; velocities become zero."""
        import openmm

        openmm.LocalEnergyMinimizer.minimize(self._context, tolerance, 500)
        positions = self._context.getState(positions=True).getPositions(asNumpy=True)._value
        self.place(positions, np.zeros_like(positions))

    def remove_total_momentum(self):
        """Take the whole system's drift out of the velocities."""
        mobile, velocities = self._mobile, self.half_step_velocities.copy()
        drift = self.masses @ velocities / self.masses.sum()
        velocities[mobile] -= drift
        self.place(self.positions, velocities)


def degrees_of_freedom(system):
    """3 per mobile atom, less constraints, less 3 for a total momentum that is conserved at zero."""
    masses = system.masses
    return 3 * int((masses > 0).sum()) - system.system.getNumConstraints() - 3


def equilibrate(engine, *, duration=40.0, temperature=None, progress=None):
    """Bring a system to its temperature, ready for constant energy.

    Minimises, runs Langevin dynamics, removes the total momentum, then rescales the velocities in short runs at
    constant energy until their mean temperature is the wanted one. Time starts again at 0.

    Parameters
    ----------
    engine : Engine
    duration : float, ps
        Of the thermostatted part; the runs that settle the energy take as long again in all.
    temperature : float, K, optional
        Default: the system's.
    progress : callable, optional
    """
    import openmm

    temperature = engine.system.temperature if temperature is None else temperature
    engine.minimise()
    rng = np.random.default_rng(engine.seed)
    thermostat = openmm.LangevinMiddleIntegrator(temperature, 2.0, engine.timestep)
    thermostat.setRandomNumberSeed(int(rng.integers(1, 2**31 - 1)))
    platform = openmm.Platform.getPlatformByName(engine.platform)
    _, properties = _platform(engine.platform, 1)
    context = openmm.Context(engine.system.system, thermostat, platform, properties)
    context.setPositions(engine.positions)
    context.setVelocitiesToTemperature(temperature, int(rng.integers(1, 2**31 - 1)))
    n_steps = max(1, round(duration / engine.timestep))
    for part in range(20):
        thermostat.step(n_steps * (part + 1) // 20 - n_steps * part // 20)
        _report(progress, 0.5 * (part + 1) / 20, "equilibrating with a thermostat")
    state = context.getState(positions=True, velocities=True)
    engine.place(state.getPositions(asNumpy=True)._value, state.getVelocities(asNumpy=True)._value)
    engine.remove_total_momentum()
    _settle_temperature(engine, temperature, n_steps, progress)
    engine.n_steps = 0


def _settle_temperature(engine, temperature, n_steps, progress):
    # kinetic and potential energy share what a rescaling brings, so the first correction must be overdone
    share, runs = 2.0, 4
    for run in range(runs):
        measured = np.mean(
            [engine.kinetic_temperature(engine.step().velocities) for _ in range(max(1, n_steps // runs))]
        )
        now = engine.kinetic_temperature()
        wanted = max(now + share * (temperature - measured), 0.5 * now)
        engine.place(engine.positions, engine.half_step_velocities * np.sqrt(wanted / now))
        _report(progress, 0.5 + 0.5 * (run + 1) / runs, "settling the energy")


def _report(progress, fraction, text):
    if progress is not None:
        progress(fraction, text)
