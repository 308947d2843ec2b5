"""What all tests share: a seeded generator, floating-point errors that raise, and kernels compiled beside the first tests."""

import numpy as np
import pytest

from amaexplore.explorer.ahead import compile_ahead


@pytest.fixture(scope="session", autouse=True)
def _kernels_compiled_beside():
    # on a machine where nothing is compiled yet: the second core does it meanwhile, as for somebody who opens the explorer
    process = compile_ahead()
    yield
    if process is not None and process.poll() is None:
        process.terminate()
        process.wait()


@pytest.fixture
def rng():
    """A seeded generator: the same numbers in every run."""
    return np.random.default_rng(20080826)


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    # underflow is what the tail of a density does
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        yield
