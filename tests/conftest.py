"""What all tests share: a seeded generator, and floating-point errors that raise."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A seeded generator: the same numbers in every run."""
    return np.random.default_rng(20080826)


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    # underflow is what the tail of a density does
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        yield
