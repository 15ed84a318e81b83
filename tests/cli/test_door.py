"""Explanations and refusals come before anything slow is imported. Each case is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench_startup import COMMANDS, cases, prepare
from maskfold.cli import doorways

SRC = Path(__file__).parents[2] / "src"
SLOW = (
    *("torch", "segmentation_models_pytorch", "timm", "albumentations", "accelerate", "matplotlib", "torchvision"),
    *("sklearn", "scipy", "numba", "pandas", "tensorboard", "jinja2"),
)
# Run a script as Python does, and say on the last line of stderr which of the slow packages were imported.
WATCHED = """
import runpy, sys
sys.path.insert(0, {source!r})
sys.argv = {argv!r}
code = 0
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    code = stop.code or 0
print("SLOW", *[name for name in {slow!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""
ANSWERS = {
    "help": (0, "usage: "),
    "usage error": (2, "--quxx"),
    "config error": (1, "error: the command line: train.epochs is 'x'"),
    "no data": (1, "error: there is no competition below data"),
    "no run": (1, "has no finished fold"),
    "not trained": (1, "runs/bare has no finished fold: run python src/train_fold.py --fold 0 first"),
    "no pack": (1, "error: there is no pack none: python src/pack.py writes one"),
    "no reference": (1, "error: there is no run none among those shown"),
    "missing file": (1, "error: there is no file a.csv"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("door"))


def run(folder, code):
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("name", "what", "words"), cases(), ids=lambda part: part if isinstance(part, str) else "")
def test_nothing_slow_is_imported(folder, name, what, words):
    argv = [str(SRC / f"{name}.py"), *words]
    done = run(folder, WATCHED.format(source=str(SRC), argv=argv, slow=SLOW))
    code, text = ANSWERS[what]
    assert text in done.stdout + done.stderr
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == "SLOW"
    assert "Traceback" not in done.stderr


def test_what_is_being_done_is_said_before_torch_is_imported(folder, drawn):
    argv = [str(SRC / "train_fold.py"), "--fold", "0", "--config", "good.yaml", "--competition.root", str(drawn)]
    without = "import sys; sys.modules['torch'] = None\n" + WATCHED.format(source=str(SRC), argv=argv, slow=SLOW)
    done = run(folder, without)
    assert done.stdout == "Training fold 0 of runs/good …\n"
    assert "No module named 'torch" in done.stderr or "import of torch halted" in done.stderr


def test_the_cases_are_those_of_every_command():
    assert {name for name, *_ in cases()} == set(COMMANDS) == {path.stem for path in SRC.glob("*.py")}
    assert tuple(name.replace("_", "-") for name in COMMANDS) == doorways.COMMANDS


def test_an_import_would_be_seen(folder):
    script = folder / "slow.py"
    script.write_text("import pandas\n")
    done = run(folder, WATCHED.format(source=str(SRC), argv=[str(script)], slow=SLOW))
    assert done.stderr.splitlines()[-1] == "SLOW pandas"


@pytest.mark.parametrize("module", ["maskfold", "maskfold.config", "maskfold.cli.doorways", "maskfold.labels"])
def test_these_modules_import_nothing_slow(folder, module):
    done = run(folder, f"import sys, {module}; print([name for name in {SLOW!r} if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


PROBE = """
import sys
from maskfold import {name}
print([name for name in {slow!r} if name in sys.modules])
"""


@pytest.mark.parametrize(("name", "unused"), [("predict", ("tensorboard", "albumentations", "matplotlib", "sklearn"))])
def test_a_step_imports_only_what_it_uses(folder, name, unused):
    done = run(folder, PROBE.format(name=name, slow=unused))
    assert done.stdout == "[]\n", done.stderr
