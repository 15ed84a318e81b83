import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from tests.competitions.test_competition import archive

from maskfold.competitions import Sample, Samples
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
    assert [sample.group for sample in competition.samples("train")] == ["sea", "port"]
    assert [sample.group for sample in competition.samples("test")] == ["sea", "sea"]


SAMPLES = Samples([Sample("b", "b.png", ("1 2",)), Sample("a", "x/a.png", None, "north"), Sample("NA", "n.png")])


def test_samples_are_a_sequence_that_does_not_change():
    assert len(SAMPLES) == 3
    assert SAMPLES.ids == ("b", "a", "NA")
    assert [sample.image for sample in SAMPLES] == ["b.png", "x/a.png", "n.png"]
    assert (
        SAMPLES[np.int64(1)] == SAMPLES[1] == SAMPLES[-2] == SAMPLES.by_id["a"] == Sample("a", "x/a.png", None, "north")
    )
    assert SAMPLES[1:] == Samples([SAMPLES[1], SAMPLES[2]])
    assert SAMPLES[:0] == Samples()
    assert not Samples()
    with pytest.raises(FrozenInstanceError):
        SAMPLES[0].id = "c"
    with pytest.raises(TypeError):
        SAMPLES[0] = SAMPLES[1]


def test_samples_travel_to_data_workers_by_themselves():
    alone = len(pickle.dumps(Samples(SAMPLES)))
    assert SAMPLES.by_id
    assert SAMPLES.ids
    assert len(pickle.dumps(SAMPLES)) == alone
    assert pickle.loads(pickle.dumps(SAMPLES)) == SAMPLES


def test_selected_samples_are_in_the_order_of_the_ids():
    assert SAMPLES.select(["NA", "b"]) == Samples([SAMPLES[2], SAMPLES[0]])
    with pytest.raises(CompetitionError, match="2 ids are not among the 3 images: c, d"):
        SAMPLES.select(["a", "c", "d"])


def test_samples_without_their_masks():
    assert SAMPLES[0].masks == ("1 2",)
    assert list(SAMPLES.unmasked()) == [replace(sample, masks=None) for sample in SAMPLES]


def test_the_table_of_samples_is_for_people():
    frame = SAMPLES.frame()
    assert list(frame.columns) == ["id", "image", "masks", "group", "split"]
    assert frame.loc[1].tolist() == ["a", "x/a.png", None, "north", None]
    assert frame["masks"][0] == ("1 2",)
    assert list(Samples().frame().columns) == list(frame.columns)


def test_tables_and_sizes_are_read_once(tianchi, monkeypatch):
    archive(tianchi.root / "train", tianchi.root / "train.zip")
    competition = tianchi.open()
    opened = []
    real = competition.files.open
    monkeypatch.setattr(competition.files, "open", lambda path: opened.append(path) or real(path))
    for _ in range(3):
        assert competition.samples("train") is competition.samples("train")
        sizes = {sample.id: competition.size(sample.image) for sample in competition.samples("train")}
    assert sorted(opened) == ["train/a.jpg", "train/b.jpg", "train/c.jpg", "train_mask.csv"]
    assert sizes == {name: mask.shape for name, mask in tianchi.truth.items()}


def test_data_workers_do_not_get_what_was_read(tianchi):
    competition = tianchi.open()
    empty = len(pickle.dumps(competition))
    [competition.size(sample.image) for split in ("train", "test") for sample in competition.samples(split)]
    assert len(pickle.dumps(competition)) == empty
    assert pickle.loads(pickle.dumps(competition)).samples("train") == competition.samples("train")
