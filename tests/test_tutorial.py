from __future__ import annotations

import warnings
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[1] / "analysis" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_tutorial_runs_and_shows_its_figures():
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: the tutorial is not run")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(TUTORIAL, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # what it shows is made when it is run
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of jupyter's own machinery
        done = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) == 2
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "bytes a jet before" in printed
    assert "68 % within" in printed
    assert not any(output.get("name") == "stderr" for output in outputs), printed
