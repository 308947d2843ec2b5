"""What all tests share: a seeded generator, floating-point errors that raise, and who runs beside whom."""

from pathlib import PurePath

import numpy as np
import pytest

# these look at a page, at the clock or at the memory of programs that they start: one after another, in one process
ONE_BY_ONE = ("test_binder", "test_browser", "test_faults", "test_first_call", "test_scene", "test_serve")


@pytest.fixture
def rng():
    """A seeded generator: the same numbers in every run."""
    return np.random.default_rng(20080826)


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    # underflow is what the tail of a density does
    with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``-n 2``: the tests of a file stay together, since they share what they set up, and in their order."""
    from xdist.scheduler import LoadFileScheduling

    class OneByOne(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "one by one" if PurePath(file).name.startswith(ONE_BY_ONE) else file

    # what takes longest is among the first files, not among those with most tests
    config.option.loadscopereorder = False
    return OneByOne(config, log)
