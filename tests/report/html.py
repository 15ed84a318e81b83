"""A page taken apart with the standard library."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

EMPTY = {"meta", "link", "img", "br", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict
    words: list = field(default_factory=list)
    children: list = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces()).split())

    def pieces(self):
        for word in self.words:
            if isinstance(word, str):
                yield word
            else:
                yield from word.pieces()

    def all(self, tag, **wanted):
        for child in self.children:
            if child.tag == tag and all(child.attributes.get(k.rstrip("_")) == v for k, v in wanted.items()):
                yield child
            yield from child.all(tag, **wanted)

    def one(self, tag, **wanted):
        (found,) = self.all(tag, **wanted)
        return found


class Page(HTMLParser):
    """``Page(text).root``: the tree; unclosed or crossed tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"unclosed: {[element.tag for element in self.open]}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}: {names}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        self.open[-1].words.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].words.append(data)


def rows(table: Element) -> list[list[str]]:
    """The cells' text of a table's body."""
    return [[cell.text for cell in row.all("td")] for row in table.one("tbody").all("tr")]


def tables(section: Element) -> list[list[list[str]]]:
    return [rows(table) for table in section.all("table")]
