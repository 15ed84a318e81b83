"""The page of check_data in a browser: quiet, on a desk and on a telephone, also about a competition that is broken."""

import os
from pathlib import Path

import pytest
from tests.browser.conftest import assert_fits, assert_quiet
from tests.report.conftest import BAD_NAME, tiles  # noqa: F401

from maskfold.checks import check_data
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig
from maskfold.report.data_page import write_data_page


def look(root: Path, out: Path, visit) -> list:
    """Write the page about a competition and open it in both widths; returns what was opened."""
    competition = open_competition(CompetitionConfig(root=root))
    write_data_page(check_data(competition, FoldsConfig()), competition, out)
    opened = [visit(out, width) for width in (1400, 400)]
    for width, page in zip((1400, 400), opened, strict=True):
        page.page.evaluate("scrollTo(0, document.body.scrollHeight)")
        assert_fits(page, width)
        assert_quiet(page, out)
    return opened


def test_a_competition_whose_names_hold_html(tiles, tmp_path, visit):  # noqa: F811
    table = tiles / "train_mask.csv"
    folder = tmp_path / "competition"
    folder.mkdir()
    for name in ("train", "test_a", "test_a_samplesubmit.csv"):
        (folder / name).symlink_to(tiles / name)
    # A mask of one pixel more than the image has is a problem that names its image.
    rows = [row if not row.startswith(BAD_NAME) else f"{BAD_NAME}\t1 1921" for row in table.read_text().splitlines()]
    (folder / "train_mask.csv").write_text("\n".join(rows) + "\n")
    for opened in look(folder, tmp_path / "data.html", visit):
        problem = opened.page.locator("#found").text_content()
        assert BAD_NAME in problem
        assert "1921" in problem
        assert opened.page.locator("#found i").count() == 0


@pytest.mark.slow
@pytest.mark.real_data
def test_real_tiles(tmp_path, visit):
    if "MASKFOLD_REAL_DATA" not in os.environ:
        pytest.skip("MASKFOLD_REAL_DATA is not set: it names the folder of the real data sets")
    root = Path(os.environ["MASKFOLD_REAL_DATA"]) / "satellite_buildings"
    for opened in look(root, tmp_path / "data.html", visit):
        assert opened.page.locator("article img").count() > 10
