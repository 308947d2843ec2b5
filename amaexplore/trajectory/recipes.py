"""Input lines that make an engine write R, P and F of a group, for users who never want to store the atoms.

Each recipe names what the engine can and cannot do, and ends with the call that reads what it wrote.
"""

from textwrap import dedent

import numpy as np

from ..errors import InputError

__all__ = ["ENGINES", "recipe"]

DEFAULT_EVERY = 5  # MD steps; at 2 fs that is 10 fs, which resolves forces in liquids


def recipe(engine, select=None, topology=None, every=DEFAULT_EVERY):
    """Input lines for an engine.

    Parameters
    ----------
    engine : str
        ``"gromacs"``, ``"lammps"``, ``"openmm"`` or ``"plumed"``.
    select : str, optional
        The nanoparticle. With ``topology`` any selection; without one, ``index 0 to 12``, or the engine's own words: a
        GROMACS group such as ``Protein``, LAMMPS' ``type 2``, ``id 1:95`` or ``molecule 3``.
    topology : str or Path, optional
        File in which the selection is looked up.
    every : int
        MD steps between rows.

    Returns
    -------
    str

    Raises
    ------
    InputError
        The engine is not known, or the selection needs a topology.
    """
    if engine not in ENGINES:
        raise InputError(f"There is no recipe for {engine!r}; there are recipes for {', '.join(ENGINES)}.")
    if int(every) < 1:
        raise InputError(f"every must be at least 1 MD step; got {every!r}.")
    return ENGINES[engine](select, topology, int(every))


def _chosen(select, topology):
    """Atom indices and mass of the selection, where they can be known."""
    if select is None:
        return None, None
    if topology is not None:
        from .topologies import read_topology
        from .trajectory import Trajectory

        found, masses, _ = read_topology(topology)
        still = Trajectory(
            times=np.zeros(1), masses=masses, topology=found, positions=np.zeros((1, len(masses), 3), np.float32)
        )
        subset = still.select(select)
        return subset.indices, subset.mass
    words = select.split()
    if len(words) == 4 and words[0] == "index" and words[2] == "to" and words[1].isdigit() and words[3].isdigit():
        return np.arange(int(words[1]), int(words[3]) + 1), None
    return None, None


def _ranges(indices, dash, separator):
    """Atom numbers from 1 as ranges: 1-13,20."""
    runs = np.split(indices + 1, np.flatnonzero(np.diff(indices) != 1) + 1)
    return separator.join(str(run[0]) if len(run) == 1 else f"{run[0]}{dash}{run[-1]}" for run in runs)


def _needs_atoms(engine, select, own_words):
    what = (
        "no selection was given"
        if select is None
        else f"the selection {select!r} cannot be looked up without a topology"
    )
    return InputError(
        f"The recipe for {engine} must know the atoms, and {what}; give a topology file, or 'index 0 to 12'{own_words}."
    )


# -- engines ------------------------------------------------------------------------------------------


def _gromacs(select, topology, every):
    indices, mass = _chosen(select, topology)
    if indices is not None:
        rows = "\n".join(" ".join(map(str, part)) for part in np.array_split(indices + 1, -(-len(indices) // 15)))
        group = "Nanoparticle"
        make_index = f"cat > particle.ndx <<'END'\n[ {group} ]\n{rows}\nEND"
    elif select is not None and len(select.split()) == 1:
        group = select
        make_index = f'echo q | gmx make_ndx -f md.tpr -o particle.ndx    # the default groups, "{group}" among them'
    else:
        raise _needs_atoms("GROMACS", select, ", or the name of a GROMACS group such as Protein")
    stated = "mass=MASS_IN_U" if mass is None else f"mass={mass:.10g}"
    if indices is not None:
        stated += f", n_atoms={len(indices)}"
    return "\n".join(
        [
            "; 1. In the .mdp file. GROMACS writes whole atoms only; the steps below keep those of the nanoparticle.",
            "integrator = md         ; leap-frog: velocities lie half a step behind; that is detected and put right",
            f"nstxout    = {every}",
            f"nstvout    = {every}",
            f"nstfout    = {every}",
            "comm-mode  = None       ; removing the centre-of-mass motion changes P",
            "tcoupl     = no         ; NVE: a thermostat adds friction of its own",
            "pcoupl     = no",
            "",
            "# 2. After the run: the nanoparticle's atoms alone, whole.",
            make_index,
            f'echo "{group}" | gmx convert-tpr -s md.tpr -n particle.ndx -o particle.tpr',
            f'echo "{group}" | gmx trjconv -s md.tpr -f md.trr -n particle.ndx -pbc whole -force -o particle.trr',
            "# This is enough:  ama.load('particle.trr', topology='particle.tpr')",
            "",
            "# 3. For long runs: R, V and F only (then particle.trr can go).",
            "for quantity in ox ov of; do",
            "    echo 0 | gmx traj -s particle.tpr -f particle.trr -com -nojump -fp -$quantity $quantity.xvg",
            "done",
            f"# ama.load_series(['ox.xvg', 'ov.xvg', 'of.xvg'], {stated}, momentum_offset=-0.5 * MD_STEP_IN_PS)",
            "",
        ]
    )


def _lammps(select, topology, every):
    indices, _ = _chosen(select, topology)
    if indices is not None:
        group = f"id {_ranges(indices, ':', ' ')}"
    elif select is not None and select.split()[0] in ("type", "id", "molecule", "region"):
        group = select
    else:
        raise _needs_atoms("LAMMPS", select, ", or LAMMPS' own words such as 'type 2'")
    columns = [f"$({call}:%.15g)" for call in _lammps_columns()]
    return dedent(
        f"""\
        # After 'units' (put the style in place of STYLE), the masses and 'timestep', before 'run'. No thermostat, no fix
        # momentum: fix nve alone. x, v and F belong to the same time; R is unwrapped; P = m V.
        group        ama {group}
        print        "# amaexplore units=STYLE mass=$(mass(ama):%.15g) n_atoms=$(count(ama)) total_mass=$(mass(all):%.15g)" file ama.dat screen no
        print        "# time Rx Ry Rz Vx Vy Vz Fx Fy Fz" append ama.dat screen no
        fix          ama_series all print {every} "{" ".join(columns)}" append ama.dat screen no
        # read with:   ama.load_series("ama.dat")
        """
    )


def _lammps_columns():
    return ["time", *(f"{function}(ama,{axis})" for function in ("xcm", "vcm", "fcm") for axis in "xyz")]


def _openmm(select, topology, every):
    if select is None:
        raise _needs_atoms("OpenMM", select, "")
    return dedent(
        f"""\
        # Before simulation.step(...). Forces, velocities and positions are taken at the same step; velocities of leap-frog
        # integrators are moved to it.
        from amaexplore.simulate.recorder import H5MDReporter

        simulation.reporters.append(H5MDReporter("run.h5md", {every}, {select!r}))
        # Do not add a CMMotionRemover (system built with removeCMMotion=False), and use VerletIntegrator (NVE).
        # read with:  ama.load_series("run.h5md")  for R, P and F,  ama.load("run.h5md")  for the atoms as well
        """
    )


def _plumed(select, topology, every):
    indices, mass = _chosen(select, topology)
    if indices is None:
        raise _needs_atoms("PLUMED", select, "")
    atoms = _ranges(indices, "-", ",")
    stated = f"mass={'MASS_IN_U' if mass is None else f'{mass:.10g}'}, n_atoms={len(indices)}"
    return dedent(
        f"""\
        # PLUMED knows positions only: R can be written, P and F cannot (use the engine's own recipe for those). R alone gives
        # no force correlation; momenta by differences of R are rough.
        UNITS LENGTH=nm TIME=ps ENERGY=kj/mol
        WHOLEMOLECULES ENTITY0={atoms}
        com: COM ATOMS={atoms} NOPBC
        r: POSITION ATOM=com NOPBC
        cell: CELL
        PRINT ARG=r.x,r.y,r.z,cell.* STRIDE={every} FILE=COLVAR FMT=%.10g
        # read with:  ama.load_series("COLVAR", {stated})    (jumps across the box are taken out with the cell)
        """
    )


ENGINES = {"gromacs": _gromacs, "lammps": _lammps, "openmm": _openmm, "plumed": _plumed}
"""Recipe by engine."""
