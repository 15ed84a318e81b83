"""Commands that messages, advice and pages tell people to type: commands and options that exist."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskfold.cli.doorways import COMMANDS
from maskfold.config import option_keys
from maskfold.program import command_line

SRC = Path(__file__).parents[2] / "src"
CLI = "\n".join(path.read_text() for path in (SRC / "maskfold" / "cli").rglob("*.py"))


def texts(node: ast.AST) -> list[str]:
    """All texts in a piece of code."""
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def named() -> Iterator[tuple[str, tuple[str, ...]]]:
    """What every call of `command_line` may name: a command and the texts behind it."""
    for path in SRC.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "command_line":
                options = [text for argument in call.args[1:] for text in texts(argument)]
                yield from ((name, tuple(options)) for name in texts(call.args[0]))


NAMED = sorted(set(named()))


@pytest.mark.parametrize(("name", "words"), NAMED)
def test_named_commands_exist(name, words):
    assert name in COMMANDS
    assert (SRC / f"{name.replace('-', '_')}.py").exists()
    for flag in (flag for word in words for flag in re.findall(r"--([\w.-]+\w)", word)):
        assert flag in option_keys() or f'"--{flag}"' in CLI


@pytest.mark.parametrize(("name", "words"), NAMED)
def test_words_are_given_one_by_one(name, words):
    assert not any(" " in text for text in (name, *words)), "it would be quoted as one word"


def test_messages_are_read():
    assert {name for name, _ in NAMED} >= {"train-fold", "train-all", "tune", "predict", "evaluate", "make-demo"}


def test_nothing_names_a_command_in_one_of_its_forms_only():
    files = [*(SRC / "maskfold").rglob("*.py"), *(SRC / "maskfold").rglob("*.html")]
    written = {path.name for path in files if "python src/" in path.read_text()}
    assert written == {"program.py", "doorways.py"}, "command_line() knows how the program was started"


def test_commands_are_named_as_the_program_was_started(monkeypatch, tmp_path):
    for start, expected in (("src/tune.py", "python src/train_all.py"), ("maskfold tune", "maskfold train-all")):
        monkeypatch.setattr(sys, "argv", [start, "--runs", "x"])
        assert command_line("train-all") == expected
        assert command_line("train-all", "--name", "my run", "--folds", "1") == f"{expected} --name 'my run' --folds 1"
    # A wheel has no scripts.
    monkeypatch.setattr("maskfold.program._SCRIPTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["notebook.py"])
    assert command_line("train-all") == "maskfold train-all"
