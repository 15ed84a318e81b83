"""Make the notebooks, and the list of exercises, in English and in Chinese, from one source each in notebooks/source.

A source is Markdown with comments that begin its cells: ``<!-- en -->`` and then ``<!-- zh -->`` for a cell of text in
both languages, ``<!-- code -->`` (or ``<!-- code parameters -->``, with a tag) for a cell of code in a fence, the same
in both. Notebooks are made without outputs.
"""

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
SOURCE = HERE / "source"
FOLDERS = {"en": HERE, "zh": HERE / "zh"}
OTHER = {"en": "[中文](zh/{})", "zh": "[English](../{})"}  # below the title of each language, a link to the other
MARK = re.compile(r"^<!-- (en|zh|code)(?: (\w+))? -->$", re.MULTILINE)
FENCE = re.compile(r"```python\n(.*)\n```", re.DOTALL)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class SourceError(ValueError):
    """A source that no notebook can be made of."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text by language, or its code and tag."""

    text: Mapping[str, str] | None = None
    code: str = ""
    tag: str | None = None


def read_source(path: Path) -> list[Cell]:
    """The cells of a source.

    Raises:
        SourceError: text before the first mark, text in one language only, or code outside a fence.
    """
    before, *parts = MARK.split(path.read_text(encoding="utf-8"))
    if before.strip():
        raise SourceError(f"{path}: {before.strip()[:40]!r} stands before the first <!-- en --> or <!-- code -->")
    marked = iter(zip(parts[0::3], parts[1::3], (part.strip() for part in parts[2::3]), strict=True))
    return list(_cells(marked, path))


def _cells(marked: Iterator[tuple[str, str | None, str]], path: Path) -> Iterator[Cell]:
    for kind, tag, text in marked:
        if kind == "code":
            if not (found := FENCE.fullmatch(text)):
                raise SourceError(f"{path}: put a cell of code into one ```python fence, found {text[:40]!r}")
            yield Cell(code=found[1], tag=tag)
            continue
        other, _, translated = next(marked, ("nothing", None, ""))
        if (kind, other) != ("en", "zh") or not (text and translated):
            raise SourceError(
                f"{path}: give a text after <!-- en --> and after the <!-- zh --> that follows: {text[:40]!r}"
            )
        yield Cell({"en": text, "zh": translated})


def make_notebook(path: Path, language: str) -> nbformat.NotebookNode:
    """The notebook of a source in one language."""
    name = path.stem.partition("_")[2]
    cells = []
    for number, cell in enumerate(read_source(path)):
        if cell.text is None:
            metadata = {"tags": [cell.tag]} if cell.tag else {}
            made = nbformat.v4.new_code_cell(cell.code, metadata=metadata)
        else:
            made = nbformat.v4.new_markdown_cell(cell.text[language])
        made["id"] = f"{name}-{number:02}"
        cells.append(made)
    link = OTHER[language].format(path.with_suffix(".ipynb").name)
    cells[0]["source"] = _with_link(cells[0]["source"], link)
    return nbformat.v4.new_notebook(cells=cells, metadata=METADATA)


def make_page(path: Path, language: str) -> str:
    """The Markdown page of a source without code in one language."""
    texts = [cell.text[language] for cell in read_source(path) if cell.text]
    return _with_link("\n\n".join(texts), OTHER[language].format(path.name)) + "\n"


def _with_link(text: str, link: str) -> str:
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{link}\n{rest}"


def make_all() -> dict[Path, str]:
    """The contents of every file that is made, by path."""
    made = {}
    for language, folder in FOLDERS.items():
        for path in sorted(SOURCE.glob("*.md")):
            if path.stem == "README":
                made[folder / path.name] = make_page(path, language)
            else:
                notebook = make_notebook(path, language)
                made[folder / path.with_suffix(".ipynb").name] = nbformat.writes(notebook) + "\n"
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    try:
        made = make_all()
    except SourceError as error:
        parser.exit(1, f"error: {error}\n")
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    print(f"{len(made)} files in {HERE}. Next: make notebooks")


if __name__ == "__main__":
    main()
