"""Every numbered equation has an entry, and what the entries name is there."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

import amaexplore
from amaexplore.equations import EQUATIONS, table

ROOT = Path(__file__).parents[1]

# results that are returned rather than called for, and so are not part of the public face
ELSEWHERE = {"PhaseSpaceDensity": "reduced_density.density", "Gamma": "coefficients", "Theta": "coefficients"}


def find(name):
    """The object a dotted name means: a public name, or module.name."""
    first, *rest = name.split(".")
    if hasattr(amaexplore, first) and first in amaexplore.__all__:
        found = getattr(amaexplore, first)
    elif first in ELSEWHERE:
        found = getattr(import_module(f"amaexplore.{ELSEWHERE[first]}"), first)
    else:
        found = import_module(f"amaexplore.{first}")
    for part in rest:
        fields = getattr(found, "__dataclass_fields__", {})
        found = fields[part] if part in fields else getattr(found, part)
    return found


@cache
def functions_in(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_numbered_equation_has_an_entry():
    assert [number for number in EQUATIONS if number.isdigit()] == [str(n) for n in range(1, 59)]


@pytest.mark.parametrize("entry", EQUATIONS.values(), ids=lambda entry: entry.number)
def test_what_an_entry_names_exists(entry):
    assert entry.implemented_by
    assert entry.shown_by
    for name in entry.implemented_by:
        assert find(name) is not None
    for test in entry.shown_by:
        file, function = test.split("::")
        assert function in functions_in(file), f"({entry.number}) names {test}, which does not exist"


def test_sections_and_table():
    assert {entry.section for entry in EQUATIONS.values()} == {2, 3, 4}
    everything = str(table())
    assert all(f"| ({number}) |" in everything for number in EQUATIONS)
    assert len(table(3).entries) == 27
    drawn = table(3)._repr_html_()
    assert "(55)" in drawn
    assert "kernel_<wbr>estimator" in drawn
    # after a change: print(equations.table())
    assert everything in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_name_that_is_not_there_is_noticed():
    with pytest.raises(AttributeError):
        find("OrderParameters.no_such_thing")


def numbers_in(text):
    """The equation numbers that a text names, (13)-(15) and (26), (27) alike."""
    found = set()
    for first, last in re.findall(r"\((\d+)\)(?:-\((\d+)\))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_the_derivation_notebook_walks_through_every_equation():
    notebook = nbformat.read(ROOT / "notebooks" / "08_the_derivation.ipynb", as_version=4)
    lines = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown").splitlines()
    # the headings say what each section tries out
    headings = " ".join(line for line in lines if line.startswith("##"))
    assert numbers_in(headings) == set(range(1, 59))
    assert "appendix" in headings


def test_numbers_are_read_as_they_are_written():
    assert numbers_in("(4)-(6), (9) and (12), not 3 or (29a)") == {4, 5, 6, 9, 12}
