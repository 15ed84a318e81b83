"""Every answer of docs/faq.md names a command, an option or a message; the messages it quotes are in the source."""

import ast
import re
from collections.abc import Iterator

import pytest
from tests.documents import ROOT

from maskfold.program import command_line

PAGES = [
    *(ROOT / "docs" / f"{name}.md" for name in ("faq", "kaggle_offline", "competitions")),
    ROOT / "CONTRIBUTING.md",
]
SECTIONS = re.split(r"^## ", PAGES[0].read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
QUOTES = [quote for path in PAGES for quote in re.findall(r"^ *> (.+)$", path.read_text(), re.MULTILINE)]
TOPICS = (
    *("cv2", "transposed", "divisible", "size", "channel", "255", "batch", "internet", "interrupted", "leaderboard"),
    *("leak", "threshold", "memory", "NaN", "black", "refused", "slow", "competitions", "bf16", "CPU"),
)


def shown(node: ast.expr) -> str:
    """A string as a user may see it, with … for every value that is filled in, but commands as they are typed."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(shown, node.values))
    if isinstance(node, ast.FormattedValue):
        return shown(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "command_line":
        return command_line(*map(shown, node.args))
    return "…"


def messages() -> Iterator[str]:
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                yield " ".join(shown(node).split())


MESSAGES = set(messages())


@pytest.mark.parametrize("quote", sorted(set(QUOTES)), ids=lambda quote: quote[:40])
def test_quoted_messages_are_in_the_source(quote):
    words = [part.strip() for part in quote.split("…") if part.strip()]
    assert sum(map(len, words)) >= 12, "too little to be recognised"
    pattern = re.compile(".*".join(map(re.escape, words)))
    assert any(pattern.search(message) for message in MESSAGES), quote


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_every_answer_names_something_to_type_or_to_look_for(section):
    _, _, answer = section.partition("\n")
    assert re.search(r"`[^`]+`", answer)
    assert len(answer.split()) < 170, "an answer is a few lines"


def test_what_people_ask_is_there():
    questions = "\n".join(section.partition("\n")[0] for section in SECTIONS)
    assert [topic for topic in TOPICS if topic.lower() not in questions.lower()] == []
    assert len(SECTIONS) >= 20


def test_quotes_of_other_words_would_be_noticed():
    assert not any("there is no such threshold" in message for message in MESSAGES)
    there = "competition.root is …: there is no such folder; give its folder with --competition.root"
    assert there in MESSAGES
