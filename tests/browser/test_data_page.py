"""The page of check_data in a browser: quiet, on a desk and on a telephone, also about a competition that is broken."""

import os
from pathlib import Path

import numpy as np
import pytest
from tests.browser.conftest import assert_quiet, look_at
from tests.checks.conftest import write_competition
from tests.report.conftest import BAD_NAME, tiles  # noqa: F401

from maskfold.checks import check_data
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig
from maskfold.report.data_page import write_data_page


def look(root: Path, out: Path, visit, check) -> None:
    """Write the page about a competition and `look_at` it."""
    competition = open_competition(CompetitionConfig(root=root))
    write_data_page(check_data(competition, FoldsConfig()), competition, out)
    look_at(out, visit, check)


@pytest.mark.slow
def test_a_competition_whose_names_hold_html(tiles, tmp_path, visit):  # noqa: F811
    table = tiles / "train_mask.csv"
    folder = tmp_path / "competition"
    folder.mkdir()
    for name in ("train", "test_a", "test_a_samplesubmit.csv"):
        (folder / name).symlink_to(tiles / name)
    # A mask of one pixel more than the image has is a problem that names its image.
    rows = [row if not row.startswith(BAD_NAME) else f"{BAD_NAME}\t1 1921" for row in table.read_text().splitlines()]
    (folder / "train_mask.csv").write_text("\n".join(rows) + "\n")

    def check(opened):
        problem = opened.page.locator("#found").text_content()
        assert BAD_NAME in problem
        assert "1921" in problem
        assert opened.page.locator("#found i").count() == 0

    look(folder, tmp_path / "data.html", visit, check)


@pytest.mark.slow
@pytest.mark.real_data
def test_real_tiles(tmp_path, visit):
    if "MASKFOLD_REAL_DATA" not in os.environ:
        pytest.skip("MASKFOLD_REAL_DATA is not set: it names the folder of the real data sets")
    root = Path(os.environ["MASKFOLD_REAL_DATA"]) / "satellite_buildings"

    def check(opened):
        assert opened.page.locator("article img").count() > 10

    look(root, tmp_path / "data.html", visit, check)


def test_pages_of_fifty(tmp_path, visit):
    """120 test images and 9 of each of two classes, in pages, and filtered."""
    rng = np.random.default_rng(2)
    draw = lambda: rng.integers(0, 256, (12, 16, 3), np.uint8)  # noqa: E731
    masks = {f"i{number:02d}": "1 5" if number % 2 else "" for number in range(18)}
    images, test = {name: draw() for name in masks}, {f"t{number:03d}": draw() for number in range(120)}
    competition = write_competition(tmp_path / "c", images, masks, test)
    file = tmp_path / "data.html"
    write_data_page(check_data(competition, FoldsConfig(kind="kfold", count=2)), competition, file)
    opened = visit(file)
    page = opened.page
    names = "#example-cards article:not([hidden]) h3"
    said, following = page.locator("#examples .more output"), page.locator("#examples .more button").nth(1)
    assert page.locator(names).count() == 50
    assert said.text_content() == "1 to 50 of 115 images"
    page.select_option("#examples select[data-fact=split]", "test")
    assert said.text_content() == "1 to 50 of 100 images"
    first = set(page.locator(names).all_text_contents())
    following.click()
    assert said.text_content() == "51 to 100 of 100 images"
    assert first.isdisjoint(page.locator(names).all_text_contents())
    assert following.is_disabled()
    page.select_option("#examples select[data-fact=split]", "train")
    assert said.text_content() == "1 to 15 of 15 images"
    assert_quiet(opened, file)
