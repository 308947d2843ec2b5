"""Every notebook runs from top to bottom, opens with a picture, and is committed without outputs."""

import ast
import json
import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9]*.ipynb"))
MOST_CELLS = 25
EXPECTED = [
    "00_explore",
    "01_order_parameters",
    "02_gibbs_hypothesis",
    "03_correlation_windows",
    "04_smoluchowski",
    "05_fokker_planck",
    "06_which_regime",
    "07_theory_against_md",
    "08_the_derivation",
    "09_your_own_data",
    "10_classroom",
]


def test_all_notebooks_are_there():
    assert [path.stem for path in NOTEBOOKS] == EXPECTED


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_form(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= MOST_CELLS
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code), "commit without outputs"
    # a title, then a cell with a picture
    assert notebook.cells[0].source.startswith("# ")
    assert "show(" in code[0].source or "explore(" in code[0].source
    # a picture is displayed only as the value of its cell
    for cell in code:
        last = ast.parse(cell.source).body[-1]
        assert "show(" not in cell.source or "show(" in ast.unparse(last), cell.source
    # public API only
    for cell in code:
        for word in ("amaexplore.kernels", "import _", "._"):
            assert word not in cell.source, f"{word!r} in {path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    # this Python, whatever kernels the user has; one numba and demo cache for all
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    text = json.dumps(outputs)
    assert "Traceback" not in text
    assert "Warning:" not in text
