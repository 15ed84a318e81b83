"""Every notebook runs from top to bottom, on little data and few epochs, and shows its pictures and its answers."""

import re
import sys

import nbformat
import pytest
from tests.documents import CODE, ROOT, TARGETS, block_commands, blocks, fenced_in, linked_files, prose, unknown_options

from maskfold.demo import make_demo

sys.path.insert(0, str(ROOT / "notebooks"))
from execute import execute, set_parameters
from execute import main as execute_all
from make import SourceError, make_all, make_notebook, read_source

LESSONS = ["data", "augment", "models", "losses_metrics", "train_validate", "ensemble_submit", "soft_labels"]
LESSONS += ["by_hand", "history", "study"]
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
    "08_by_hand": {"SIDE": 48, "WIDTH": 4, "EPOCHS": 2},
    "09_history": {"SIDE": 64, "IMAGES": 24, "STEPS": 3, "BATCH": 4},
    "10_study": {"CROP": 32, "EPOCHS": 2, "EPOCH_IMAGES": 8},
}


def texts(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def code(path, tag=None):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return [cell.source for cell in cells if tag is None or tag in cell.metadata.get("tags", ())]


def lines(cell):
    return [line for line in cell.splitlines() if line.strip()]


def with_answers(path, folder):
    """A copy of a notebook in which the code of each folded answer stands in a cell of its own, too."""
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cells += [nbformat.v4.new_code_cell(block) for block in fenced_in(cell.source, "python")]
    notebook.cells = cells
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / path.name)
    return folder / path.name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder as the repository's, with a small demo competition."""
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "configs").symlink_to(ROOT / "configs")
    make_demo(folder / "data/demo", train_tiles=40, test_tiles=6, tile=96)
    return folder


def test_all_lessons_are_there():
    assert [path.stem for path in NOTEBOOKS] == [f"{i:02}_{name}" for i, name in enumerate(LESSONS, start=1)]


def test_files_are_what_their_sources_make():
    made = make_all()
    there = {path for folder in ("", "zh") for path in (ROOT / "notebooks" / folder).glob("*.ipynb")}
    assert there == {path for path in made if path.suffix == ".ipynb"}
    changed = [path.name for path, text in made.items() if path.read_text(encoding="utf-8") != text]
    assert changed == [], "change the sources instead, in notebooks/source, and run python notebooks/make.py"


@pytest.mark.parametrize(("path", "chinese"), zip(NOTEBOOKS, CHINESE, strict=True), ids=LESSONS)
def test_both_languages_say_and_do_the_same(path, chinese):
    assert path.name == chinese.name
    assert code(path) == code(chinese)
    english, others = texts(path), texts(chinese)
    assert "**Goals.**" in english[0]
    assert "**学习目标**" in others[0]
    assert english[-1].count("## What you can do now\n\n- ") == others[-1].count("## 现在你会了\n\n- ") == 1
    assert "".join(english).count("<details><summary>Answer</summary>") >= 3
    for own, other in zip(english, others, strict=True):
        assert re.search("[\u4e00-\u9fff]", other)
        for same in (r"^#+ ", r"^\*\*\d\.\*\*", r"^</?details>", r"^- ", r"\]\("):  # headings, exercises, lists, links
            assert len(re.findall(same, own, re.MULTILINE)) == len(re.findall(same, other, re.MULTILINE)), other
        assert fenced_in(own, "python") == fenced_in(other, "python")
        assert names(own) == names(other), other


def names(text):
    """What is in backticks: names of the code, the same in every language."""
    return sorted(set(CODE.findall(prose(text))))


def test_links_lead_somewhere():
    for path in (*NOTEBOOKS, *CHINESE, ROOT / "notebooks/README.md", ROOT / "notebooks/zh/README.md"):
        text = "\n".join(texts(path)) if path.suffix == ".ipynb" else path.read_text(encoding="utf-8")
        linked = linked_files(prose(text))
        assert linked
        assert [name for name in linked if not (path.parent / name).exists()] == [], path


def test_commands_name_scripts_and_options_that_exist():
    pages = [(ROOT / "notebooks" / name).read_text() for name in ("README.md", "zh/README.md")]
    told = [
        command
        for text in (*pages, *(each for path in (*NOTEBOOKS, *CHINESE) for each in texts(path)))
        for block in blocks(text)
        for command in block_commands(block)
    ]
    assert len(told) >= 30
    for command in told:
        words = command.split()
        if words[0] == "make":
            assert words[1] in TARGETS, command
            continue
        assert (ROOT / words[1]).exists(), command
        assert unknown_options(command) == [], command


@pytest.mark.parametrize("folder", ["", "zh"])
def test_the_list_of_exercises_names_sections_that_are_there(folder):
    page = ROOT / "notebooks" / folder / "README.md"
    rows = [row for row in page.read_text(encoding="utf-8").splitlines() if row.startswith("| ")][2:]
    tasks = {number for row in rows for number in re.findall(r"^\| (?:Task )?([0-6]) ", row)}
    assert tasks == set("0123456")
    seen = set()
    for row in rows:
        for name, places in re.findall(r"\]\((\w+\.ipynb)\)([^\[|]*)", row):
            text = "\n".join(texts(page.parent / name))
            for section, numbers in re.findall(r"\*([^*]+)\*([ \d至和and to]*)", places):
                assert re.search(rf"^#+ (?:\d\. )?{re.escape(section)}", text, re.MULTILINE), (name, section)
                seen |= {(name, number) for number in re.findall(r"\d", numbers)}
                for number in re.findall(r"\d", numbers):
                    assert f"\n**{number}.**" in text, (name, number)
    assert {name for name, _ in seen} == {path.name for path in NOTEBOOKS}


def test_by_hand_is_sixty_lines():
    cells = code(ROOT / "notebooks/08_by_hand.ipynb", "by_hand")
    assert sum(len(lines(cell)) for cell in cells) <= 60
    assert all(name in "".join(cells) for name in ("class UNet", "(Dataset)", "DataLoader(", "optimizer.step()"))
    assert "maskfold" not in "".join(cells)


def test_an_idea_is_twenty_lines():
    cells = code(ROOT / "notebooks/09_history.ipynb", "idea")
    assert len(cells) == 7
    assert [len(lines(cell)) for cell in cells if len(lines(cell)) > 20] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("words\n<!-- en -->\na\n<!-- zh -->\nb", "'words' stands before the first"),
        ("<!-- en -->\nonly one", "after <!-- en --> and after the <!-- zh --> that follows: 'only one'"),
        ("<!-- zh -->\nb\n<!-- en -->\na", "after <!-- en -->"),
        ("<!-- en -->\na\n<!-- zh -->\n", "after <!-- en -->"),
        ("<!-- code -->\nx = 1", "one ```python fence, found 'x = 1'"),
    ],
)
def test_a_source_that_is_refused(tmp_path, text, message):
    (tmp_path / "x.md").write_text(text)
    with pytest.raises(SourceError, match=re.escape(message)):
        read_source(tmp_path / "x.md")


def test_a_source_becomes_cells(tmp_path):
    source = tmp_path / "01_some_thing.md"
    source.write_text("<!-- en -->\n# A\n\nb\n\n<!-- zh -->\n# 甲\n\n<!-- code tag -->\n```python\nx = 1\n\n%y\n```\n")
    english, chinese = (make_notebook(source, language).cells for language in ("en", "zh"))
    assert [cell.source for cell in english] == ["# A\n\n[中文](zh/01_some_thing.ipynb)\n\nb", "x = 1\n\n%y"]
    assert [cell.source for cell in chinese] == ["# 甲\n\n[English](../01_some_thing.ipynb)\n", "x = 1\n\n%y"]
    assert [cell.id for cell in english] == ["some_thing-00", "some_thing-01"]
    assert english[1].metadata == {"tags": ["tag"]}
    assert english[1].outputs == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_library_is_shown_not_the_command_line(path):
    assert "maskfold.cli" not in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = execute(
        with_answers(path, folder / "answers"), folder / "executed", folder=folder, settings=REDUCED[path.stem]
    )
    outputs = [output for cell in nbformat.read(done, as_version=4).cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3
    warnings = [output.text for output in outputs if output.get("name") == "stderr" and "Warning" in output.text]
    assert warnings == []


def test_both_languages_are_executed_the_english_first(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr("execute.execute", lambda path, out, folder: asked.append((path, out)) or out / path.name)
    monkeypatch.setattr(sys, "argv", ["execute.py", "--out", str(tmp_path)])
    execute_all()
    assert asked == [*((path, tmp_path) for path in NOTEBOOKS), *((path, tmp_path / "zh") for path in CHINESE)]
    assert capsys.readouterr().out.count("\n") == 20


def test_a_setting_that_the_notebook_lacks():
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("EPOCHS = 3\nCONFIG = 'a.yaml'", metadata={"tags": ["parameters"]})]
    )
    set_parameters(notebook, {"EPOCHS": 1})
    assert notebook.cells[1].source == "EPOCHS = 1"
    with pytest.raises(ValueError, match=r"no settings \['EPOCH'\], only \['CONFIG', 'EPOCHS'\]"):
        set_parameters(notebook, {"EPOCH": 1})
