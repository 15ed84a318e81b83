import cv2
import numpy as np
import pytest
from tests.checks.conftest import encode, texture

from maskfold.checks.dialect import check_dialect
from maskfold.checks.images import check_images
from maskfold.checks.notes import Notes
from maskfold.rle import RLEDialect

WRITINGS = [
    RLEDialect(layout, order, start)
    for layout, starts in (("start-length", (0, 1)), ("start-end", (0, 1)), ("relative", (0,)))
    for order in ("F", "C")
    for start in starts
]
SQUARE, WIDE = (64, 64), (48, 72)


def scene(seed, size, *, ends=False):
    """An image and the mask of its bright rectangles; ``ends``: the first and the last pixel are inside."""
    rng = np.random.default_rng(seed)
    image = texture(seed, size).astype(float) * 0.3
    mask = np.zeros(size, np.uint8)
    for _ in range(3):
        top, left = rng.integers(1, size[0] - 20), rng.integers(1, size[1] - 22)
        mask[top : top + rng.integers(8, 19), left : left + rng.integers(8, 20)] = 1
    if ends:
        mask[:5, :4] = mask[-4:, -6:] = 1
    image[mask == 1] += 110
    return image.clip(0, 255).astype(np.uint8), mask


def guess(make, scenes, writing, *, profile=None, damage=()):
    """The guess and the problems for masks written as ``writing`` says and a profile that says ``profile``."""
    images = {f"i{number:02d}": image for number, (image, _) in enumerate(scenes)}
    texts = {
        name: encode(mask, order=writing.order, start=writing.start, layout=writing.layout)
        for name, (_, mask) in zip(images, scenes, strict=True)
    }
    texts |= dict(damage)
    dialect = {} if profile is None else {"dialect": profile}
    competition = make(images, texts, **dialect)
    train = competition.samples("train")
    notes = Notes()
    found = check_dialect(competition, train, check_images(competition, {"train": train}, Notes()), notes)
    return found, notes


@pytest.mark.parametrize("size", [SQUARE, WIDE], ids=["square", "wide"])
@pytest.mark.parametrize("writing", WRITINGS, ids=lambda d: f"{d.layout}-{d.order}-{d.start}")
def test_every_writing_is_recognised(make, writing, size):
    scenes = [scene(seed, size, ends=seed % 3 == 0) for seed in range(24)]
    found, notes = guess(make, scenes, writing)
    chosen = found.chosen.dialect
    assert (chosen.layout, chosen.order, chosen.start) == (writing.layout, writing.order, writing.start)
    if (writing.layout, writing.order, writing.start) == ("start-length", "F", 1):
        assert notes.problems == []
        return
    (problem,) = notes.problems
    for key, default in (("layout", "start-length"), ("order", "F"), ("start", 1)):
        value = getattr(writing, key)
        assert (f"{key}: {value}" in problem) == (value != default), problem
    assert "competition.profile" in problem


@pytest.mark.parametrize("start", [0, 1])
def test_what_does_not_show_is_said(make, start):
    writing = RLEDialect(start=start)
    found, notes = guess(make, [scene(seed, WIDE) for seed in range(20)], writing, profile={"start": 1})
    assert notes.problems == []
    assert found.chosen is found.profile
    assert "whether pixels count from 0 or 1 does not show" in notes.facts["dialect"]
    assert "1 is the profile's" in notes.facts["dialect"]


def test_ends_show_the_first_number(make):
    _, notes = guess(make, [scene(seed, WIDE, ends=True) for seed in range(20)], RLEDialect())
    assert notes.problems == []
    assert "runs at the image's ends show that pixels count from 1" in notes.facts["dialect"]


def test_stripes_are_the_reason_where_images_are_wide(make):
    _, notes = guess(make, [scene(seed, WIDE) for seed in range(20)], RLEDialect(order="C"))
    assert "F, 1-based, start-length makes stripes, with outlines" in notes.problems[0]


def test_edges_are_the_reason_where_images_are_square(make):
    found, notes = guess(make, [scene(seed, SQUARE) for seed in range(20)], RLEDialect(order="C"))
    assert "masks' edges fit the images' edges better" in notes.problems[0]
    assert found.chosen.roughness == pytest.approx(found.profile.roughness, rel=0.1)
    assert found.chosen.fit > found.profile.fit + 0.2


def test_square_masks_that_have_nothing_to_do_with_their_images_leave_the_order_open(make):
    scenes = [(texture(seed + 100, SQUARE), scene(seed, SQUARE)[1]) for seed in range(20)]
    _, notes = guess(make, scenes, RLEDialect(order="C"))
    assert notes.problems == []
    assert "the order C would fit as well" in notes.facts["dialect"]


@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize("times", [2, 3])
def test_masks_drawn_smaller_than_the_images(make, times, order):
    drawn = [scene(seed, (52, 66), ends=seed == 4) for seed in range(20)]
    enlarged = [(image.repeat(times, 0).repeat(times, 1), mask) for image, mask in drawn]
    _, notes = guess(make, enlarged, RLEDialect(order=order), profile={"order": order})
    (warning,) = notes.warnings
    assert f"masks {times} times smaller than the images" in warning
    assert f"the first {100 // times**2}% of the pixels" in warning


@pytest.mark.parametrize("order", ["F", "C"])
def test_shapes_in_the_first_columns_or_rows_are_no_smaller_masks(make, order):
    def beside(seed):
        """The scene first, in the order of the pixels, then four times as many pixels of nothing."""
        image, mask = scene(seed, SQUARE)
        return np.pad(image, ((0, 0), (0, 256), (0, 0)), "symmetric"), np.pad(mask, ((0, 0), (0, 256)))

    scenes = [beside(seed) for seed in range(20)]
    if order == "C":
        scenes = [(image.transpose(1, 0, 2), mask.T) for image, mask in scenes]
    _, notes = guess(make, scenes, RLEDialect(order=order), profile={"order": order})
    assert (notes.problems, notes.warnings) == ([], [])


def test_a_damaged_string_changes_nothing(make):
    scenes = [scene(seed, WIDE) for seed in range(60)]
    found, notes = guess(make, scenes, RLEDialect(), damage={"i07": "0 5 9 2"})
    assert found.chosen is found.profile
    assert notes.problems == []
    assert "59 of 60 masks can be read" in found.reason


def test_too_few_masks_and_masks_in_files(make):
    found, notes = guess(make, [scene(seed, WIDE) for seed in range(9)], RLEDialect())
    assert found is None
    assert notes.facts["dialect"].startswith("not guessed: 9 masks")


def test_figures_of_a_reading(make):
    scenes = [scene(seed, WIDE) for seed in range(11)]
    found, _ = guess(make, scenes, RLEDialect())
    outlines = []
    for _, mask in scenes:
        padded = mask.astype(int)
        sides = np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum()
        outlines.append(sides / mask.sum())
    assert found.profile.roughness == pytest.approx(np.median(outlines))
    assert found.profile.failed == 0
    assert len(found.sample) == len(found.profile.fits) == 11
    small = cv2.resize(scenes[0][1].astype(np.float32), (32, 32), interpolation=cv2.INTER_AREA)
    grey = cv2.resize(cv2.cvtColor(scenes[0][0], cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    across = [[cv2.Sobel(x.astype(float), -1, *axis) for axis in ((1, 0), (0, 1))] for x in (small, grey)]
    slopes = [np.hypot(*both) for both in across]
    assert found.profile.fits[0] == pytest.approx(np.corrcoef(slopes[0].ravel(), slopes[1].ravel())[0, 1], abs=1e-4)
