"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil

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
