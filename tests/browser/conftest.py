"""Pages in headless Chromium: whatever they say on the console or ask from the network is kept."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Opened:
    """A page, with its console's warnings and errors and the addresses that it asked for."""

    page: object
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium():
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """``visit(file, width=1400)`` -> the opened page; files only, no network."""
    contexts = []

    def visit(file: Path, width: int = 1400) -> Opened:
        contexts.append(chromium.new_context(viewport={"width": width, "height": 900}, offline=True))
        opened = Opened(contexts[-1].new_page())
        opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on("request", lambda request: opened.requests.append(request.url.partition(",")[0]))
        opened.page.goto(file.resolve().as_uri())
        return opened

    yield visit
    for context in contexts:
        context.close()


def assert_quiet(opened: Opened, file: Path) -> None:
    """Nothing on the console, and nothing asked for but the file itself and what it holds."""
    assert opened.complaints == []
    assert opened.requests[0] == file.resolve().as_uri()
    assert [url for url in opened.requests[1:] if not url.startswith("data:")] == []


def assert_fits(opened: Opened, width: int) -> None:
    """The page is not wider than the window; wide tables scroll within themselves."""
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
