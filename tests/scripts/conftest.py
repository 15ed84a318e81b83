"""Run the scripts as a user does, in a folder of their own, without paying for a new process each time."""

import runpy
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tests.conftest import TINY

SRC = Path(__file__).parents[2] / "src"


def call(capsys, name, *words):
    """Exit code, stdout and stderr of ``python src/NAME.py WORDS``."""
    arguments = sys.argv
    sys.argv = [f"src/{name}.py", *map(str, words)]
    code = 0
    try:
        runpy.run_path(str(SRC / f"{name}.py"), run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = arguments
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return SimpleNamespace(code=code, out=captured.out, err=captured.err)


def write_config(path: Path, **changes) -> Path:
    """A tiny experiment as YAML; ``changes`` are dotted keys with ``__`` for the dot."""
    tree: dict = {}
    for key, value in {**TINY, **{key.replace("__", "."): value for key, value in changes.items()}}.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, drawn):
    """A working folder with the tiny competition under data/ and a config for it."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(drawn, tmp_path / "data" / "mine")
    write_config(tmp_path / "tiny.yaml")
    return tmp_path


@pytest.fixture
def script(capsys):
    """``script("predict", "--runs", …)`` -> code, out, err."""
    return lambda name, *words: call(capsys, name, *words)
