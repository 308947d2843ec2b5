"""Units written as text in files ("kJ mol-1 nm-1", "Å/fs", "kilocalorie/mole/angstrom") as factors to nm, ps, u."""

import re
from dataclasses import dataclass

from ..errors import FormatError
from ..units import ATOMIC_MASS, AVOGADRO, BOHR, CALORIE, ELECTRONVOLT, HARTREE

__all__ = ["unit_factor"]

JOULE = AVOGADRO * 1e-3  # in kJ/mol


@dataclass(frozen=True)
class _Unit:
    factor: float
    length: int = 0
    time: int = 0
    mass: int = 0


def _energy(factor):
    return _Unit(factor, length=2, time=-2, mass=1)


_UNITS = {
    **dict.fromkeys(["nm", "nanometer", "nanometre"], _Unit(1.0, length=1)),
    **dict.fromkeys(["a", "å", "ang", "angstrom", "angstroem", "ångström"], _Unit(0.1, length=1)),
    **dict.fromkeys(["pm", "picometer"], _Unit(1e-3, length=1)),
    **dict.fromkeys(["um", "μm", "µm", "micron", "micrometer"], _Unit(1e3, length=1)),
    **dict.fromkeys(["cm", "centimeter"], _Unit(1e7, length=1)),
    **dict.fromkeys(["m", "meter", "metre"], _Unit(1e9, length=1)),
    **dict.fromkeys(["bohr", "a0"], _Unit(BOHR, length=1)),
    **dict.fromkeys(["ps", "picosecond"], _Unit(1.0, time=1)),
    **dict.fromkeys(["fs", "femtosecond"], _Unit(1e-3, time=1)),
    **dict.fromkeys(["ns", "nanosecond"], _Unit(1e3, time=1)),
    **dict.fromkeys(["us", "μs", "µs", "microsecond"], _Unit(1e6, time=1)),
    **dict.fromkeys(["s", "second"], _Unit(1e12, time=1)),
    **dict.fromkeys(["akma"], _Unit(0.04888821, time=1)),
    **dict.fromkeys(["u", "amu", "da", "dalton"], _Unit(1.0, mass=1)),
    **dict.fromkeys(["g", "gram"], _Unit(1e-3 / ATOMIC_MASS, mass=1)),
    **dict.fromkeys(["kg", "kilogram"], _Unit(1.0 / ATOMIC_MASS, mass=1)),
    **dict.fromkeys(["mol", "mole"], _Unit(AVOGADRO)),
    **dict.fromkeys(["kj", "kilojoule"], _energy(1e3 * JOULE)),
    **dict.fromkeys(["j", "joule"], _energy(JOULE)),
    **dict.fromkeys(["kcal", "kilocalorie"], _energy(1e3 * CALORIE * JOULE)),
    **dict.fromkeys(["cal", "calorie"], _energy(CALORIE * JOULE)),
    **dict.fromkeys(["ev", "electronvolt"], _energy(ELECTRONVOLT)),
    **dict.fromkeys(["hartree", "ha", "eh"], _energy(HARTREE)),
    **dict.fromkeys(["n", "newton"], _Unit(JOULE * 1e-9, length=1, time=-2, mass=1)),
    **dict.fromkeys(["pn", "piconewton"], _Unit(JOULE * 1e-21, length=1, time=-2, mass=1)),
    **dict.fromkeys(["dyn", "dyne"], _Unit(JOULE * 1e-14, length=1, time=-2, mass=1)),
}

_DIMENSIONS = {
    "length": (1, 0, 0),
    "time": (0, 1, 0),
    "mass": (0, 0, 1),
    "velocity": (1, -1, 0),
    "momentum": (1, -1, 1),
    "force": (1, -2, 1),
    "energy": (2, -2, 1),
}

_TOKEN = re.compile(r"([*/·]?)\s*([^\W\d_]+0?)\s*(?:\^|\*\*)?\s*\{?([+-]?\d+)?\}?")


def unit_factor(text, kind):
    """Factor that turns numbers in a written unit into nm, ps, u, nm/ps, u nm/ps or kJ/mol/nm.

    Parameters
    ----------
    text : str or bytes
    kind : str
        ``"length"``, ``"time"``, ``"mass"``, ``"velocity"``, ``"momentum"``, ``"force"`` or ``"energy"``.

    Raises
    ------
    FormatError
        The text is not understood, or is the unit of something else.

    Examples
    --------
    >>> unit_factor("Angstrom fs-1", "velocity")
    100.0
    >>> unit_factor("kcal/mol/angstrom", "force")
    41.84
    """
    text = text.decode() if isinstance(text, bytes) else str(text)
    factor, powers, end = 1.0, [0, 0, 0], 0
    stripped = text.strip()
    for match in _TOKEN.finditer(stripped):
        operator, name, exponent = match.groups()
        unit = _UNITS.get(name.lower()) or _UNITS.get(name.lower().removesuffix("s"))
        if unit is None or stripped[end : match.start()].strip():
            raise FormatError(
                f"The unit {text!r} of a {kind} is not understood; say units in nm, ps, kJ/mol or the like."
            )
        power = int(exponent or 1) * (-1 if operator == "/" else 1)
        factor *= unit.factor**power
        powers = [p + power * q for p, q in zip(powers, (unit.length, unit.time, unit.mass))]
        end = match.end()
    if stripped[end:].strip() or tuple(powers) != _DIMENSIONS[kind]:
        raise FormatError(f"The unit {text!r} is not that of a {kind}; the file contradicts itself.")
    return float(f"{factor:.13g}")
