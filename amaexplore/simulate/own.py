"""The user's own systems: an OpenMM ``System``, or a PDB file with OpenMM's force fields; and alanine dipeptide.

A system that comes from elsewhere may hold pieces that would spoil the analysis without a word: a centre-of-mass remover
changes the net force, a thermostat or barostat inside the system adds its own friction. They are taken out, and it is said.
"""

import copy
import io
import random
from pathlib import Path

import mdtraj
import numpy as np

from ..errors import FormatError, InputError, Notice, SelectionError
from .dynamics import DYNAMICS, Engine, begin
from .live import LiveRun
from .progress import part, report
from .recording import Recording
from .systems import MolecularSystem

__all__ = ["alanine_dipeptide", "simulate", "system_from_openmm", "system_from_pdb"]

FORCE_FIELD = ("amber14-all.xml", "amber14/tip3p.xml")
_SPOILERS = {
    "CMMotionRemover": "centre-of-mass remover",
    "AndersenThermostat": "Andersen thermostat",
    "MonteCarloBarostat": "barostat",
    "MonteCarloAnisotropicBarostat": "barostat",
    "MonteCarloMembraneBarostat": "barostat",
    "MonteCarloFlexibleBarostat": "barostat",
}


def simulate(
    source,
    subset=None,
    *,
    positions=None,
    topology=None,
    force_field=FORCE_FIELD,
    solvate=None,
    temperature=300.0,
    timestep=0.002,
    duration=100.0,
    stride=5,
    equilibration=20.0,
    dynamics="free",
    store="all",
    output=None,
    resume=False,
    seed=2026,
    live=False,
    platform=None,
    threads=1,
    progress=None,
):
    """Simulate one's own system at constant energy, with everything stored that the analysis needs.

    Parameters
    ----------
    source : path, openmm.app.PDBFile, openmm.System, MolecularSystem or the name of a demo
        A PDB file with all hydrogens, or without (they are added); or a system ready to run.
    subset : str, optional
        The nanoparticle, in mdtraj's selection language; needed unless the source says it.
    positions : array_like, shape (n_atoms, 3), nm
        Where ``source`` is an OpenMM system.
    topology : mdtraj.Topology or openmm.app.Topology
        Where ``source`` is an OpenMM system.
    force_field : sequence of str
        OpenMM's names, for a PDB file.
    solvate : float, nm, optional
        Fill a box with water, this far beyond the solute; for a PDB file.
    temperature : float, K
    timestep : float, ps
    duration, equilibration : float, ps
    stride : int
        Steps between frames.
    dynamics : str
        "free", "held" (R and P of the nanoparticle, and the host's momentum, pinned: the nanocanonical ensemble) or
        "host held".
    store : str
        ``"all"`` atoms, or only the ``"subset"``.
    output : path, optional
        Write an H5MD file while the run goes on; what is in it survives a crash.
    resume : bool
        Go on with the run in ``output``, which ended early or was killed, up to ``duration``.
    seed : int
    live : bool
        Return a `LiveRun`, not started, instead of waiting.
    platform : str, optional
    threads : int
    progress : callable, optional

    Returns
    -------
    Trajectory or LiveRun
        With ``output``, the trajectory is read from the file.

    Raises
    ------
    InputError, FormatError, SelectionError
    """
    system = _system_of(source, subset, positions, topology, force_field, solvate, temperature, timestep)
    if store not in ("all", "subset"):
        raise InputError(f"store must be 'all' or 'subset'; got {store!r}.")
    atoms = system.particle if store == "subset" else None
    options = {"seed": int(seed), "platform": platform, "threads": threads}
    if dynamics not in DYNAMICS:
        raise InputError(f"Dynamics {dynamics!r} is not known; there are: {', '.join(DYNAMICS)}.")
    metadata = {"seed": int(seed), "system": system.name, "dynamics": dynamics}
    if resume and output is None:
        raise InputError("resume=True needs output=, the file of the run to go on with.")
    recorder = None
    if output is not None:
        from .recorder import H5MDRecorder

        recorder = H5MDRecorder(output, system, stride=stride, atoms=atoms, metadata=metadata, resume=resume)
    if live:
        return LiveRun(
            system,
            duration=duration,
            stride=stride,
            equilibration=equilibration,
            dynamics=dynamics,
            metadata=metadata,
            atoms=atoms,
            recorder=recorder,
            **options,
        )
    if recorder is not None:
        with recorder:
            run_recorded(system, recorder, duration, equilibration, options, progress, dynamics)
        from ..trajectory.readers import load

        trajectory = load(output)
    else:
        recording = Recording(system, stride, atoms)
        run_recorded(system, recording, duration, equilibration, options, progress, dynamics)
        trajectory = recording.trajectory(**metadata)
    return trajectory.replace(notices=(*trajectory.notices, *system.notices))


def run_recorded(system, record, duration, equilibration, options, progress=None, dynamics="free"):
    """Equilibrate, or take up a resumed run, then record every step up to ``duration`` ps.

    Parameters
    ----------
    record : Recording or H5MDRecorder
    options : dict
        Of `Engine`.
    progress : callable, optional
    dynamics : str
        What is held after equilibration.
    """
    if not (np.isfinite(duration) and duration > 0):
        raise InputError(f"duration must be a positive number of ps; got {duration!r}.")
    engine = Engine(system, **options)
    # the share of the work that equilibration is, so that the bar moves evenly
    share = equilibration / (equilibration + duration)
    begin(engine, record, equilibration, dynamics, part(progress, 0.0, share))
    n_steps = max(1, round(duration / system.timestep))
    while record.n_steps < n_steps:
        snapshot = engine.step()
        record.take(snapshot, engine.kinetic_temperature(snapshot.velocities), engine)
        if record.n_steps % 200 == 0 or record.n_steps == n_steps:
            done = share + (1.0 - share) * record.n_steps / n_steps
            report(progress, done, f"simulating, {record.n_steps * system.timestep:.0f} ps")


def _system_of(source, subset, positions, topology, force_field, solvate, temperature, timestep):
    import openmm

    if isinstance(source, str) and not Path(source).suffix:
        from .demo import find_demo

        source = find_demo(source).build()
    if isinstance(source, MolecularSystem):
        return source if subset is None else with_subset(source, subset)
    if subset is None:
        raise SelectionError(
            "Say which atoms are the nanoparticle: subset='protein', 'resname C60', 'index 0 to 12', ..."
        )
    if isinstance(source, openmm.System):
        if positions is None or topology is None:
            raise InputError("An OpenMM system needs positions= (n_atoms, 3) in nm and topology= beside it.")
        return system_from_openmm(
            source, positions, topology, subset, temperature=temperature, timestep=timestep, name="own system"
        )
    return system_from_pdb(
        source, subset, force_field=force_field, solvate=solvate, temperature=temperature, timestep=timestep
    )


def with_subset(system, subset):
    """The same system with other atoms as the nanoparticle.

    Raises
    ------
    SelectionError
    """
    from ..subset import select

    class _Atoms:
        topology, masses, n_atoms = system.topology, system.masses, system.n_atoms

    chosen = select(_Atoms, subset)
    if chosen.n_atoms == system.n_atoms:
        raise SelectionError(f"{subset!r} picks all {system.n_atoms} atoms; some must be left as the host.")
    if not (system.masses[chosen.indices] > 0).any():
        raise SelectionError(f"{subset!r} picks only atoms that do not move.")
    return system.replace(selection=subset if isinstance(subset, str) else chosen.selection)


def system_from_openmm(system, positions, topology, subset, *, temperature, timestep, name="own system"):
    """A `MolecularSystem` from an OpenMM ``System``, cleaned of what would alter the net force.

    Parameters
    ----------
    system : openmm.System
        Is not changed.
    positions : array_like, shape (n_atoms, 3), nm, or an OpenMM quantity
    topology : mdtraj.Topology or openmm.app.Topology
    subset : str
    temperature : float, K
    timestep : float, ps
    name : str
    """
    import openmm

    cleaned = copy.deepcopy(system)
    taken = []
    for index in reversed(range(cleaned.getNumForces())):
        kind = type(cleaned.getForce(index)).__name__
        if kind in _SPOILERS:
            cleaned.removeForce(index)
            taken.append(_SPOILERS[kind])
    if hasattr(positions, "value_in_unit"):
        positions = positions.value_in_unit(openmm.unit.nanometer)
    positions = np.array([list(row) for row in positions], dtype=float)
    if not isinstance(topology, mdtraj.Topology):
        topology = mdtraj.Topology.from_openmm(topology)
    notices = ()
    # a remover is in every system OpenMM makes, and nobody asked for it
    unexpected = sorted(set(taken) - {"centre-of-mass remover"})
    if unexpected:
        message = f"The system's {' and '.join(unexpected)} was left out: the run is at constant energy and volume."
        notices = (Notice("thermostat_removed", message, "info"),)
    made = MolecularSystem(
        name=name,
        system=cleaned,
        positions=positions,
        topology=topology,
        selection="all",
        temperature=float(temperature),
        timestep=float(timestep),
        host_axes=(0, 1, 2) if _is_left_alone(cleaned) else (),
        settings={"temperature": float(temperature), "timestep": float(timestep)},
        notices=notices,
    )
    return with_subset(made, subset)


def _is_left_alone(system):
    """Whether nothing outside pushes the atoms: no external force, no atom that is fixed."""
    n_atoms = system.getNumParticles()
    fixed = any(system.getParticleMass(i)._value == 0 and not system.isVirtualSite(i) for i in range(n_atoms))
    external = {"CustomExternalForce", "CustomCentroidBondForce", "CustomCVForce"}
    return not fixed and not any(type(force).__name__ in external for force in system.getForces())


def system_from_pdb(source, subset, *, force_field=FORCE_FIELD, solvate=None, temperature=300.0, timestep=0.002):
    """A `MolecularSystem` from a PDB file with OpenMM's force fields.

    Bonds to hydrogen and water are rigid; particle-mesh Ewald where there is a box, else no cutoff.

    Parameters
    ----------
    source : path or openmm.app.PDBFile
    subset : str
    force_field : sequence of str
    solvate : float, nm, optional
    temperature : float, K
    timestep : float, ps

    Raises
    ------
    FormatError
        The file cannot be read, or the force field does not know what is in it.
    """
    from openmm import app

    name = "own system"
    if isinstance(source, str | Path):
        name = Path(source).stem
        try:
            source = app.PDBFile(str(source))
        except FileNotFoundError:
            raise FormatError(f"{source} does not exist; give the path of a PDB file, or the name of a demo.") from None
        except Exception as error:  # OpenMM's reader raises whatever its parsing meets
            raise FormatError(f"{source} cannot be read as a PDB file ({_first_line(error)}).") from None
    if not isinstance(source, app.PDBFile | app.Modeller):
        raise InputError(f"Expected a PDB file, an openmm.System or a MolecularSystem; got {type(source).__name__}.")
    return _parametrised(source, subset, force_field, solvate, temperature, timestep, name)


def _parametrised(structure, subset, force_field, solvate, temperature, timestep, name):
    from openmm import app, unit

    modeller = app.Modeller(structure.topology, structure.positions)
    try:
        rules = app.ForceField(*force_field)
        _add_hydrogens(modeller, rules)
        if solvate is not None:
            modeller.addSolvent(rules, padding=float(solvate) * unit.nanometer)
        periodic = modeller.topology.getPeriodicBoxVectors() is not None
        system = rules.createSystem(
            modeller.topology,
            nonbondedMethod=app.PME if periodic else app.NoCutoff,
            nonbondedCutoff=_cutoff(modeller.topology) * unit.nanometer,
            constraints=app.HBonds,
            rigidWater=True,
            removeCMMotion=False,
        )
    except (ValueError, KeyError, OSError) as error:
        raise FormatError(
            f"The force field {', '.join(force_field)} cannot describe {name}: {_first_line(error)}"
        ) from None
    for force in system.getForces():
        if type(force).__name__ == "NonbondedForce":
            force.setUseSwitchingFunction(periodic)
            force.setSwitchingDistance(0.9 * force.getCutoffDistance())
    return system_from_openmm(
        system, modeller.positions, modeller.topology, subset, temperature=temperature, timestep=timestep, name=name
    )


def _add_hydrogens(modeller, rules):
    """Where they are missing; always in the same places."""
    import openmm

    if any(atom.element is not None and atom.element.symbol == "H" for atom in modeller.topology.atoms()):
        return
    # OpenMM draws their first positions from Python's own generator, and minimises in parallel
    state = random.getstate()
    random.seed(1)
    try:
        small = modeller.topology.getNumAtoms() < 500
        modeller.addHydrogens(rules, platform=openmm.Platform.getPlatformByName("Reference") if small else None)
    finally:
        random.setstate(state)


def _cutoff(topology, wanted=0.9):
    """The wanted cutoff, nm, or what half the box allows."""
    vectors = topology.getPeriodicBoxVectors()
    if vectors is None:
        return wanted
    return min(wanted, 0.49 * min(vectors[axis][axis]._value for axis in range(3)))


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


# -- alanine dipeptide ------------------------------------------------------------------------------------

# name, element, residue, three earlier atoms, bond (nm), angle and dihedral (degrees) to them; standard peptide geometry
_DIPEPTIDE = [
    ("CH3", "C", "ACE", (), 0, 0, 0),
    ("C", "C", "ACE", (0,), 0.152, 0, 0),
    ("O", "O", "ACE", (1, 0), 0.123, 121.0, 0),
    ("N", "N", "ALA", (1, 0, 2), 0.1335, 116.0, 180.0),
    ("CA", "C", "ALA", (3, 1, 0), 0.1449, 122.0, 180.0),
    ("C", "C", "ALA", (4, 3, 1), 0.1522, 111.0, -80.0),
    ("CB", "C", "ALA", (4, 3, 1), 0.1526, 110.0, 158.0),
    ("O", "O", "ALA", (5, 4, 3), 0.1229, 120.5, -30.0),
    ("N", "N", "NME", (5, 4, 3), 0.1335, 116.6, 150.0),
    ("C", "C", "NME", (8, 5, 4), 0.1449, 121.9, 180.0),
]


def alanine_dipeptide(*, padding=0.9, temperature=300.0, timestep=0.002):
    """Alanine dipeptide (ACE-ALA-NME) in TIP3P water, AMBER ff14SB.

    A solute that is not heavy: its momentum relaxes as fast as its surroundings, so that the friction of the held
    molecule (the limit ε → 0) is not that of the free one.

    Parameters
    ----------
    padding : float, nm
        Water beyond the solute.
    temperature : float, K
    timestep : float, ps
    """
    from openmm import app

    settings = {"padding": padding, "temperature": temperature, "timestep": timestep}
    text = _pdb_text(_DIPEPTIDE, _placed(_DIPEPTIDE))
    structure = app.PDBFile(io.StringIO(text))
    subset = "resname ACE ALA NME"
    made = _parametrised(structure, subset, FORCE_FIELD, padding, temperature, timestep, "alanine-dipeptide")
    return made.replace(settings=settings)


def _placed(atoms):
    """Positions from internal coordinates, shape (n_atoms, 3), nm."""
    positions = np.zeros((len(atoms), 3))
    for index, (_, _, _, to, bond, angle, dihedral) in enumerate(atoms):
        if len(to) == 1:
            positions[index] = positions[to[0]] + [bond, 0.0, 0.0]
        elif len(to) == 2:
            along = np.deg2rad(angle)
            positions[index] = positions[to[0]] + bond * np.array([-np.cos(along), np.sin(along), 0.0])
        elif to:
            positions[index] = _fourth(*positions[list(to)], bond, np.deg2rad(angle), np.deg2rad(dihedral))
    return positions


def _fourth(near, middle, far, bond, angle, dihedral):
    """The atom bound to ``near`` at an angle to ``middle`` and a dihedral angle to ``far``."""
    along = (near - middle) / np.linalg.norm(near - middle)
    normal = np.cross(middle - far, along)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, along)
    outward = np.sin(angle) * (np.cos(dihedral) * across + np.sin(dihedral) * normal)
    return near + bond * (outward - np.cos(angle) * along)


def _pdb_text(atoms, positions):
    lines, residues = [], []
    for serial, ((name, element, residue, *_), place) in enumerate(zip(atoms, 10.0 * positions), start=1):
        if residue not in residues:
            residues.append(residue)
        x, y, z = place
        lines.append(
            f"ATOM  {serial:5d}  {name:<3s} {residue} A{len(residues):4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}"
        )
    return "\n".join([*lines, "TER", "END", ""])
