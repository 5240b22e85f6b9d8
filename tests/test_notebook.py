"""The notebooks run from top to bottom, and are kept without outputs."""

from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
NOTEBOOKS = sorted(HOUSE.glob("examples/*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@pytest.fixture
def nbformat():
    return pytest.importorskip("nbformat", reason="notebooks are read with nbformat")


def test_there_is_a_notebook():
    assert "backpropagation.ipynb" in [path.name for path in NOTEBOOKS]


@each_notebook
def test_it_is_valid_and_has_no_outputs(path, nbformat):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), f"clear the outputs of {cell.source[:40]!r}"


@each_notebook
def test_it_runs(path, nbformat, tmp_path):
    client = pytest.importorskip("nbclient", reason="notebooks are run with nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="notebooks are run with nbclient and ipykernel")
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in shown if output.output_type == "error" or output.get("name") == "stderr"]
    kinds = {kind for output in shown for kind in output.get("data", ())}
    assert {"text/html", "image/png"} <= kinds
