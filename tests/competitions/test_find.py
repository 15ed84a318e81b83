import shutil

import pytest

from maskfold.competitions import find_competitions, open_competition
from maskfold.competitions.find import describe_stranger, fitting_profile
from maskfold.config import CompetitionConfig
from maskfold.errors import CompetitionError


def test_every_recognised_competition_but_the_demo(tianchi, tgs, png_masks, file_list, airbus, tmp_path):
    shutil.copytree(tianchi.root, tmp_path / "demo")
    (tmp_path / "notes.txt").write_text("no folder")
    assert find_competitions(tmp_path) == [
        (png_masks.root, "png-masks"),
        (file_list.root, "file-list"),
        (tgs.root, "tgs-salt"),
        (tianchi.root, "tianchi-buildings"),
    ]
    assert find_competitions(tmp_path / "absent") == []


def test_lists_beside_masks_are_the_more_specific(png_masks, file_list, tmp_path):
    shutil.copy(file_list.root / "train.txt", png_masks.root)
    assert (png_masks.root, "file-list") in find_competitions(tmp_path)


def test_the_only_folder_that_fits_is_opened(tianchi, tgs, tmp_path):
    for twin in (tianchi, tgs):
        competition = open_competition(CompetitionConfig(profile=twin.profile), data_root=tmp_path)
        assert competition.root == twin.root
        assert len(competition.samples("train")) == 3


def test_no_data(tmp_path):
    with pytest.raises(CompetitionError, match=r"no competition below .*make_demo"):
        open_competition(CompetitionConfig(), data_root=tmp_path)


def test_several_competitions(tianchi, tmp_path):
    shutil.copytree(tianchi.root, tmp_path / "second")
    message = r"several folders fit the profile tianchi-buildings: .*second, .*tianchi; set competition\.root"
    with pytest.raises(CompetitionError, match=message):
        open_competition(CompetitionConfig(), data_root=tmp_path)


def test_only_another_competition(tgs, tmp_path):
    message = "no folder below .* fits the profile tianchi-buildings: .*tgs fits tgs-salt: set competition.profile$"
    with pytest.raises(CompetitionError, match=message):
        open_competition(CompetitionConfig(), data_root=tmp_path)


def test_a_folder_that_fits_nothing_is_measured_by_the_profile_that_was_asked_for(tgs, tmp_path):
    (tgs.root / "test").rename(tgs.root / "test_images")
    (tmp_path / "a file.csv").write_text("")
    message = (
        rf"no folder below .* fits the profile tgs-salt: .*a file\.csv is a file: .*; {tgs.root} lacks test/images/\. "
        rf"python src/check_data\.py --draft profile\.yaml --competition\.root {tgs.root} drafts"
    )
    with pytest.raises(CompetitionError, match=message):
        open_competition(CompetitionConfig(profile="tgs-salt"), data_root=tmp_path)


def test_beside_another_competition_what_was_asked_for_is_told_too(tgs, tianchi, tmp_path):
    (tianchi.root / "test_a").rename(tianchi.root / "tests")
    with pytest.raises(CompetitionError) as error:
        open_competition(CompetitionConfig(), data_root=tmp_path)
    told = f"{tgs.root} fits tgs-salt: set competition.profile; {tianchi.root} lacks test_a/. python src/check_data.py"
    assert told in str(error.value)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lines_of_tables_end_as_on_any_system(tgs, end, encoding):
    path = tgs.root / "train.csv"
    path.write_bytes(end.join(path.read_text().splitlines()).encode(encoding))
    assert fitting_profile(tgs.root) == "tgs-salt"
    path.write_bytes(end.join(["id,mask", "a,1 1"]).encode(encoding))
    assert fitting_profile(tgs.root) is None


def test_columns_that_a_table_lacks_are_named(tgs):
    (tgs.root / "train.csv").write_text("id,depth\nq,1 2\n")
    assert describe_stranger(tgs.root).endswith(", it lacks columns rle_mask in train.csv")


def test_wrong_profile_for_a_root(tgs):
    message = (
        r"tgs does not fit the profile tianchi-buildings: it lacks train_mask\.csv, test_a_samplesubmit\.csv, "
        r"test_a/; it fits tgs-salt: set competition\.profile"
    )
    with pytest.raises(CompetitionError, match=message):
        open_competition(CompetitionConfig(root=tgs.root))


def test_incomplete_competition_names_what_is_missing(tianchi):
    (tianchi.root / "train_mask.csv").unlink()
    shutil.rmtree(tianchi.root / "test_a")
    with pytest.raises(CompetitionError, match=r"it lacks train_mask\.csv, test_a/\. If it is another comp"):
        tianchi.open()


@pytest.mark.parametrize(
    ("fixture", "part", "lacks"), [("png_masks", "masks", "masks/"), ("file_list", "train.txt", r"train\.txt")]
)
def test_incomplete_label_competitions(request, fixture, part, lacks):
    twin = request.getfixturevalue(fixture)
    (twin.root / part).rename(twin.root / "elsewhere")
    with pytest.raises(CompetitionError, match=f"it lacks {lacks}"):
        twin.open()


def test_predicting_needs_what_is_predicted_alone(tianchi, tgs, png_masks, file_list):
    for twin, unneeded in (
        (tianchi, ("train", "train_mask.csv")),
        (tgs, ("train", "train.csv")),
        (png_masks, ("masks",)),
        (file_list, ("train.txt", "test.txt")),
    ):
        for name in unneeded:
            path = twin.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with pytest.raises(CompetitionError, match="it lacks "):
            open_competition(twin.config())
        open_competition(twin.config(), predicting=True)
    shutil.rmtree(tianchi.root / "test_a")
    with pytest.raises(CompetitionError, match=r"it lacks test_a/\. If it is another competition: "):
        open_competition(tianchi.config(), predicting=True)


def test_root_that_is_not_there(tmp_path):
    with pytest.raises(CompetitionError, match="there is no such folder"):
        open_competition(CompetitionConfig(root=tmp_path / "absent"))


def test_a_folder_of_windows_is_told_as_one():
    for root in ("C:\\data\\mine", "..\\data"):
        with pytest.raises(
            CompetitionError, match=r"no such folder \(a path of Windows: here folders are separated by"
        ):
            open_competition(CompetitionConfig(root=root))
