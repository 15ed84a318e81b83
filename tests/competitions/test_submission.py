import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.competitions.conftest import blobs, slow_rle

from maskfold.competitions import Sample, Samples, SubmissionWriter, validate_submission
from maskfold.competitions.samples import Survey
from maskfold.errors import CompetitionError, SubmissionError


def predictions(twin, classes=1):
    """A mask per test image; the second one is empty."""
    masks = {}
    for seed, (name, size) in enumerate(twin.test.items(), start=50):
        masks[name] = blobs(seed, size) if classes == 1 else blobs(seed, size) * (1 + seed % (classes - 1))
    masks[list(masks)[1]][:] = 0
    return masks


def write(twin, path, masks, order=None):
    with SubmissionWriter(twin.open(), path, twin.test) as writer:
        for name in order or masks:
            writer.write(name, masks[name])


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_tianchi_csv_to_the_letter(tianchi, tmp_path):
    masks = predictions(tianchi)
    write(tianchi, tmp_path / "out/s.csv", masks, order=["y.jpg", "z.jpg", "x.jpg"])
    expected = "".join(f"{name}\t{slow_rle(masks[name])}\n" for name in ("z.jpg", "x.jpg", "y.jpg"))
    assert "x.jpg\t\n" in expected
    assert (tmp_path / "out/s.csv").read_text() == expected
    assert leftovers(tmp_path / "out") == ["s.csv"]


def test_tgs_csv_to_the_letter(tgs, tmp_path):
    masks = predictions(tgs)
    write(tgs, tmp_path / "s.csv", masks)
    assert (tmp_path / "s.csv").read_text() == f"id,rle_mask\nt2,{slow_rle(masks['t2'])}\nt1,\n"


@pytest.mark.parametrize(
    ("fixture", "target", "classes"),
    [
        ("tianchi", "s.csv", 1),
        ("clouds", "s.csv", 3),
        ("airbus", "s.csv", 1),
        ("png_masks", "s", 1),
        ("png_masks", "s.zip", 1),
        ("file_list", "s", 3),
        ("file_list", "s.zip", 3),
    ],
)
def test_what_is_written_reads_back(request, tmp_path, fixture, target, classes):
    twin = request.getfixturevalue(fixture)
    masks = predictions(twin, classes)
    write(twin, tmp_path / "out" / target, masks, order=sorted(masks))
    competition = twin.open()
    validate_submission(tmp_path / "out" / target, competition)
    read = competition.read_masks(tmp_path / "out" / target)
    assert set(read) == set(masks)
    for name, mask in masks.items():
        np.testing.assert_array_equal(competition.label(read[name], mask.shape).values, mask)
    assert leftovers(tmp_path / "out") == [target]


def test_one_row_per_class_in_the_samples_order(clouds, tmp_path):
    mask = np.zeros((19, 22), np.uint8)
    mask[2:5, 3:9], mask[10:12, 1:4] = 1, 2
    write(clouds, tmp_path / "s.csv", {"s_8.jpg": np.zeros((23, 17), np.uint8), "t_9.jpg": mask})
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "Image_Label,EncodedPixels",
        f"t_9.jpg_Fish,{slow_rle(mask == 1)}",
        f"t_9.jpg_Sugar,{slow_rle(mask == 2)}",
        "s_8.jpg_Fish,",
        "s_8.jpg_Sugar,",
    ]


def test_one_row_per_instance(airbus, tmp_path):
    mask = np.zeros((20, 26), np.uint8)
    mask[1:4, 2:6] = mask[4:6, 6:8] = 1  # they touch at a corner: one instance
    mask[12:15, 10:12] = 1
    write(airbus, tmp_path / "s.csv", {"t1.jpg": mask, "t0.jpg": np.zeros((18, 18), np.uint8)})
    first, second = mask.copy(), mask.copy()
    first[12:], second[:12] = 0, 0
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert sorted(lines[1:3]) == sorted(f"t1.jpg,{slow_rle(part)}" for part in (first, second))
    assert lines[0] == "ImageId,EncodedPixels"
    assert lines[3:] == ["t0.jpg,"]


def test_png_values(png_masks, file_list, tmp_path):
    masks = predictions(png_masks)
    write(png_masks, tmp_path / "binary", masks)
    read = cv2.imread(str(tmp_path / "binary/n.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, masks["n"] * 255)
    labels = predictions(file_list, classes=3)
    write(file_list, tmp_path / "labels", labels)
    assert leftovers(tmp_path / "labels") == ["t0.png", "t1.png"]
    read = cv2.imread(str(tmp_path / "labels/t1.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, labels["images/t1.jpg"])


def test_the_same_masks_make_the_same_archive(png_masks, tmp_path, monkeypatch):
    masks = predictions(png_masks)
    write(png_masks, tmp_path / "a.zip", masks)
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
    write(png_masks, tmp_path / "b.zip", masks)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.parametrize(("fixture", "target"), [("tianchi", "s.csv"), ("png_masks", "s"), ("png_masks", "s.zip")])
def test_an_exception_leaves_the_earlier_submission(request, tmp_path, fixture, target):
    twin = request.getfixturevalue(fixture)
    masks = predictions(twin)
    path = tmp_path / "out" / target

    def interrupted():
        with SubmissionWriter(twin.open(), path, twin.test) as writer:
            writer.write(next(iter(masks)), masks[next(iter(masks))])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not path.parent.exists() or leftovers(path.parent) == []
    write(twin, path, masks)
    before = sorted(twin.open().read_masks(path).items())
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert leftovers(path.parent) == [target]
    assert sorted(twin.open().read_masks(path).items()) == before


@pytest.mark.parametrize(("fixture", "target"), [("tianchi", "s.csv"), ("png_masks", "s"), ("png_masks", "s.zip")])
def test_an_incomplete_submission_is_not_written(request, tmp_path, fixture, target):
    twin = request.getfixturevalue(fixture)
    masks = predictions(twin)
    last = list(masks)[-1]
    del masks[last]
    message = rf"out/{target} is not a valid submission:\n  - 1 missing (ids|files): {last}"
    with pytest.raises(SubmissionError, match=message):
        write(twin, tmp_path / "out" / target, masks)
    assert leftovers(tmp_path / "out") == []


def test_a_submission_replaces_an_earlier_one(png_masks, tmp_path):
    masks = predictions(png_masks)
    write(png_masks, tmp_path / "out/s", masks)
    masks["n"] = 1 - masks["n"]
    write(png_masks, tmp_path / "out/s", masks)
    read = cv2.imread(str(tmp_path / "out/s/n.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read, masks["n"] * 255)
    assert leftovers(tmp_path / "out") == ["s"]


def test_folders_of_other_things_are_left_alone(png_masks, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    (tmp_path / "a_file").write_text("a file")
    for target in ("home", "a_file"):
        with pytest.raises(SubmissionError, match="not the folder of an earlier submission"):
            write(png_masks, tmp_path / target, predictions(png_masks))
    assert (tmp_path / "home/thesis.txt").read_text() == "years of work"


def test_ids_are_compared_before_anything_is_predicted(tianchi, tmp_path):
    message = r"competition's 3 test ids: 2 missing \(x\.jpg, y\.jpg\), 1 unknown \(a\.jpg\)"
    with pytest.raises(SubmissionError, match=message):
        SubmissionWriter(tianchi.open(), tmp_path / "s.csv", ["z.jpg", "a.jpg"])


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("a.jpg", np.zeros((17, 23), np.uint8), r"a\.jpg is not a test image"),
        ("y.jpg", np.zeros((30, 16), np.uint8), r"y\.jpg has shape \(30, 16\), expected \(16, 30\): that of its image"),
        ("y.jpg", np.zeros((1, 16, 30), np.uint8), r"has shape \(1, 16, 30\)"),
        ("y.jpg", np.full((16, 30), 255, np.uint8), r"holds 255 to 255, expected whole numbers 0 to 1"),
        ("y.jpg", np.full((16, 30), -1), "holds -1 to -1"),
        ("y.jpg", np.full((16, 30), 0.5, np.float32), r"y\.jpg \(float32\) holds 0\.5"),
        ("z.jpg", np.zeros((19, 21), np.uint8), r"z\.jpg is written twice"),
    ],
)
def test_masks_that_cannot_be_written(tianchi, tmp_path, name, mask, message):
    with (
        pytest.raises(SubmissionError, match=message),
        SubmissionWriter(tianchi.open(), tmp_path / "s.csv", tianchi.test) as writer,
    ):
        writer.write("z.jpg", np.ones((19, 21), bool))
        writer.write(name, mask)
    assert not (tmp_path / "s.csv").exists()


def test_class_numbers_end_where_the_classes_do(file_list, tmp_path):
    with SubmissionWriter(file_list.open(), tmp_path / "s", file_list.test) as writer:
        with pytest.raises(SubmissionError, match="holds 0 to 3, expected whole numbers 0 to 2"):
            writer.write("images/t0.jpg", np.arange(18 * 25).reshape(18, 25) % 4)
        for name, size in file_list.test.items():
            writer.write(name, np.full(size, 2))


def test_two_test_images_of_one_stem(file_list, tmp_path):
    (file_list.root / "more").mkdir()
    (file_list.root / "more/t0.jpg").write_bytes((file_list.root / "images/t0.jpg").read_bytes())
    with (file_list.root / "test.txt").open("a") as stream:
        stream.write("more/t0.jpg\n")
    ids = [*file_list.test, "more/t0.jpg"]
    with pytest.raises(CompetitionError, match=r"the submission's files: 1 duplicate ids: t0\.png"):
        SubmissionWriter(file_list.open(), tmp_path / "s", ids).__enter__()


def with_size(twin, size):
    path = Path(twin.profile)
    path.write_text(path.read_text() + f"submission: {{size: {list(size)}}}\n")


def test_masks_of_the_size_that_is_asked_for(clouds, tmp_path):
    """Clouds asks for 350 x 525 where images are 1400 x 2100."""
    with_size(clouds, (7, 12))
    competition = clouds.open()
    assert {competition.mask_size(sample) for sample in competition.samples("test")} == {(7, 12)}
    assert [competition.mask_size(s) for s in competition.samples("train")] == [(18, 26), (20, 24)]
    masks = {name: blobs(seed, (7, 12)) * (1 + seed % 2) for seed, name in enumerate(clouds.test)}
    write(clouds, tmp_path / "s.csv", masks)
    found = competition.read_masks(tmp_path / "s.csv")
    for name, mask in masks.items():
        np.testing.assert_array_equal(competition.label(found[name], (7, 12)).values, mask)
    validate_submission(tmp_path / "s.csv", competition)
    with pytest.raises(SubmissionError, match=r"shape \(19, 22\), expected \(7, 12\): .* or of the profile's"):
        write(clouds, tmp_path / "t.csv", {"t_9.jpg": np.zeros((19, 22), np.uint8)})
    last = slow_rle(np.arange(84).reshape(7, 12) > 82)
    text = (tmp_path / "s.csv").read_text().replace("t_9.jpg_Fish,", "t_9.jpg_Fish,85 1", 1)
    (tmp_path / "s.csv").write_text("\n".join(
        "t_9.jpg_Fish,85 1" if line.startswith("t_9.jpg_Fish,") else line for line in text.splitlines()
    ))  # fmt: skip
    assert last == "84 1"
    with pytest.raises(SubmissionError, match=r"1 masks that cannot be read: t_9\.jpg \(class Fish\)"):
        validate_submission(tmp_path / "s.csv", competition)


def test_ids_are_compared_in_a_time_that_grows_as_they_do(tianchi):
    """20,000 ids took minutes when each was looked for in all."""
    names = [f"i{number:05d}.jpg" for number in range(20_000)]
    (tianchi.root / "test_a_samplesubmit.csv").write_text("".join(f"{name}\t\n" for name in names))
    competition = tianchi.open()
    competition._surveys["test"] = Survey(Samples(Sample(name, name) for name in names))
    started = time.process_time()
    SubmissionWriter(competition, tianchi.root / "s.csv", names[::-1])
    assert time.process_time() - started < 2
