import cv2
import numpy as np
import pytest

from maskfold.competitions import Sample
from maskfold.errors import CompetitionError


def test_png_masks_by_stem(png_masks):
    competition = png_masks.open()
    samples = competition.samples("train")
    assert list(samples) == [
        Sample("p", "images/p.jpg", "masks/p.png"),
        Sample("q", "images/q.jpg", "masks/q.png"),
    ]
    for row in samples:
        truth = png_masks.truth[row.id]
        label = competition.label(row.masks, truth.shape)
        np.testing.assert_array_equal(np.where(label.valid, label.values, 255), truth)
        assert not label.values[~label.valid].any()
        assert competition.coverage(row.masks, truth.shape) == pytest.approx(truth.mean())
    test = competition.samples("test")
    assert [sample.image for sample in test] == ["images/m.jpg", "images/n.jpg"]
    assert (competition.labels.channels, competition.metric.name) == (1, "dice")


def test_split_file(png_masks):
    (png_masks.root / "split.csv").write_text("id,split\nq,valid\np,train\nm,test\nn,test\n")
    competition = png_masks.open()
    assert {sample.id: sample.split for sample in competition.samples("train")} == {"p": "train", "q": "valid"}
    assert [(sample.id, sample.split) for sample in competition.samples("test")] == [("m", None), ("n", None)]
    # A mask of a test image is not handed out.
    (png_masks.root / "split.csv").write_text("id,split\nq,test\np,train\nm,test\nn,test\n")
    test = png_masks.open().samples("test")
    assert test.ids == ("m", "n", "q")
    assert {sample.masks for sample in test} == {None}


def test_split_file_with_every_mistake(png_masks):
    (png_masks.root / "split.csv").write_text("id,split\nq,holdout\nm,train\nx,test\nn,test\n")
    with pytest.raises(CompetitionError) as caught:
        png_masks.open().samples("train")
    for part in (
        "1 ids without an image: x",
        "1 images without a row: p",
        "1 splits other than train, valid, test: holdout",
        "1 train or valid ids without a mask: m",
    ):
        assert part in str(caught.value)


def test_split_file_problems_of_form(png_masks):
    path = png_masks.root / "split.csv"
    path.write_text("id,split\nq,train\nq,test\n")
    with pytest.raises(CompetitionError, match=r"split\.csv: 1 duplicate ids: q"):
        png_masks.open().samples("train")
    path.write_text("name,split\nq,train\n")
    with pytest.raises(CompetitionError, match="has the columns name, split, expected also id"):
        png_masks.open().samples("train")


def test_masks_without_image_and_two_images_of_one_stem(png_masks):
    cv2.imwrite(str(png_masks.root / "masks/p_mask.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(
        CompetitionError, match=r"1 masks have no image of the same stem in images: masks/p_mask\.png; name each"
    ):
        png_masks.open().samples("train")
    (png_masks.root / "masks/p_mask.png").unlink()
    (png_masks.root / "images/p.png").write_bytes(b"")
    (png_masks.root / "images/Thumbs.db").write_bytes(b"")
    with pytest.raises(CompetitionError, match="images: 1 duplicate ids: p"):
        png_masks.open().samples("train")


def test_masks_of_another_size_name_both(png_masks):
    message = r"q: masks/q\.png is 18x27 \(height x width\), its image 27x18"
    with pytest.raises(CompetitionError, match=message):
        png_masks.open().label("masks/q.png", (27, 18), id="q")


def test_other_values(png_masks):
    cv2.imwrite(str(png_masks.root / "masks/q.png"), np.full((18, 27), 7, np.uint8))
    with pytest.raises(CompetitionError, match=r"masks/q\.png holds the values 7, expected 0 and 255"):
        png_masks.open().coverage("masks/q.png", (18, 27))


def test_binary_competitions_have_one_class_name(png_masks):
    png_masks.class_names = ("road",)
    assert png_masks.open().labels.class_names == ("road",)
    png_masks.class_names = ("nothing", "road")
    with pytest.raises(CompetitionError, match="2 names, binary masks have one class"):
        png_masks.open()


def test_file_lists(file_list):
    competition = file_list.open()
    samples = competition.samples("train")
    assert list(samples) == [
        Sample("images/a.jpg", "images/a.jpg", "labels/a.png", split="train"),
        Sample("images/b.jpg", "images/b.jpg", "labels/b.png", split="train"),
        Sample("images/c.jpg", "images/c.jpg", "labels/c.png", split="valid"),
    ]
    for row in samples:
        truth = file_list.truth[row.id]
        label = competition.label(row.masks, truth.shape)
        np.testing.assert_array_equal(np.where(label.valid, label.values, 255), truth)
        assert not label.values[~label.valid].any()
        share = np.isin(truth, [1, 2]).mean()
        assert competition.coverage(row.masks, truth.shape) == pytest.approx(share)
    assert competition.samples("test").ids == ("images/t0.jpg", "images/t1.jpg")
    assert (competition.labels.channels, competition.labels.class_names) == (3, ("sky", "road", "car"))


def test_lists_that_are_not_there(file_list):
    (file_list.root / "val.txt").unlink()
    (file_list.root / "test.txt").unlink()
    competition = file_list.open()
    assert [sample.split for sample in competition.samples("train")] == ["train", "train"]
    assert len(competition.samples("test")) == 0


def test_class_names_from_the_labels_file(file_list):
    file_list.class_names = None
    with pytest.raises(CompetitionError, match=r"set competition\.class_names .* labels\.txt, one per line"):
        file_list.open()
    (file_list.root / "labels.txt").write_text("sky\nroad\n\n")
    competition = file_list.open()
    assert competition.labels.class_names == ("sky", "road")
    with pytest.raises(CompetitionError, match=r"images/a\.jpg: labels/a\.png holds the values 2, "):
        competition.label("labels/a.png", (18, 25), id="images/a.jpg")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("train.txt", "images/a.jpg", r"train\.txt, line 4: 1 fields, expected 'image label'$"),
        ("test.txt", "a b c", r"test\.txt, line 4: 3 fields, expected 'image label' or 'image'"),
        ("train.txt", "images/a.jpg labels/z.png", r"train\.txt, line 4: there is no label labels/z\.png"),
        ("train.txt", "../x.jpg labels/a.png", r"'\.\./x\.jpg' is not a plain path"),
        ("train.txt", "images/t0.jpg ../../a.png", r"'\.\./\.\./a\.png' is not a plain path"),
        ("train.txt", "/x.jpg labels/a.png", r"'/x\.jpg' is not a plain path"),
        ("val.txt", "images/a.jpg labels/a.png", r"train\.txt and val\.txt: 1 duplicate ids: images/a\.jpg"),
        ("train.txt", "images/z.jpg labels/a.png", r"names 1 images that are not in .*: images/z\.jpg"),
    ],
)
def test_bad_lines(file_list, name, line, message):
    with (file_list.root / name).open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(CompetitionError, match=message):
        file_list.open().samples("test" if name == "test.txt" else "train")


def test_test_list_may_name_labels_that_are_not_there(file_list):
    (file_list.root / "test.txt").write_text("images/t0.jpg labels/withheld.png\n")
    assert [sample.masks for sample in file_list.open().samples("test")] == [None]


def test_lists_and_names_written_by_chinese_programs(file_list):
    file_list.class_names = None
    (file_list.root / "labels.txt").write_bytes("天空\n 道路 \n汽车\n".encode("gbk"))
    for name in ("b", "t1"):
        (file_list.root / f"images/{name}.jpg").rename(file_list.root / f"images/街道{name}.jpg")
    (file_list.root / "train.txt").write_bytes("images/街道b.jpg labels/b.png\n".encode("gbk"))
    (file_list.root / "test.txt").write_bytes("images/街道t1.jpg\n".encode("gb18030"))
    competition = file_list.open()
    assert competition.labels.class_names == ("天空", "道路", "汽车")
    assert competition.samples("train").ids == ("images/c.jpg", "images/街道b.jpg")
    assert competition.samples("test").ids == ("images/街道t1.jpg",)


def test_a_split_file_with_blanks_written_by_a_chinese_program(png_masks):
    for folder, suffix in (("images", "jpg"), ("masks", "png")):
        (png_masks.root / f"{folder}/q.{suffix}").rename(png_masks.root / f"{folder}/建筑.{suffix}")
    table = "id , split\n建筑, valid\np ,train\nm,test\nn,test\n"
    (png_masks.root / "split.csv").write_bytes(table.encode("gbk"))
    assert {s.id: s.split for s in png_masks.open().samples("train")} == {"p": "train", "建筑": "valid"}


def test_masks_in_folders_of_a_truth(png_masks, tmp_path):
    (tmp_path / "truth/berlin").mkdir(parents=True)
    with pytest.raises(CompetitionError, match="truth holds the folder berlin, expected mask files and nothing else"):
        png_masks.open().read_masks(tmp_path / "truth")
