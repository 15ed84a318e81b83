"""Commands that messages, advice and pages tell people to type: scripts and options that exist."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskfold.cli.doorways import COMMANDS, Translated, translate
from maskfold.config import option_keys

SRC = Path(__file__).parents[2] / "src"
CLI = "\n".join(path.read_text() for path in (SRC / "maskfold" / "cli").rglob("*.py"))


def texts(path: Path) -> Iterator[str]:
    """All texts of a file; … stands for what is filled in."""
    if path.suffix == ".html":
        yield path.read_text()
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


NAMED = sorted(
    {
        (found[1], flags)
        for path in [*SRC.rglob("*.py"), *SRC.rglob("*.html")]
        for text in texts(path)
        for found in re.finditer(r"python src/(\w+)\.py([^;:()]*)", text)
        for flags in [tuple(re.findall(r"--([\w.-]+\w)", found[2]))]
    }
)


@pytest.mark.parametrize(("script", "flags"), NAMED)
def test_named_commands_exist(script, flags):
    assert (SRC / f"{script}.py").exists()
    for flag in flags:
        assert flag in option_keys() or f'"--{flag}"' in CLI


def test_messages_are_read():
    assert {script for script, _ in NAMED} >= {"train_fold", "train_all", "tune", "predict", "evaluate", "make_demo"}


def test_the_installed_command_is_named_in_its_own_words(capsys):
    for word in COMMANDS:
        assert translate(f"run python src/{word.replace('-', '_')}.py --x") == f"run maskfold {word} --x"
    assert translate("src/x.py and python other.py stay") == "src/x.py and python other.py stay"
    print("Next: python src/train_all.py", file=Translated(sys.stdout), flush=True)
    assert capsys.readouterr().out == "Next: maskfold train-all\n"
