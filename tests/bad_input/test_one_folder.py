"""One folder with all kinds of faults that can be in one at once: check_data lists them whole, in one pass."""

import os
import re

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image
from tests.bad_input import spoiled
from tests.scripts.conftest import call

# What stands in a row's place -> what is said about it. Each is the mask of an image of its own, 20 x 24 pixels.
RUNS = {
    "3": "token 1 ('3') has no partner",
    "3 2 x 4": "token 3 ('x') is not an unsigned integer",
    "3 2.0": "token 2 ('2.0') is not an unsigned integer",
    "[3 2]": "token 1 ('[3')",
    "3 -7": "token 2 ('-7')",
    "-1": "declare it",
    "nan": "token 1 ('nan')",
    "0 3": "before the first pixel",
    "3 0": "shorter than one pixel",
    "481 1": "start at pixel 481; the last pixel is 480",
    "480 2": "end at pixel 481; the last pixel is 480",
    "9 3 5 2": "sorted and must not overlap",
    "3 4 6 2": "start at pixel 6, but the previous run ends at pixel 6",
    "1 99999999999999999999": "more than 18 digits",
    "3 ٣": "token 2 ('٣')",
    "3;2": "token 1 ('3;2')",
    "+3 2": "token 1 ('+3')",
    "0x3 2": "token 1 ('0x3')",
    "1e1 2": "token 1 ('1e1')",
    "1_0 2": "token 1 ('1_0')",
    "３ 2": "token 1 ('３')",
    "None": "token 1 ('None')",
    "\u200b3 2": r"token 1 ('\u200b3')",
}
# File -> (content, what is said about it).
IMAGES = {
    "truncated.png": (spoiled.png(spoiled.pixels(1))[:300], "truncated.png"),
    "truncated.jpg": (spoiled.jpeg(2)[:-200], "truncated.jpg: image file is truncated"),
    "zero.png": (b"", "zero.png: it is not an image"),
    "page.png": (b"<html>Sign in</html>", "page.png: it is not an image"),
    "deep.png": (spoiled.png(spoiled.pixels(3).astype("u2") * 257), "deep.png has 3 channels of uint16"),
    "text.png": (spoiled.with_text_bomb(4), "text.png: Decompressed data too large"),
    "huge.png": (spoiled.huge(), "huge.png"),
    "array.npy": (
        b"\x93NUMPY\x01\0\x08\0{broken}",
        "array.npy is not an npy file: malformed node or string on line 1, train/b",
    ),
    "picture.tif": (b"II*\0\x08\0\0\0\xff\xff", "picture.tif"),
    "flipped.png": (spoiled.flipped(spoiled.png(spoiled.pixels(11)), 400), "flipped.png"),
    "nothing.png": (spoiled.png(spoiled.pixels(12)).replace(b"\0\0\0\x18\0\0\0\x14", bytes(8)), "nothing.png"),
    "half.bmp": (cv2.imencode(".bmp", spoiled.pixels(13))[1].tobytes()[:500], "half.bmp"),
    "half.webp": (cv2.imencode(".webp", spoiled.pixels(14))[1].tobytes()[:300], "half.webp"),
    "half.jp2": (spoiled.saved(Image.fromarray(spoiled.pixels(15)), "jpeg2000")[:199], "half.jp2"),
    "half.npy": (
        spoiled.npy(spoiled.pixels(16))[:-30],
        "half.npy is not whole: 1410 bytes of pixels, expected (20, 24, 3) of uint8",
    ),
    "object.npy": (spoiled.npy(np.array([{}])), "object.npy holds object of shape (1,), expected numbers"),
    "bands.npy": (spoiled.npy(np.zeros((*spoiled.SIZE, 5), np.uint8)), "bands.npy has 5 channels of uint8"),
    "float.npy": (spoiled.npy(spoiled.pixels(17) / np.float32(255)), "float.npy has 3 channels of float32"),
    "double.npy": (spoiled.npy(spoiled.pixels(18) / 255), "double.npy has 3 channels of float64"),
    "line.npy": (spoiled.npy(np.zeros(9, np.uint8)), "line.npy holds uint8 of shape (9,), expected numbers"),
}
ODD = {
    "turned.jpg": (spoiled.turned(5), "1 images have an EXIF rotation, which is not applied"),
    "moving.png": (
        spoiled.animated(6),
        "2 images have several frames or pages, of which the first is read: train/moving.png, train/pages.tif",
    ),
    "ink.jpg": (spoiled.jpeg(7, "CMYK"), "CMYK (1)"),
    "grey.jpg": (spoiled.jpeg(8, "L"), "L (1)"),
    "clear.png": (spoiled.rgba(spoiled.shape(), spoiled.shape()), "RGBA (1)"),
    "chart.png": (spoiled.saved(Image.fromarray(spoiled.pixels(20)).quantize(9), "png"), "P (1)"),
    "pages.tif": (spoiled.pages(21), "train/pages.tif"),
    "plain.png": (spoiled.png(np.full((*spoiled.SIZE, 3), 7, np.uint8)), "1 images have a single colour: train/plain"),
    "twin.png": (spoiled.png(spoiled.pixels(0)), "train/good0.png = train/twin.png"),
    "mirror.png": (spoiled.png(spoiled.pixels(1)[:, ::-1]), "train/good1.png ~ train/mirror.png"),
}
# Rows of names -> what is said about them.
NAMES = {
    "gone.png": "gone.png",
    "CASE.PNG": "CASE.PNG (but case.png is there: capital letters count)",
    "a-folder": "a-folder",
    "a-pipe": "a-pipe",
    "a-circle": "a-circle",
    "../outside.png": "'../outside.png' is not a plain path",
    "/etc/passwd": "'/etc/passwd' is not a plain path",
    "a\\b.png": r"'a\\b.png' is not a plain path",
    "C:\\x.png": r"'C:\\x.png' is not a plain path",
    "red\x1b[31m.png": r"'red\x1b[31m.png' is not a plain path",
    "gpj.\u202egnp": r"'gpj.\u202egnp' is not a plain path",
    "": "'' is not a plain path",
    "n" * 300 + ".png": "is longer than the 255 bytes",
    "leads-out.png": "is reached by a link that leads out of its folder",
    "deeper/../../../outside.png": "'deeper/../../../outside.png' is not a plain path",
    "https://example.org/a.png": "train/https:/example.org/a.png",
    "~/a.png": "train/~/a.png",
}
PROFILE = {
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}"},
    "test": {"table": "sample.csv", "image": "test/{id}"},
    "columns": {"id": "id", "mask": "rle"},
    "group": {"file": "groups.csv", "id": "id", "column": "place"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder, and the table of its training masks."""
    place = tmp_path_factory.mktemp("spoiled")
    (place / "outside.png").write_bytes(spoiled.png(spoiled.pixels(99)))
    root = place / "data"
    for part in ("train", "test"):
        (root / part).mkdir(parents=True)
    rows = [("good0.png", "1 5"), ("good1.png", ""), ("good2.png", "60 12"), ("good2.png", "60 12")]
    for name, _ in rows:
        (root / "train" / name).write_bytes(spoiled.png(spoiled.pixels(int(name[4]))))
    for number, text in enumerate(RUNS):
        (root / "train" / f"run{number:02d}.png").write_bytes(spoiled.png(spoiled.pixels(100 + number)))
        rows.append((f"run{number:02d}.png", text))
    for name, (content, _) in {**IMAGES, **ODD}.items():
        (root / "train" / name).write_bytes(content)
        rows.append((name, "1 5"))
    (root / "train/case.png").write_bytes(spoiled.png(spoiled.pixels(50)))
    (root / "train/a-folder").mkdir()
    os.mkfifo(root / "train/a-pipe")
    (root / "train/a-circle").symlink_to("a-circle")
    (root / "train/leads-out.png").symlink_to(place / "outside.png")
    rows += [(name, "") for name in NAMES]
    (root / "train.csv").write_text("id,rle\n" + "".join(f'"{name}",{text}\n' for name, text in rows))
    (root / "test/t0.png").write_bytes(b"GIF89a")
    (root / "sample.csv").write_text("id,rle\nt0.png,\nt1.png,\nt0.png,\n")
    grouped = [name for name, _ in dict.fromkeys(rows) if name not in ("good0.png", *NAMES)]
    (root / "groups.csv").write_text("id,place\n" + "".join(f"{name},p{n % 4}\n" for n, name in enumerate(grouped)))
    (place / "profile.yaml").write_text(yaml.safe_dump(PROFILE))
    return place


def test_all_of_them_are_listed(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = ("--competition.profile", "profile.yaml", "--competition.root", "data", "--folds.count", "90")
    done = call(capsys, "check_data", *words)
    assert done.code == 1
    said = " ".join(done.out.split())
    wanted = [
        *(text for _, text in IMAGES.values()),
        *(text for _, text in ODD.values()),
        *NAMES.values(),
        "train.csv: 1 duplicate ids: good2.png",
        "sample.csv: 1 duplicate ids: t0.png",
        "sample.csv names 1 images that are not in",
        "test/t0.png",
        "groups.csv has no row for",
        "90 folds",
        *RUNS.values(),
    ]
    missing = [text for text in wanted if " ".join(text.split()) not in said]
    assert not missing, f"{missing}\n\n{done.out}"
    for number in range(len(RUNS)):
        assert f"run{number:02d}.png: RLE" in said
    problems = said[said.index("Problem:") : said.index("Warning:")]
    assert not re.search(r"and \d+ more", problems), "all of them, not the first few"
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert len(set(wanted)) >= 70
