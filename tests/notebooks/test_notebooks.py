"""Every notebook runs from top to bottom, on little data and few epochs, and shows its pictures and its answers."""

import sys
from pathlib import Path

import nbformat
import pytest

from maskfold.demo import make_demo

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "notebooks"))
from execute import execute, set_parameters  # noqa: E402
from make import make_all  # noqa: E402

LESSONS = ["data", "augment", "models", "losses_metrics", "train_validate", "ensemble_submit", "soft_labels"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHINESE = sorted((ROOT / "notebooks/zh").glob("*.ipynb"))
# What makes a notebook quick: names of its cell `parameters`.
REDUCED: dict[str, dict] = {
    "01_data": {"IMAGES": 20},
    "02_augment": {"TIMED": 4, "CROPS": 20},
    "03_models": {"SIDE": 64, "FIT_SIDE": 64, "STEPS": 3, "FEW_STEPS": 1},
    "04_losses_metrics": {"IMAGES": 40},
    "05_train_validate": {"IMAGES": 20, "CROP": 32, "EPOCHS": 2, "CYCLES": 2, "EPOCH_IMAGES": 16},
    "06_ensemble_submit": {"CROP": 32, "EPOCHS": 2, "CYCLES": 2, "EPOCH_IMAGES": 16, "IMAGES": 12, "PASSES": 2},
    "07_soft_labels": {"TILES": 12, "EPOCHS": 2, "EPOCH_IMAGES": 16},
}


def texts(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def code(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder as the repository's, with a small demo competition."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "configs").symlink_to(ROOT / "configs")
    make_demo(folder / "data/demo", train_tiles=40, test_tiles=6, tile=96)
    return folder


def test_all_lessons_are_there():
    assert [path.stem for path in NOTEBOOKS] == [f"{i:02}_{name}" for i, name in enumerate(LESSONS, start=1)]


def test_notebooks_are_what_their_sources_make():
    made = make_all()
    there = {path for path in (ROOT / "notebooks").rglob("*.ipynb") if "checkpoint" not in path.name}
    assert there == {path for path in made if path.suffix == ".ipynb"}
    changed = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert changed == [], "change the sources instead, in notebooks/source, and run python notebooks/make.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_library_is_shown_not_the_command_line(path):
    assert "maskfold.cli" not in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = execute(path, folder / "executed", folder=folder, settings=REDUCED[path.stem])
    outputs = [output for cell in nbformat.read(done, as_version=4).cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    warnings = [output.text for output in outputs if output.get("name") == "stderr" and "Warning" in output.text]
    assert warnings == []


def test_a_setting_that_the_notebook_lacks():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("EPOCHS = 3\nCONFIG = 'a.yaml'", metadata={"tags": ["parameters"]})]
    )
    set_parameters(notebook, {"EPOCHS": 1})
    assert notebook.cells[1].source == "EPOCHS = 1"
    with pytest.raises(ValueError, match=r"no settings \['EPOCH'\], only \['CONFIG', 'EPOCHS'\]"):
        set_parameters(notebook, {"EPOCH": 1})
