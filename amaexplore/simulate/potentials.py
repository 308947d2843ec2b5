"""Potentials that act on the nanoparticle's centre of mass R alone, each with the formula OpenMM gets.

Where one of these is the only thing that distinguishes one place from another, the mean force is known: −∂U/∂R.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError

__all__ = ["DoubleWell", "HarmonicTrap", "centre_of_mass_force"]


@dataclass(frozen=True)
class HarmonicTrap:
    """U(R) = ½ Σ_a k_a (R_a − c_a)².

    Parameters
    ----------
    stiffness : float or sequence of 3, kJ/mol/nm²
        Zero along an axis leaves it free.
    centre : sequence of 3, nm
    """

    stiffness: float | tuple = 50.0
    centre: tuple = (0.0, 0.0, 0.0)

    def __post_init__(self):
        stiffness = np.broadcast_to(np.asarray(self.stiffness, dtype=float), (3,))
        if not np.isfinite(stiffness).all() or (stiffness < 0).any() or not (stiffness > 0).any():
            raise InputError(
                f"A trap's stiffness must be positive (kJ/mol/nm²) along some axis; got {self.stiffness!r}."
            )
        object.__setattr__(self, "stiffness", tuple(stiffness.tolist()))
        object.__setattr__(self, "centre", tuple(float(x) for x in self.centre))

    expression = "0.5*kx*(x1-cx)^2 + 0.5*ky*(y1-cy)^2 + 0.5*kz*(z1-cz)^2"

    @property
    def parameters(self):
        """Numbers of `expression`."""
        return dict(zip(("kx", "ky", "kz", "cx", "cy", "cz"), (*self.stiffness, *self.centre)))

    def energy(self, position):
        """U at R, shape (..., 3) nm -> (...), kJ/mol."""
        return 0.5 * np.sum(np.asarray(self.stiffness) * (np.asarray(position) - self.centre) ** 2, axis=-1)

    def force(self, position):
        """−∂U/∂R at R, shape (..., 3) nm -> (..., 3), kJ/mol/nm."""
        return -np.asarray(self.stiffness) * (np.asarray(position) - self.centre)


@dataclass(frozen=True)
class DoubleWell:
    """U(R) = b [(x/a)² − 1]² + ½ k (y² + z²): two wells along x at ± a, a barrier b between them.

    Parameters
    ----------
    barrier : float, kJ/mol
    half_distance : float, nm
        a, from the barrier's top to each minimum.
    stiffness : float, kJ/mol/nm²
        Across x.
    """

    barrier: float = 3.0
    half_distance: float = 0.8
    stiffness: float = 15.0

    def __post_init__(self):
        if not all(np.isfinite(v) and v > 0 for v in (self.barrier, self.half_distance, self.stiffness)):
            raise InputError(f"A double well needs a positive barrier, half distance and stiffness; got {self!r}.")

    expression = "b*((x1/a)^2-1)^2 + 0.5*k*(y1^2+z1^2)"

    @property
    def parameters(self):
        """Numbers of `expression`."""
        return {"b": self.barrier, "a": self.half_distance, "k": self.stiffness}

    def energy(self, position):
        """U at R, shape (..., 3) nm -> (...), kJ/mol."""
        x, y, z = np.moveaxis(np.asarray(position, dtype=float), -1, 0)
        return self.barrier * ((x / self.half_distance) ** 2 - 1.0) ** 2 + 0.5 * self.stiffness * (y**2 + z**2)

    def force(self, position):
        """−∂U/∂R at R, shape (..., 3) nm -> (..., 3), kJ/mol/nm."""
        x, y, z = np.moveaxis(np.asarray(position, dtype=float), -1, 0)
        along = -4.0 * self.barrier * x / self.half_distance**2 * ((x / self.half_distance) ** 2 - 1.0)
        return np.stack([along, -self.stiffness * y, -self.stiffness * z], axis=-1)


def centre_of_mass_force(potential, particle):
    """The OpenMM force of a potential on the mass-weighted centre of some atoms.

    Each atom feels its mass's share, so that the force moves the particle as a whole and does not deform it.
    """
    import openmm

    force = openmm.CustomCentroidBondForce(1, potential.expression)
    names, values = zip(*potential.parameters.items())
    for name in names:
        force.addPerBondParameter(name)
    # R runs on through the periodic images, as everywhere in amaexplore
    force.setUsesPeriodicBoundaryConditions(False)
    group = force.addGroup([int(atom) for atom in particle])
    force.addBond([group], list(values))
    return force
