"""Drafts of run-length competitions, in the forms that competitions use: what they read is what was drawn."""

import csv

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.drawn_folders import decoded, encode, picture, same, save, shapes, write_csv

from maskfold.checks.draft import draft_profile
from maskfold.checks.draft.places import ImagePaths
from maskfold.checks.draft.roles import find_roles
from maskfold.checks.draft.tables import Table, mask_column, read_tables
from maskfold.competitions import SubmissionWriter, load_profile
from maskfold.competitions.files import CompetitionFiles
from maskfold.errors import CompetitionError

COUNT = 16


def dialect_of(competition):
    dialect = competition.profile.dialect
    return dialect.layout, dialect.order, dialect.start


def draw(root, size=(48, 70), suffix=".png", folder="train", encoding=None, empty="", header=("id", "rle"), **image):
    """A row for each image, the first one empty. Returns id -> mask."""
    truth, rows = {}, []
    for seed in range(COUNT):
        name = f"{folder[:2]}{seed:03d}"
        mask = shapes(seed, size) * (seed > 0)
        save(root / folder / f"{name}{suffix}", picture(mask, seed, **image))
        truth[name] = mask
        rows.append((name, encode(mask, **(encoding or {})) if mask.any() else empty))
    write_csv(root / f"{folder}.csv", rows, header=header)
    return truth


def sample_submission(
    root, count=5, suffix=".png", folder="test", text="1 1", header=("id", "rle"), size=(40, 52), **image
):
    names = [f"te{seed:03d}" for seed in range(count)]
    for seed, name in enumerate(names):
        save(root / folder / f"{name}{suffix}", picture(shapes(90 + seed, size), seed, **image))
    write_csv(root / "sample_submission.csv", [(name, text) for name in names], header=header)
    return names


DIALECTS = [
    ("start-length", "F", 1),
    ("start-length", "C", 1),
    ("start-length", "F", 0),
    ("start-length", "C", 0),
    ("start-end", "F", 1),
    ("start-end", "C", 0),
    ("relative", "F", 0),
    ("relative", "C", 0),
    ("counts", "F", 0),
    ("counts", "C", 0),
]


@pytest.mark.parametrize(("layout", "order", "start"), DIALECTS)
def test_every_dialect(tmp_path, drafted, layout, order, start):
    root = tmp_path / "own"
    truth = draw(root, encoding={"layout": layout, "order": order, "start": start})
    names = sample_submission(root)
    found, competition = drafted(root)
    assert dialect_of(competition) == (layout, order, start)
    same(decoded(competition), truth)
    assert sorted(competition.samples("test").ids) == names
    assert found.draft.doubts == []
    assert "cut into more pieces" in found.text
    with SubmissionWriter(competition, tmp_path / "s.csv", names) as writer:
        for name in names:
            writer.write(name, shapes(5, (40, 52)))


@pytest.mark.parametrize("order", ["F", "C"])
def test_square_images_are_told_by_their_pictures(tmp_path, drafted, order):
    root = tmp_path / "own"
    truth = draw(root, size=(60, 60), encoding={"order": order})
    sample_submission(root)
    found, competition = drafted(root)
    assert dialect_of(competition)[1] == order
    assert "fit the images' edges better" in " ".join(found.text.replace("#", " ").split())
    same(decoded(competition), truth)


def test_pictures_that_show_nothing_leave_the_order_open(tmp_path, drafted):
    root = tmp_path / "own"
    draw(root, size=(60, 60))
    sample_submission(root)
    for path in (root / "train").iterdir():
        save(path, np.full((60, 60, 3), 99, np.uint8))
    found, _ = drafted(root)
    assert any("dialect.order" in doubt for doubt in found.draft.doubts)


@pytest.mark.parametrize("runs", [30_000, 200_000])  # longer than a field of Python's reader, than what is looked at
def test_the_header_is_told_however_long_the_first_mask_is(tmp_path, runs):
    limit, long = csv.field_size_limit(), " ".join(f"{3 * run + 1} 2" for run in range(runs))
    write_csv(tmp_path / "train.csv", [("a", long), ("b", "1 4"), ("c", "")], header=("id", "rle"))
    (table,) = read_tables(CompetitionFiles(tmp_path), ImagePaths([]))
    assert table.header == ("id", "rle")
    assert table.values(0) == ["a", "b", "c"]
    assert table.values(1) == [long, "1 4", ""]
    assert mask_column(table) == 1
    assert csv.field_size_limit() == limit


def test_a_headerless_table_of_tabs(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for seed in range(COUNT):
        mask = shapes(seed, (40, 55)) * (seed != 3)
        truth[f"b{seed}.jpg"] = mask
        save(root / "pics" / f"b{seed}.jpg", picture(mask, seed))
    write_csv(root / "masks.csv", [(name, encode(mask)) for name, mask in truth.items()], "\t")
    for seed in range(4):
        save(root / "pics_b" / f"x{seed}.jpg", picture(shapes(seed, (40, 50)), seed))
    write_csv(root / "submit.csv", [(f"x{seed}.jpg", "") for seed in range(4)], "\t")
    _, competition = drafted(root)
    profile = competition.profile
    assert (profile.separator, profile.header, profile.columns) == ("\t", False, {"id": "name", "mask": "mask"})
    assert profile.train.image == ("pics/{id}",)
    same(decoded(competition), truth)
    assert len(competition.samples("test")) == 4


@pytest.mark.parametrize("empty", ["-1", "-", "NaN"])
def test_texts_of_empty_masks(tmp_path, drafted, empty):
    root = tmp_path / "own"
    truth = draw(root, empty=empty)
    sample_submission(root)
    _, competition = drafted(root)
    same(decoded(competition), truth)
    written = competition.profile.dialect.encode(np.zeros((4, 5), np.uint8))
    assert written == ("" if empty == "NaN" else empty)


def test_the_sample_says_what_an_empty_mask_is(tmp_path, drafted):
    root = tmp_path / "own"
    truth = draw(root, empty="")
    sample_submission(root, text="-1")
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.dialect.empty == "-1"


def test_other_column_names_in_the_sample_and_more_columns_in_the_table(tmp_path, drafted):
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        mask = truth[f"p{seed:02d}"] = shapes(seed, (45, 64))
        save(root / "data/images" / f"p{seed:02d}.tiff", picture(mask, seed))
        rows.append((f"p{seed:02d}", "Hubmap", encode(mask), f"{seed * 1.5}", f"site{seed % 3}"))
    write_csv(root / "train.csv", rows, header=("id", "source", "encoding", "age", "site"))
    sample_submission(root, suffix=".tiff", folder="data/eval", header=("id", "predicted"))
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.test.columns == {"id": "id", "mask": "predicted"}
    assert competition.profile.train.image == ("data/images/{id}.tiff",)


def test_tables_with_the_numbers_of_their_rows(tmp_path, drafted):
    """As pandas writes them with an index, whose column has no name; images are called by such numbers, too."""
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        mask = truth[f"{seed + 3}"] = shapes(seed, (48, 70)) * (seed > 0)
        save(root / f"train/{seed + 3}.png", picture(mask, seed))
        rows.append((str(seed), f"{seed + 3}", encode(mask)))
    write_csv(root / "train.csv", rows, header=("", "id", "rle"))
    for seed in range(4):
        save(root / f"test/{seed + 50}.png", picture(shapes(seed, (40, 52)), seed))
    sample = [(str(seed), f"{seed + 50}", "") for seed in range(4)]
    write_csv(root / "sample_submission.csv", sample, header=("", "id", "rle"))
    _, competition = drafted(root)
    assert competition.profile.columns == {"id": "id", "mask": "rle"}
    same(decoded(competition), truth)
    assert sorted(competition.samples("test").ids) == ["50", "51", "52", "53"]


def test_folders_that_are_linked(tmp_path, drafted):
    root = tmp_path / "own"
    truth = draw(root)
    sample_submission(root)
    for name in ("train", "test"):
        (tmp_path / "disk" / name).parent.mkdir(exist_ok=True)
        (root / name).rename(tmp_path / "disk" / name)
        (root / name).symlink_to(tmp_path / "disk" / name)
    (root / "all").symlink_to(tmp_path)
    (tmp_path / "disk/train/back").symlink_to(root)
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.train.image == ("train/{id}.png",)


def test_the_sample_has_other_columns_and_another_order(tmp_path, drafted):
    root = tmp_path / "own"
    truth = draw(root)
    names = sample_submission(root, text="", header=("id", "rle"))
    rows = [("", "0.5", name) for name in names]
    write_csv(root / "sample_submission.csv", rows, header=("rle", "sure", "id"))
    found, competition = drafted(root)
    same(decoded(competition), truth)
    (doubt,) = found.draft.doubts
    assert doubt == "columns: sample_submission.csv also has sure, which a submission will not have"
    with SubmissionWriter(competition, tmp_path / "s.csv", names) as writer:
        for name in names:
            writer.write(name, np.zeros((40, 52), np.uint8))
    assert (tmp_path / "s.csv").read_text().splitlines()[:2] == ["rle,id", ",te000"]


def test_a_column_for_each_class_is_said_not_to_be_supported(tmp_path, drafted):
    root, names = tmp_path / "own", ("id", "small_bowel", "large_bowel")
    draw(root)
    rows = [line.split(",") for line in (root / "train.csv").read_text().splitlines()[1:]]
    write_csv(root / "train.csv", [(*row, "7 3" * (place % 3 == 0)) for place, row in enumerate(rows)], header=names)
    tests = sample_submission(root)
    write_csv(root / "sample_submission.csv", [(name, "", "") for name in tests], header=names)
    found, competition = drafted(root)
    assert competition.labels.task == "binary"
    (classes, sample) = found.draft.doubts
    assert classes.startswith("columns: small_bowel, large_bowel of train.csv all look like run lengths, and only s")
    assert "a row for each image and class" in classes
    assert sample == "columns: sample_submission.csv also has large_bowel, which a submission will not have"


def by_class(root, form, overlap, values=("1", "2", "3"), only_positive=False):
    """A row for each image and class. Returns id -> (C, H, W)."""
    truth, rows = {}, []
    for seed in range(COUNT):
        name = f"{seed:04x}.jpg"
        layers = np.stack([shapes(seed * 7 + place, (42, 60), 2) for place in range(len(values))])
        layers[seed % 3] = 0
        if not overlap:
            for place in range(1, len(values)):
                layers[place] &= 1 - layers[:place].max(0)
        if seed in (2, 9):
            layers[:] = 0
        truth[name] = layers
        save(root / "train_images" / name, picture(layers.max(0), seed))
        for value, layer in zip(values, layers, strict=True):
            if layer.any() or not only_positive:
                rows.append(form(name, value, encode(layer)))
    return truth, rows


def add_test(root, form, values, header):
    names = [f"f{seed}.jpg" for seed in range(3)]
    for seed, name in enumerate(names):
        save(root / "test_images" / name, picture(shapes(seed, (42, 60)), seed))
    write_csv(root / "sample_submission.csv", [form(name, v, "1 1") for name in names for v in values], header=header)


def test_a_class_column_where_only_positive_masks_have_rows(tmp_path, drafted):
    root, values = tmp_path / "own", ("1", "2", "3")
    truth, rows = by_class(root, lambda *row: row, overlap=True, only_positive=True)
    header = ("ImageId", "ClassId", "EncodedPixels")
    write_csv(root / "train.csv", rows, header=header)
    add_test(root, lambda name, value, text: (f"{name}_{value}", text), values, ("ImageId_ClassId", "EncodedPixels"))
    _, competition = drafted(root)
    profile = competition.profile
    assert (profile.rows, profile.task, profile.class_values) == ("class", "multilabel", values)
    assert profile.test.class_separator == "_"
    assert profile.train.unlisted == "empty"
    same(decoded(competition), truth)


def test_classes_that_pandas_wrote_as_decimals(tmp_path):
    root, values = tmp_path / "own", ("1", "2", "3")

    def form(name, value, text):
        return (name, f"{value}.0", text) if text else (name, "", "")

    _, rows = by_class(root, form, overlap=True)
    write_csv(root / "train.csv", list(dict.fromkeys(rows)), header=("ImageId", "ClassId", "EncodedPixels"))
    add_test(root, lambda *row: row, values, ("ImageId", "ClassId", "EncodedPixels"))
    found = draft_profile(root)
    assert found.draft.tree["class_values"] == ["1", "2", "3"]
    assert any(
        doubt.startswith("class_values: train.csv has 1.0, 2.0, 3.0 for 1, 2, 3, as") for doubt in found.draft.doubts
    )
    assert (
        "holds the classes none (a blank field), 1.0, 2.0 and 1 more, the profile knows 1, 2, 3"
        in found.tried.problems[0]
    )


def test_image_and_class_in_one_column(tmp_path, drafted):
    root, values = tmp_path / "own", ("Fish", "Flower", "Gravel")

    def form(name, value, text):
        return f"{name}_{value}", text

    truth, rows = by_class(root, form, overlap=False, values=values)
    write_csv(root / "train.csv", rows, header=("Image_Label", "EncodedPixels"))
    add_test(root, form, values, ("Image_Label", "EncodedPixels"))
    _, competition = drafted(root, metric="miou")
    profile = competition.profile
    assert (profile.class_separator, profile.task) == ("_", "multiclass")
    assert profile.class_names == ("background", *values)
    expected = {name: np.max([i * layer for i, layer in enumerate(layers, 1)], 0) for name, layers in truth.items()}
    same(decoded(competition), expected)


@pytest.mark.parametrize(("images", "values"), [(24, 4), (24, 3), (5546, 4)])
def test_no_number_of_rows_makes_a_class_a_part_of_the_images_names(images, values):
    """Where each so many-th id is looked at, all of them may be of one class; 5546 x 4 are the rows of Clouds."""
    names = [f"a_{number * 37:06x}.jpg" for number in range(images)]
    rows = [(f"{name}_{value}", "5 2") for name in names for value in range(1, values + 1)]
    table = Table("train.csv", ",", ("ImageId_ClassId", "EncodedPixels"), pd.DataFrame(rows))
    found = find_roles(table, 1, ImagePaths(f"train/{name}" for name in names))
    assert (found.separator, found.places.patterns, found.places.id_pattern) == ("_", ("train/{id}",), None)
    assert (found.rows, len(set(found.classes)), found.images[values]) == ("class", values, names[1])


@pytest.mark.parametrize(("own", "stored"), [(".jpg", ".png"), (".png", ".PNG")])
def test_the_suffix_of_an_id_is_no_class_where_files_have_another(tmp_path, drafted, own, stored):
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        mask = truth[f"p{seed:02d}{own}"] = shapes(seed, (45, 64))
        save(root / "train" / f"p{seed:02d}{stored}", picture(mask, seed))
        rows.append((f"p{seed:02d}{own}", encode(mask)))
    write_csv(root / "train.csv", rows, header=("id", "rle"))
    for seed in range(3):
        save(root / "test" / f"q{seed}{stored}", picture(shapes(seed, (40, 52)), seed))
    write_csv(root / "sample_submission.csv", [(f"q{seed}{own}", "") for seed in range(3)], header=("id", "rle"))
    _, competition = drafted(root)
    assert (competition.profile.rows, competition.profile.train.image) == ("image", (f"train/{{name}}{stored}",))
    same(decoded(competition), truth)
    assert [sample.image for sample in competition.samples("test")] == [f"test/q{seed}{stored}" for seed in range(3)]


def test_a_row_for_each_instance(tmp_path, drafted):
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        name = f"n{seed:02d}"
        one, two = shapes(seed, (44, 57), 1), shapes(seed + 50, (44, 57), 1)
        truth[name] = one | two
        save(root / "stage1_train" / name / "images" / f"{name}.png", picture(truth[name], seed))
        save(root / "stage1_train" / name / "masks" / f"hash{seed}.png", one * 255)
        rows += [(name, encode(one)), (name, encode(two))]
    write_csv(root / "stage1_train_labels.csv", rows, header=("ImageId", "EncodedPixels"))
    for seed in range(3):
        save(root / "stage1_test" / f"t{seed}" / "images" / f"t{seed}.png", picture(shapes(seed, (40, 40)), seed))
    write_csv(
        root / "stage1_sample_submission.csv", [(f"t{i}", "") for i in range(3)], header=("ImageId", "EncodedPixels")
    )
    _, competition = drafted(root)
    assert competition.profile.rows == "instance"
    assert competition.profile.train.image == ("stage1_train/{id}/images/{id}.png",)
    same(decoded(competition), truth)


@pytest.mark.parametrize("mask_of", [2, 6])
def test_a_row_that_stands_there_twice_is_no_instance(tmp_path, mask_of):
    """A copy of a row, or another mask for the same image: a mistake that is refused, not a table of objects."""
    root = tmp_path / "own"
    draw(root)
    sample_submission(root)
    lines = (root / "train.csv").read_text().splitlines()
    lines.append(f"tr002,{lines[1 + mask_of].partition(',')[2]}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    found = draft_profile(root)
    assert found.draft.tree["rows"] == "image"
    (doubt,) = found.draft.doubts
    copies = ", copies of each other" if mask_of == 2 else ""
    assert doubt.startswith(f"rows: 1 of 16 images have several rows in train.csv{copies}: tr002. ")
    (problem,) = found.tried.problems
    assert "1 duplicate ids: tr002" in problem


def test_a_row_that_stands_there_twice_does_not_hide_the_classes(tmp_path):
    root, values = tmp_path / "own", ("1", "2", "3")
    _, rows = by_class(root, lambda *row: row, overlap=True, only_positive=True)
    header = ("ImageId", "Kind", "EncodedPixels")
    write_csv(root / "train.csv", [*rows, rows[7]], header=header)
    add_test(root, lambda *row: row, values, header)
    found = draft_profile(root)
    assert (found.draft.tree["rows"], found.draft.tree["class_values"]) == ("class", ["1", "2", "3"])
    (problem,) = found.tried.problems
    assert f"1 duplicate ids: {rows[7][0]} (class {rows[7][1]})" in problem


def with_class(root, form, rows_of):
    """Rows of (id, rle, class, species); ``rows_of(seed)`` are the classes of an image's rows."""
    rows = []
    for seed in range(COUNT):
        drawn = [shapes(seed * 5 + place, (44, 57), 1) for place, _ in enumerate(rows_of(seed))]
        save(root / "train" / f"n{seed:02d}.png", picture(np.max(drawn, axis=0), seed))
        rows += [form(f"n{seed:02d}", encode(mask), value) for mask, value in zip(drawn, rows_of(seed), strict=True)]
    return rows


def test_instances_of_several_classes_are_said_not_to_be_supported(tmp_path, drafted):
    """As in iMaterialist: an image's rows are objects, several of one class."""
    root = tmp_path / "own"
    rows = with_class(
        root, lambda *row: (*row, f"sp{int(row[0][1:]) % 3}"), lambda seed: ["7", "23", "7"][: 2 + seed % 2]
    )
    write_csv(root / "train.csv", rows, header=("ImageId", "EncodedPixels", "ClassId", "species"))
    sample_submission(root, suffix=".png", header=("ImageId", "EncodedPixels"))
    found, competition = drafted(root)
    assert (competition.profile.rows, competition.labels.task) == ("instance", "binary")
    (doubt,) = [text for text in found.draft.doubts if text.startswith("rows: ")]
    assert "ClassId looks like a class, but (image, class) repeats: instances of several classes are not" in doubt
    assert "unite the rows of a class in each image" in doubt
    assert "no column of a class" not in found.text
    (remark,) = [text for text in found.draft.remarks if "column " in text]
    assert "column species: 3 values, one for each image: taken for an attribute" in remark
    assert "group" not in remark, "tables of groups have one row for an image"


def test_what_is_said_of_an_image_is_not_the_class_of_its_mask(tmp_path, drafted):
    """As in HuBMAP + HPA: a row for each image, with its organ; a submission has none."""
    root = tmp_path / "own"
    rows = with_class(root, lambda name, rle, organ: (name, organ, rle), lambda seed: [("kidney", "lung")[seed % 2]])
    write_csv(root / "train.csv", rows, header=("id", "organ", "rle"))
    sample_submission(root)
    found, competition = drafted(root)
    assert (competition.profile.rows, competition.profile.columns) == ("image", {"id": "id", "mask": "rle"})
    (remark,) = [text for text in found.draft.remarks if "organ" in text]
    assert "train.csv, column organ: 2 values, one for each image: taken for an attribute" in remark
    assert "add group: {file: train.csv, id: id, column: organ}" in remark
    _, competition = drafted(root, group={"file": "train.csv", "id": "id", "column": "organ"})
    assert competition.samples("train")[3].group == "lung"


def test_a_class_of_images_with_one_row_that_a_submission_has_too(tmp_path, drafted):
    root = tmp_path / "own"
    rows = with_class(root, lambda name, rle, kind: (name, kind, rle), lambda seed: [("cat", "dog")[seed % 2]])
    write_csv(root / "train.csv", rows, header=("id", "kind", "rle"))
    for name in ("te0", "te1"):
        save(root / f"test/{name}.png", picture(shapes(4, (40, 52)), 1))
    sample = [(name, kind, "1 1") for name in ("te0", "te1") for kind in ("cat", "dog")]
    write_csv(root / "sample_submission.csv", sample, header=("id", "kind", "rle"))
    _, competition = drafted(root, metric="miou")
    assert competition.profile.class_names == ("background", "cat", "dog")
    assert competition.profile.columns["class"] == "kind"


def test_sixteen_bit_images_and_bands_in_files_of_their_own(tmp_path, drafted):
    root = tmp_path / "own"
    truth = draw(root, dtype=np.uint16, channels=1)
    sample_submission(root, dtype=np.uint16, channels=1)
    _, competition = drafted(root)
    spec = competition.images
    assert (spec.channels, spec.dtype, spec.scale) == (1, "uint16", 4095)
    same(decoded(competition), truth)

    root, truth, rows = tmp_path / "bands", {}, []
    for seed in range(COUNT):
        mask = truth[f"1000{seed:02d}"] = shapes(seed, (32, 44))
        for band in ("band_08", "band_11"):
            save(root / "train" / f"1000{seed:02d}" / f"{band}.npy", picture(mask, seed, np.float32, 1)[..., 0] * 300)
        rows.append((f"1000{seed:02d}", encode(mask, order="C")))
    write_csv(root / "train.csv", rows, header=("record_id", "encoded_pixels"))
    for band in ("band_08", "band_11"):
        save(root / "test" / "20" / f"{band}.npy", picture(mask, 1, np.float32, 1)[..., 0] * 300)
    write_csv(root / "sample_submission.csv", [("20", "-")], header=("record_id", "encoded_pixels"))
    _, competition = drafted(root)
    assert competition.profile.train.image == ("train/{id}/band_08.npy", "train/{id}/band_11.npy")
    assert (competition.images.channels, competition.images.dtype) == (2, "float32")
    assert competition.image(competition.samples("train")[0].image).shape == (32, 44, 2)
    same(decoded(competition), truth)


def test_images_of_several_files_that_are_not_stored_alike(tmp_path):
    root, rows = tmp_path / "bands", []
    for seed in range(COUNT):
        mask, kind = shapes(seed, (32, 44)), (np.uint8, np.uint16)[seed % 2]
        for band in ("red", "nir"):
            save(root / "train" / f"1000{seed:02d}_{band}.png", picture(mask, seed, kind, 1))
        rows.append((f"1000{seed:02d}", encode(mask)))
    write_csv(root / "train.csv", rows, header=("id", "rle"))
    found = draft_profile(root)
    assert "the images are not stored alike" in found.draft.doubts
    assert found.draft.tree["train"]["image"] == ["train/{id}_nir.png", "train/{id}_red.png"]


def test_images_that_cannot_be_read_are_said_though_others_can(tmp_path):
    root = tmp_path / "own"
    draw(root, suffix=".npy", dtype=np.float32)
    path = root / "train/tr003.npy"
    image = np.load(path)
    image[4, 5:8, 1] = np.nan
    np.save(path, image)
    (doubt,) = [doubt for doubt in draft_profile(root).draft.doubts if "cannot be read" in doubt]
    assert doubt.startswith("images that cannot be read: train/tr003.npy holds NaN or infinity in 3 of 10080 values")


def test_a_sample_submission_of_a_header_alone_is_of_hidden_test_images(tmp_path, drafted):
    root, rows, truth = tmp_path / "own", [], {}
    for seed in range(COUNT):
        name, size = f"case{seed // 4}_day{seed % 4}", (40, 52)
        save(root / f"train/case{seed // 4}/day{seed % 4}_{50 + seed % 3}.png", picture(shapes(seed, size), seed))
        layers = [shapes(seed + 50 * place, size) * (seed % 3 != place) for place in range(2)]
        truth[name] = np.stack(layers)
        rows += [(name, value, encode(mask, "C")) for value, mask in zip(("bowel", "lung"), layers, strict=True)]
    write_csv(root / "train.csv", rows, header=("id", "class", "segmentation"))
    write_csv(root / "sample_submission.csv", [], header=("id", "class", "predicted"))
    found, competition = drafted(root)
    same(decoded(competition), truth)
    profile = competition.profile
    assert profile.test.hidden
    assert profile.test.image == ("test/{case}/{day}_*.png",)
    assert profile.class_names == ("bowel", "lung")
    assert profile.dialect.empty is None
    assert len(found.draft.doubts) == 1
    assert found.draft.doubts[0].startswith("test.image: that test images are called like training images is a guess")


def test_images_spread_over_folders_and_suffixes_in_names(tmp_path, drafted):
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        mask = truth[f"s{seed:02d}"] = shapes(seed, (40, 52))
        save(root / f"part_{seed % 2}" / f"s{seed:02d}_rgb.png", picture(mask, seed))
        rows.append((f"s{seed:02d}", encode(mask)))
    write_csv(root / "train.csv", rows, header=("id", "rle"))
    sample_submission(root)
    _, competition = drafted(root)
    assert competition.profile.train.roots == ("part_0", "part_1")
    assert competition.profile.train.image == ("{id}_rgb.png",)
    same(decoded(competition), truth)


@pytest.mark.parametrize("other", [4, 15])
def test_images_of_several_suffixes(tmp_path, drafted, other):
    """Each image is one file, every ``other``-th of another format."""
    root, truth, rows = tmp_path / "own", {}, []
    for seed in range(COUNT):
        name, suffix = f"s{seed:02d}", (".tif" if seed % other == 1 else ".png")
        mask = truth[name] = shapes(seed, (40, 52))
        save(root / "train" / f"{name}{suffix}", picture(mask, seed))
        rows.append((name, encode(mask)))
    write_csv(root / "train.csv", rows, header=("id", "rle"))
    sample_submission(root)
    found, competition = drafted(root)
    profile = competition.profile
    assert (profile.train.image, profile.test.image) == (("train/{id}.*",), ("test/{id}.png",))
    same(decoded(competition), truth)
    assert found.draft.doubts == []


def test_ids_whose_parts_are_spread_over_a_path(tmp_path, drafted):
    root, truth, rows, sample = tmp_path / "own", {}, [], []
    for seed in range(24):
        case, day, slice_ = f"case{seed % 4 + 1}", f"day{seed // 20}", f"{seed:04d}"
        name = f"{case}_{day}_slice_{slice_}"
        mask = shapes(seed, (38, 50))
        split = "train" if seed < 20 else "test"
        folder = root / split / case / f"{case}_{day}" / "scans"
        save(folder / f"slice_{slice_}_{38 + seed}_50_1.50.png", picture(mask, seed, np.uint16, 1))
        if split == "train":
            truth[name] = np.stack([mask, shapes(seed + 60, (38, 50))])
            rows += [
                (name, organ, encode(layer, "C")) for organ, layer in zip(("liver", "colon"), truth[name], strict=True)
            ]
        else:
            sample += [(name, organ, "") for organ in ("liver", "colon")]
    write_csv(root / "train.csv", rows, header=("id", "class", "segmentation"))
    write_csv(root / "sample_submission.csv", sample, header=("id", "class", "predicted"))
    _, competition = drafted(root)
    profile = competition.profile
    assert profile.id_pattern == "{case}_{day}_slice_{slice:d}"
    assert profile.train.image == ("train/{case}/{case}_{day}/scans/slice_{slice}_*.png",)
    assert profile.class_names == ("colon", "liver")
    assert (profile.task, profile.dialect.order) == ("multilabel", "C")
    same(decoded(competition), {name: layers[::-1] for name, layers in truth.items()})
    assert len(competition.samples("test")) == 4


def test_slices_of_volumes_with_labels_beside_them(tmp_path, drafted):
    root, truth, rows = tmp_path / "own", {}, []
    for volume, size in {"kidney_1_dense": (60, 44), "kidney_2": (52, 66), "kidney_3_sparse": (58, 42)}.items():
        for number in range(5):
            name = f"{volume}_{number:04d}"
            mask = truth[name] = shapes(number + len(volume), size) * (number != 3)
            save(root / "train" / volume / "images" / f"{number:04d}.tif", picture(mask, number, np.uint16, 1))
            save(root / "train" / volume / "annotation" / f"{number:04d}.tif", mask * 255)
            rows.append((name, encode(mask, "C") or "1 0"))
    write_csv(root / "train_rles.csv", rows, header=("id", "rle"))
    for number in range(3):
        save(root / "test" / "kidney_5" / "images" / f"{number:04d}.tif", picture(mask, number, np.uint16, 1))
    write_csv(root / "sample_submission.csv", [(f"kidney_5_{i:04d}", "1 0") for i in range(3)], header=("id", "rle"))
    found, competition = drafted(root, group="*/{group}/images/*.tif")
    assert '"*/{group}/images/*.tif"' in " ".join(found.draft.remarks)
    profile = competition.profile
    assert profile.train.image == ("train/{kidney}/images/{part_a}.tif",)
    assert (profile.dialect.order, profile.dialect.empty) == ("C", "1 0")
    same(decoded(competition), truth)
    assert {sample.group for sample in competition.samples("train")} == {
        "kidney_1_dense",
        "kidney_2",
        "kidney_3_sparse",
    }
    with SubmissionWriter(competition, tmp_path / "s.csv", competition.samples("test").ids) as writer:
        for sample in competition.samples("test"):
            writer.write(sample.id, np.zeros(competition.size(sample.image), np.uint8))
    assert (tmp_path / "s.csv").read_text().splitlines()[1] == "kidney_5_0000,1 0"


def test_a_table_in_each_images_folder_leaves_the_others_images_no_empty_masks(tmp_path):
    root = tmp_path / "own"
    for seed in range(5):
        mask = shapes(seed, (48, 70))
        save(root / f"train/{seed}/layer.png", picture(mask, seed))
        write_csv(root / f"train/{seed}/ink_rle.csv", [(str(seed), encode(mask, "C"))], header=("id", "rle"))
    write_csv(root / "zz_old/ink_rle.csv", [("0", encode(shapes(0, (48, 70)), "C"))], header=("id", "rle"))
    for seed in (7, 8):
        save(root / f"test/{seed}/layer.png", picture(shapes(seed, (48, 70)), seed))
    write_csv(root / "sample_submission.csv", [("7", "1 1"), ("8", "1 1")], header=("id", "rle"))
    draft = draft_profile(root).draft
    assert draft.open == ["metric", "train.table"]
    reason = next(entry.reason for entry in draft.entries if entry.key == "train.table")
    assert reason.startswith("5 tables of one form hold masks: train/0/ink_rle.csv, train/1/ink_rle.csv")
    assert "unlisted" not in draft.tree["train"]
    assert draft.tree["dialect"]["order"] == "C"


def test_a_table_that_names_groups_is_named(tmp_path, drafted):
    root = tmp_path / "own"
    truth = draw(root)
    sample_submission(root)
    write_csv(
        root / "places.csv",
        [(name, f"field{i % 3}", str(i)) for i, name in enumerate(truth)],
        header=("id", "farm", "z"),
    )
    found, competition = drafted(root, group={"file": "places.csv", "id": "id", "column": "farm"})
    assert "group: {file: places.csv, id: id, column: farm}" in " ".join(found.draft.remarks)
    assert "column z" not in " ".join(found.draft.remarks)
    assert competition.samples("train")[4].group == "field1"


def test_what_is_left_open_is_refused_by_name(tmp_path):
    root = tmp_path / "own"
    draw(root)
    found = draft_profile(root)
    assert found.draft.open == ["metric", "test.table", "test.image"]
    assert "There are dice, iou, miou," in " ".join(found.text.replace("#", "").split())
    path = tmp_path / "p.yaml"
    path.write_text(found.text)
    with pytest.raises(
        CompetitionError, match=r"p\.yaml is a draft: metric, test\.table, test\.image still to be filled in"
    ):
        load_profile(str(path))


def test_the_nearest_profile_and_what_differs(tmp_path):
    root, rows = tmp_path / "own", []
    for seed in range(COUNT):
        mask = shapes(seed, (50, 64))
        save(root / "pictures" / f"{seed}.jpg", picture(mask, seed))
        rows += [(f"{seed}.jpg", encode(mask)), (f"{seed}.jpg", encode(shapes(seed + 40, (50, 64))))]
    write_csv(root / "train_ship_segmentations_v2.csv", rows, header=("ImageId", "EncodedPixels"))
    nearest = draft_profile(root).tried.nearest
    assert (nearest.name, nearest.metric) == ("airbus-ships", "airbus_f2")
    assert any(text.startswith("train.image is pictures/{id}, there train") for text in nearest.differences)
    assert not any("test." in text for text in nearest.differences)


def test_ids_without_an_image_and_strings_that_cannot_be_read_are_said(tmp_path):
    root = tmp_path / "own"
    draw(root)
    sample_submission(root)
    (root / "train/tr004.png").unlink()
    text = (root / "train.csv").read_text().splitlines()
    text[3] = text[3] + " 99999 4"
    (root / "train.csv").write_text("\n".join(text))
    found = draft_profile(root)
    assert any("1 of 16 ids" in doubt for doubt in found.draft.doubts)
    assert len(found.tried.problems) == 2
    assert "tr004" in found.tried.problems[0]
    assert "tr002" in found.tried.problems[1]


def test_names_with_line_breaks_stay_in_their_comment(tmp_path):
    root = tmp_path / "own"
    draw(root)
    sample_submission(root)
    name = "x\nlayout: png-masks\u2028metric: dice\n.csv"
    (root / "train.csv").rename(root / name)
    text = draft_profile(root).text
    assert "png-masks" in text.partition("metric:")[0], "a comment names the table"
    tree = yaml.safe_load(text)
    assert (tree["layout"], tree["metric"], tree["train"]["table"]) == ("csv", "FILL-IN", name)


def test_folders_without_images_or_masks(tmp_path):
    with pytest.raises(CompetitionError, match="is not a folder"):
        draft_profile(tmp_path / "none")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(CompetitionError, match="holds no image"):
        draft_profile(tmp_path)
