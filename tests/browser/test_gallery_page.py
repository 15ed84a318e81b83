"""The gallery as a visitor uses it: on a desk and on a telephone, in light and dark, its charts read."""

import pytest
from tests.browser.conftest import copy_command, look_at
from tests.test_gallery import folder, gallery, gallery_page  # noqa: F401


@pytest.mark.slow
def test_the_gallery(gallery_page, visit):  # noqa: F811
    def check(opened):
        page = opened.page
        broken = "pictures => pictures.filter(p => !p.complete || !p.naturalWidth).map(p => p.alt)"
        assert page.eval_on_selector_all("#raster img", broken) == []
        assert page.locator("#demo .panel img").count() == 3 * 4
        assert page.locator("#study i").count() == 0, "a variant's name is text"
        plot, said = page.locator("#study .plot"), page.locator("#study output")
        plot.focus()
        page.keyboard.press("ArrowRight")
        assert said.text_content() == "down: -0.1000 (-0.1500 to -0.0500)"
        page.keyboard.press("ArrowRight")
        assert said.text_content() == "<i>up</i>: +0.1000 (-0.0500 to +0.3000)"
        bars = page.locator("#run .plot > svg")
        bars.hover(position={"x": 0.99 * bars.bounding_box()["width"], "y": 20})
        assert page.locator("#run output").text_content() == "0.95 to 1: 5 images"
        paper = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(paper)
        page.click("#theme")
        assert page.evaluate(paper) != before
        page.click("#theme")
        copy_command(page, "#demo")

    look_at(gallery_page, visit, check)
