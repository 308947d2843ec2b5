"""Units: nm, ps, u, kJ/mol and K inside, whatever the file or the screen says.

With these, forces are kJ/mol/nm = u nm/ps², momenta u nm/ps, and no conversion factor appears in any
equation. Conversion happens once on reading, and for display.
"""

from dataclasses import dataclass

__all__ = ["BOLTZMANN", "ENGINE_UNITS", "EngineUnits", "thermal_energy"]

BOLTZMANN = 0.00831446261815324
"""Boltzmann constant (times Avogadro's number), kJ/mol/K; exact in the 2019 SI."""

CALORIE = 4.184
"""Thermochemical calorie, J; exact by definition."""

AVOGADRO = 6.02214076e23
ELEMENTARY_CHARGE = 1.602176634e-19  # C
ATOMIC_MASS = 1.66053906892e-27  # kg, CODATA 2022
BOHR = 0.0529177210544  # nm, CODATA 2022
HARTREE = 4.3597447222060e-18 * AVOGADRO * 1e-3  # kJ/mol, CODATA 2022
ELECTRONVOLT = ELEMENTARY_CHARGE * AVOGADRO * 1e-3  # kJ/mol


def thermal_energy(temperature):
    """k_B T in kJ/mol for a temperature in K."""
    return BOLTZMANN * temperature


@dataclass(frozen=True)
class EngineUnits:
    """Factors that turn an engine's numbers into nm, ps, u, nm/ps and kJ/mol/nm (by multiplication)."""

    name: str
    length: float
    time: float
    mass: float
    velocity: float
    force: float


def _lammps_si():
    return EngineUnits(
        name="si",
        length=1e9,
        time=1e12,
        mass=1.0 / ATOMIC_MASS,
        velocity=1e9 / 1e12,
        force=AVOGADRO * 1e-3 * 1e-9,
    )


ENGINE_UNITS = {
    "gromacs": EngineUnits("gromacs", 1.0, 1.0, 1.0, 1.0, 1.0),
    # kcal/mol, Å, fs
    "real": EngineUnits("real", 0.1, 1e-3, 1.0, 100.0, CALORIE * 10.0),
    # eV, Å, ps
    "metal": EngineUnits("metal", 0.1, 1.0, 1.0, 0.1, ELECTRONVOLT * 10.0),
    "si": _lammps_si(),
    # g, cm, s, dyne
    "cgs": EngineUnits("cgs", 1e7, 1e12, 1e-3 / ATOMIC_MASS, 1e7 / 1e12, AVOGADRO * 1e-3 * 1e-5 * 1e-9),
    # picogram, micrometre, microsecond, picogram micrometre/microsecond²
    "micro": EngineUnits("micro", 1e3, 1e6, 1e-15 / ATOMIC_MASS, 1e-3, AVOGADRO * 1e-3 * 1e-9 * 1e-9),
    # attogram, nm, ns, attogram nm/ns²
    "nano": EngineUnits("nano", 1.0, 1e3, 1e-21 / ATOMIC_MASS, 1e-3, AVOGADRO * 1e-3 * 1e-12 * 1e-9),
    # Hartree, Bohr, fs; LAMMPS gives velocities in Bohr per atomic time unit (1.03275e-15 s)
    "electron": EngineUnits("electron", BOHR, 1e-3, 1.0, BOHR / 1.03275e-3, HARTREE / BOHR),
    # kcal/mol, Å; AMBER velocities come in Å per 1/20.455 ps
    "amber": EngineUnits("amber", 0.1, 1.0, 1.0, 0.1 * 20.455, CALORIE * 10.0),
}
"""Unit systems by name; ``lj`` is not among them, because it needs the user's mass, σ and ε."""
