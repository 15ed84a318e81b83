"""A folder of masks in files, each wrong in a way of its own: check_data lists them whole."""

import numpy as np
from PIL import Image
from tests.bad_input import spoiled
from tests.scripts.conftest import call

MASK = spoiled.shape()


def _palette_with_alpha():
    """A palette of one grey, whose second entry is transparent: the shape is in nothing but the alpha."""
    image = Image.fromarray(MASK, "P")
    image.putpalette([0, 0, 0, 0, 0, 0])
    return spoiled.saved(image, "png", transparency=bytes([0, 255]))


def _smoothed():
    return spoiled.png((MASK * 200).astype(np.uint8))


MASKS = {
    "size.png": (spoiled.png(spoiled.shape((24, 20)) * 255), "size.png is 24x20 (height x width), its image 20x24"),
    "values.png": (_smoothed(), "values.png holds the values 0, 200, expected 0 and 255 or 0 and 1"),
    "lossy.jpg": (spoiled.saved(Image.fromarray(MASK * 255), "jpeg", quality=30), "lossy.jpg holds the values"),
    "colour.png": (spoiled.png(spoiled.pixels(1)), "colour.png is a colour image, expected a mask of one channel"),
    "alpha.png": (spoiled.rgba(0 * MASK, MASK), "alpha.png has a single colour, its shapes are in the alpha channel"),
    "palette.png": (_palette_with_alpha(), "palette.png has a single colour, its shapes are in the alpha channel"),
    "hidden.png": (spoiled.rgba(MASK[:, ::-1], MASK), "hidden.png has shapes of other values where its alpha channel"),
    "empty.png": (b"", "empty.png cannot be read as a mask"),
    "half.png": (spoiled.png(np.random.default_rng(0).integers(0, 2, (20, 24), np.uint8))[:60], "half.png cannot be"),
    "deep.png": (spoiled.png(MASK.astype("u2") * 65535), "deep.png holds the values 0, 65535"),
    "bomb.png": (spoiled.huge(), "bomb.png"),
    "text.png": (spoiled.with_text_bomb(3), "text.png cannot be read as a mask: Decompressed data too large"),
    "page.png": (b"<!DOCTYPE html>", "page.png cannot be read as a mask"),
}


def test_all_of_them_are_listed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("images", "masks"):
        (tmp_path / "data/mine" / part).mkdir(parents=True)
    good = {"good0.png": MASK * 255, "good1.png": 0 * MASK, "stranger.png": MASK}
    for number, name in enumerate([*MASKS, *good]):
        if name != "stranger.png":
            image = spoiled.png(spoiled.pixels(number))
            (tmp_path / "data/mine/images" / name.replace(".jpg", ".png")).write_bytes(image)
        content = MASKS[name][0] if name in MASKS else spoiled.png(good[name])
        (tmp_path / "data/mine/masks" / name).write_bytes(content)
    (tmp_path / "data/mine/masks/good1.tif").write_bytes(b"")
    words = ("--competition.profile", "png-masks", "--competition.root", "data/mine", "--folds.count", "2")
    done = call(capsys, "check_data", *words)
    assert done.code == 1
    said = " ".join(done.out.split())
    assert said.count("masks/stranger.png") == 1, "once, though it is found in both splits"
    wanted = [
        *(text for _, text in MASKS.values()),
        "1 masks have no image of the same stem in images: masks/stranger.png; name each mask as its image",
        "masks: 1 duplicate ids: good1",
        f"{len(MASKS) + 1} masks cannot be used",
    ]
    missing = [text for text in wanted if text not in said]
    assert not missing, f"{missing}\n\n{done.out}"


CLASSES = {
    "beyond": (MASK * 3, "beyond.png holds the values 3, expected classes 0..2 and 255"),
    "deep": (MASK * np.uint16(700), "deep.png holds the values 700, expected classes 0..2 and 255"),
    "ink": (spoiled.pixels(1), "ink.png is a colour image, expected a mask of one channel"),
    "size": (MASK[:, :9], "size.png is 20x9 (height x width), its image 20x24"),
}


def test_labels_of_classes_are_listed(tmp_path, capsys, monkeypatch):
    """Values that no class has, a class that no label has, lines without a label and of files that are not there."""
    monkeypatch.chdir(tmp_path)
    for part in ("images", "labels"):
        (tmp_path / "data/mine" / part).mkdir(parents=True)
    labels = {name: label for name, (label, _) in CLASSES.items()} | {"good": MASK, "ignored": MASK * 0 + 255}
    for number, (name, label) in enumerate(labels.items()):
        (tmp_path / f"data/mine/images/{name}.png").write_bytes(spoiled.png(spoiled.pixels(number)))
        (tmp_path / f"data/mine/labels/{name}.png").write_bytes(spoiled.png(label))
    lines = [f"images/{name}.png labels/{name}.png" for name in labels]
    (tmp_path / "data/mine/train.txt").write_text("\n".join([*lines, lines[-1], "images/gone.png labels/gone.png"]))
    (tmp_path / "data/mine/labels.txt").write_text("sky\nroad\ncar\n")
    words = ("--competition.profile", "file-list", "--competition.root", "data/mine", "--folds.count", "2")
    done = call(capsys, "check_data", *words)
    assert done.code == 1
    said = " ".join(done.out.split())
    wanted = [text for _, text in CLASSES.values()]
    wanted += [
        "duplicate ids: images/ignored.png",
        "train.txt, line 8: there is no label labels/gone.png",
        "no training mask has a pixel of car",
    ]
    missing = [text for text in wanted if text not in said]
    assert not missing, f"{missing}\n\n{done.out}"
