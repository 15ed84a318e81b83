"""The README's commands, run in its order on the tiny contest, with a tiny network in the place of the big one."""

import re
import shutil
from pathlib import Path

import pytest
from tests.conftest import TINY
from tests.scripts.conftest import call

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TRAINS = ("make_folds", "train_fold", "train_all")
NEEDS_MORE = ("torchrun",)


def commands() -> list[str]:
    """All commands in bash blocks, then those of the table of stages."""
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`((?:python|torchrun|make) [^`]*)`", README)
    return [line for line in [*lines, *inline] if line]


def test_make_targets_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {command.split()[1] for command in commands() if command.startswith("make ")}
    assert {"demo", "test"} <= named
    assert named <= targets


@pytest.mark.slow
def test_commands_run(tmp_path, monkeypatch, capsys, contest):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(contest, tmp_path / "data" / "mine")
    tiny = {**TINY, "folds.count": 4}
    overrides = [word for key, value in tiny.items() for word in (f"--{key}", str(value).replace("'", ""))]
    # One run for all commands; a second one for the row about several runs.
    run = "tianchi_buildings"
    ran = []
    for command in commands():
        if command.startswith(("make ", *NEEDS_MORE)):
            continue
        words = command.replace("runs/NAME", f"runs/{run}").split()
        name, words = Path(words[1]).stem, words[2:]
        if "runs/A" in words:
            shutil.copytree(tmp_path / "runs" / run, tmp_path / "runs" / "A")
            shutil.copytree(tmp_path / "runs" / run, tmp_path / "runs" / "B")
        done = call(capsys, name, *words, *(overrides if name in TRAINS else []))
        assert done.code == 0, f"{command}: {done.err}"
        ran.append(name)
    assert {"check_data", "make_folds", "train_fold", "train_all", "tune", "predict", "evaluate"} <= set(ran)
    assert (tmp_path / "submissions" / f"{run}.csv").exists()


def test_files_that_the_readme_names_exist():
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert linked
    assert [path for path in linked if not (ROOT / path).exists()] == []
    assert (ROOT / re.search(r"--config (configs/\S+\.yaml)", README)[1]).exists()
