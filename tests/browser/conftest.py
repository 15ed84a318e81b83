"""Pages in headless Chromium: whatever they say on the console or ask from the network is kept."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import axe_playwright_python
import pytest

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
RUN_AXE = """axe.run(
  { exclude: [[".card:nth-child(n+4)"], ["tr:nth-child(n+5)"]] }, { resultTypes: ["violations"] }
).then(result => result.violations)"""
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
    """``visit(file, width=1400, scheme="light")`` -> the opened page; files only, no network."""
    contexts = []

    def visit(file: Path, width: int = 1400, scheme: str = "light") -> Opened:
        window = {"width": width, "height": 900}
        contexts.append(chromium.new_context(viewport=window, offline=True, color_scheme=scheme))
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


def assert_accessible(opened: Opened) -> None:
    """axe-core finds nothing serious or critical; of cards and rows, which are alike, it sees the first ones."""
    opened.page.evaluate(AXE.read_text())
    found = opened.page.evaluate(RUN_AXE)
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious] == []


def copy_command(page, section: str) -> None:
    """Copy a section's first command. That the button said "copied" is kept, as a slow machine may look late."""
    button = page.locator(f"{section} button.copy").first
    button.evaluate("""button => new MutationObserver(() => {
      if (button.textContent === "copied") button.dataset.copied = "";
    }).observe(button, { childList: true })""")
    button.click()
    page.locator(f"{section} button.copy[data-copied]").wait_for()


def look_at(file: Path, visit, check=lambda opened: None) -> None:
    """Open a page at 1400 and 400 pixels, light and dark: it is quiet, fits, and axe-core finds nothing serious."""
    for width in (1400, 400):
        for scheme in ("light", "dark"):
            opened = visit(file, width, scheme)
            opened.page.evaluate("scrollTo(0, document.body.scrollHeight)")
            check(opened)
            assert_fits(opened, width)
            assert_accessible(opened)
            assert_quiet(opened, file)
