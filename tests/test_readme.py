"""What the README tells people to type is typed here: its Python from top to bottom, its commands one by one."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import amaexplore as ama
from amaexplore.cli import _parser, main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind != "python" for line in text.splitlines() if "amaexplore " in line]
INLINE = re.findall(r"`(amaexplore [^`]*)`", README)
# the files of its examples, as our own data have them
STAND_INS = {
    "md.trr": "peptide.trr",
    "md.tpr": "peptide.tpr",
    "run.lammpstrj.gz": "nanoparticle.lammpstrj.gz",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, source in STAND_INS.items():
        shutil.copy(ROOT / "tests/data" / source, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_runs_from_top_to_bottom(folder, monkeypatch, capsys):
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert blocks
    whole = ama.demo
    # the same simulation, but not all of it
    monkeypatch.setattr(ama, "demo", lambda name: whole(name, duration=60.0, cache=False))
    names = {}
    for text in blocks:
        assert len(text.splitlines()) <= 12  # "ten lines"
        exec(compile(text, "README.md", "exec"), names)
    assert "u/ps" in capsys.readouterr().out
    assert names["theta"].friction > 0.0
    assert names["density"].probability == pytest.approx(1.0, abs=1e-9)
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [line for line in COMMANDS if "explore " not in line.replace("amaexplore ", "")])
def test_a_command_does_what_it_is_there_for(folder, capsys, command):
    arguments = shlex.split(command)[1:]
    assert main(arguments) == 0, capsys.readouterr().err
    assert len(capsys.readouterr().out.splitlines()) > 3
    for option in ("--json", "--report"):
        if option in arguments:
            assert (folder / arguments[arguments.index(option) + 1]).stat().st_size > 1000


def test_commands_that_open_a_page_are_understood():
    pages = [line for line in COMMANDS if "explore " in line.replace("amaexplore ", "")]
    assert pages
    for command in [*pages, "amaexplore", "amaexplore lab"]:
        assert callable(_parser().parse_args(shlex.split(command)[1:]).run)


@pytest.mark.parametrize(
    "engine", re.search(r"`amaexplore recipe ENGINE --select \.\.\.` \(([^;]*); plumed", README)[1].split(", ")
)
def test_recipes_are_printed(folder, capsys, engine):
    assert main(["recipe", engine, "--select", "index 0 to 9"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3


def test_commands_in_the_text_exist():
    """Their names and options, and those the text mentions beside them."""
    assert len(INLINE) > 2
    for command in INLINE:
        name, *words = command.split()[1:]
        options = _options(name)
        assert [word for word in words if word.startswith("--") and word not in options] == [], command
    assert "--cluster" in _options("ingest")
    assert "--topology" in _options("recipe")


def test_files_that_are_named_are_there():
    paths = set(re.findall(r"`(?:python )?((?:tests|notebooks|binder|amaexplore)/[\w./]+)`", README))
    paths |= set(re.findall(r"\]\(((?!https?:)[\w./]*[./][\w./]*)\)", README))
    assert len(paths) > 3
    assert [path for path in paths if not (ROOT / path).exists()] == []


def _options(command):
    """The options of a command of ours."""
    actions = next(action for action in _parser()._actions if action.choices)
    return actions.choices[command]._option_string_actions
