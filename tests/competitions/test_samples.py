import pytest

from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError


def with_groups(tianchi, rows, header="name,scene"):
    (tianchi.root / "groups.csv").write_text("\n".join([header, *rows]) + "\n")
    return GroupConfig(file="groups.csv", id="name", column="scene")


@pytest.mark.parametrize("rows", [["c.jpg,7", "a.jpg,02", "b.jpg,7"], ["c,7", "a.jpg,02", "b,7", "other,1"]])
def test_groups_by_file_name_or_stem_in_the_samples_order(tianchi, rows):
    competition = tianchi.open()
    group = with_groups(tianchi, rows)
    assert competition.groups(competition.samples("train"), group) == ["02", "7", "7"]


def test_groups_that_do_not_fit(tianchi):
    competition = tianchi.open()
    samples = competition.samples("train")
    with pytest.raises(CompetitionError, match=r"groups\.csv has no row for 2 images: a\.jpg, c\.jpg"):
        competition.groups(samples, with_groups(tianchi, ["b.jpg,1"]))
    with pytest.raises(CompetitionError, match=r"groups\.csv: 1 duplicate ids: b\.jpg"):
        competition.groups(samples, with_groups(tianchi, ["b.jpg,1", "b.jpg,2"]))
    with pytest.raises(CompetitionError, match="has the columns name, place, expected also scene"):
        competition.groups(samples, with_groups(tianchi, ["b.jpg,1"], header="name,place"))
    (tianchi.root / "groups.csv").unlink()
    with pytest.raises(CompetitionError, match=r"there is no file groups\.csv"):
        competition.groups(samples, GroupConfig(file="groups.csv"))


def test_groups_of_the_profile(airbus):
    with open(airbus.profile, "a") as stream:
        stream.write("group: {file: places.csv, id: image, column: place}\n")
    (airbus.root / "places.csv").write_text("image,place\na.jpg,sea\nb.jpg,port\nt0.jpg,sea\nt1.jpg,sea\n")
    competition = airbus.open()
    assert list(competition.samples("train")["group"]) == ["sea", "port"]
    assert list(competition.samples("test")["group"]) == ["sea", "sea"]
