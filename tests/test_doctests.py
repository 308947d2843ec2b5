"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import amaexplore

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(amaexplore.__path__, "amaexplore.")
    # running it is the command line
    if not module.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [test for name in MODULES for test in finder.find(importlib.import_module(name), name) if test.examples]
    assert len(examples) > 5


def test_no_file_is_left_out():
    root = Path(amaexplore.__file__).parent
    files = {".".join(["amaexplore", *path.relative_to(root).with_suffix("").parts]) for path in root.rglob("*.py")}
    files = {name.removesuffix(".__init__") for name in files}
    # the package itself only hands names on
    assert files - {"amaexplore.__main__", "amaexplore"} == set(MODULES)


def test_an_example_that_is_not_true_is_noticed():
    def wrong():
        """Two.

        >>> 1 + 1
        3
        """

    (test,) = doctest.DocTestFinder().find(wrong, "wrong", globs={})
    assert doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None).failed == 1
