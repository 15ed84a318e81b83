"""A Chinese edition says what the English document says: section by section the same commands, options, links, figures.

What only readers in China need stands on pages without an English edition, to which the Chinese ones may link.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.documents import CHINESE, CODE, DOCUMENTS, LINK, ROOT, blocks, commands, title

NOTEBOOKS = {path: path.parents[1] / path.name for path in (ROOT / "notebooks" / "zh").glob("*.ipynb")}
ENGLISH = {chinese: english for english, chinese in CHINESE.items()} | NOTEBOOKS
HEADING = re.compile(r"(#+) (.+)")


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it."""

    level: int
    heading: str
    blocks: list[str]

    @property
    def prose(self) -> str:
        """All that stands in no fenced block; lines are joined, so that code and links are whole."""
        text = "\n".join([self.heading, *(block for block in self.blocks if not block.startswith("```"))])
        return re.sub(r"\s*\n\s*", " ", text)

    @property
    def fenced(self) -> list[list[str]]:
        """Its fenced blocks without comments; of files and what they are, the names alone."""
        found = [block.splitlines() for block in self.blocks if block.startswith("```")]
        return [[*map(_file if lines[0] == "```" else _uncommented, lines)] for lines in found]


def _uncommented(line: str) -> str:
    return re.sub(r'"""[^"]*"""|#.*', "", line).rstrip()


def _file(line: str) -> str:
    return line.split()[0]


def sections(path: Path) -> list[Section]:
    found: list[Section] = []
    for block in blocks(path.read_text(encoding="utf-8")):
        if heading := HEADING.fullmatch(block):
            found.append(Section(len(heading[1]), heading[2], []))
        else:
            found[-1].blocks.append(block)
    return found


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def destination(link: str, document: Path) -> tuple[str, int | None]:
    """Where a link leads, in words of the English edition: an address, or a file and the number of its heading."""
    if "://" in link:
        return link, None
    name, _, anchor = link.partition("#")
    path = (document.parent / name).resolve() if name else document
    anchors = [slug(section.heading) for section in sections(path)] if anchor else []
    assert not anchor or anchor in anchors, f"{title(document)}: {link} leads to no heading"
    return title(ENGLISH.get(path, path)), anchors.index(anchor) if anchor else None


def links(section: Section, document: Path) -> Counter:
    """Where a section's links lead, but for those to the other edition and to what is only in Chinese."""
    editions = {title(document), title(ENGLISH.get(document, document))}
    found = [destination(link, document) for link in LINK.findall(section.prose)]
    return Counter(
        (place, number)
        for place, number in found
        if not (place in editions and number is None) and not place.startswith("docs/zh/")
    )


def codes(section: Section) -> Counter:
    """What stands in backticks, whatever words stand between <>."""
    return Counter(re.sub(r"<[^>]*>", "<>", code) for code in CODE.findall(section.prose))


def figures(section: Section) -> Counter:
    """Numbers of two digits or more outside code and addresses: single digits may be words in the other language."""
    text = LINK.sub("]", CODE.sub("", section.prose))
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return Counter(found for found in re.findall(r"\d+(?:\.\d+)*", text) if len(found) > 1)


def quotes(section: Section) -> list[str]:
    return [block for block in section.blocks if block.lstrip().startswith(">")]


@pytest.fixture(params=CHINESE.items(), ids=lambda pair: title(pair[1]))
def editions(request):
    return request.param


def test_commands_are_the_same_in_the_same_order(editions):
    english, chinese = ([(command.text, command.mark) for command in commands(path)] for path in editions)
    assert english == chinese


def test_sections_say_the_same(editions):
    english, chinese = map(sections, editions)
    assert [section.level for section in english] == [section.level for section in chinese]
    for here, there in zip(english, chinese, strict=True):
        for what in (codes, figures, quotes):
            assert what(here) == what(there), f"{title(editions[1])}: {there.heading}"
        assert links(here, editions[0]) == links(there, editions[1]), f"{title(editions[1])}: {there.heading}"
        assert here.fenced == there.fenced, f"{title(editions[1])}: {there.heading}"
        rows = [sum(block.count("\n|") for block in section.blocks) for section in (here, there)]
        assert rows[0] == rows[1], f"{title(editions[1])}: {there.heading}"


def test_links_in_chinese_lead_to_chinese_editions_where_there_are_some():
    for document in (path for path in DOCUMENTS if path.parent.name == "zh" or path.name == "README.zh.md"):
        places = {
            (document.parent / link.partition("#")[0]).resolve()
            for section in sections(document)
            for link in LINK.findall(section.prose)
            if "://" not in link and not link.startswith("#")
        }
        assert not (places & set(ENGLISH.values())) - {ENGLISH.get(document)}, title(document)


@pytest.mark.parametrize("path", DOCUMENTS, ids=title)
def test_anchors_exist(path):
    for section in sections(path):
        for link in LINK.findall(section.prose):
            if ".md#" in link or link.startswith("#"):
                destination(link, path)  # which asserts that the heading is there


def test_drift_would_be_noticed(tmp_path):
    paths = [tmp_path / "a.md", tmp_path / "b.md"]
    paths[0].write_text("# A\n\nTakes 12,000 steps of `train.epochs`, [see](https://x.y/1).\n\n> told\n")
    paths[1].write_text("# 甲\n\n共 1200 步（`train.epoch`），[见](https://x.y/2)。\n\n> 说\n")
    (here,), (there,) = map(sections, paths)
    assert figures(here) == {"12000": 1}
    assert codes(here) == {"train.epochs": 1}
    assert links(here, paths[0]) == {("https://x.y/1", None): 1}
    assert quotes(here) == ["> told"]
    for what in (codes, figures, quotes):
        assert what(here) != what(there)
    assert links(here, paths[0]) != links(there, paths[1])
