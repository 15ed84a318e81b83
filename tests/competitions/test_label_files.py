import cv2
import numpy as np
import pytest
from tests.competitions.conftest import write_image

from maskfold.competitions import Sample, SubmissionWriter, open_competition, validate_submission
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError, SubmissionError

PROFILE = """\
layout: label-files
metric: miou
train: {image: "img/train/{city}/{id}.jpg", label: "gt/train/{city}/{id}_ids.png"}
valid: {image: "img/val/{city}/{id}.jpg", label: "gt/val/{city}/{id}_ids.png"}
test: {image: "img/test/{city}/{id}.jpg"}
class_names: [road, sky]
label_map: {7: 0, 23: 1, others: 255}
"""
SIZE = (14, 19)


def write_label(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), values)


@pytest.fixture
def streets(tmp_path):
    """Opens a folder of two cities by a profile."""
    root = tmp_path / "streets"
    for seed, (folder, names) in enumerate({"train/ulm": "ab", "val/bonn": "c", "test/ulm": "t"}.items()):
        for name in names:
            write_image(root / f"img/{folder}/{name}.jpg", seed, SIZE)
            values = np.full(SIZE, 7, np.uint8)
            values[3:9, 5:], values[0, 0] = 23, 4
            if "test" not in folder:
                write_label(root / f"gt/{folder}/{name}_ids.png", values)

    def opened(profile=PROFILE, **config):
        (tmp_path / "own.yaml").write_text(profile)
        return open_competition(CompetitionConfig(profile=str(tmp_path / "own.yaml"), root=root, **config))

    return opened


def test_splits_by_folder(streets):
    competition = streets()
    assert list(competition.samples("train")) == [
        Sample("a", "img/train/ulm/a.jpg", "gt/train/ulm/a_ids.png", split="train"),
        Sample("b", "img/train/ulm/b.jpg", "gt/train/ulm/b_ids.png", split="train"),
        Sample("c", "img/val/bonn/c.jpg", "gt/val/bonn/c_ids.png", split="valid"),
    ]
    assert list(competition.samples("test")) == [Sample("t", "img/test/ulm/t.jpg")]
    assert competition.coverage("gt/val/bonn/c_ids.png", SIZE) == pytest.approx(6 * 14 / (14 * 19))


def test_what_is_not_there_need_not_be(streets, tmp_path):
    competition = streets(PROFILE.replace("img/val", "img/dev").replace("img/test", "img/none"))
    assert competition.samples("train").ids == ("a", "b")
    assert len(competition.samples("test")) == 0
    with pytest.raises(CompetitionError, match=r"does not fit the profile own: it lacks img/trn/\{city\}/\{id\}\.jpg"):
        streets(PROFILE.replace("img/train", "img/trn"))
    with pytest.raises(CompetitionError, match=r"there is no image img/test/\{city\}/\{id\}\.png in"):
        streets(PROFILE.replace("img/test/{city}/{id}.jpg", "img/test/{city}/{id}.png")).samples("test")


def test_every_image_that_cannot_be_used_is_named(streets, tmp_path):
    (tmp_path / "streets/gt/train/ulm/b_ids.png").unlink()
    (tmp_path / "streets/gt/val/bonn/c_ids.png").unlink()
    competition = streets()
    with pytest.raises(CompetitionError) as caught:
        competition.samples("train")
    assert "img/train/ulm/b.jpg has no label gt/train/ulm/b_ids.png" in str(caught.value)
    assert "img/val/bonn/c.jpg has no label gt/val/bonn/c_ids.png" in str(caught.value)
    assert competition.survey("train").samples.ids == ("a",)
    write_image(tmp_path / "streets/img/train/bonn/a.jpg", 3, SIZE)
    write_label(tmp_path / "streets/gt/train/bonn/a_ids.png", np.full(SIZE, 7, np.uint8))
    with pytest.raises(CompetitionError, match="1 duplicate ids: a"):
        streets().samples("train")
    ids = streets(PROFILE + 'id: "{city}_{id}"\n').survey("train").samples.ids
    assert ids == ("bonn_a", "ulm_a")


def test_labels_with_open_places(streets, tmp_path):
    profile = PROFILE.replace("gt/train/{city}/{id}_ids.png", "**/{id}_id*.png")
    assert [sample.masks for sample in streets(profile).samples("train")][:2] == [
        "gt/train/ulm/a_ids.png",
        "gt/train/ulm/b_ids.png",
    ]
    write_label(tmp_path / "streets/more/a_ids.png", np.full(SIZE, 7, np.uint8))
    with pytest.raises(CompetitionError, match=r"2 files \(gt/train/ulm/a_ids\.png, more/a_ids\.png\) of the pattern"):
        streets(profile).samples("train")


LISTED = """\
layout: label-files
metric: iou
train:
  - {ids: lists/train.txt, image: "img/*/*/{id}.jpg", label: "gt/*/*/{id}_ids.png"}
  - ids: lists/more.txt
    without: [lists/train.txt, lists/val.txt]
    image: "img/*/*/{id}.jpg"
    label: "gt/*/*/{id}_ids.png"
valid: {ids: lists/val.txt, image: "img/*/*/{id}.jpg", label: "gt/*/*/{id}_ids.png"}
test: {ids: lists/test.txt, image: "img/*/*/{id}.jpg"}
label_map: {7: 0, 23: 1, others: 255}
"""


def test_splits_by_lists(streets, tmp_path):
    for name, lines in {"train": "a 1\n\n", "more": "a\nb -1\nc\n", "val": "c\n"}.items():
        (tmp_path / "streets/lists").mkdir(exist_ok=True)
        (tmp_path / f"streets/lists/{name}.txt").write_text(lines)
    competition = streets(LISTED)
    assert {sample.id: sample.split for sample in competition.samples("train")} == {
        "a": "train",
        "b": "train",
        "c": "valid",
    }
    assert len(competition.samples("test")) == 0
    assert competition.labels.task == "binary"
    (tmp_path / "streets/lists/test.txt").write_text("t\nnone\n../t\n")
    with pytest.raises(CompetitionError, match=r"2 images cannot be used: no file of the pattern .* with id none"):
        streets(LISTED).samples("test")


def test_groups_from_paths(streets, tmp_path):
    samples = streets(PROFILE + "group: img/*/{group}/*\n").samples("train")
    assert [sample.group for sample in samples] == ["ulm", "ulm", "bonn"]
    with pytest.raises(CompetitionError, match=r"3 images have no group, since their paths are not of the form"):
        streets(PROFILE + "group: img/{group}_*\n").samples("train")
    with pytest.raises(CompetitionError, match=r"group is 'img/\*': it must hold \{group\}"):
        streets(PROFILE + "group: img/*\n")
    rows = "city_of,city\na,x\nb,y\nc,x\n"
    (tmp_path / "streets/groups.csv").write_text(rows)
    samples = streets(PROFILE + "group: {file: groups.csv, id: city_of, column: city}\n").samples("train")
    assert [sample.group for sample in samples] == ["x", "y", "x"]


def test_an_image_of_several_files(streets, tmp_path):
    for place in ("train/ulm/a", "train/ulm/b", "val/bonn/c", "test/ulm/t"):
        write_image(tmp_path / f"streets/nir/{place}.png", 5, SIZE, channels=1)
    profile = PROFILE + "image_spec: {channels: 4}\n"
    for folder in ("train", "val", "test"):
        first = f'"img/{folder}/{{city}}/{{id}}.jpg"'
        profile = profile.replace(first, f'[{first}, "nir/{folder}/{{city}}/{{id}}.png"]')
    competition = streets(profile)
    (sample, *_) = competition.samples("train")
    assert sample.image == ("img/train/ulm/a.jpg", "nir/train/ulm/a.png")
    assert competition.image(sample.image).shape == (*SIZE, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{id}.jpg\", label", "{name}.jpg\", label"), r"id is '\{id\}', but the image img/train/\{city"),
        ((", label: \"gt/val/{city}/{id}_ids.png\"", ""), "train and valid need a label beside each image, such as"),
        (("{7: 0", "{7: x"), r"label_map has the entry '7: x', which cannot be read"),
        (("img/test/{city}", "img/test/{city"), "cannot be read: fields are written"),
        (("class_names", "submission: {file: x.png}\nclass_names"), r"file is 'x\.png': expected a name with"),
        (("class_names", "submission: {file: \"{id}.jpg\"}\nclass_names"), r"that ends in \.png or \.tif"),
        (("{image: \"img/test", "{list: a.txt, image: \"img/test"), "unknown key .*list"),
    ],
)  # fmt: skip
def test_profiles_that_do_not_fit_together(streets, change, message):
    with pytest.raises(CompetitionError, match=message):
        streets(PROFILE.replace(*change))


def test_names_of_classes(streets):
    assert streets(class_names=("street", "heaven")).labels.class_names == ("street", "heaven")
    with pytest.raises(CompetitionError, match="has 3 names, the profile own has 2 classes: road, sky"):
        streets(class_names=("a", "b", "c"))
    with pytest.raises(CompetitionError, match=r"no value for the classes 2 \(tree\)"):
        streets(PROFILE.replace("[road, sky]", "[road, sky, tree]"))


def test_values_that_the_map_does_not_name(streets, tmp_path):
    competition = streets(PROFILE.replace(", others: 255", ""))
    message = r"a: gt/train/ulm/a_ids\.png holds the values 4, which label_map does not name"
    with pytest.raises(CompetitionError, match=message):
        competition.label("gt/train/ulm/a_ids.png", SIZE, id="a")


def test_a_submission_holds_the_files_values(streets, tmp_path):
    competition = streets(PROFILE + 'submission: {file: "{id}_pred.png"}\n')
    mask = np.zeros(SIZE, np.uint8)
    mask[2:5] = 1
    with SubmissionWriter(competition, tmp_path / "own", ["t"]) as writer:
        writer.write("t", mask)
    written = cv2.imread(str(tmp_path / "own/t_pred.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, np.where(mask, 23, 7))
    write_label(tmp_path / "own/t_pred.png", np.where(mask, 1, 0).astype(np.uint8))  # classes, not the files' values
    with pytest.raises(SubmissionError, match=r"t_pred\.png: the mask holds 255, which is not a class"):
        validate_submission(tmp_path / "own", competition)


def test_maps_of_other_layouts(png_masks, file_list, tmp_path):
    (tmp_path / "pairs.yaml").write_text("layout: png-masks\nmetric: dice\nlabel_map: {1: 0, 0: 1, 255: 255}\n")
    png_masks.profile = str(tmp_path / "pairs.yaml")
    label = png_masks.open().label("masks/p.png", png_masks.truth["p"].shape)  # a mask of 0 and 1
    np.testing.assert_array_equal(label.values, 1 - png_masks.truth["p"])
    (tmp_path / "lists.yaml").write_text(
        "layout: file-list\nmetric: miou\nlabel_map: {0: 1, 1: 0, 2: 255, 255: 0}\nclass_names: [x, y]\n"
        'group: images/{group}.jpg\nsubmission: {file: "{id}.tif"}\n'
    )
    file_list.profile, file_list.class_names = str(tmp_path / "lists.yaml"), None
    competition = file_list.open()
    truth = file_list.truth["images/a.jpg"]
    label = competition.label("labels/a.png", truth.shape)
    np.testing.assert_array_equal(label.valid, truth != 2)
    np.testing.assert_array_equal(label.values, truth == 0)
    assert [sample.group for sample in competition.samples("train")] == ["a", "b", "c"]
    assert set(competition.layout.file_names().values()) == {"t0.tif", "t1.tif"}
