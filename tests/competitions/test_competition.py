import pickle
import shutil
import zipfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.competitions.conftest import write_image

from maskfold.errors import CompetitionError


def archive(folder, target, *, inside=""):
    """Replace a folder (or file) by a zip archive whose members begin with ``inside``."""
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w") as stream:
        for path in paths:
            stream.write(path, inside + (path.name if folder.is_file() else str(path.relative_to(folder))))
    folder.unlink() if folder.is_file() else shutil.rmtree(folder)


def everything(competition):
    samples = competition.samples("train")
    masks = [competition.mask(sample.masks, competition.size(sample.image)) for sample in samples]
    test = competition.samples("test")
    images = [competition.image(path) for path in [sample.image for sample in (*samples, *test)]]
    return [replace(sample, masks=None) for sample in samples], masks, test.ids, images


def same(left, right):
    assert (left[0], left[2]) == (right[0], right[2])
    for ours, theirs in ((left[1], right[1]), (left[3], right[3])):
        assert len(ours) == len(theirs) > 0
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_tianchi_as_downloaded(tianchi):
    unpacked = everything(tianchi.open())
    archive(tianchi.root / "train", tianchi.root / "train.zip", inside="train/")
    archive(tianchi.root / "test_a", tianchi.root / "test_a.zip", inside="test_a/")
    archive(tianchi.root / "train_mask.csv", tianchi.root / "train_mask.csv.zip")
    assert sorted(path.name for path in tianchi.root.iterdir()) == [
        "test_a.zip",
        "test_a_samplesubmit.csv",
        "train.zip",
        "train_mask.csv.zip",
    ]
    same(everything(tianchi.open()), unpacked)


def test_tgs_as_downloaded_from_kaggle(tgs):
    unpacked = everything(tgs.open())
    write_image(tgs.root / "train/masks/b1.png", 5, (21, 21), channels=1)
    archive(tgs.root / "train", tgs.root / "train.zip")
    archive(tgs.root / "test", tgs.root / "test.zip")
    same(everything(tgs.open()), unpacked)


def test_pickled_competitions_work_on(tianchi, file_list):
    for twin in (tianchi, file_list):
        competition = twin.open()
        same(everything(pickle.loads(pickle.dumps(competition))), everything(competition))


def test_images_are_rgb_and_grey_becomes_rgb(tgs):
    competition = tgs.open()
    expected = cv2.imread(str(tgs.root / "train/images/b1.png"), cv2.IMREAD_GRAYSCALE)
    image = competition.image("train/images/b1.png")
    assert image.shape == (21, 21, 3)
    assert all(np.array_equal(image[..., channel], expected) for channel in range(3))


def test_facts(tianchi, tgs):
    competition = tianchi.open()
    facts = (competition.name, competition.metric.name, competition.num_classes, competition.class_names)
    assert facts == ("tianchi-buildings", "dice", 1, ("building",))
    assert (competition.root, competition.ignore_index) == (tianchi.root, 255)
    assert tgs.open().metric.name == "tgs_map"


def test_damaged_image_is_named(tianchi):
    (tianchi.root / "train/a.jpg").write_bytes(b"half")
    competition = tianchi.open()
    for read in (competition.image, competition.size):
        with pytest.raises(CompetitionError, match=r"train/a\.jpg"):
            read("train/a.jpg")
