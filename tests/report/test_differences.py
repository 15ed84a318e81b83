"""The picture of two submissions: which images, and which colours where."""

import numpy as np
import pytest
from tests.conftest import reference_rle
from tests.report.conftest import truths

from maskfold.competitions import open_competition
from maskfold.config import load_config
from maskfold.report import differences
from maskfold.report.differences import save_differences
from maskfold.scoring.agreement import compare_masks


@pytest.fixture
def shown(monkeypatch):
    """Sheets as they are drawn: (pictures, title)."""
    sheets, draw = [], differences.show_images

    def spy(pictures, **options):
        sheets.append((pictures, options["title"]))
        return draw(pictures, **options)

    monkeypatch.setattr(differences, "show_images", spy)
    return sheets


@pytest.fixture
def pair(tiles, tmp_path):
    """Two tables of all training masks: the second lacks one image's mask and has another one's turned round."""
    masks = truths(tiles)
    names = sorted(name for name in masks if masks[name].any())[:2]
    changed = {**masks, names[0]: np.zeros_like(masks[names[0]]), names[1]: masks[names[1]][::-1, ::-1]}
    paths = tmp_path / "a.csv", tmp_path / "b.csv"
    for path, part in zip(paths, (masks, changed), strict=True):
        path.write_text("".join(f"{name}\t{reference_rle(mask)}\n" for name, mask in part.items()))
    competition = open_competition(load_config(None, {"competition.root": tiles}).competition)
    return compare_masks(*paths, competition), competition, names, masks


def test_only_images_that_differ_are_shown(pair, tmp_path, shown):
    agreement, competition, names, masks = pair
    assert save_differences(agreement, competition, tmp_path / "p.png", count=5) == 2
    ((pictures, title),) = shown
    assert title == "orange: in a only; blue: in b only"
    image, a, b, both = (pictures[f"{names[0]}: {part}"] for part in ("Dice(a, b) 0.000", "a", "b", "a against b"))
    mask = masks[names[0]] == 1
    assert (b == image).all()
    assert ((a != image).any(axis=2) == mask).mean() > 0.99
    extra = both[mask].astype(int).mean(axis=0) - image[mask].astype(int).mean(axis=0)
    assert extra[0] > 0 > extra[2], "what a has alone is orange"
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_with_the_truth_errors_are_shown(pair, tmp_path, shown):
    agreement, competition, names, masks = pair
    truth = {name: (reference_rle(mask),) for name, mask in masks.items()}
    assert save_differences(agreement, competition, tmp_path / "p.png", count=1, truth=truth) == 1
    ((pictures, title),) = shown
    assert title == "orange: predicted, not labelled; blue: labelled, not predicted"
    assert list(pictures)[1:] == [f"{names[0]}: {part}" for part in ("truth", "errors of a", "errors of b")]
    mask = masks[names[0]] == 1
    image, missed = pictures[f"{names[0]}: Dice(a, b) 0.000"], pictures[f"{names[0]}: errors of b"]
    extra = missed[mask].astype(int).mean(axis=0) - image[mask].astype(int).mean(axis=0)
    assert extra[2] > extra[0], "what b misses is blue"
    assert (missed[~mask] == image[~mask]).all()


def test_no_difference_no_file(pair, tmp_path):
    agreement, competition, *_ = pair
    assert save_differences(agreement, competition, tmp_path / "p.png", count=0) == 0
    assert not (tmp_path / "p.png").exists()
