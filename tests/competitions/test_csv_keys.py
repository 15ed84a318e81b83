"""Keys that say where a CSV competition's images and masks are, and what a submission must not hold."""

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.competitions.conftest import blobs, slow_rle, write_image

from maskfold.competitions import SubmissionWriter, load_profile, open_competition, validate_submission
from maskfold.competitions.csv_images import CsvImages
from maskfold.competitions.files import CompetitionFiles
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError, SubmissionError

BASE = """\
layout: csv
metric: dice
train: {table: train.csv, image: "train/{id}.png"}
test: {table: sample.csv, image: "test/{id}.png"}
columns: {id: id, mask: rle}
"""
CLASSES = BASE.replace("mask: rle", "class: kind, mask: rle") + "rows: class\n"
SIZE = (11, 14)


def profile(tmp_path, text, **changes):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(text), **changes}, sort_keys=False))
    return load_profile(str(path))


def opened(tmp_path, text, tables, images=(), **changes):
    profile(tmp_path, text, **changes)
    root = tmp_path / "data"
    for place, name in enumerate(images):
        write_image(root / f"{name}.png", place, SIZE)
    for name, content in tables.items():
        (root / name).write_text(content)
    return open_competition(CompetitionConfig(profile=str(tmp_path / "own.yaml"), root=root))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"image": "train/{id}.png"}}, "train: give either table.*or mask"),
        (
            {"train": {"table": "t.csv", "mask": "m/{id}.png", "image": "train/{id}.png"}},
            "train: give either table.*or mask",
        ),
        ({"train": {"table": "t.csv", "image": "train/{case}.png"}}, "has the field case, expected id: further fields"),
        (
            {"train": {"table": "t.csv", "image": "{case}.png", "unlisted": "empty"}, "id_pattern": "{case}"},
            r"image is '\{case\}\.png': where no table names all images it must hold \{id\}",
        ),
        ({"train": {"table": "t.csv", "image": "x.png"}}, r"image is 'x\.png': it must hold \{id\}"),
        ({"train": {"table": "t.csv", "image": "{id}.png", "columns": {"id": "a"}}}, "columns lacks mask"),
        (
            {"train": {"table": "t.csv", "image": "{id}.png", "class_separator": "_"}},
            "class_separator belongs to columns of this table",
        ),
        ({"slices": {"field": "z", "offsets": [0]}, "id_pattern": "{case}_{z}"}, r"write \{z:d\} in id_pattern"),
        ({"submission": {"rows": "image"}}, "submission.rows belongs to rows: instance"),
        ({"channels": [{"plus": 0, "low": 2, "high": 1}]}, "low is 2 and high 1: high must be above low"),
        ({"channels": [{"plus": 0, "minus": -1}]}, "channels are counted from 0, found -1"),
        ({"train": {"table": "t.csv", "image": "{id}.png", "unlistd": "empty"}}, "did you mean unlisted"),
    ],
)
def test_keys_that_do_not_go_together(tmp_path, changes, message):
    with pytest.raises(CompetitionError, match=message):
        profile(tmp_path, BASE, **changes)


def test_masks_in_files_are_of_classes_that_exclude_each_other(tmp_path):
    train = {"mask": "m/{id}.png", "image": "{id}.png"}
    with pytest.raises(CompetitionError, match=r"train\.mask is a file of classes that exclude each other"):
        profile(tmp_path, CLASSES, train=train, class_names=["a", "b"], task="multilabel")
    with pytest.raises(CompetitionError, match=r"give train\.mask instead of train\.table"):
        profile(tmp_path, BASE, label_map={0: 0, 9: 1})
    with pytest.raises(CompetitionError, match=r"no value for the classes 2 \(c\)"):
        opened(tmp_path, CLASSES, {"sample.csv": "id,kind,rle\nx,b,\n"}, ("x", "test/x"), train=train,
               class_names=["a", "b", "c"], label_map={0: 0, 9: 1})  # fmt: skip


def test_masks_in_files_of_colours_and_a_table_of_classes(tmp_path):
    colours = {"0-127 0-127 0-127": 0, "128-255 0-127 0-127": 1, "0-127 128-255 0-127": 2, "others": 255}
    text = BASE.replace("table: train.csv", 'mask: "train/{id}_gt.png"') + "rows: class\nclass_separator: _\n"
    rows = "".join(f"{name}_{kind},1 2\n" for name in "xy" for kind in (0, 1))
    images = ("train/a", "train/b", "test/x", "test/y")
    competition = opened(
        tmp_path, text, {"sample.csv": f"id,rle\n{rows}"}, images, class_values=["0", "1"],
        class_names=["none", "red", "green"], label_map=colours,
    )  # fmt: skip
    label = np.zeros(SIZE, np.uint8)
    label[2:5, 1:4], label[6:9, 7:13] = 1, 2
    pixels = np.array([(9, 3, 0), (250, 30, 9), (90, 200, 100)], np.uint8)[label]
    pixels[5, 5] = 200, 210, 40  # neither red nor green
    for name in "ab":
        Image.fromarray(pixels).save(tmp_path / f"data/train/{name}_gt.png")
    samples = competition.samples("train")
    assert samples.ids == ("a", "b")  # a_gt.png is the mask of a, not an image
    found = competition.label(samples[0].masks, SIZE)
    np.testing.assert_array_equal(found.values, label)
    assert list(zip(*np.nonzero(~found.valid), strict=True)) == [(5, 5)]
    assert competition.coverage(samples[0].masks, SIZE) == (9 + 18) / (11 * 14)
    assert [runs.area for runs in competition.runs(samples[0].masks, SIZE)] == [11 * 14 - 27, 9, 18]
    with SubmissionWriter(competition, tmp_path / "s.csv", ["x", "y"]) as writer:
        for name in "xy":
            writer.write(name, label)
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert lines[1:3] == [f"x_{place}," + slow_rle((label == place + 1).astype(np.uint8)) for place in (0, 1)]


@pytest.mark.parametrize(
    ("task", "names"), [("multilabel", ("hole", "dent", "7")), (None, ("background", "hole", "dent", "7"))]
)
def test_classes_of_the_sample_submission(tmp_path, task, names):
    mask = blobs(3, SIZE)
    sample = "id,kind,rle\n" + "".join(f"{name},{kind},\n" for name in "xy" for kind in ("hole", "dent", 7))
    tables = {"train.csv": f"id,kind,rle\na,7,{slow_rle(mask)}\n", "sample.csv": sample}
    competition = opened(tmp_path, CLASSES, tables, ("train/a", "test/x", "test/y"), task=task)
    assert competition.labels.class_names == names
    label = competition.label(competition.samples("train")[0].masks, SIZE)
    np.testing.assert_array_equal(competition.labels.layers(label.values)[-1], mask == 1)
    with SubmissionWriter(competition, tmp_path / "s.csv", ["x", "y"]) as writer:
        for name in "xy":
            writer.write(name, np.zeros_like(label.values))
    assert (tmp_path / "s.csv").read_text() == sample


def test_without_the_key_images_without_a_row_are_not_used(tmp_path):
    tables = {"train.csv": "id,rle\na,1 3\n", "sample.csv": "id,rle\nx,\n"}
    competition = opened(tmp_path, BASE, tables, ("train/a", "train/b", "test/x"))
    assert competition.samples("train").ids == ("a",)
    assert competition.unnamed_images() == ["train/b.png"]


def test_an_image_is_looked_for_in_several_roots(tmp_path):
    split = {"table": "train.csv", "image": "{id}.png", "roots": ["old", "new/more"]}
    tables = {"train.csv": "id,rle\na,1 3\nb,\n", "sample.csv": "id,rle\nx,\n"}
    images = ("old/a", "new/more/b", "new/more/c", "test/x")
    competition = opened(tmp_path, BASE, tables, images, train={**split, "unlisted": "empty"})
    paths = {sample.id: sample.image for sample in competition.samples("train")}
    assert paths == {"a": "old/a.png", "b": "new/more/b.png", "c": "new/more/c.png"}
    assert competition.survey("train").notes[0].startswith("1 of 3 images have no row in train.csv")
    write_image(tmp_path / "data/old/b.png", 0, SIZE)
    again = opened(tmp_path, BASE, {}, train=split)
    with pytest.raises(CompetitionError, match=r"b: 2 of its files below old, new/more, expected one"):
        again.samples("train")


def test_slices_beside_are_channels(tmp_path):
    found = profile(
        tmp_path, BASE, id_pattern="{case}_{z:d}", slices={"field": "z", "offsets": [-1, 0, 3]},
        train={"table": "t.csv", "image": "v/{case}/{id}_*.png"}, test={"table": "s.csv", "image": "v/{id}.png"},
    )  # fmt: skip
    for name in ("a_07", "a_08", "a_10", "b_09", "b_11"):
        write_image(tmp_path / f"v/{name[0]}/{name}_9.png", 0, SIZE)
    images = CsvImages(found, found.train, CompetitionFiles(tmp_path))
    chosen = {name: [path.split("/")[-1][:4] for path in images.image(name)] for name in ("a_07", "a_08", "a_10")}
    # Three behind 8 there is nothing, two behind is 10; nothing of the volume b is taken for a.
    assert chosen == {
        "a_07": ["a_07", "a_07", "a_10"],
        "a_08": ["a_07", "a_08", "a_10"],
        "a_10": ["a_10", "a_10", "a_10"],
    }
    with pytest.raises(CompetitionError, match=r"no file of the pattern v/\{case\}/\{id\}_\*\.png"):
        images.image("a_09")
    with pytest.raises(CompetitionError, match=r"the id a-09 is not of the form \{case\}_\{z:d\}"):
        images.image("a-09")


@pytest.mark.parametrize(
    ("there", "offsets", "expected"),
    [
        ("8 9 10 11", [-1, 0, 1], {"9": "8 9 10", "10": "9 10 11", "11": "10 11 11"}),
        ("9 10 11 99 100", [-2, 1], {"11": "9 11", "100": "99 100", "99": "99 100", "10": "9 11"}),
        ("08 09 10 99 100", [-2, 91], {"10": "08 100", "100": "99 100", "09": "08 100", "08": "08 99"}),
    ],
)
def test_slices_follow_each_other_by_their_numbers_however_many_digits_these_have(tmp_path, there, offsets, expected):
    found = profile(
        tmp_path, BASE, id_pattern="{case}_{z:d}", slices={"field": "z", "offsets": offsets},
        train={"table": "t.csv", "image": "v/{id}.png"}, test={"table": "s.csv", "image": "v/{id}.png"},
    )  # fmt: skip
    for number in there.split():
        write_image(tmp_path / f"v/p_{number}.png", 0, SIZE)
    images = CsvImages(found, found.train, CompetitionFiles(tmp_path))
    for number, wanted in expected.items():
        assert images.image(f"p_{number}") == tuple(f"v/p_{each}.png" for each in wanted.split())


def multilabel(tmp_path, **changes):
    tables = {"train.csv": "id,kind,rle\na,dent,1 4\n", "sample.csv": "id,kind,rle\nx,dent,\nx,hole,\n"}
    return opened(tmp_path, CLASSES, tables, ("train/a", "test/x"), **{"task": "multilabel", **changes})


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ("x,dent,1 2\n", {}, r"1 missing ids: x \(class hole\)"),
        ("x,dent,1 2\nx,hole,2 3\n", {"task": None}, "1 images with a pixel in two masks, which must not overlap: x"),
        (
            "x,dent,1 2\nx,hole,2 3\n",
            {"submission": {"overlap": False}},
            "1 images with a pixel in two masks, which must not overlap: x",
        ),
        ("x,dent,1 2\nx,hole,\n", {"submission": {"empty": False}}, r"1 empty masks .* take: x \(class hole\)"),
        ("x,dent,1 2\nx,hole,\n", {"dialect": {"empty": "-1"}}, r"x \(class hole\) is an empty field, expected -1"),
        # Of the image's 11x14 pixels, where masks of 4x5 are asked for.
        ("x,dent,1 2\nx,hole,21 3\n", {"submission": {"size": [4, 5]}}, "the last pixel is 20"),
    ],
)
def test_what_a_submission_must_not_hold(tmp_path, rows, changes, message):
    competition = multilabel(tmp_path, **changes)
    (tmp_path / "s.csv").write_text("id,kind,rle\n" + rows)
    with pytest.raises(SubmissionError, match=message):
        validate_submission(tmp_path / "s.csv", competition)


def test_the_third_object_may_overlap_the_first(tmp_path):
    tables = {"train.csv": "id,rle\na,1 3\n", "sample.csv": "id,rle\nx,\n"}
    changes = {"rows": "instance", "submission": {"overlap": False}}
    competition = opened(tmp_path, BASE, tables, ("train/a", "test/x"), **changes)
    (tmp_path / "s.csv").write_text("id,rle\nx,1 2\nx,20 3\nx,2 1 30 1\n")
    with pytest.raises(SubmissionError, match="1 images with a pixel in two masks"):
        validate_submission(tmp_path / "s.csv", competition)
    (tmp_path / "s.csv").write_text("id,rle\nx,1 2\nx,20 3\nx,3 1 30 1\n")
    validate_submission(tmp_path / "s.csv", competition)


def test_overlap_is_allowed_where_the_profile_does_not_forbid_it(tmp_path):
    (tmp_path / "s.csv").write_text("id,kind,rle\nx,dent,1 2\nx,hole,2 3\n")
    validate_submission(tmp_path / "s.csv", multilabel(tmp_path))


def test_nothing_of_a_refused_submission_is_left(tmp_path):
    competition = multilabel(tmp_path, submission={"overlap": False})
    both = np.ones((2, *SIZE), np.uint8)
    with (
        pytest.raises(SubmissionError, match="must not overlap"),
        SubmissionWriter(competition, tmp_path / "s.csv", ["x"]) as writer,
    ):
        writer.write("x", both)
    small = multilabel(tmp_path, submission={"size": [4, 5]})
    for wrong in (both, both[:1, :4, :5]):  # of the image's size, or a class too few
        with (
            pytest.raises(SubmissionError, match=r"has shape .*, expected \(2, 4, 5\)"),
            SubmissionWriter(small, tmp_path / "s.csv", ["x"]) as writer,
        ):
            writer.write("x", wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "own.yaml"]
