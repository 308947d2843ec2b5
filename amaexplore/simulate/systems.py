"""The systems of the embedded laboratory: what is simulated, and which atoms are the nanoparticle.

A system is data: an OpenMM ``System``, starting positions, a topology, the nanoparticle's atoms and the conditions.
How it moves is `dynamics`; what is measured on it is everything else.
"""

from dataclasses import dataclass, field, replace

import mdtraj
import numpy as np

from ..errors import InputError
from ..units import BOLTZMANN

__all__ = ["ARGON", "LennardJones", "MolecularSystem", "argon_nanoparticle", "icosahedron"]


@dataclass(frozen=True)
class LennardJones:
    """One kind of Lennard-Jones atom: diameter σ (nm), depth ε (kJ/mol), mass (u)."""

    sigma: float
    epsilon: float
    mass: float


ARGON = LennardJones(sigma=0.34, epsilon=120.0 * BOLTZMANN, mass=39.948)
"""Rahman's argon: σ = 0.34 nm, ε/k_B = 120 K."""


@dataclass(frozen=True, eq=False)
class MolecularSystem:
    """Something OpenMM can simulate, with the nanoparticle marked.

    Parameters
    ----------
    name : str
    system : openmm.System
        Forces, masses, box. Its own centre-of-mass remover, if any, is taken out: it would alter the net force.
    positions : ndarray, shape (n_atoms, 3), nm
        Where the simulation starts, before minimisation.
    topology : mdtraj.Topology
    selection : str
        The nanoparticle, in mdtraj's selection language.
    temperature : float, K
    timestep : float, ps
        Step of the Verlet integrator.
    settings : dict
        The parameters it was made with, plain JSON types.
    """

    name: str
    system: object
    positions: np.ndarray
    topology: mdtraj.Topology
    selection: str
    temperature: float
    timestep: float
    settings: dict = field(default_factory=dict)

    def __post_init__(self):
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"The temperature must be a positive number of K; got {self.temperature!r}.")
        if not (np.isfinite(self.timestep) and self.timestep > 0):
            raise InputError(f"The time step must be a positive number of ps; got {self.timestep!r}.")
        if self.system.getNumParticles() != self.topology.n_atoms:
            raise InputError(
                f"The OpenMM system has {self.system.getNumParticles()} particles, its topology {self.topology.n_atoms} atoms."
            )

    @property
    def n_atoms(self):
        """Number of atoms."""
        return self.topology.n_atoms

    @property
    def masses(self):
        """Masses, shape (n_atoms,), u."""
        return np.array([self.system.getParticleMass(i)._value for i in range(self.n_atoms)])

    @property
    def particle(self):
        """Indices of the nanoparticle's atoms, shape (n_particle,)."""
        return np.asarray(self.topology.select(self.selection), dtype=np.intp)

    @property
    def box(self):
        """Box vectors as rows, shape (3, 3), nm."""
        return np.array([list(vector._value) for vector in self.system.getDefaultPeriodicBoxVectors()])

    def replace(self, **changes):
        """A copy with some fields changed."""
        return replace(self, **changes)


def icosahedron(n_atoms, spacing):
    """Mackay icosahedron: a closed-shell cluster of 13, 55 or 147 atoms about the origin.

    Parameters
    ----------
    n_atoms : int
    spacing : float, nm
        Distance between neighbours along a radius; along an edge it is 1.0515 times that.

    Returns
    -------
    ndarray, shape (n_atoms, 3), nm
        The centre first, then shell by shell.

    Raises
    ------
    InputError
        ``n_atoms`` is not a closed shell.
    """
    shells = {13: 1, 55: 2, 147: 3}
    if n_atoms not in shells:
        raise InputError(f"An icosahedral particle has 13, 55 or 147 atoms; got {n_atoms!r}.")
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array([[0, s, t * golden] for s in (1, -1) for t in (1, -1)])
    corners = np.concatenate([np.roll(corners, shift, axis=1) for shift in range(3)]) / np.hypot(1.0, golden)
    distance = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    near = (distance > 0.1) & (distance < 1.2)
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] & near[b, c] & near[a, c]
    ]
    points = [np.zeros(3)]
    for shell in range(1, shells[n_atoms] + 1):
        on_faces = [
            (i * corners[a] + j * corners[b] + (shell - i - j) * corners[c])
            for a, b, c in faces
            for i in range(shell + 1)
            for j in range(shell + 1 - i)
        ]
        # corners and edges belong to several faces
        _, first = np.unique(np.round(on_faces, 6), axis=0, return_index=True)
        points.extend(np.asarray(on_faces)[np.sort(first)])
    return spacing * np.array(points)


def argon_nanoparticle(
    *,
    n_particle=13,
    n_atoms=300,
    density=0.5,
    mass_factor=1.0,
    attraction=0.3,
    temperature=240.0,
    timestep=0.02,
):
    """A bonded icosahedral nanoparticle in argon, periodic box.

    The particle's atoms are argon atoms (masses times ``mass_factor``) held together by harmonic bonds between
    neighbours; they do not interact otherwise with each other, and with the host as argon does, ``attraction`` times
    as strongly (strong attraction lengthens the memory of the force).

    Parameters
    ----------
    n_particle : int
        13, 55 or 147.
    n_atoms : int
        All atoms, particle and host.
    density : float
        Reduced number density ρ* = n_atoms σ³/V.
    mass_factor : float
    attraction : float
        ε of particle and host over ε of argon.
    temperature : float, K
    timestep : float, ps
    """
    import openmm

    settings = {
        "n_particle": n_particle,
        "n_atoms": n_atoms,
        "density": density,
        "mass_factor": mass_factor,
        "attraction": attraction,
        "temperature": temperature,
        "timestep": timestep,
    }
    if n_atoms <= n_particle:
        raise InputError(f"{n_atoms} atoms leave no host for a particle of {n_particle}.")
    edge = (n_atoms * ARGON.sigma**3 / density) ** (1.0 / 3.0)
    cutoff = 0.85
    if edge < 2.0 * cutoff:
        raise InputError(
            f"{n_atoms} atoms at ρ* = {density:g} fill a box of {edge:.3g} nm, less than twice the cutoff of {cutoff} nm; "
            "take more atoms or a lower density."
        )
    particle = icosahedron(n_particle, spacing=2.0 ** (1.0 / 6.0) * ARGON.sigma)
    bonds = _neighbours(particle, longest=1.2 * 2.0 ** (1.0 / 6.0) * ARGON.sigma)
    positions = _in_host(particle, n_atoms - n_particle, edge)

    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(edge * np.eye(3)))
    lennard_jones = openmm.NonbondedForce()
    lennard_jones.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    lennard_jones.setCutoffDistance(cutoff)
    # a truncated force makes the energy drift; the switch takes it smoothly to zero
    lennard_jones.setUseSwitchingFunction(True)
    lennard_jones.setSwitchingDistance(0.9 * cutoff)
    lennard_jones.setUseDispersionCorrection(False)
    for atom in range(n_atoms):
        in_particle = atom < n_particle
        system.addParticle(ARGON.mass * (mass_factor if in_particle else 1.0))
        # OpenMM mixes as the geometric mean: attraction² gives attraction between particle and host
        lennard_jones.addParticle(0.0, ARGON.sigma, ARGON.epsilon * (attraction**2 if in_particle else 1.0))
    for first in range(n_particle):
        for second in range(first + 1, n_particle):
            lennard_jones.addException(first, second, 0.0, ARGON.sigma, 0.0)
    system.addForce(lennard_jones)
    harmonic = openmm.HarmonicBondForce()
    for first, second, length in bonds:
        harmonic.addBond(first, second, length, 5000.0)
    system.addForce(harmonic)
    return MolecularSystem(
        name="argon-nanoparticle",
        system=system,
        positions=positions,
        topology=_particle_topology(n_particle, n_atoms - n_particle, [(a, b) for a, b, _ in bonds]),
        selection="resname NP",
        temperature=temperature,
        timestep=timestep,
        settings=settings,
    )


def _neighbours(positions, longest):
    """Pairs closer than ``longest``, with their distance."""
    first, second = np.triu_indices(len(positions), k=1)
    distance = np.linalg.norm(positions[first] - positions[second], axis=1)
    near = distance < longest
    return [(int(a), int(b), float(d)) for a, b, d in zip(first[near], second[near], distance[near])]


def _in_host(particle, n_host, edge, gap=0.3):
    """The particle in the middle of the box, host atoms on the sites of a cubic lattice farthest from it."""
    particle = particle + 0.5 * edge
    for per_edge in range(2, 200):
        axis = (np.arange(per_edge) + 0.5) * edge / per_edge
        sites = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
        clearance = np.linalg.norm(sites[:, None] - particle[None], axis=-1).min(axis=1)
        free = np.flatnonzero(clearance > gap)
        if len(free) >= n_host:
            # leave out sites evenly, not one side of the box
            chosen = free[np.linspace(0, len(free) - 1, n_host).round().astype(int)]
            return np.concatenate([particle, sites[chosen]])
    raise InputError(f"{n_host} host atoms do not fit in a box of {edge:.3g} nm.")


def _particle_topology(n_particle, n_host, bonds):
    topology = mdtraj.Topology()
    argon = mdtraj.element.argon
    residue = topology.add_residue("NP", topology.add_chain())
    atoms = [topology.add_atom(f"N{index + 1}", argon, residue) for index in range(n_particle)]
    for first, second in bonds:
        topology.add_bond(atoms[first], atoms[second])
    host = topology.add_chain()
    for _ in range(n_host):
        topology.add_atom("AR", argon, topology.add_residue("AR", host))
    return topology
