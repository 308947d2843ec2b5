"""The panels of the explorer: one per room of the house."""

from .data import DataStep
from .density import DensityStep
from .nanoparticle import NanoparticleStep
from .numbers import NumbersPanel
from .regime import RegimeStep
from .window import WindowStep

__all__ = ["DataStep", "DensityStep", "NanoparticleStep", "NumbersPanel", "RegimeStep", "WindowStep"]
