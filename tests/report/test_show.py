"""Colours where they belong, and nothing elsewhere."""

import numpy as np
import pytest

from maskfold.drawing import CLASSES, ERRORS, HIGHLIGHT, OPACITY, UNSCORED, error_overlay, overlay
from maskfold.labels import Label, LabelSpec
from maskfold.report.show import show_images

IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10


def mixed(pixel, colour, opacity):
    return np.round(np.array(pixel) * (1 - opacity) + np.array(colour) * opacity)


def test_a_binary_mask_is_laid_over_its_pixels_only():
    mask, valid = np.array([[0, 1, 0], [0, 0, 0]], np.uint8), np.ones((2, 3), bool)
    valid[1, 2] = False
    picture = overlay(IMAGE, mask, valid=valid)
    assert picture.dtype == np.uint8
    assert (picture[0, 1] == mixed(IMAGE[0, 1], HIGHLIGHT, OPACITY)).all()
    assert (picture[1, 2] == mixed(IMAGE[1, 2], UNSCORED, OPACITY)).all()
    rest = valid & (mask == 0)
    assert (picture[rest] == IMAGE[rest]).all()


def test_classes_have_their_colours():
    picture = overlay(IMAGE, np.array([[0, 1, 2], [3, 0, 0]], np.uint8), labels=LabelSpec("multiclass", tuple("abcd")))
    for place, value in (((0, 1), 1), ((0, 2), 2), ((1, 0), 3)):
        assert (picture[place] == mixed(IMAGE[place], CLASSES[value], OPACITY)).all()
    assert (picture[0, 0] == IMAGE[0, 0]).all()


def test_errors_have_theirs():
    truth = np.array([[0, 1, 1], [0, 255, 0]], np.uint8)
    mask = np.array([[1, 1, 0], [0, 1, 0]], np.uint8)
    picture = error_overlay(IMAGE, Label(np.where(truth == 255, 0, truth), truth != 255), mask)
    for place, kind in (((0, 0), 2), ((0, 1), 1), ((0, 2), 3), ((1, 1), 5)):
        assert (picture[place] == mixed(IMAGE[place], ERRORS[kind][:3], ERRORS[kind][3] / 255)).all()
    assert (picture[1, [0, 2]] == IMAGE[1, [0, 2]]).all()


def test_a_sheet_has_a_place_for_each_picture():
    pictures = {f"$picture_{i}": np.full((4, 5), i / 5) for i in range(5)}
    figure = show_images(pictures, columns=3, title="all")
    assert [axes.get_title() for axes in figure.axes] == [*pictures, ""]
    assert [axes.images[0].get_clim() for axes in figure.axes[:5]] == [(0, 1)] * 5
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)
    figure.canvas.draw()  # a lone $ is no formula


@pytest.mark.parametrize(
    ("picture", "vmax", "top"), [(IMAGE[..., 0], None, 255), (np.eye(3), None, 1), (np.eye(3), 4, 4)]
)
def test_grey_levels(picture, vmax, top):
    assert show_images({"one": picture}, vmax=vmax).axes[0].images[0].get_clim() == (0, top)
