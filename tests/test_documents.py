"""The documents' commands, run in their order on the tiny competition, with a tiny network in the place of the big one.

What cannot run here is marked in the document (see tests/documents.py); nothing else is left out.
"""

import ast
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.conftest import TINY
from tests.documents import (
    CHINESE,
    DOCUMENTS,
    MARKS,
    ROOT,
    TARGETS,
    Command,
    blocks,
    commands,
    fenced,
    linked_files,
    title,
    unknown_options,
)
from tests.drawn_rasters import draw_hubmap, draw_scenes
from tests.scripts.conftest import call

from maskfold.config import describe_options, load_config, option_keys
from maskfold.datasets.augment import PRESETS
from maskfold.runs.run import FREE_KEYS
from maskfold.scoring.submission_log import note_submission
from maskfold.steps.train import train
from maskfold.yaml_text import load_yaml

RUN = "tianchi_buildings"
TRAINS = ("make_folds", "train_fold", "train_all")
SHELL = ("mkdir", "ln", "cp", "rm")
# What a document's own options go before, and what keeps every training small whatever they say.
GIVEN = {key: TINY[key] for key in ("model.options", "train.precision", "train.trackers", "tune.tried")}
GIVEN |= {"folds.count": 4, "loss": "[{name: bce}]"}  # no term that begins after a small training's end
SMALL = {key: value for key, value in TINY.items() if key not in GIVEN} | {"schedule.cycles": 1}
PLACEHOLDERS = {
    "runs/NAME": f"runs/{RUN}",
    "submissions/NAME": f"submissions/{RUN}",
    "packs/NAME": f"packs/{RUN}",
    "data/COMPETITION": "data/mine",
    "TRUTH.csv": "data/mine/test_a_truth.csv",
}
ALL = [command for path in DOCUMENTS for command in commands(path)]
WITH_OPTIONS = ("faq", "cookbook", "kaggle_offline", "training")  # elsewhere dotted words are keys of a profile, too
# A Chinese edition shows the commands of the English one, in its order (tests/test_translations.py).
READ = [path for path in DOCUMENTS if path not in CHINESE.values()]
RUNNABLE = [path for path in READ if any(not command.mark for command in commands(path))]


def options(values):
    return [word for key, value in values.items() for word in (f"--{key}", str(value).replace("'", ""))]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, drawn):
    """A folder with the competition below data/, a run whose folds are all trained, and a logged submission."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(drawn, folder / "data" / "mine")
    (folder / "configs").symlink_to(ROOT / "configs")
    values = {**GIVEN, **SMALL, "competition.root": "data/mine"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(load_config(ROOT / f"configs/{RUN}.yaml", values))
    note_submission(folder / "submissions" / "log.csv", file="submissions/earlier.csv")
    return folder


class Reader:
    """Somebody who types a document's commands, one after the other."""

    def __init__(self, folder: Path, capsys, monkeypatch) -> None:
        self.folder = folder
        self.capsys, self.monkeypatch = capsys, monkeypatch
        self.scripts: list[str] = []

    def run(self, command: Command) -> None:
        """Run a command; of make, tests and benchmarks what they name is looked up, no environment is entered."""
        text = self.placed(command.text)
        words = shlex.split(text)
        if words[0] == "make":
            assert set(text.partition("&&")[0].split()[1:]) <= TARGETS, text
        elif script := re.search(r"\bsrc/(\w+)\.py(.*)", text):
            self.script(script[1], shlex.split(script[2]), command)
        elif words[0] == "export":
            self.monkeypatch.setenv(*words[1].split("=", 1))
        elif words[0] == "source":
            assert words == ["source", ".venv/bin/activate"]
        elif words[0] == "python":
            # Tests within tests and benchmarks would take minutes: what they name is there.
            named = [word for word in words if "/" in word]
            assert (named and all((ROOT / name).exists() for name in named)) or words[1:3] == ["-m", "pytest"], text
        else:
            assert words[0] in SHELL, f"{command.document}: no test knows how to run {text}"
            done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{text}: {done.stderr}"

    def placed(self, text: str) -> str:
        for placeholder, name in PLACEHOLDERS.items():
            text = re.sub(rf"{re.escape(placeholder)}\b", name, text)
        return text.replace("/kaggle/input", str(self.folder / "input"))

    def script(self, name: str, words: list[str], command: Command) -> None:
        for place in {"runs/A", "runs/B"} & set(words):
            shutil.copytree(self.folder / "runs" / RUN, self.folder / place, dirs_exist_ok=True)
        for place in {f"submissions/{name}.csv" for name in "ABC"} & set(words):
            shutil.copy(self.folder / f"submissions/{RUN}.csv", self.folder / place)
        if name in TRAINS or "--fit" in words:
            words = [*options(GIVEN), *words, *options(SMALL)]
        done = call(self.capsys, name, *words)
        assert done.code == 0, f"{command.document}: {command.text}: {done.err}"
        self.scripts.append(name)


def start(path, folder, finished, drawn):
    """What a document's reader has before its first command."""
    if path.name == "README.md":
        shutil.copytree(drawn, folder / "data" / "mine")
    elif path.stem == "kaggle_offline":
        shutil.copytree(drawn, folder / "input" / "competition")
        shutil.copytree(finished / "runs", folder / "input" / "my-runs" / "runs")
    else:
        shutil.copytree(finished, folder, symlinks=True, dirs_exist_ok=True)
    if path.stem == "rasters":
        draw_hubmap(folder / "data" / "hubmap")
        draw_scenes(folder / "scenes")
    if not (folder / "configs").exists():
        (folder / "configs").symlink_to(ROOT / "configs")


@pytest.mark.slow
@pytest.mark.parametrize("path", RUNNABLE, ids=title)
def test_commands_run(path, tmp_path, monkeypatch, capsys, drawn, finished):
    start(path, tmp_path, finished, drawn)
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path, capsys, monkeypatch)
    for command in dict.fromkeys(commands(path)):
        if not command.mark:
            reader.run(command)
    if path.name == "README.md":
        stages = {"check_data", "make_folds", "train_fold", "train_all", "tune", "predict", "evaluate", "report"}
        assert stages <= set(reader.scripts)
        assert (tmp_path / f"submissions/{RUN}.csv").exists()


def test_the_documents_are_read_whole():
    found = {path.name for path in DOCUMENTS if commands(path)}
    assert {"README.md", "CONTRIBUTING.md", "cookbook.md", "faq.md", "kaggle_offline.md"} <= found
    for path in DOCUMENTS:
        # Also what stands in no backticks, in another kind of block or behind an indent.
        text = re.sub(r"^ *> .*$", "", path.read_text(), flags=re.MULTILINE)  # messages name commands too
        shown = len(re.findall(r"(?:python|torchrun [^`\n]*) \S*src/\w+\.py", text))
        assert shown == sum("src/" in command.text for command in commands(path)), title(path)


def test_marks_say_what_is_needed_and_stand_before_a_command():
    for path in DOCUMENTS:
        found = re.findall(r"<!-- *needs (.*?) *-->", path.read_text())
        assert set(found) <= MARKS, title(path)
        assert len(found) == len(re.findall(r"^<!-- needs .* -->\n\S", path.read_text(), re.MULTILINE)), title(path)
    assert {command.mark for command in ALL} == {None, *MARKS}


def test_marked_commands_name_scripts_and_options_that_exist():
    """Of all commands, those that are not run here included."""
    for command in ALL:
        if script := re.search(r"\bsrc/(\w+\.py)(.*)", command.text):
            assert (ROOT / "src" / script[1]).exists(), command
            assert unknown_options(script[2]) == [], command


@pytest.mark.parametrize("path", DOCUMENTS, ids=title)
def test_files_and_options_that_a_document_names_exist(path):
    text = path.read_text()
    named = re.findall(r"(?:configs|notebooks|benchmarks|tests)/[\w/]+\.(?:yaml|ipynb|py)", text)
    assert [name for name in linked_files(text) if not (path.parent / name).exists()] == []
    assert [name for name in named if not (ROOT / name).exists() and "NAME" not in name] == []
    if path.stem in WITH_OPTIONS:
        sections = "|".join({key.partition(".")[0] for key in option_keys() if "." in key})
        keys = re.findall(rf"`(?:--)?((?:{sections})\.(?!(?:py|zip)\b)\w+(?:\.\w+)?)[ `]", text)
        assert keys
        assert [key for key in keys if key not in option_keys()] == []


@pytest.mark.parametrize("folder", ["docs", "docs/zh"])
def test_the_answers_name_every_key_that_may_change_in_a_run(folder):
    text = (ROOT / folder / "faq.md").read_text()
    _, _, after = text.partition("was made with another config (…)")
    answer, _, _ = after.partition("--overwrite")
    assert sorted(set(re.findall(r"`(name|\w+\.\w+)`", answer))) == sorted(FREE_KEYS)


def test_the_page_on_training_has_all_names_and_the_defaults():
    tables = [block for block in blocks((ROOT / "docs/training.md").read_text()) if block.startswith("|")]
    keys, courses, presets, kinds = (
        [re.findall("`([^`]+)`", line) for line in table.splitlines()[2:]] for table in tables
    )
    options = {key: (choices, default) for key, choices, default, _ in describe_options()}
    for key, default, *_ in keys:
        assert load_yaml(default) == options[key][1], key
    assert sorted(row[0] for row in courses) == sorted(options["schedule.name"][0].split(", "))
    assert sorted(row[0] for row in kinds) == sorted(options["folds.kind"][0].split(", "))
    assert sorted(row[0] for row in presets) == sorted(PRESETS)


def test_python_blocks_import_what_exists():
    found = [block for path in DOCUMENTS for block in fenced(path, "python")]
    assert found
    for block in found:
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), "document", "exec"), {})


def test_blocks_keep_a_mark_before_its_block_only(tmp_path):
    text = "a `make x`\n<!-- needs a GPU -->\n```bash\npython b  # c\n\ntwo \\\n  lines\n```\nafter\n\n| t |\n| u |\n"
    fence = "```bash\npython b  # c\n\ntwo \\\n  lines\n```"
    assert list(blocks(text)) == ["a `make x`", "<!-- needs a GPU -->", fence, "after", "| t |\n| u |"]
    (tmp_path / "x.md").write_text(text)
    found = [(command.text, command.mark) for command in commands(tmp_path / "x.md")]
    assert found == [("make x", None), ("python b", "a GPU"), ("two lines", "a GPU")]
