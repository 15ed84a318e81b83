"""`Competition.survey`: what can be used of a part, and all that is wrong with the rest, in one pass."""

import pytest

from maskfold.competitions.files import CompetitionFiles
from maskfold.errors import LISTED, CompetitionError


def append(path, *lines):
    with path.open("a") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def survey(twin, part="train"):
    competition = twin.open()
    found = competition.survey(part)
    if found.problems:
        with pytest.raises(CompetitionError) as caught:
            competition.samples(part)
        assert str(caught.value) == "; ".join(found.problems)
    else:
        assert competition.samples(part) == found.samples
    return found


@pytest.mark.parametrize("name", ["tianchi", "tgs", "png_masks", "file_list", "clouds", "airbus"])
def test_sound_parts_have_no_problems(name, request):
    twin = request.getfixturevalue(name)
    assert survey(twin).problems == survey(twin, "test").problems == ()
    assert len(survey(twin).samples) == len(twin.truth)


def test_every_fault_of_a_table_at_once(tianchi):
    append(tianchi.root / "train_mask.csv", "b.jpg\t1 1", "../x.jpg\t", "gone.jpg\t", "/y.jpg\t", "lost.jpg\t2 2")
    found = survey(tianchi)
    duplicate, unsafe, missing = found.problems
    assert duplicate == "train_mask.csv: 1 duplicate ids: b.jpg"
    assert unsafe.startswith("2 names are refused: the file name '../x.jpg'")
    assert "'/y.jpg'" in unsafe
    assert missing.endswith("tianchi: train/gone.jpg, train/lost.jpg")
    assert found.samples.ids == ("a.jpg", "b.jpg", "c.jpg")
    assert found.samples[1].masks != ("1 1",)  # of rows for one image the first stays


def test_a_table_that_cannot_be_read_is_one_problem(tgs):
    (tgs.root / "train.csv").write_text("name,rle\nb1,\n")
    found = survey(tgs)
    (problem,) = found.problems
    assert "has the columns name,rle, expected id,rle_mask" in problem
    assert not found.samples


def test_unknown_classes_duplicates_and_missing_images_at_once(clouds):
    append(clouds.root / "train.csv", "b_1.jpg_Fish,1 1", "a_0.jpg_Bird,1 1", "z.jpg_Fish,1 1")
    found = survey(clouds)
    assert [problem.split(": ")[0].split(" that")[0] for problem in found.problems] == [
        "train.csv",
        "train.csv holds the classes Bird, the profile knows Fish, Sugar",
        "train.csv names 1 images",
    ]
    assert found.samples.ids == ("a_0.jpg", "b_1.jpg")
    assert twin_masks(clouds, found)


def twin_masks(twin, found):
    competition = twin.open()
    labels = {sample.id: competition.label(sample.masks, twin.truth[sample.id].shape) for sample in found.samples}
    return all((label.values == twin.truth[id]).all() for id, label in labels.items())


def test_groups_that_lack_rows_do_not_hide_missing_images(airbus):
    with open(airbus.profile, "a") as stream:
        stream.write("group: {file: places.csv, id: image, column: place}\n")
    (airbus.root / "places.csv").write_text("image,place\na.jpg,sea\na.jpg,port\n")
    append(airbus.root / "train_ship_segmentations.csv", "gone.jpg,1 2")
    missing, groups = survey(airbus).problems
    assert "train/gone.jpg" in missing
    assert "1 duplicate ids: a.jpg" in groups
    assert "no row for 1 images: b.jpg" in groups
    assert [sample.group for sample in survey(airbus).samples] == [None, None]


def test_split_file_and_strange_masks_at_once(png_masks):
    (png_masks.root / "split.csv").write_text("id,split\nq,train\nm,valid\nx,test\nn,test\nn,test\n")
    (png_masks.root / "masks/r.png").write_bytes((png_masks.root / "masks/q.png").read_bytes())
    found = survey(png_masks)
    strange, twice, unknown, rowless, maskless = found.problems
    assert "masks/r.png" in strange
    assert twice == "split.csv: 1 duplicate ids: n"
    assert unknown == "split.csv: 1 ids without an image: x"
    assert rowless == "split.csv: 1 images without a row: p"
    assert maskless == "split.csv: 1 train or valid ids without a mask: m"
    assert found.samples.ids == ("q",)
    assert survey(png_masks, "test").samples.ids == ("n",)


def test_all_bad_lines_of_all_lists(file_list):
    append(file_list.root / "train.txt", "images/t0.jpg", "../x.jpg labels/a.png")
    append(file_list.root / "val.txt", "images/t1.jpg labels/none.png", "images/z.jpg labels/a.png")
    lines, missing = survey(file_list).problems
    assert lines.startswith("3 lines cannot be used: train.txt, line 4: 1 fields")
    assert "train.txt, line 5: the file name '../x.jpg'" in lines
    assert "val.txt, line 3: there is no label labels/none.png" in lines
    assert missing.endswith("images/z.jpg")
    assert survey(file_list).samples.ids == ("images/a.jpg", "images/b.jpg", "images/c.jpg")


def test_of_two_lines_for_one_image_the_first_stays(file_list):
    append(file_list.root / "val.txt", "images/a.jpg labels/b.png")
    found = survey(file_list)
    assert found.problems == ("train.txt and val.txt: 1 duplicate ids: images/a.jpg",)
    assert [sample.masks for sample in found.samples] == ["labels/a.png", "labels/b.png", "labels/c.png"]
    assert [sample.split for sample in found.samples] == ["train", "train", "valid"]


def test_images_that_no_table_names(tianchi, file_list):
    assert tianchi.open().unnamed_images() == []
    for name in ("train/new.jpg", "test_a/more.PNG", "train/notes.txt", "train/.hidden.jpg"):
        (tianchi.root / name).write_bytes((tianchi.root / "train/a.jpg").read_bytes())
    assert tianchi.open().unnamed_images() == ["test_a/more.PNG", "train/new.jpg"]
    (file_list.root / "images/z.jpg").write_bytes(b"")
    assert file_list.open().unnamed_images() == ["images/z.jpg"]


def test_a_wrong_suffix_is_looked_up_for_what_is_listed_only(tianchi, monkeypatch):
    """Each look reads a folder: for each of all images that would take hours."""
    append(tianchi.root / "train_mask.csv", *(f"{number}.jpg\t" for number in range(40)), "A.jpg\t")
    names = CompetitionFiles.names
    looked = []
    monkeypatch.setattr(CompetitionFiles, "names", lambda files, folder: looked.append(folder) or names(files, folder))
    (problem,) = tianchi.open().survey("train").problems
    assert "names 41 images that are not in" in problem
    assert problem.endswith(f" and {41 - LISTED} more")
    assert looked.count("train") == LISTED
