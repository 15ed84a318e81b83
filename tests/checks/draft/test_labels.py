"""Drafts of competitions of label files: what they read is what was drawn."""

import re

import cv2
import numpy as np
import pytest
from tests.drawn_folders import decoded, picture, same, save, shapes, write_csv

from maskfold.checks.draft import draft_profile
from maskfold.competitions import SubmissionWriter


def classes(seed, size=(36, 50), count=4):
    """A map of classes 0..count-1."""
    return np.max([place * shapes(seed * 5 + place, size, 2) for place in range(1, count)], 0).astype(np.uint8)


def write_images(folder, names, suffix=".jpg", size=(36, 50)):
    for seed, name in enumerate(names):
        save(folder / f"{name}{suffix}", picture(shapes(seed, size), seed))


NAMES = [f"tile_{seed:02d}" for seed in range(9)]


def test_binary_masks_in_folders_of_two_splits(tmp_path, drafted):
    root = tmp_path / "own"
    truth = {name: shapes(seed, (36, 50)) for seed, name in enumerate(NAMES)}
    write_images(root / "train/images", NAMES)
    for name, mask in truth.items():
        save(root / "train/masks" / f"{name}.png", mask * 255)
    write_images(root / "test/images", ["q1", "q2"])
    found, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.layout == "label-files"
    assert sorted(competition.samples("test").ids) == ["q1", "q2"]
    assert found.draft.doubts == []
    with SubmissionWriter(competition, tmp_path / "out", ["q1", "q2"]) as writer:
        for name in ("q1", "q2"):
            writer.write(name, shapes(3, (36, 50)))


def test_masks_of_0_and_1_beside_masks_of_0_and_255_are_of_one_class(tmp_path, drafted):
    root = tmp_path / "own"
    truth = {name: shapes(seed, (36, 50)) * (seed != 4) for seed, name in enumerate(NAMES)}
    write_images(root / "images", NAMES)
    for seed, (name, mask) in enumerate(truth.items()):
        save(root / "masks" / f"{name}.png", mask * (255 if seed % 3 == 1 else 1))
    write_images(root / "test", ["q1", "q2"])
    found, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.labels.class_names == ("foreground",)
    (doubt,) = found.draft.doubts
    assert doubt.startswith("label_map: 6 label files hold 1, 2 others hold 255: both are taken for the foreground")


def test_that_255_is_taken_for_what_is_not_scored_is_said(tmp_path, drafted):
    root = tmp_path / "own"
    write_images(root / "images", NAMES)
    for seed, name in enumerate(NAMES):
        label = classes(seed, count=3)
        label[:2, :7] = 255 if seed < 5 else 0
        save(root / "masks" / f"{name}.png", label)
    found, competition = drafted(root, metric="miou")
    assert len(competition.labels.class_names) == 3
    said = "label_map: 255, in 5 of 9 label files, is taken for what is not scored"
    assert any(doubt.startswith(said) for doubt in found.draft.doubts)


def test_images_without_a_mask_in_the_same_folder_are_the_test_split(tmp_path, drafted):
    root = tmp_path / "own"
    truth = {name: shapes(seed, (36, 50)) for seed, name in enumerate(NAMES)}
    write_images(root / "pics", [*NAMES, "tile_90", "tile_91"])
    for name, mask in truth.items():
        save(root / "annotations" / f"{name}.png", mask)
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.layout == "png-masks"
    assert sorted(competition.samples("test").ids) == ["tile_90", "tile_91"]


def test_images_without_a_mask_among_masks_of_other_names_are_to_be_moved(tmp_path, drafted):
    root = tmp_path / "own"
    write_images(root / "images", [*NAMES, "tile_90", "tile_91"])
    for seed, name in enumerate(NAMES):
        save(root / "masks" / f"{name}_mask.png", shapes(seed, (36, 50)) * 255)
    (doubt,) = draft_profile(root).draft.doubts
    assert doubt.startswith("2 images have no label, images/tile_90.jpg, images/tile_91.jpg: to predict them, move")
    (root / "test").mkdir()
    for name in ("tile_90.jpg", "tile_91.jpg"):
        (root / "images" / name).rename(root / "test" / name)
    found, competition = drafted(root)
    assert sorted(competition.samples("test").ids) == ["tile_90", "tile_91"]
    assert found.draft.doubts == []


@pytest.mark.parametrize("text", ["1 3 10 5", "-1", ""])
def test_masks_in_files_and_a_submission_of_run_lengths(tmp_path, drafted, text):
    root = tmp_path / "own"
    truth = {f"{seed}": shapes(seed, (36, 50)) for seed in range(9)}
    write_images(root / "train", truth)
    for name, mask in truth.items():
        save(root / "train_mask" / f"{name}.png", mask * 255)
    write_images(root / "test", ["11150", "11151"])
    write_csv(root / "sample_submission.csv", [("11151", text), ("11150", text)], header=("image", "rle_mask"))
    found, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.submission_kind == "csv"
    assert any("dialect" in doubt for doubt in found.draft.doubts)
    with SubmissionWriter(competition, tmp_path / "s.csv", ["11150", "11151"]) as writer:
        for name in ("11150", "11151"):
            writer.write(name, np.zeros((36, 50), np.uint8))
    empty = text if text == "-1" else ""
    assert (tmp_path / "s.csv").read_text() == f"image,rle_mask\n11151,{empty}\n11150,{empty}\n"


def test_masks_in_files_and_a_submission_of_which_only_the_header_is_known(tmp_path, drafted):
    root = tmp_path / "own"
    truth = {f"{seed}": shapes(seed, (36, 50)) for seed in range(9)}
    write_images(root / "train_images", truth)
    for name, mask in truth.items():
        save(root / "train_masks" / f"{name}.png", mask * 255)
    write_csv(root / "sample_submission.csv", [], header=("image", "rle_mask"))
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.submission_kind == "csv"
    assert competition.profile.test.hidden
    assert competition.profile.test.image == ("test_images/{id}.jpg",)


def test_masks_in_files_of_blurred_colours_and_a_submission_with_a_row_for_each_class(tmp_path, drafted):
    root, truth, size = tmp_path / "own", {}, (150, 190)
    names = [f"{place:x}c0ffee{place}" for place in range(9)]
    colours = np.array([(0, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)  # blue, green, red
    write_images(root / "train/train", names, ".jpeg", size)
    for seed, name in enumerate(names):
        label = truth[name] = classes(seed, size, count=3)
        save(root / f"train_gt/train_gt/{name}.jpeg", colours[label])
    write_images(root / "test/test", ["ab12", "cd34"], ".jpeg", size)
    rows = [(f"{name}_{kind}", "1 10") for name in ("cd34", "ab12") for kind in (0, 1)]
    write_csv(root / "sample_submission.csv", rows, header=("Id", "Expected"))
    _, competition = drafted(root)
    assert competition.labels.task == "multiclass"
    wrong = [np.mean(found != truth[name]) for name, found in decoded(competition).items()]
    assert len(wrong) == 9
    assert np.max(wrong) < 0.05  # edges, which the compression blurs
    with SubmissionWriter(competition, tmp_path / "s.csv", ["cd34", "ab12"]) as writer:
        for name in ("cd34", "ab12"):
            writer.write(name, classes(3, size, count=3))
    assert (tmp_path / "s.csv").read_text().splitlines()[1].startswith("cd34_0,")


def test_a_table_without_the_ids_of_images_does_not_hide_the_masks_in_files(tmp_path, drafted):
    """The images of a person have numbers, and so have those of the test split, of whom nobody knows the person."""
    root, truth, rows = tmp_path / "own", {}, []
    for person in range(1, 4):
        for number in range(1, 5):
            mask = shapes(5 * person + number, (36, 50))
            name = f"{person}_{number}"
            truth[name] = mask
            save(root / f"train/{name}.tif", picture(mask, number))
            save(root / f"train/{name}_mask.tif", mask * 255)
            rows.append((str(person), str(number), "3 4 9 2"))
    write_csv(root / "train_masks.csv", rows, header=("subject", "img", "pixels"))
    write_images(root / "test", [str(number) for number in range(1, 8)], ".tif")
    write_csv(root / "sample_submission.csv", [(str(n), "1 1") for n in range(1, 8)], header=("img", "pixels"))
    _, competition = drafted(root, group="train/{group}_*.tif")
    same(decoded(competition), truth)
    assert {sample.group for sample in competition.samples("train")} == {"1", "2", "3"}
    assert {sample.group for sample in competition.samples("test")} == {None}


def test_a_folder_of_bands_for_each_image_and_labels_in_one_folder(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for seed, name in enumerate(("adwp", "benq", "cfdu", "dxkl", "test_x", "test_y")):
        mask = shapes(seed, (36, 50))
        split = "test" if name.startswith("test") else "train"
        for place, band in enumerate(("B02", "B03", "B04", "B08")):
            values = (picture(mask, seed)[..., 0].astype(np.uint16) + place) * 9
            save(root / f"{split}_features/{name.removeprefix('test_')}/{band}.tif", values)
        if split == "train":
            truth[name] = mask
            save(root / f"train_labels/{name}.tif", mask)
    found, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.images.channels == 4
    assert competition.samples("test").ids == ("x", "y")
    assert any('{file: "{id}.tif"}' in remark for remark in found.draft.remarks)


def test_masks_beside_their_images_blurred_by_jpeg(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for seed in range(8):
        mask = cv2.resize(shapes(seed, (36, 50)), (200, 144), interpolation=cv2.INTER_NEAREST)
        save(root / "train" / f"{seed}7_sat.jpg", picture(mask, seed))
        cv2.imwrite(str(root / "train" / f"{seed}7_mask.jpg"), mask * 255, [cv2.IMWRITE_JPEG_QUALITY, 97])
        truth[f"{seed}7"] = mask
    _, competition = drafted(root)
    for name, mask in decoded(competition).items():
        assert np.mean(mask != truth[name]) < 0.002
    assert competition.profile.train[0].label == "train/{id}_mask.jpg"


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_seven_signed_bands_and_masks_named_after_what_they_show(tmp_path, drafted):
    rasterio = pytest.importorskip("rasterio")
    root, truth = tmp_path / "own", {}
    for seed in range(7):
        split, name = ("train" if seed < 5 else "test"), f"AB{seed:03d}"
        mask = shapes(seed, (36, 50))
        bands = np.moveaxis(picture(mask, seed, np.uint16, 7), -1, 0).astype(np.int16) - 100
        (root / f"{split}_satellite").mkdir(parents=True, exist_ok=True)
        path = root / f"{split}_satellite" / f"{name}_satellite.tif"
        with rasterio.open(path, "w", driver="GTiff", width=50, height=36, count=7, dtype="int16") as raster:
            raster.write(bands)
        if split == "train":
            truth[name] = mask
            save(root / "train_kelp" / f"{name}_kelp.tif", mask)
    found, competition = drafted(root, submission={"file": "{id}_kelp.tif"}, label_map={0: 0, 1: 1})
    same(decoded(competition), truth)
    assert (competition.images.channels, competition.images.dtype) == (7, "float32")
    assert 'submission: {file: "{id}_kelp.tif"}' in " ".join(found.draft.remarks)
    with SubmissionWriter(competition, tmp_path / "out", ["AB005", "AB006"]) as writer:
        for name in ("AB005", "AB006"):
            writer.write(name, mask)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out/AB006_kelp.tif"), cv2.IMREAD_UNCHANGED), mask)


def test_a_folder_for_each_image_with_its_bands_and_its_mask(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for seed in range(8):
        split, name = ("train" if seed < 6 else "test"), f"10{seed}7"
        mask = shapes(seed, (32, 44))
        for band in ("band_08", "band_14"):
            save(root / split / name / f"{band}.npy", picture(mask, seed, np.float32, 1)[..., 0])
        if split == "train":
            truth[name] = mask
            save(root / split / name / "human_pixel_masks.npy", mask[..., None])
    write_csv(root / "sample_submission.csv", [("1067", "-"), ("1077", "-")], header=("record_id", "encoded_pixels"))
    _, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.train.image == ("train/{id}/band_08.npy", "train/{id}/band_14.npy")
    assert competition.profile.dialect.empty == "-"
    assert competition.samples("test").ids == ("1067", "1077")


def test_masks_in_npy_beside_those_of_each_annotator(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for seed, split in enumerate(("train",) * 5 + ("validation",) * 3 + ("test",) * 2):
        name, label = f"20{seed}", classes(seed, count=3)
        save(root / split / name / "band_08.npy", picture(shapes(seed, (36, 50)), seed, np.float32, 1)[..., 0])
        if split == "train":
            truth[name] = label == 2
            save(root / split / name / "human_individual_masks.npy", np.stack([label == 1, label == 2])[..., None])
        if split != "test":
            save(root / split / name / "human_pixel_masks.npy", (label == 2).astype(np.int32)[..., None])
    write_csv(root / "sample_submission.csv", [("208", "1 1"), ("209", "1 1")], header=("record_id", "encoded_pixels"))
    found, competition = drafted(root)
    same(decoded(competition), truth)
    assert competition.profile.train.mask == "train/{id}/human_pixel_masks.npy"
    assert "other labels of the same images, not used: train/{id}/human_individual_masks.npy" in found.draft.remarks
    assert any("validation/{id}/band_08.npy (3)" in doubt for doubt in found.draft.doubts)


def test_classes_in_npy(tmp_path, drafted):
    root = tmp_path / "own"
    write_images(root / "images", NAMES)
    truth = {name: classes(seed, count=3) for seed, name in enumerate(NAMES)}
    for name, label in truth.items():
        save(root / "labels" / f"{name}.npy", label.astype(np.int64))
    write_images(root / "test", ["q1", "q2"])
    _, competition = drafted(root, metric="miou")
    same(decoded(competition), truth)
    assert len(competition.labels.class_names) == 3


def test_values_with_holes_and_what_is_not_scored(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    values = np.array([3, 7, 8, 40], np.uint8)
    write_images(root / "image", NAMES, ".png")
    for seed, name in enumerate(NAMES):
        label = classes(seed)
        stored = values[label]
        stored[:3, :5] = 255
        save(root / "label" / f"{name}.png", stored)
        truth[name] = label
    found, competition = drafted(root, metric="miou")
    assert competition.profile.class_names == ("class_3", "class_7", "class_8", "class_40")
    for sample in competition.samples("train"):
        label = competition.label(sample.masks, (36, 50))
        assert not label.valid[:3, :5].any()
        assert label.valid.sum() == 36 * 50 - 15
        np.testing.assert_array_equal(label.values[label.valid], truth[sample.id][label.valid])
    assert "test split" in " ".join(found.draft.doubts)


def test_colours_that_a_table_names(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    colours = np.array([(0, 0, 0), (128, 0, 64), (255, 255, 0), (10, 200, 30)], np.uint8)
    order = [2, 0, 3, 1]  # in the table
    rows = [(f"kind {place}", *map(str, colours[place])) for place in order]
    write_csv(root / "class_dict.csv", rows, header=("name", "r", "g", "b"))
    write_images(root / "train", NAMES, ".png")
    for seed, name in enumerate(NAMES):
        label = classes(seed)
        save(root / "train_labels" / f"{name}_L.png", colours[label][..., ::-1])
        truth[name] = np.argsort(order)[label]
    write_images(root / "test", ["x0", "x1"], ".png")
    _, competition = drafted(root, metric="miou")
    assert competition.profile.class_names == ("kind 2", "kind 0", "kind 3", "kind 1")
    same(decoded(competition), truth)
    assert len(competition.samples("test")) == 2


def test_folders_without_a_telling_name_are_told_by_what_they_hold(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    write_images(root / "x", NAMES, ".png")
    for seed, name in enumerate(NAMES):
        truth[name] = classes(seed)
        save(root / "y" / f"{name}.png", truth[name])
    found, competition = drafted(root, metric="miou")
    same(decoded(competition), truth)
    assert competition.profile.train[0].label == "y/{id}.png"
    assert competition.profile.test == ()
    assert any(doubt.startswith("no images without labels were found") for doubt in found.draft.doubts)


@pytest.mark.parametrize("separator", [" ", ","])
def test_lists_of_images_and_labels(tmp_path, drafted, separator):
    root, truth = tmp_path / "own", {}
    write_images(root / "JPEG", NAMES)
    for seed, name in enumerate(NAMES):
        truth[f"JPEG/{name}.jpg"] = classes(seed, count=3)
        save(root / "Ann" / f"{name}.png", classes(seed, count=3))
    lines = [(f"JPEG/{name}.jpg", f"Ann/{name}.png") for name in NAMES]
    write_csv(root / "train_list.txt", lines[:5], separator)
    write_csv(root / "val_list.txt", lines[5:7], separator)
    write_csv(root / "test_list.txt", [line[:1] for line in lines[7:]], separator)
    _, competition = drafted(root, metric="miou")
    assert competition.profile.layout == "file-list"
    same(decoded(competition), dict(list(truth.items())[:7]))
    assert [sample.split for sample in competition.samples("train")].count("valid") == 2
    assert len(competition.samples("test")) == 2


@pytest.mark.parametrize("labels", ["SegmentationLabels", "y"])
def test_lists_of_ids_divide_one_folder(tmp_path, drafted, labels):
    root, truth = tmp_path / "own", {}
    write_images(root / "JPEGImages", NAMES)
    for seed, name in enumerate(NAMES):
        truth[name] = classes(seed)
        save(root / labels / f"{name}.png", truth[name])
    for split, names in {"train": NAMES[:6], "val": NAMES[6:8], "test": NAMES[8:]}.items():
        write_csv(root / "ImageSets" / f"{split}.txt", [(name,) for name in names])
    _, competition = drafted(root, metric="miou")
    same(decoded(competition), {name: truth[name] for name in NAMES[:8]})
    (sample,) = competition.samples("test")
    assert sample.image == "JPEGImages/tile_08.jpg"


def test_files_of_one_name_in_several_volumes_keep_their_own_labels(tmp_path):
    root = tmp_path / "own"
    for volume in ("kidney_1", "kidney_2"):
        write_images(root / "train" / volume / "images", NAMES)
        for seed, name in enumerate(NAMES):
            save(root / "train" / volume / "labels" / f"{name}.png", shapes(seed, (36, 50)) * 255)
    found = draft_profile(root)
    assert found.draft.tree["train"] == [
        {"image": f"train/{volume}/images/{{id}}.jpg", "label": f"train/{volume}/labels/{{id}}.png"}
        for volume in ("kidney_1", "kidney_2")
    ]
    assert "9 duplicate ids: tile_00" in found.tried.problems[0]


def test_folders_of_places_are_one_pattern(tmp_path, drafted):
    root, truth = tmp_path / "own", {}
    for split, places in {"train": ("aachen", "bonn"), "val": ("ulm",)}.items():
        for number, place in enumerate(places):
            for seed in range(3):
                name = f"{place}_00{seed}"
                label = truth[name] = classes(seed + 7 * number)
                save(root / "leftImg8bit" / split / place / f"{name}_leftImg8bit.png", picture(label > 0, seed))
                save(root / "gtFine" / split / place / f"{name}_gtFine_labelIds.png", label)
                save(root / "gtFine" / split / place / f"{name}_gtFine_instanceIds.png", (label * 3))
    found, competition = drafted(root, metric="miou")
    same(decoded(competition), truth)
    assert sum(sample.split == "valid" for sample in competition.samples("train")) == 3
    remarks = " ".join(found.draft.remarks)
    assert "instanceIds" in remarks
    group = re.search('add group: "(.*?)"', remarks)[1]
    _, competition = drafted(root, metric="miou", group=group)
    groups = {sample.id: sample.group for sample in competition.samples("train")}
    assert groups == {name: name.partition("_")[0] for name in truth}
