"""Images of several files: channels one after the other, what is missing, what does not fit."""

import cv2
import numpy as np
import pytest
import yaml

from maskfold.competitions import Competition, find_competitions
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.find import missing_files
from maskfold.competitions.images import decode_files
from maskfold.competitions.profile import read_profile
from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError
from maskfold.images import ImageSpec

PATTERNS = ["images/{id}_two.npy", "images/{id}_red.png", "more/{id}/nir.png"]
PROFILE = {
    "layout": "csv", "metric": "dice", "columns": {"id": "id", "mask": "rle"}, "image_spec": {"channels": 4},
    "train": {"table": "train.csv", "image": PATTERNS}, "test": {"table": "sample.csv", "image": PATTERNS},
}  # fmt: skip


def draw(folder, ids=("a", "b", "c"), size=(13, 9)):
    """Three files for each id; returns the four channels that they hold, by id."""
    rng, arrays = np.random.default_rng(3), {}
    (folder / "images").mkdir()
    for name in ids:
        array = arrays[name] = rng.integers(0, 256, (*size, 4), np.uint8)
        (folder / "more" / name).mkdir(parents=True)
        np.save(folder / f"images/{name}_two.npy", array[..., :2])
        cv2.imwrite(str(folder / f"images/{name}_red.png"), array[..., 2])
        cv2.imwrite(str(folder / f"more/{name}/nir.png"), array[..., 3])
    (folder / "train.csv").write_text("id,rle\n" + "".join(f"{name},1 2\n" for name in ids[:-1]))
    (folder / "sample.csv").write_text(f"id,rle\n{ids[-1]},\n")
    return arrays


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(PROFILE))
    return tmp_path / "data"


def opened(folder):
    return Competition(read_profile(folder.parent / "p.yaml"), folder)


def test_channels_follow_each_other(folder):
    arrays = draw(folder)
    competition = opened(folder)
    samples = [*competition.samples("train"), *competition.samples("test")]
    assert [sample.id for sample in samples] == ["a", "b", "c"]
    assert samples[1].image == ("images/b_two.npy", "images/b_red.png", "more/b/nir.png")
    for sample in samples:
        np.testing.assert_array_equal(competition.image(sample.image), arrays[sample.id])
        assert competition.size(sample.image) == (13, 9)
    assert competition.samples("train").frame()["image"][0] == samples[0].image


def test_colours_and_an_infrared_file(folder):
    arrays = draw(folder)
    tree = {
        **PROFILE,
        **{split: {**PROFILE[split], "image": ["rgb/{id}.png", "more/{id}/nir.png"]} for split in ("train", "test")},
    }
    (folder.parent / "p.yaml").write_text(yaml.safe_dump(tree))
    (folder / "rgb").mkdir()
    for name, array in arrays.items():
        cv2.imwrite(str(folder / f"rgb/{name}.png"), array[..., 2::-1])
    competition = opened(folder)
    np.testing.assert_array_equal(competition.image(competition.samples("train")[1].image), arrays["b"])


def test_every_file_that_is_missing_is_named(folder):
    draw(folder)
    (folder / "images/a_red.png").unlink()
    (folder / "more/b/nir.png").unlink()
    survey = opened(folder).survey("train")
    assert len(survey.samples) == 0
    (problem,) = survey.problems
    assert problem == f"train.csv names 2 images that are not in {folder}: images/a_red.png, more/b/nir.png"


def test_further_files_are_no_unnamed_images(folder):
    draw(folder)
    cv2.imwrite(str(folder / "images/a_blue.png"), np.zeros((13, 9), np.uint8))
    assert opened(folder).unnamed_images() == []


def test_ids_that_lead_out_of_the_folder_are_refused(folder):
    draw(folder)
    (folder / "train.csv").write_text("id,rle\n../a,1 2\nb,1 2\n")
    survey = opened(folder).survey("train")
    assert survey.samples.ids == ("b",)
    assert "'../a' is not a plain path" in survey.problems[0]


def test_groups_are_found_by_any_file(folder):
    draw(folder)
    (folder / "groups.csv").write_text("file,scene\na_red.png,north\nb_two,south\n")
    competition = opened(folder)
    group = GroupConfig(file="groups.csv", id="file", column="scene")
    assert competition.groups(competition.samples("train"), group) == ["north", "south"]


def test_a_folder_lacks_what_any_pattern_needs(folder):
    (folder / "train.csv").write_text("id,rle\n")
    (folder / "sample.csv").write_text("id,rle\n")
    (folder / "images").mkdir()
    assert missing_files(read_profile(folder.parent / "p.yaml"), CompetitionFiles(folder)) == ["more/"]
    assert find_competitions(folder.parent) == []


def encoded(array, suffix=".png"):
    return cv2.imencode(suffix, array)[1].tobytes()


GREY = np.random.default_rng(1).integers(0, 256, (5, 7), np.uint8)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (GREY[:4], r"b\.png is 4x7 \(height x width\) of uint8, a\.png is 5x7 of uint8: the files of an image must be"),
        (GREY.astype(np.uint16), r"b\.png is 5x7 \(height x width\) of uint16, a\.png is 5x7 of uint8"),
        (np.dstack([GREY] * 3), r"a\.png \+ b\.png has 4 channels of uint8, the profile expects 2 of uint8: write"),
    ],
)
def test_files_that_do_not_go_together(second, message):
    files = [("a.png", encoded(GREY)), ("b.png", encoded(second))]
    with pytest.raises(CompetitionError, match=message):
        decode_files(files, ImageSpec(2))


def test_three_grey_files_stay_as_they_are():
    files = [(f"{place}.png", encoded(GREY // (place + 1))) for place in range(3)]
    found = decode_files(files)
    np.testing.assert_array_equal(found, np.dstack([GREY, GREY // 2, GREY // 3]))
    assert found.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (["a/{id}.png", "b/x.png"], r"train: image is 'b/x\.png': it must hold \{id\}"),
        ([], r"train\.image: "),
        (7, r"train\.image: Input should be a valid tuple"),
    ],
)
def test_patterns_that_cannot_be_used(folder, image, message):
    (folder.parent / "p.yaml").write_text(yaml.safe_dump({**PROFILE, "train": {"table": "t.csv", "image": image}}))
    with pytest.raises(CompetitionError, match=message):
        read_profile(folder.parent / "p.yaml")
