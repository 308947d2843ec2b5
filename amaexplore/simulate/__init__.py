"""The embedded laboratory: systems, dynamics free and held, recorders, ensembles; on OpenMM.

The package can itself be called: ``amaexplore.simulate(source, ...)`` is `own.simulate`.
"""

import sys
from types import ModuleType


class _CallableRoom(ModuleType):
    """A package under whose name the public function is found as well, whichever of the two was asked for first."""

    def __call__(self, *args, **options):
        from .own import simulate as simulate_own

        return simulate_own(*args, **options)


sys.modules[__name__].__class__ = _CallableRoom
simulate = sys.modules[__name__]
