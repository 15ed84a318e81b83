"""COCO's annotation files: polygons, run lengths of a crowd, compressed strings; from files to a scored submission."""

import json

import cv2
import numpy as np
import pytest
from tests.catalogue.label_twins import draw
from tests.conftest import TINY

from maskfold.competitions import SubmissionWriter, load_profile, open_competition, validate_submission
from maskfold.config import CompetitionConfig, load_config
from maskfold.errors import CompetitionError
from maskfold.runs import Run
from maskfold.scoring import evaluate_submission
from maskfold.steps.predict import predict
from maskfold.training import fit

# Category numbers as in COCO: 26 is among those that were never used.
CATEGORIES = {1: "person", 3: "car", 27: "backpack", 90: "toothbrush"}
NAMES = ("background", "person", "backpack", "toothbrush")
PROFILE = """\
layout: coco-json
metric: miou
train: {annotations: annotations/instances_train2017.json, image: "train2017/{file_name}"}
valid: {annotations: annotations/instances_val2017.json, image: "val2017/{file_name}"}
test: {annotations: annotations/image_info_test2017.json, image: "test2017/{file_name}"}
class_names: [background, person, backpack, toothbrush]
"""


def counts(mask):
    """Run lengths down the columns, background first, by looking at every pixel."""
    found, previous = [0], 0
    for pixel in mask.T.ravel().tolist():
        if pixel != previous:
            found.append(0)
        found[-1] += 1
        previous = pixel
    return found


def compressed(mask):
    """``rleToString`` of COCO's maskApi.c, number by number."""
    text, numbers = "", counts(mask)
    for place, number in enumerate(numbers):
        x = number - (numbers[place - 2] if place > 2 else 0)
        more = True
        while more:
            low = x & 31
            x >>= 5
            more = x != (-1 if low & 16 else 0)
            text += chr((low | 32 if more else low) + 48)
    return text


def segmentation(label, value, form):
    """All pixels of a class, in one of COCO's forms; polygons are a rectangle along the pixels for each row."""
    mask = (label == value).astype(np.uint8)
    if form == "crowd":
        return {"counts": counts(mask), "size": list(mask.shape)}
    if form == "compressed":
        return {"counts": compressed(mask), "size": list(mask.shape)}
    polygons = []
    for row in range(mask.shape[0]):
        edges = np.flatnonzero(np.diff(np.pad(mask[row], 1))).tolist()
        for begin, end in zip(edges[::2], edges[1::2], strict=True):
            polygons.append([begin, row, end, row, end, row + 1, begin, row + 1])
    return polygons


@pytest.fixture
def coco(tmp_path):
    """A twin, and file name -> classes by place in `NAMES`; two categories overlap in the first image."""
    rng, labels, number = np.random.default_rng(3), {}, 0
    by_name = {name: number for number, name in CATEGORIES.items()}
    files = {"instances_train2017": 6, "instances_val2017": 2, "image_info_test2017": 2}
    for name, count in files.items():
        content = {"images": [], "annotations": [], "categories": []}
        content["categories"] = [{"id": key, "name": value} for key, value in reversed(CATEGORIES.items())]
        folder = name.rpartition("_")[2]
        (tmp_path / "coco" / folder).mkdir(parents=True)
        for place in range(count):
            number += 1
            file = f"{number:012d}.jpg"
            size = [(40, 52), (44, 36)][place % 2]
            image, label = draw(rng, size, 4, void=False)
            cv2.imwrite(str(tmp_path / "coco" / folder / file), image[..., ::-1])
            labels[file] = label
            content["images"].append({"id": 1000 + number, "file_name": file, "height": size[0], "width": size[1]})
            if "test" in name:
                continue
            for value in np.unique(label[label > 0]).tolist():
                form = ("polygons", "crowd", "compressed")[(value + place) % 3]
                content["annotations"].append({
                    "image_id": 1000 + number, "category_id": by_name[NAMES[value]], "iscrowd": int(form == "crowd"),
                    "segmentation": segmentation(label, value, form),
                })  # fmt: skip
            other = {
                "image_id": 1000 + number,
                "category_id": 3,
                "iscrowd": 0,
                "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]],
            }
            content["annotations"].append(other)  # a car, which is no class here
        if "train" in name:
            shape = labels["000000000001.jpg"].shape
            content["annotations"] += [
                {"image_id": 1001, "category_id": key, "segmentation": [[x, 2, x + 6, 2, x + 6, 9, x, 9]]}
                for key, x in ((27, 4), (90, 7))
            ]
            both, label = np.zeros(shape, bool), labels["000000000001.jpg"]
            for value, x in ((2, 4), (3, 7)):
                here = np.zeros(shape, bool)
                here[2:9, x : x + 6] = True
                both |= here & (label != 0) & (label != value)
                label[here & (label == 0)] = value
            both[2:9, 7:10] = True
            label[both] = 255
        (tmp_path / "coco/annotations").mkdir(exist_ok=True)
        (tmp_path / f"coco/annotations/{name}.json").write_text(json.dumps(content))
    (tmp_path / "coco.yaml").write_text(PROFILE)
    competition = open_competition(CompetitionConfig(profile=str(tmp_path / "coco.yaml"), root=tmp_path / "coco"))
    return competition, labels


def test_annotations_as_classes(coco):
    competition, labels = coco
    train = competition.samples("train")
    assert [sample.split for sample in train] == ["train"] * 6 + ["valid"] * 2
    assert train[0].image == "train2017/000000000001.jpg"
    assert competition.labels.class_names == NAMES
    for sample in train:
        label = competition.label(sample.masks, labels[sample.id].shape)
        np.testing.assert_array_equal(label.valid, labels[sample.id] != 255)
        np.testing.assert_array_equal(label.values, np.where(label.valid, labels[sample.id], 0))
    assert (labels["000000000001.jpg"] == 255).sum() >= 21
    assert [sample.masks for sample in competition.samples("test")] == [None, None]


def test_all_categories_or_one(coco, tmp_path):
    path = tmp_path / "coco.yaml"
    path.write_text(PROFILE.replace("class_names: [background, person, backpack, toothbrush]\n", ""))
    root = tmp_path / "coco"
    config = CompetitionConfig(profile=str(path), root=root)
    assert open_competition(config).labels.class_names == ("background", "person", "car", "backpack", "toothbrush")
    path.write_text(PROFILE.replace("[background, person, backpack, toothbrush]", "[car]"))
    competition = open_competition(config)
    assert competition.labels.task == "binary"
    (sample, *_) = competition.samples("train")
    expected = np.zeros((40, 52), np.uint8)
    expected[:9, :9] = 1
    np.testing.assert_array_equal(competition.label(sample.masks, (40, 52)).values, expected)


@pytest.mark.parametrize("place", ["annotations image_id", "annotations category_id", "images id"])
def test_ids_are_numbers_or_texts_in_each_list(coco, tmp_path, place):
    (competition, _), (part, key) = coco, place.split()
    expected = competition.samples("train")
    path = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for entry in content[part]:
        entry[key] = str(entry[key])
    path.write_text(json.dumps(content))
    config = CompetitionConfig(profile=str(tmp_path / "coco.yaml"), root=tmp_path / "coco")
    found = open_competition(config).samples("train")
    assert [sample.masks for sample in found] == [sample.masks for sample in expected]


def test_categories_follow_each_other_by_their_numbers(coco, tmp_path):
    path = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for category in content["categories"][::2]:
        category["id"] = str(category["id"])
    path.write_text(json.dumps(content))
    profile = tmp_path / "coco.yaml"
    profile.write_text(PROFILE.replace("class_names: [background, person, backpack, toothbrush]\n", ""))
    names = open_competition(CompetitionConfig(profile=str(profile), root=tmp_path / "coco")).labels.class_names
    assert names == ("background", "person", "car", "backpack", "toothbrush")


def test_annotations_of_what_the_file_does_not_list_are_told(coco, tmp_path):
    path = tmp_path / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    config = CompetitionConfig(profile=str(tmp_path / "coco.yaml"), root=tmp_path / "coco")
    listed, ids = content["images"], [image["id"] for image in content["images"]]
    content["images"] = listed[:1]
    path.write_text(json.dumps(content))
    cut = listed[-1]["file_name"]
    assert cut not in open_competition(config).samples("train").ids, "the list was cut short"
    content["images"] = listed
    for annotation in content["annotations"]:
        annotation["image_id"] = 76 + ids.index(annotation["image_id"])
        annotation["category_id"] = "kite"
    path.write_text(json.dumps(content))
    with pytest.raises(CompetitionError) as caught:
        open_competition(config).samples("train")
    assert "has annotations whose image_id is not among its images: 76" in str(caught.value)
    assert "has annotations whose category_id is not among its categories: kite" in str(caught.value)


def test_what_cannot_be_read(coco, tmp_path):
    competition, _ = coco
    for text, message in (
        ('[2, {"counts": "01", "size": [7, 9]}]', r"of backpack: its run lengths are of a mask of \[7, 9\], its image"),
        ('[1, {"counts": [5, 1], "size": [4, 6]}]', "of person: RLE counts add up to 6, but the mask has 24 pixels"),
        ("[1, [[1, 2, 3, 4]]]", "a polygon has 4 numbers"),
    ):
        with pytest.raises(CompetitionError, match=message):
            competition.label((text,), (4, 6))
    path = tmp_path / "coco.yaml"
    path.write_text(PROFILE.replace("toothbrush", "tooth brush"))
    with pytest.raises(
        CompetitionError, match=r"train2017\.json has no categories tooth brush \(class_names\): it has"
    ):
        open_competition(CompetitionConfig(profile=str(path), root=tmp_path / "coco")).samples("train")
    path.write_text(PROFILE)
    (tmp_path / "coco/annotations/instances_train2017.json").write_text("[]")
    with pytest.raises(CompetitionError, match="is not an annotation file of COCO's form: it has no list of images"):
        open_competition(CompetitionConfig(profile=str(path), root=tmp_path / "coco")).samples("train")


def test_the_profile_of_coco_2017():
    profile = load_profile("coco")
    assert len(profile.class_names) == 81
    assert (profile.class_names[1], profile.class_names[-1]) == ("person", "toothbrush")
    assert profile.train[0].annotations == "annotations/instances_train2017.json"


def write_truth(labels, competition, folder):
    folder.mkdir()
    for sample in competition.samples("test"):
        cv2.imwrite(str(folder / sample.id.replace(".jpg", ".png")), labels[sample.id])


def test_a_submission_of_label_images(coco, tmp_path):
    competition, labels = coco
    write_truth(labels, competition, tmp_path / "truth")
    with SubmissionWriter(competition, tmp_path / "own.zip", competition.samples("test").ids) as writer:
        for sample in competition.samples("test"):
            writer.write(sample.id, labels[sample.id])
    assert evaluate_submission(tmp_path / "own.zip", tmp_path / "truth", competition).score == 1


@pytest.mark.slow
def test_trained_and_predicted(coco, tmp_path, monkeypatch):
    competition, labels = coco
    monkeypatch.chdir(tmp_path)
    write_truth(labels, competition, tmp_path / "truth")
    keys = {"competition.profile": str(tmp_path / "coco.yaml"), "competition.root": competition.root}
    steps = {"folds.kind": "given", "train.epochs": None, "train.iterations": 2, "train.batch_size": 2}
    run = Run.create(load_config(None, {**TINY, **keys, **steps, "tta.views": "none"}, name="coco"), tmp_path / "runs")
    assert fit(run, 0)["valid_images"] == 2
    path = predict(run, tmp_path / "masks")
    validate_submission(path, competition)
    found = evaluate_submission(path, tmp_path / "truth", competition)
    inside, either = np.zeros((2, 4))
    for sample in competition.samples("test"):
        predicted = cv2.imread(str(path / sample.id.replace(".jpg", ".png")), cv2.IMREAD_UNCHANGED)
        for value in range(4):
            inside[value] += ((predicted == value) & (labels[sample.id] == value)).sum()
            either[value] += ((predicted == value) | (labels[sample.id] == value)).sum()
    assert found.score == pytest.approx(np.mean(inside[either > 0] / either[either > 0]))
