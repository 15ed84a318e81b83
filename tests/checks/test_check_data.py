import cv2
import numpy as np
import pytest

from maskfold.checks import check_data, images
from maskfold.checks.notes import Notes
from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, FoldsConfig, GroupConfig

RLES = ["1 5 60 12", "", "14 7", "100 30 200 8", "33 9", "41 3", "7 100"]
HOLDOUT = FoldsConfig(kind="holdout", valid_share=0.3)


@pytest.fixture
def root(tmp_path):
    """A whole competition in the tianchi-buildings layout: 7 training and 2 test tiles of 20 x 24 pixels."""
    generator = np.random.default_rng(0)
    for folder, count in (("train", 7), ("test_a", 2)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            tile = generator.integers(0, 256, (20, 24, 3), np.uint8)
            assert cv2.imwrite(str(tmp_path / folder / f"{folder}{i}.png"), tile)
    write_masks(tmp_path, RLES)
    (tmp_path / "test_a_samplesubmit.csv").write_text("test_a0.png\t\ntest_a1.png\t\n")
    return tmp_path


def write_masks(root, rles):
    rows = [f"train{i}.png\t{rle}\n" for i, rle in enumerate(rles)]
    (root / "train_mask.csv").write_text("".join(rows))


def check(root, folds=HOLDOUT):
    return check_data(open_competition(CompetitionConfig(profile="tianchi-buildings", root=root)), folds)


def test_sound_data(root):
    report = check(root)
    assert report.ok
    assert not report.warnings
    assert report.facts["train images"] == "7"
    assert report.facts["test images"] == "2"
    assert report.facts["sizes (H x W)"] == "20x24 (9)"
    assert report.facts["channels"] == "RGB (9)"
    assert report.facts["empty masks"] == "1 of 7"
    foreground = (5 + 12 + 7 + 30 + 8 + 9 + 3 + 100) / (7 * 20 * 24)
    assert report.facts["pixels"] == f"background {1 - foreground:.1%}, building {foreground:.1%}"
    assert report.facts["folds"] == "1 (holdout), validation images 3"
    assert report.text().endswith("Problems: 0. Warnings: 0.")


def test_all_problems_in_one_pass(root):
    (root / "train" / "train0.png").write_bytes(b"not an image")
    whole = (root / "train" / "train1.png").read_bytes()
    (root / "train" / "train1.png").write_bytes(whole[: len(whole) // 2])
    (root / "test_a" / "test_a1.png").unlink()
    write_masks(root, [*RLES[:3], "480 2", "9 3 5 2", *RLES[5:]])
    report = check(root, FoldsConfig(kind="stratified", count=9))
    assert not report.ok
    test, images, masks, folds = report.problems
    assert "test split" in test
    assert "test_a1.png" in test
    assert images.startswith("2 images cannot be read")
    assert "train0.png" in images
    assert "train1.png" in images
    assert masks.startswith("2 masks cannot be used")
    assert "train3.png" in masks
    assert "train4.png" in masks
    assert "7 images for 9 folds" in folds
    assert all(f"Problem: {problem[:20]}" in report.text() for problem in report.problems)


def test_eight_different_faults_in_one_pass(root):
    (root / "train" / "train0.png").write_bytes(b"not an image")
    (root / "train" / "train1.png").unlink()
    (root / "test_a" / "test_a1.png").unlink()
    rows = [f"train{i}.png\t{rle}\n" for i, rle in enumerate(RLES)]
    rows[3] = "train3.png\t480 2\n"  # past the image
    rows += ["train4.png\t41 3\n", "../train5.png\t1 1\n"]  # a duplicate, an unsafe name
    rows[6] = "train6.png\t7 100 9 9\n"  # runs that overlap
    (root / "train_mask.csv").write_text("".join(rows))
    tile = cv2.imread(str(root / "train" / "train2.png"))
    cv2.imwrite(str(root / "train" / "train5.png"), tile)
    group = GroupConfig(file="groups.csv", id="name", column="place")
    (root / "groups.csv").write_text("name,place\n" + "".join(f"train{i}.png,p\n" for i in range(5)))
    report = check(root, FoldsConfig(kind="grouped", count=2, group=group))
    text = "\n".join(report.problems)
    for fault in (
        "1 duplicate ids: train4.png",
        "'../train5.png' is not a plain path",
        "train_mask.csv names 1 images that are not in",
        "test_a_samplesubmit.csv names 1 images",
        "1 images cannot be read: train/train0.png: it is not an image",
        "2 masks cannot be used: train3.png: RLE token 2 ('2')",
        "train6.png: RLE token",
        "groups.csv has no row for 2 images: train5.png, train6.png",
    ):
        assert text.count(fault) == 1, f"{fault}\n\n{text}"
    assert len(report.problems) == 7
    assert any("train/train2.png = train/train5.png" in warning for warning in report.warnings)
    assert report.facts["train images"] == "6"


def test_without_any_image(root):
    for part in ("train", "test_a"):
        for path in (root / part).iterdir():
            path.unlink()
    report = check(root)
    assert len(report.problems) == 2
    assert report.folds is report.dialect is report.shift is None
    assert report.images.table.empty
    assert report.masks.table.empty


def test_a_truncated_jpeg_is_found_though_opencv_reads_it(root, monkeypatch):
    path = root / "train" / "train0.jpg"
    blocks = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    assert cv2.imwrite(str(path), cv2.resize(blocks, (160, 160)))
    path.write_bytes(path.read_bytes()[:1500])
    # As lenient as OpenCV before version 5.
    monkeypatch.setattr(images, "decode_files", lambda files, spec, channels: np.zeros((160, 160, 3), np.uint8))
    (problem,) = check(root).problems
    assert "train0.jpg" in problem


def test_missing_training_image_does_not_hide_damaged_ones(root):
    (root / "train" / "train2.png").unlink()
    (root / "train" / "train5.png").write_bytes(b"")
    missing, damaged = check(root).problems
    assert "train2.png" in missing
    assert "train5.png" in damaged


def test_images_without_a_row(root):
    write_masks(root, RLES[:6])
    report = check(root)
    assert report.ok
    assert report.warnings == ["1 images are in no table and are not used: train/train6.png"]


def test_images_of_a_broken_table_are_no_strangers_but_still_read(root):
    (root / "train_mask.csv").write_text("one column\n")
    (root / "train" / "train5.png").write_bytes(b"")
    report = check(root)
    table, damaged = report.problems
    assert "the train split: train_mask.csv has 1 columns" in table
    assert "train5.png" in damaged
    assert not any("are in no table" in warning for warning in report.warnings)


def test_canonical_strings(root):
    write_masks(root, ["1 5 6 12", "", "14  7", RLES[3] + " ", *RLES[4:]])
    report = check(root)
    assert report.ok
    (warning,) = report.warnings
    assert warning.startswith("3 run-length strings are valid but not canonical")
    assert warning.endswith("train0.png, train2.png, train3.png")


def test_identical_images(root):
    tile = cv2.imread(str(root / "train" / "train3.png"))
    cv2.imwrite(str(root / "train" / "train5.png"), tile, [cv2.IMWRITE_PNG_COMPRESSION, 0])
    cv2.imwrite(str(root / "test_a" / "test_a0.png"), tile)
    for name in ("train0", "train1"):
        cv2.imwrite(str(root / "train" / f"{name}.png"), np.zeros((20, 24, 3), np.uint8))
    report = check(root, FoldsConfig(kind="kfold", count=7))
    flat, within, across, masks, leaks = report.warnings
    assert flat == "2 images have a single colour: train/train0.png, train/train1.png"
    assert within == "2 train images are identical to others: train/train3.png = train/train5.png"
    assert across == "1 test images are identical to training images: train/train3.png = test_a/test_a0.png"
    assert masks.startswith("2 masks are worth a look")
    assert {item.id for item in report.suspicious} == {"train0.png", "train5.png"}
    assert leaks.startswith("2 validation images have a copy")


def test_kinds_of_images_and_sizes(root):
    cv2.imwrite(str(root / "train" / "train0.png"), np.arange(480, dtype=np.uint8).reshape(24, 20))
    report = check(root)
    assert report.facts["sizes (H x W)"] == "20x24 (8), 24x20 (1)"
    assert report.facts["channels"] == "RGB (8), L (1)"
    assert "several kinds" in report.warnings[0]


def test_classes_without_a_pixel(root):
    write_masks(root, [""] * 7)
    assert check(root).warnings == ["no training mask has a pixel of building"]


def test_groups_are_tried(root):
    (root / "groups.csv").write_text("name,place\n" + "".join(f"train{i}.png,p{i // 2}\n" for i in range(7)))
    group = GroupConfig(file="groups.csv", id="name", column="place")
    assert check(root, FoldsConfig(kind="grouped", count=3, group=group)).facts["groups"] == "4"
    (problem,) = check(root, FoldsConfig(kind="grouped", count=5, group=group)).problems
    assert "4 groups for 5 folds" in problem
    (problem,) = check(root, FoldsConfig(kind="grouped", group=group.model_copy(update={"file": "gone.csv"}))).problems
    assert "gone.csv" in problem


def test_multi_class_labels(tmp_path):
    generator = np.random.default_rng(0)
    lines = []
    for i in range(4):
        label = np.full((10, 12), i % 2, np.uint8)
        label[:2] = 255
        for folder, array in (("images", generator.integers(0, 256, (10, 12, 3), np.uint8)), ("labels", label)):
            (tmp_path / folder).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), array)
        lines.append(f"images/{i}.png labels/{i}.png\n")
    (tmp_path / "train.txt").write_text("".join(lines))
    config = CompetitionConfig(profile="file-list", root=tmp_path, class_names=("sky", "road", "car"))
    report = check_data(open_competition(config), HOLDOUT)
    assert report.facts["pixels"] == "sky 40.0%, road 40.0%, car 0.0%, not scored 20.0%"
    assert report.facts["empty masks"] == "2 of 4"
    assert "no training mask has a pixel of car" in report.warnings
    cv2.imwrite(str(tmp_path / "labels" / "3.png"), np.full((9, 12), 1, np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "2.png"), np.full((10, 12), 7, np.uint8))
    (problem,) = check_data(open_competition(config), HOLDOUT).problems
    assert problem.startswith("2 masks cannot be used")


def test_report_text_lines_are_short():
    report = Notes(["x " * 100], ["y " * 80], {"images": "3", "sizes": "1x1 (3)"})
    assert not report.ok
    lines = report.text().splitlines()
    assert lines[0] == "images  3"
    assert max(map(len, lines)) <= 110
    assert lines[-1] == "Problems: 1. Warnings: 1."
