"""What all tests share: a seeded generator, floating-point errors that raise, and who runs beside whom."""

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


def pytest_collection_modifyitems(config, items):
    """With ``-n 2 --dist loadgroup``: the tests of a file stay together, since they share what they set up."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        file = item.path.stem
        item.add_marker(pytest.mark.xdist_group("one by one" if file.startswith(ONE_BY_ONE) else file))
