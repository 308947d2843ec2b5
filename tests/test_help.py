"""`help()` alone is enough: what is public says what it does, takes, returns and refuses."""

import ast
import inspect
import re
import textwrap
from importlib import import_module

import pytest

import amaexplore
from amaexplore import classroom, equations

UNITS = re.compile(
    r"(?<![A-Za-z])(nm|ps|u|kJ/mol|K|1/nm|1/ps|bool|int|str|object|dimensionless|index|indices|0 to 1|W|Boltzmann)(?![A-Za-z])"
)


def members(owner, prefix):
    """Public methods and properties that a class of ours defines itself or inherits from one of ours."""
    for name in dir(owner):
        if name.startswith("_"):
            continue
        maker = next((base for base in owner.__mro__ if name in base.__dict__), owner)
        if not maker.__module__.startswith("amaexplore"):
            continue
        raw = inspect.getattr_static(owner, name)
        if isinstance(raw, classmethod | staticmethod) or inspect.isfunction(raw):
            yield f"{prefix}.{name}", getattr(owner, name)
        elif isinstance(raw, property) or hasattr(raw, "func"):
            yield f"{prefix}.{name}", raw


def everything():
    """Public name -> object, as a reader of ``help(amaexplore)`` meets them."""
    found = {}
    rooms = [("", amaexplore), ("classroom.", classroom), ("equations.", equations)]
    for prefix, room in rooms:
        for name in room.__all__:
            thing = getattr(room, name)
            if inspect.isclass(thing):
                found[prefix + name] = thing
                found |= dict(members(thing, prefix + name))
            elif inspect.ismodule(thing):
                # a package that can be called; its docstring says which function that is
                function = getattr(import_module(f"{thing.__name__}.own"), name)
                assert f"own.{name}" in inspect.getdoc(thing)
                found[prefix + name] = function
            elif callable(thing):
                found[prefix + name] = thing
    return found


def own_statements(tree):
    """The nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def section(doc, title):
    """The text of one section of a docstring, None if it has none."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-{{3,}}\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else None


def shortcomings(thing):
    """What the documentation of an object lacks, as a list of words."""
    doc = inspect.getdoc(thing)
    if inspect.isclass(thing):
        # of a dataclass without one, the signature
        if not doc or doc.startswith(f"{thing.__name__}("):
            return ["no docstring"]
    elif not doc:
        return ["no docstring"]
    lacks = []
    if not doc.split("\n\n")[0].rstrip().endswith((".", ":")):
        lacks.append("the first sentence")
    if isinstance(thing, property) or hasattr(thing, "func"):
        return lacks
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return lacks
    parameters = inspect.signature(thing).parameters.values()
    takes = [one.name for one in parameters if one.name not in ("self", "cls")]
    if inspect.isclass(thing):
        takes = [one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
        text = doc + (inspect.getdoc(thing.__init__) or "")
        return lacks + [f"argument {name}" for name in takes if not re.search(rf"\b{name}\b", text)]
    section_of_them = section(doc, "Parameters")
    # what goes without saying for one argument does not for two
    if len(takes) > 1 and section_of_them is None:
        lacks.append("Parameters")
    if section_of_them is not None:
        lacks += [f"argument {name}" for name in takes if not re.search(rf"\b{name}\b", section_of_them)]
    nodes = list(own_statements(ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]))
    gives = any(
        isinstance(n, ast.Return) and n.value is not None and ast.unparse(n.value) not in ("None", "self")
        for n in nodes
    )
    returns = section(doc, "Returns")
    if gives and section_of_them is not None and returns is None:
        lacks.append("Returns")
    if returns and re.search(r"\b(ndarray|float)\b", returns) and not UNITS.search(returns):
        lacks.append("a unit of what is returned")
    raised = {
        ast.unparse(n.exc.func)
        for n in nodes
        if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call) and ast.unparse(n.exc.func) != "NotImplementedError"
    }
    said = section(doc, "Raises") or ""
    return lacks + [f"that it raises {name}" for name in sorted(raised) if not re.search(rf"\b{name}\b", said)]


@pytest.mark.parametrize("name", everything())
def test_help_is_enough(name):
    assert shortcomings(everything()[name]) == []


def test_what_is_missing_is_noticed():
    def bare(value):
        return value

    def told(value, factor):
        """Times a factor"""
        if factor < 0:
            raise ValueError("negative")
        return value * factor

    def full(value, factor):
        """Times a factor.

        Parameters
        ----------
        value : ndarray, nm

        Returns
        -------
        ndarray
        """
        return value * factor

    class Empty:
        pass

    assert shortcomings(bare) == ["no docstring"]
    assert shortcomings(Empty) == ["no docstring"]
    assert shortcomings(told) == ["the first sentence", "Parameters", "that it raises ValueError"]
    assert shortcomings(full) == ["argument factor", "a unit of what is returned"]
    assert shortcomings(amaexplore.gamma) == []


def test_methods_and_properties_are_walked_through():
    names = everything()
    assert len(names) > 300
    assert {"gamma", "Grid.scaled", "OrderParameters.epsilon", "Trajectory.from_arrays", "classroom.grade"} <= set(
        names
    )
