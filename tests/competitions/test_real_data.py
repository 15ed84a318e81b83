"""Real competition files, where MASKFOLD_REAL_DATA says they are: each opens, and its first masks decode."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.competitions.conftest import AIRBUS

from maskfold.competitions import find_competitions, load_profile, open_competition
from maskfold.competitions.images import decode_image
from maskfold.competitions.table import gather_masks, read_table
from maskfold.config import CompetitionConfig, GroupConfig

REAL = os.environ.get("MASKFOLD_REAL_DATA")
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not REAL, reason="MASKFOLD_REAL_DATA is not set"),
]

# folder: profile, class names, images in train and test, share of foreground (from the data's description)
FOLDERS = {
    "satellite_buildings": ("tianchi-buildings", None, 787, 206, 0.135),
    "tgs_salt": ("tgs-salt", None, 3400, 600, None),
    "aerial_roads": ("png-masks", None, 144, 0, 0.178),
    "camvid": ("camvid", None, 367 + 101, 233, None),
}


def opened(folder):
    profile, names, *_ = FOLDERS[folder]
    return open_competition(CompetitionConfig(profile=profile, root=Path(REAL) / folder, class_names=names))


def test_each_folder_is_recognised():
    found = {folder.name: profile for folder, profile in find_competitions(Path(REAL))}
    assert found == {folder: profile for folder, (profile, *_) in FOLDERS.items()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_samples_and_the_first_masks(folder):
    competition = opened(folder)
    samples = competition.samples("train")
    assert (len(samples), len(competition.samples("test"))) == FOLDERS[folder][2:4]
    for row in samples[:5]:
        image = competition.image(row.image)
        label = competition.label(row.masks, image.shape[:2], id=row.id)
        assert set(np.unique(label.values)) <= {*range(competition.labels.highest + 1)}
        share = (label.values > 0).mean()
        assert competition.coverage(row.masks, competition.size(row.image)) == pytest.approx(share)


@pytest.mark.parametrize("folder", ["satellite_buildings", "aerial_roads"])
def test_share_of_foreground(folder):
    competition = opened(folder)
    samples = competition.samples("train")
    shares = [competition.coverage(sample.masks, competition.size(sample.image)) for sample in samples]
    assert np.mean(shares) == pytest.approx(FOLDERS[folder][4], abs=0.002)


def test_camvid_is_split_and_has_pixels_that_are_not_scored():
    competition = opened("camvid")
    samples = competition.samples("train")
    assert Counter(sample.split for sample in samples) == {"train": 367, "valid": 101}
    labels = [competition.label(sample.masks, (360, 480)) for sample in samples[:20]]
    assert 10 in set(np.unique([label.values for label in labels]))
    assert not all(label.valid.all() for label in labels)


def test_groups_of_the_satellite_tiles():
    competition = opened("satellite_buildings")
    group = GroupConfig(file="groups.csv", id="name", column="colour_group")
    assert len(set(competition.groups(competition.samples("train"), group))) > 10


def test_airbus_rows_are_instances(tmp_path):
    (tmp_path / "airbus.yaml").write_text(AIRBUS)
    profile = load_profile(str(tmp_path / "airbus.yaml"))
    folder = Path(REAL) / "airbus_sample"
    content = (folder / "train_ship_segmentations.csv").read_bytes()
    masks = gather_masks(profile, read_table(profile, content, "airbus"), "airbus")
    assert len(masks) == 10
    assert max(len(rles) for rles in masks.values()) > 1
    for path in sorted(folder.glob("images/*.jpg")):
        shape = decode_image(path.read_bytes(), path.name).shape[:2]
        ships = [profile.dialect.decode(rle, shape) for rle in masks[path.name]]
        assert np.sum(ships, axis=0).max() <= 1  # the competition's ships do not overlap
