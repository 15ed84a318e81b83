"""Make the README's pictures from the finished demo (`make demo`). Needs Chromium and playwright."""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from maskfold.competitions import Competition, open_competition
from maskfold.config import load_config
from maskfold.files import atomic_path
from maskfold.report.differences import save_differences
from maskfold.scoring.agreement import compare_masks

OUT = Path(__file__).parent / "pictures"
RUN = Path("runs/demo")
QUALITY = 82


def main() -> None:
    competition = open_competition(load_config(RUN / "config.yaml").competition)
    OUT.mkdir(exist_ok=True)
    picture_of_submissions(competition, OUT / "submissions.webp")
    picture_of_page(RUN / "report.html", OUT / "report.webp")


def picture_of_submissions(competition: Competition, path: Path) -> None:
    """Test tiles with the errors of one fold and of the ensemble."""
    submissions = (Path(f"submissions/demo_{name}.csv") for name in ("one_fold", "ensemble"))
    agreement = compare_masks(*submissions, competition)
    truth = competition.read_masks(competition.root / "test_a_truth.csv")
    with tempfile.TemporaryDirectory() as folder:
        sheet = Path(folder) / "sheet.png"
        save_differences(agreement, competition, sheet, count=3, truth=truth)
        save_small(Image.open(sheet), path)


def picture_of_page(page: Path, path: Path) -> None:
    """The top of a report and its gallery, side by side."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1250})
        tab.goto(page.resolve().as_uri())
        halves = [tab.screenshot()]
        tab.evaluate("document.documentElement.style.scrollBehavior = 'auto'; location.hash = '#gallery'")
        tab.wait_for_timeout(1500)  # pictures far down are decoded when they come into sight
        halves.append(tab.screenshot())
        browser.close()
    left, right = (Image.open(io.BytesIO(half)) for half in halves)
    sheet = Image.new("RGB", (left.width + right.width + 20, left.height), "white")
    sheet.paste(left, (0, 0))
    sheet.paste(right, (left.width + 20, 0))
    save_small(sheet, path)


def save_small(picture: Image.Image, path: Path) -> None:
    """At most 1600 pixels wide."""
    picture = picture.convert("RGB")
    picture.thumbnail((1600, 4000), Image.Resampling.LANCZOS)
    with atomic_path(path) as temporary:
        picture.save(temporary, "WEBP", quality=QUALITY)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
