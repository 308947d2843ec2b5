"""The systems of the embedded laboratory: what is simulated, and which atoms are the nanoparticle.

A system is data: an OpenMM ``System``, starting positions, a topology, the nanoparticle's atoms and the conditions.
How it moves is `dynamics`; what is measured on it is everything else. The nanoparticle starts at the origin.
"""

import copy
from dataclasses import asdict, dataclass, field, replace

import mdtraj
import numpy as np

from ..errors import InputError
from ..units import BOLTZMANN
from .potentials import HarmonicTrap, centre_of_mass_force

__all__ = [
    "ARGON",
    "CARBON",
    "LennardJones",
    "MolecularSystem",
    "argon_beside_fixed_particle",
    "argon_between_walls",
    "argon_nanoparticle",
    "fullerene",
    "fullerene_in_argon",
    "icosahedron",
    "rahman_argon",
    "umbrella",
]


@dataclass(frozen=True)
class LennardJones:
    """One kind of Lennard-Jones atom: diameter σ (nm), depth ε (kJ/mol), mass (u)."""

    sigma: float
    epsilon: float
    mass: float


ARGON = LennardJones(sigma=0.34, epsilon=120.0 * BOLTZMANN, mass=39.948)
"""Rahman's argon: σ = 0.34 nm, ε/k_B = 120 K."""

CARBON = LennardJones(sigma=0.34, epsilon=28.0 * BOLTZMANN, mass=12.011)
"""Carbon as in graphite and fullerenes: σ = 0.34 nm, ε/k_B = 28 K."""

CUTOFF = 0.85
"""Of all Lennard-Jones forces here, nm: 2.5 σ."""


@dataclass(frozen=True, eq=False)
class MolecularSystem:
    """Something OpenMM can simulate, with the nanoparticle marked.

    Parameters
    ----------
    name : str
    system : openmm.System
        Forces, masses (zero: an atom that does not move), box. No centre-of-mass remover: it would alter the net force.
    positions : ndarray, shape (n_atoms, 3), nm
        Where the simulation starts, before minimisation.
    topology : mdtraj.Topology
    selection : str
        The nanoparticle, in mdtraj's selection language.
    temperature : float, K
    timestep : float, ps
        Step of the Verlet integrator.
    host_axes : tuple of int
        Axes along which nothing but the nanoparticle pushes the host: its momentum there is to be held together with the
        particle's (all three unless there are walls, fixed atoms or a bath).
    host_friction : float, 1/ps
        Rate of a Langevin bath on the host's atoms, none on the nanoparticle's. It stands for a medium larger than the box,
        which carries momentum away; 0 is an isolated box at constant energy.
    potential : object or None
        The potential on R alone, where there is one (`potentials`).
    settings : dict
        The parameters it was made with, plain JSON types.
    notices : tuple of Notice
        What was changed about a system that came from elsewhere.
    """

    name: str
    system: object
    positions: np.ndarray
    topology: mdtraj.Topology
    selection: str
    temperature: float
    timestep: float
    host_axes: tuple = (0, 1, 2)
    host_friction: float = 0.0
    potential: object = None
    settings: dict = field(default_factory=dict)
    notices: tuple = ()

    def __post_init__(self):
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"The temperature must be a positive number of K; got {self.temperature!r}.")
        if not (np.isfinite(self.timestep) and self.timestep > 0):
            raise InputError(f"The time step must be a positive number of ps; got {self.timestep!r}.")
        n_particles = self.system.getNumParticles()
        if n_particles != self.topology.n_atoms or self.positions.shape != (n_particles, 3):
            raise InputError(
                f"The OpenMM system has {n_particles} particles, its topology {self.topology.n_atoms} atoms, "
                f"its positions shape {self.positions.shape}; they must agree."
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
    def host(self):
        """Indices of all other atoms that move."""
        return np.setdiff1d(np.flatnonzero(self.masses > 0), self.particle)

    @property
    def box(self):
        """Box vectors as rows, shape (3, 3), nm."""
        return np.array([list(vector._value) for vector in self.system.getDefaultPeriodicBoxVectors()])

    @property
    def has_external_forces(self):
        """Whether something outside pushes the atoms: a potential on R, walls, fixed atoms."""
        return self.potential is not None or (len(self.host_axes) < 3 and self.host_friction == 0.0)

    @property
    def conserves_momentum(self):
        """Whether the total momentum is conserved: nothing outside pushes any atom, and no bath."""
        return not self.has_external_forces and self.host_friction == 0.0

    def replace(self, **changes):
        """A copy with some fields changed."""
        return replace(self, **changes)

    def with_potential(self, potential):
        """The same system with a potential on R (in addition to any there is)."""
        system = copy.deepcopy(self.system)
        system.addForce(centre_of_mass_force(potential, self.particle))
        settings = {**self.settings, "potential": {"kind": type(potential).__name__, **asdict(potential)}}
        return replace(self, system=system, potential=potential, settings=settings)


def umbrella(system, centre, stiffness):
    """A system with a harmonic restraint on R: the umbrella of umbrella sampling.

    Along a restrained axis the mean force at the mean position is k (⟨R⟩ − c), where the force varies little over the
    restraint's width √(k_BT/k).

    Parameters
    ----------
    system : MolecularSystem
    centre : sequence of 3, nm
    stiffness : float or sequence of 3, kJ/mol/nm²
    """
    return system.with_potential(HarmonicTrap(stiffness=stiffness, centre=tuple(centre)))


# -- particles --------------------------------------------------------------------------------------------


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
    near = {(a, b) for a, b, _ in _neighbours(corners, longest=1.2)}
    faces = [(a, b, c) for a, b in near for c in range(12) if (b, c) in near and (a, c) in near]
    points = [np.zeros(3)]
    for shell in range(1, shells[n_atoms] + 1):
        on_faces = [
            i * corners[a] + j * corners[b] + (shell - i - j) * corners[c]
            for a, b, c in sorted(faces)
            for i in range(shell + 1)
            for j in range(shell + 1 - i)
        ]
        # corners and edges belong to several faces
        _, first = np.unique(np.round(on_faces, 6), axis=0, return_index=True)
        points.extend(np.asarray(on_faces)[np.sort(first)])
    return spacing * np.array(points)


def fullerene(bond=0.1435):
    """C60: the corners of a truncated icosahedron about the origin.

    Parameters
    ----------
    bond : float, nm
        Edge length, the same for all 90 bonds (they differ by 4 % in the real molecule).

    Returns
    -------
    ndarray, shape (60, 3), nm
    """
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    seeds = [(0.0, 1.0, 3.0 * golden), (1.0, 2.0 + golden, 2.0 * golden), (golden, 2.0, golden**3)]
    corners = {
        tuple(np.round(np.roll(np.array(seed) * (sx, sy, sz), shift), 9) + 0.0)
        for seed in seeds
        for sx in (1, -1)
        for sy in (1, -1)
        for sz in (1, -1)
        for shift in range(3)
    }
    return 0.5 * bond * np.array(sorted(corners))


def _neighbours(positions, longest):
    """Pairs closer than ``longest``, with their distance."""
    first, second = np.triu_indices(len(positions), k=1)
    distance = np.linalg.norm(positions[first] - positions[second], axis=1)
    near = distance < longest
    return [(int(a), int(b), float(d)) for a, b, d in zip(first[near], second[near], distance[near])]


# -- pieces of an OpenMM system ---------------------------------------------------------------------------


def _lennard_jones_system(kinds, box, rigid_groups=()):
    """An OpenMM system of Lennard-Jones atoms in a periodic box; atoms of one group do not see each other.

    Parameters
    ----------
    kinds : list of LennardJones
        One per atom; unlike pairs by the Lorentz-Berthelot rule (mean σ, geometric mean ε).
    box : array_like, shape (3,), nm
    rigid_groups : sequence of sequences of int
    """
    import openmm

    if min(box) < 2.0 * CUTOFF:
        raise InputError(
            f"The box of {min(box):.3g} nm is less than twice the cutoff of {CUTOFF} nm; take more atoms or a lower density."
        )
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*np.diag(np.asarray(box, dtype=float)))
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(CUTOFF)
    # a truncated force makes the energy drift; the switch takes it smoothly to zero
    force.setUseSwitchingFunction(True)
    force.setSwitchingDistance(0.9 * CUTOFF)
    force.setUseDispersionCorrection(False)
    for kind in kinds:
        system.addParticle(kind.mass)
        force.addParticle(0.0, kind.sigma, kind.epsilon)
    for group in rigid_groups:
        for n, first in enumerate(group):
            for second in group[n + 1 :]:
                force.addException(int(first), int(second), 0.0, 0.3, 0.0)
    system.addForce(force)
    return system


def _harmonic_bonds(bonds, stiffness):
    import openmm

    force = openmm.HarmonicBondForce()
    for first, second, length in bonds:
        force.addBond(first, second, length, stiffness)
    return force


def _host_sites(n_host, box, solid, gap=0.3):
    """Sites of a lattice in the box about the origin, farther than ``gap`` from every solid atom.

    Parameters
    ----------
    n_host : int
    box : array_like, shape (3,), nm
        The region to fill (smaller than the periodic box where there are walls).
    solid : ndarray, shape (n, 3), nm
    """
    box = np.asarray(box, dtype=float)
    for spacing in np.geomspace(1.0, 0.25, 200):
        counts = np.maximum(1, np.floor(box / spacing)).astype(int)
        axes = [(np.arange(count) + 0.5) * length / count - 0.5 * length for count, length in zip(counts, box)]
        sites = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        clearance = np.linalg.norm(sites[:, None] - solid[None], axis=-1).min(axis=1)
        free = np.flatnonzero(clearance > gap)
        if len(free) >= n_host:
            # leave out sites evenly, not one side of the box
            return sites[free[np.linspace(0, len(free) - 1, n_host).round().astype(int)]]
    raise InputError(f"{n_host} host atoms do not fit in a box of {box.round(3).tolist()} nm; lower the density.")


def _topology(*residues):
    """A topology of chains of residues: (residue name, element, number of atoms, bonds), single atoms as ``n × 1``."""
    topology = mdtraj.Topology()
    for name, element, n_atoms, bonds in residues:
        chain = topology.add_chain()
        if bonds is None:
            for _ in range(n_atoms):
                topology.add_atom(name, element, topology.add_residue(name, chain))
            continue
        residue = topology.add_residue(name, chain)
        atoms = [topology.add_atom(f"{element.symbol}{index + 1}", element, residue) for index in range(n_atoms)]
        for first, second, *_ in bonds:
            topology.add_bond(atoms[first], atoms[second])
    return topology


def _box_edge(n_atoms, density):
    if not (np.isfinite(density) and density > 0):
        raise InputError(f"The reduced density must be positive; got {density!r}.")
    return (n_atoms * ARGON.sigma**3 / density) ** (1.0 / 3.0)


# -- systems ----------------------------------------------------------------------------------------------

SPACING = 2.0 ** (1.0 / 6.0) * ARGON.sigma
"""Of the atoms in an icosahedral particle: the minimum of argon's pair potential, nm."""


def _argon_particle(n_particle, mass_factor, attraction):
    """Positions, bonds and kind of the atoms of an icosahedral particle."""
    positions = icosahedron(n_particle, SPACING)
    # the geometric mean of attraction² and 1 is the attraction between particle and host
    kind = LennardJones(ARGON.sigma, ARGON.epsilon * attraction**2, ARGON.mass * mass_factor)
    return positions, _neighbours(positions, longest=1.2 * SPACING), kind


def argon_nanoparticle(
    *,
    n_particle=13,
    n_atoms=300,
    density=0.5,
    mass_factor=1.0,
    attraction=0.3,
    temperature=240.0,
    timestep=0.02,
    host_friction=0.0,
    potential=None,
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
    host_friction : float, 1/ps
        A Langevin bath on the host's atoms. In an isolated box (0) what the particle gives its host comes back to it for
        picoseconds, and the friction falls from its value for independent collisions to that of hydrodynamics; a bath of
        1 ps⁻¹ carries the momentum away, and the memory of the force stays short.
    potential : object, optional
        Acts on R alone: `HarmonicTrap`, `DoubleWell`.
    """
    settings = {
        "n_particle": n_particle,
        "n_atoms": n_atoms,
        "density": density,
        "mass_factor": mass_factor,
        "attraction": attraction,
        "temperature": temperature,
        "timestep": timestep,
        "host_friction": host_friction,
    }
    particle, bonds, kind = _argon_particle(n_particle, mass_factor, attraction)
    n_host = n_atoms - n_particle
    if n_host < 1:
        raise InputError(f"{n_atoms} atoms leave no host for a particle of {n_particle}.")
    box = np.full(3, _box_edge(n_atoms, density))
    system = _lennard_jones_system([kind] * n_particle + [ARGON] * n_host, box, [range(n_particle)])
    system.addForce(_harmonic_bonds(bonds, 5000.0))
    argon = mdtraj.element.argon
    made = MolecularSystem(
        name="argon-nanoparticle",
        system=system,
        positions=np.concatenate([particle, _host_sites(n_host, box, particle)]),
        topology=_topology(("NP", argon, n_particle, bonds), ("AR", argon, n_host, None)),
        selection="resname NP",
        temperature=temperature,
        timestep=timestep,
        host_axes=(0, 1, 2) if host_friction == 0.0 else (),
        host_friction=host_friction,
        settings=settings,
    )
    return made if potential is None else made.with_potential(potential)


def argon_between_walls(
    *,
    n_particle=13,
    n_atoms=400,
    density=0.6,
    gap=3.0,
    mass_factor=1.0,
    attraction=0.3,
    temperature=240.0,
    timestep=0.02,
):
    """The nanoparticle in argon between two smooth walls across x: a mean force that nobody imposed.

    The walls repel every atom as half-spaces of soft spheres would, (σ/d)⁹ at distance d, with k_B·240 K at one σ.

    Parameters
    ----------
    n_particle, mass_factor, attraction, temperature, timestep
        As in `argon_nanoparticle`.
    n_atoms : int
    density : float
        ρ* between the walls.
    gap : float, nm
        From wall to wall.
    """
    import openmm

    settings = {
        "n_particle": n_particle,
        "n_atoms": n_atoms,
        "density": density,
        "gap": gap,
        "mass_factor": mass_factor,
        "attraction": attraction,
        "temperature": temperature,
        "timestep": timestep,
    }
    particle, bonds, kind = _argon_particle(n_particle, mass_factor, attraction)
    n_host = n_atoms - n_particle
    if n_host < 1:
        raise InputError(f"{n_atoms} atoms leave no host for a particle of {n_particle}.")
    edge = np.sqrt(n_atoms * ARGON.sigma**3 / (density * gap))
    # atoms at the two walls must not see each other through the periodic boundary
    box = np.array([gap + CUTOFF + 0.1, edge, edge])
    system = _lennard_jones_system([kind] * n_particle + [ARGON] * n_host, box, [range(n_particle)])
    system.addForce(_harmonic_bonds(bonds, 5000.0))
    wall = openmm.CustomExternalForce("e*((s/(h+x))^9 + (s/(h-x))^9)")
    wall.addGlobalParameter("e", 240.0 * BOLTZMANN)
    wall.addGlobalParameter("s", ARGON.sigma)
    wall.addGlobalParameter("h", 0.5 * gap)
    for atom in range(n_atoms):
        wall.addParticle(atom, [])
    system.addForce(wall)
    room = np.array([gap - ARGON.sigma, edge, edge])
    argon = mdtraj.element.argon
    return MolecularSystem(
        name="argon-walls",
        system=system,
        positions=np.concatenate([particle, _host_sites(n_host, room, particle)]),
        topology=_topology(("NP", argon, n_particle, bonds), ("AR", argon, n_host, None)),
        selection="resname NP",
        temperature=temperature,
        timestep=timestep,
        host_axes=(1, 2),
        settings=settings,
    )


def argon_beside_fixed_particle(
    *,
    n_particle=13,
    n_atoms=500,
    density=0.5,
    distance=1.4,
    mass_factor=1.0,
    attraction=0.3,
    temperature=240.0,
    timestep=0.02,
):
    """The nanoparticle in argon beside a second one that is fixed: the mean force is the solvent's and the pair's.

    The fixed particle is centred at x = −``distance``; the two interact as argon does.

    Parameters
    ----------
    n_particle, mass_factor, attraction, temperature, timestep
        As in `argon_nanoparticle`.
    n_atoms : int
        All atoms, those of the fixed particle included.
    density : float
        ρ* of all atoms.
    distance : float, nm
        Where the mobile particle starts, centre to centre.
    """
    settings = {
        "n_particle": n_particle,
        "n_atoms": n_atoms,
        "density": density,
        "distance": distance,
        "mass_factor": mass_factor,
        "attraction": attraction,
        "temperature": temperature,
        "timestep": timestep,
    }
    particle, bonds, kind = _argon_particle(n_particle, mass_factor, attraction)
    n_host = n_atoms - 2 * n_particle
    if n_host < 1:
        raise InputError(f"{n_atoms} atoms leave no host for two particles of {n_particle}.")
    box = np.full(3, _box_edge(n_atoms, density))
    fixed = particle - np.array([distance, 0.0, 0.0])
    kinds = [kind] * n_particle + [replace(kind, mass=0.0)] * n_particle + [ARGON] * n_host
    system = _lennard_jones_system(kinds, box, [range(n_particle), range(n_particle, 2 * n_particle)])
    system.addForce(_harmonic_bonds(bonds, 5000.0))
    solid = np.concatenate([particle, fixed])
    argon = mdtraj.element.argon
    # images of the fixed particle that reach into the box from its other side
    images = np.concatenate([solid, fixed + [box[0], 0.0, 0.0]])
    return MolecularSystem(
        name="argon-pair",
        system=system,
        positions=np.concatenate([solid, _host_sites(n_host, box, images)]),
        topology=_topology(
            ("NP", argon, n_particle, bonds), ("FIX", argon, n_particle, bonds), ("AR", argon, n_host, None)
        ),
        selection="resname NP",
        temperature=temperature,
        timestep=timestep,
        host_axes=(),
        settings=settings,
    )


def fullerene_in_argon(*, n_host=500, density=0.75, temperature=120.0, timestep=0.005):
    """C60 in liquid argon, flexible by bonds and angles.

    Parameters
    ----------
    n_host : int
    density : float
        ρ* of argon in the volume that C60 leaves (a sphere of 0.665 nm, its atoms' shell and half an argon beyond).
    temperature : float, K
    timestep : float, ps
        0.005 resolves the bonds' vibration (ω dt = 1.3).
    """
    settings = {"n_host": n_host, "density": density, "temperature": temperature, "timestep": timestep}
    carbons = fullerene()
    n_carbons = len(carbons)
    bonds = _neighbours(carbons, longest=0.16)
    volume = n_host * ARGON.sigma**3 / density + 4.0 / 3.0 * np.pi * 0.665**3
    box = np.full(3, volume ** (1.0 / 3.0))
    system = _lennard_jones_system([CARBON] * n_carbons + [ARGON] * n_host, box, [range(n_carbons)])
    # aromatic carbon of the AMBER force fields: 469 kcal/mol/Å² and 63 kcal/mol/rad², doubled for OpenMM's ½ k
    system.addForce(_harmonic_bonds(bonds, 2.0 * 469.0 * 418.4))
    system.addForce(_harmonic_angles(carbons, bonds, 2.0 * 63.0 * 4.184))
    return MolecularSystem(
        name="c60-argon",
        system=system,
        positions=np.concatenate([carbons, _host_sites(n_host, box, carbons)]),
        topology=_topology(
            ("C60", mdtraj.element.carbon, n_carbons, bonds), ("AR", mdtraj.element.argon, n_host, None)
        ),
        selection="resname C60",
        temperature=temperature,
        timestep=timestep,
        settings=settings,
    )


def _harmonic_angles(positions, bonds, stiffness):
    import openmm

    force = openmm.HarmonicAngleForce()
    neighbours = [set() for _ in positions]
    for first, second, _ in bonds:
        neighbours[first].add(second)
        neighbours[second].add(first)
    for middle, around in enumerate(neighbours):
        ends = sorted(around)
        for n, first in enumerate(ends):
            for last in ends[n + 1 :]:
                a, b = positions[first] - positions[middle], positions[last] - positions[middle]
                angle = np.arccos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
                force.addAngle(first, middle, last, float(angle), stiffness)
    return force


def rahman_argon(*, n_atoms=864, temperature=94.4, mass_density=1.374, timestep=0.01):
    """Rahman's liquid argon of 1964: 864 atoms, any of them the tagged one (the first, by default).

    Parameters
    ----------
    n_atoms : int
    temperature : float, K
    mass_density : float, g/cm³
    timestep : float, ps
    """
    settings = {"n_atoms": n_atoms, "temperature": temperature, "mass_density": mass_density, "timestep": timestep}
    grams_per_cm3 = 602.214076  # u/nm³
    box = np.full(3, (n_atoms * ARGON.mass / (mass_density * grams_per_cm3)) ** (1.0 / 3.0))
    system = _lennard_jones_system([ARGON] * n_atoms, box)
    tagged = np.zeros((1, 3))
    return MolecularSystem(
        name="rahman-argon",
        system=system,
        positions=np.concatenate([tagged, _host_sites(n_atoms - 1, box, tagged)]),
        topology=_topology(("AR", mdtraj.element.argon, n_atoms, None)),
        selection="index 0",
        temperature=temperature,
        timestep=timestep,
        settings=settings,
    )
