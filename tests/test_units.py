"""Unit systems against scipy's CODATA constants, computed here from SI."""

import pytest
from scipy import constants

from amaexplore.units import BOLTZMANN, ENGINE_UNITS

MOL = constants.Avogadro
FORCE = 1e3 / MOL / 1e-9  # one kJ/mol/nm in newton
SI = {  # length m, time s, mass kg, velocity m/s, force N
    "real": (1e-10, 1e-15, constants.atomic_mass, 1e-10 / 1e-15, 4184 / MOL / 1e-10),
    "metal": (1e-10, 1e-12, constants.atomic_mass, 1e-10 / 1e-12, constants.e / 1e-10),
    "si": (1.0, 1.0, 1.0, 1.0, 1.0),
    "cgs": (1e-2, 1.0, 1e-3, 1e-2, 1e-5),
    "electron": (
        constants.physical_constants["Bohr radius"][0],
        1e-15,
        constants.atomic_mass,
        constants.physical_constants["Bohr radius"][0] / 1.03275e-15,
        constants.physical_constants["atomic unit of force"][0],
    ),
    "gromacs": (1e-9, 1e-12, constants.atomic_mass, 1e3, FORCE),
}


@pytest.mark.parametrize("name", SI)
def test_engine_units(name):
    units = ENGINE_UNITS[name]
    length, time, mass, velocity, force = SI[name]
    # CODATA editions differ in the ninth digit
    assert units.length == pytest.approx(length / 1e-9, rel=1e-7)
    assert units.time == pytest.approx(time / 1e-12, rel=1e-7)
    assert units.mass == pytest.approx(mass / constants.atomic_mass, rel=1e-7)
    assert units.velocity == pytest.approx(velocity / 1e3, rel=1e-7)
    assert units.force == pytest.approx(force / FORCE, rel=1e-7)


def test_boltzmann_constant():
    assert pytest.approx(constants.R * 1e-3, rel=1e-12) == BOLTZMANN


def test_amber_velocities():
    # AMBER's time unit makes kcal/mol = u Å²/t²: 1/20.455 ps
    assert ENGINE_UNITS["amber"].velocity == pytest.approx(
        (4.184e3 / constants.atomic_mass / MOL) ** 0.5 / 1e3, rel=1e-4
    )
