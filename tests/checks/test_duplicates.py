import cv2
import numpy as np
import pandas as pd
import pytest
from tests.checks.conftest import texture

from maskfold.checks.duplicates import check_duplicates
from maskfold.checks.images import Images, check_images
from maskfold.checks.notes import Notes
from maskfold.datasets.copies import fine_detail, perceptual_hash
from maskfold.images import PLAIN
from maskfold.symmetries import D4


def find(make, train, test=()):
    """The pairs as (first, second, kind, turn's name), the warnings, and the sets' numbers by id."""
    competition = make(train, dict.fromkeys(train, ""), test)
    images = check_images(competition, {part: competition.survey(part).samples for part in ("train", "test")}, Notes())
    notes = Notes()
    found = check_duplicates(images, notes)
    ids = images.table["id"]
    pairs = [(ids[row.first], ids[row.second], row.kind, D4[row.turn].words) for row in found.pairs.itertuples()]
    return pairs, notes.warnings, dict(zip(ids, found.sets, strict=True))


def thumbnail(image):
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)


def saved_again(image, quality=70):
    data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def test_the_hash_by_its_formula():
    image = thumbnail(texture(3, (32, 32)))
    x = np.arange(32)
    waves = np.array([np.cos(np.pi * (2 * x + 1) * k / 64) for k in range(1, 9)])
    low = (waves @ image.astype(float) @ waves.T).ravel()
    bits = "".join("1" if value > np.median(low) else "0" for value in low)
    code = perceptual_hash(image[None])[0]
    assert "".join(f"{byte:08b}" for byte in code.tobytes()) == bits


def test_different_images_are_no_copies(make):
    pairs, warnings, sets = find(make, {f"a{seed}": texture(seed) for seed in range(12)}, {"t": texture(99)})
    assert pairs == warnings == []
    assert len(set(sets.values())) == 13


def test_copies_within_the_test_part_are_not_looked_for(make):
    base = texture(30)
    pairs, _, _ = find(make, {"a": texture(31)}, {"t": base, "u": saved_again(base), "v": base})
    assert pairs == []


def test_copies_far_down_a_long_list():
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (300, 32, 32), np.uint8)
    for first, second, change in ((200, 290, np.flipud), (131, 140, np.rot90)):
        thumbnails[second] = change(thumbnails[first])
    names = [f"{number}" for number in range(300)]
    table = pd.DataFrame({"split": "train", "id": names, "path": names, "digest": names, "flat": False})
    pairs = check_duplicates(Images(table, thumbnails, PLAIN), Notes()).pairs
    assert sorted(zip(pairs["first"], pairs["second"], strict=True)) == [(131, 140), (200, 290)]


def test_the_same_large_shapes_with_other_small_ones_are_no_copies(make):
    waves = cv2.GaussianBlur(texture(0), (0, 0), 1)
    skies = []
    for seed in (20, 21):
        noise = np.random.default_rng(seed).normal(0, 16, (48, 64, 1))
        small = noise - cv2.GaussianBlur(noise, (0, 0), 1)[..., None]
        skies.append((waves + small).clip(0, 255).astype(np.uint8))
    both = np.stack([thumbnail(sky) for sky in skies])
    assert np.bitwise_count(np.bitwise_xor(*perceptual_hash(both))) <= 10
    one, two = fine_detail(both)
    assert 0.4 < one @ two < 0.85
    pairs, _, _ = find(make, {"a": skies[0], "b": skies[1]})
    assert pairs == []


def test_the_same_pixels(make):
    train = {"a": texture(1), "b": texture(2), "c": texture(1), "d": texture(1)}
    pairs, warnings, sets = find(make, train, {"t": texture(2), "u": texture(5), "v": texture(5)})
    assert sorted(pairs) == [("a", "c", "exact", ""), ("a", "d", "exact", ""), ("b", "t", "exact", "")]
    assert warnings[0].startswith("3 train images are identical to others: train/a.png = train/c.png")
    assert warnings[1].startswith("1 test images are identical to training images: train/b.png = test/t.png")
    assert sets["a"] == sets["c"] == sets["d"]
    assert sets["b"] == sets["t"]
    assert len({sets["a"], sets["b"], sets["u"], sets["v"]}) == 4


def test_images_saved_again_or_brightened(make):
    base = texture(4)
    train = {
        "a": base,
        "jpeg": saved_again(base),
        "bright": (base * 0.9 + 20).astype(np.uint8),
        "small": cv2.resize(texture(7, (96, 128)), (64, 48), interpolation=cv2.INTER_AREA),
    }
    pairs, warnings, sets = find(make, train, {"large": texture(7, (96, 128)), "other": texture(8)})
    assert {pair[:3] for pair in pairs} == {
        ("a", "bright", "near"), ("a", "jpeg", "near"), ("bright", "jpeg", "near"), ("small", "large", "near"),
    }  # fmt: skip
    assert {pair[3] for pair in pairs} == {""}
    assert warnings[0].startswith("3 train images are nearly the same as others")
    assert warnings[1].endswith("training images: train/small.png ~ test/large.png")
    assert sets["a"] == sets["jpeg"] == sets["bright"] != sets["small"] == sets["large"]


@pytest.mark.parametrize("number", range(1, 8))
def test_mirrored_and_turned_images(make, number):
    base = texture(11)
    changed = [
        np.rot90(base, 1), np.rot90(base, 2), np.rot90(base, 3), base[:, ::-1],
        np.swapaxes(base, 0, 1), base[::-1], np.rot90(np.swapaxes(base, 0, 1), 2),
    ][number - 1]  # fmt: skip
    pairs, warnings, _ = find(make, {"a": base, "b": np.ascontiguousarray(changed), "c": texture(12)})
    ((first, second, kind, name),) = pairs
    assert (first, second, kind) == ("a", "b", "near")
    turn = next(turn for turn in D4 if turn.words == name)
    assert (np.moveaxis(turn.apply(np.moveaxis(changed, 2, 0)), 0, 2) == base).all()
    assert name in warnings[0]


def test_the_eight_turns_are_eight():
    pixels = np.arange(12).reshape(3, 4)
    assert len({turn.apply(pixels).tobytes() + bytes(turn.apply(pixels).shape) for turn in D4}) == 8
    assert (D4[0].apply(pixels) == pixels).all()


def test_plain_images_are_not_compared(make):
    flat = np.full((48, 64, 3), 90, np.uint8)
    dark = [np.zeros((48, 64, 3), np.uint8) for _ in range(2)]
    for seed, image in enumerate(dark):
        image[0, seed] = 200  # all but black, and not the same
    pairs, _, _ = find(make, {"a": flat, "b": flat, "c": dark[0], "d": dark[1]})
    assert pairs == []


def test_images_of_no_table_are_no_copies(make, tmp_path):
    competition = make({"a": texture(1)}, {"a": ""}, {"t": texture(2)})
    cv2.imwrite(str(tmp_path / "competition/train/stranger.png"), saved_again(texture(1))[..., ::-1])
    images = check_images(competition, {"train": competition.samples("train")}, Notes())
    assert "train/stranger.png" in set(images.table["path"])
    assert check_duplicates(images, Notes()).pairs.empty


def test_fine_detail_ignores_brightness_and_contrast():
    image = thumbnail(texture(5))
    other = (image * 0.5 + 60).round().astype(np.uint8)
    one, two = fine_detail(np.stack([image, other]))
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert one @ two > 0.99
