"""The notebooks of the documentation run from the first cell to the last, and are kept without output."""

import json
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TOPICS = {"tables", "pictures", "distances", "theory"}
# As conftest.py does here: margins of tables from fewer rows.
QUICK = """
from functools import partial
import wassergan.modality.tables as tables
tables.calibrate_marginals = partial(tables.calibrate_marginals, rows=2**12)
"""


def test_there_are_four_without_output() -> None:
    assert {path.stem for path in NOTEBOOKS} == TOPICS
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs") and not cell.get("execution_count"), path.name
            assert not cell["metadata"], path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    # The kernel is this interpreter, whatever kernels the user has; its threads are those of the suite.
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(kernel_of_this_interpreter(tmp_path)))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:  # the build of the pages trains as long as they say
        cell.source = re.sub(r"\bsteps=(\d+)0\b", r"steps=\1", cell.source) if cell.cell_type == "code" else cell.source
    notebook.cells.insert(0, nbformat.v4.new_code_cell(QUICK))
    client.NotebookClient(
        notebook, timeout=300, kernel_name="suite", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert not [output for output in shown if output.get("name") == "stderr"], "a notebook shows no warning"
    if path.stem in ("tables", "pictures", "theory"):
        assert any("image/png" in output.get("data", {}) for output in shown)
    if path.stem == "tables":
        assert any("<table" in output.get("data", {}).get("text/html", "") for output in shown)


def kernel_of_this_interpreter(folder: Path) -> Path:
    spec = folder / "kernels" / "suite"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "suite", "language": "python"}))
    return folder
