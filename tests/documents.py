"""Reading the documents: their blocks, links and code, the commands in them, and what a command is marked to need."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from maskfold.config import option_keys

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("README*.md"), ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
# English documents and their Chinese editions, which show the same commands: those are run once.
CHINESE = {ROOT / "README.md": ROOT / "README.zh.md"} | {
    english: path for path in DOCUMENTS if path.parent.name == "zh" and (english := ROOT / "docs" / path.name).exists()
}
# A comment of this form, on a line of its own before a block, says why the block's commands are not run by tests.
MARK = re.compile(r"<!-- needs (.*) -->")
MARKS = {"a GPU", "a competition's data", "internet"}
INLINE = re.compile(r"`((?:python|torchrun|make) [^`]*)`")
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@dataclass(frozen=True)
class Command:
    """A command as a document shows it, and the mark of its block."""

    text: str
    document: str
    mark: str | None = None


def title(path: Path) -> str:
    """A document's name: its path in the repository, or its name where it is elsewhere."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def commands(path: Path) -> list[Command]:
    """All commands of a document, in its order: lines of bash blocks, and inline ones."""
    return [
        Command(text, title(path), mark)
        for block, mark in marked_blocks(path.read_text(encoding="utf-8"))
        for text in block_commands(block)
    ]


def marked_blocks(text: str) -> Iterator[tuple[str, str | None]]:
    """Each block with the mark that stands directly before it."""
    mark = None
    for block in blocks(text):
        if found := MARK.fullmatch(block):
            mark = found[1]
        else:
            yield block, mark
            mark = None


def blocks(text: str) -> Iterator[str]:
    """Paragraphs, tables and fenced blocks; a mark is a block of its own."""
    lines: list[str] = []
    fenced = False
    for line in [*text.splitlines(), ""]:
        alone = not fenced and (not line.strip() or MARK.fullmatch(line.strip()))
        if lines and (alone or (not fenced and line.startswith("```"))):
            yield "\n".join(lines)
            lines = []
        if line.startswith("```"):
            fenced = not fenced
        if alone and line.strip():
            yield line.strip()
        elif not alone:
            lines.append(line)
            if line.strip() == "```" and not fenced:
                yield "\n".join(lines)
                lines = []


def block_commands(block: str) -> list[str]:
    """The commands of a bash block or, of any other text, those in backticks."""
    if block.startswith("```bash"):
        joined = "\n".join(block.splitlines()[1:-1]).replace("\\\n", " ")
        lines = [line.partition(" #")[0].strip() for line in joined.splitlines()]
        return [" ".join(line.split()) for line in lines if line and not line.startswith("#")]
    if block.startswith("```"):
        return []
    return [" ".join(found.split()) for found in INLINE.findall(block)]


def fenced(path: Path, language: str) -> list[str]:
    """The contents of a document's fenced blocks of one language."""
    return fenced_in(path.read_text(encoding="utf-8"), language)


def fenced_in(text: str, language: str) -> list[str]:
    """The contents of a text's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prose(text: str) -> str:
    """A text without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def linked_files(text: str) -> list[str]:
    """The files that a text links, without their anchors; addresses and anchors of the text itself are left out."""
    found = [link.partition("#")[0] for link in LINK.findall(text) if not re.match("https?:", link)]
    return [name for name in found if name]


def unknown_options(words: str) -> list[str]:
    """The options among the words of a command that no command has, nor the config."""
    flags = re.findall(r"--([\w.-]+)", words)
    return [flag for flag in flags if flag not in option_keys() and f'"--{flag}"' not in _source_of_commands()]


@cache
def _source_of_commands() -> str:
    return "\n".join(path.read_text() for path in (ROOT / "src" / "maskfold" / "cli").rglob("*.py"))
