import numpy as np
import pytest
from tests.competitions.conftest import slow_rle, write_image

from maskfold.errors import CompetitionError


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(params=["tianchi", "tgs", "clouds", "airbus"])
def twin(request):
    return request.getfixturevalue(request.param)


def test_masks_decode_to_the_truth(twin):
    competition = twin.open()
    samples = competition.samples("train")
    assert list(samples.ids) == sorted(twin.truth)
    for row in samples:
        truth = twin.truth[row.id]
        mask = competition.mask(row.masks, truth.shape)
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, truth)
        assert competition.size(row.image) == truth.shape == competition.image(row.image).shape[:2]
    assert {(sample.group, sample.split) for sample in samples} == {(None, None)}


def test_the_test_part_has_no_masks(twin):
    samples = twin.open().samples("test")
    assert list(samples.ids) == sorted(twin.test)
    assert [sample.masks for sample in samples] == [None] * len(twin.test)


def test_coverage_is_the_share_of_foreground(tianchi, clouds):
    for twin in (tianchi, clouds):
        competition = twin.open()
        for row in competition.samples("train"):
            truth = twin.truth[row.id]
            assert competition.coverage(row.masks, truth.shape) == pytest.approx(np.mean(truth > 0))


def test_coverage_of_overlapping_instances_is_at_most_one(airbus):
    competition = airbus.open()
    overlap = (10 * 6 + 5 * 5) / (20 * 26)
    masks = competition.samples("train").by_id["b.jpg"].masks
    assert competition.coverage(masks, (20, 26)) == pytest.approx(overlap)
    assert overlap > np.mean(airbus.truth["b.jpg"])
    assert competition.coverage(("1 520", "1 520"), (20, 26)) == 1


def test_one_class_per_pixel(clouds):
    fish = np.zeros((20, 24), np.uint8)
    fish[4:8, 2:9] = 1
    sugar = np.zeros_like(fish)
    sugar[7, 8] = 1
    masks = (slow_rle(fish), slow_rle(sugar))
    message = r"b_1\.jpg: pixels belong to the class Sugar and also to Fish"
    with pytest.raises(CompetitionError, match=message):
        clouds.open().mask(masks, (20, 24), id="b_1.jpg")


def test_a_mask_that_runs_out_of_its_image(tianchi):
    competition = tianchi.open()
    masks = (slow_rle(tianchi.truth["b.jpg"]),)
    for read in (competition.mask, competition.coverage):
        with pytest.raises(CompetitionError, match=r"b\.jpg: RLE .*its image is 17x23, height x width"):
            read(masks, (17, 23), id="b.jpg")
    with pytest.raises(CompetitionError, match=r"^RLE"):
        competition.mask(masks, (17, 23))


def test_a_masks_table_of_the_same_form(tianchi, clouds):
    masks = tianchi.open().read_masks(tianchi.root / "train_mask.csv")
    assert masks == {name: (slow_rle(mask),) for name, mask in tianchi.truth.items()}
    competition = clouds.open()
    read = competition.read_masks(clouds.root / "train.csv")
    np.testing.assert_array_equal(competition.mask(read["a_0.jpg"], (18, 26)), clouds.truth["a_0.jpg"])


def test_duplicate_ids(tianchi):
    edit(tianchi.root / "train_mask.csv", "c.jpg\t", "a.jpg\t")
    with pytest.raises(CompetitionError, match=r"train_mask\.csv: 1 duplicate ids: a\.jpg"):
        tianchi.open().samples("train")


def test_missing_images_are_counted_and_the_first_named(tgs):
    for name in ("a0", "c2"):
        (tgs.root / f"train/images/{name}.png").unlink()
    message = r"train\.csv names 2 images that are not in .*tgs: train/images/a0\.png, train/images/c2\.png"
    with pytest.raises(CompetitionError, match=message):
        tgs.open().samples("train")


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/secret.jpg"])
def test_ids_that_leave_the_folder(tianchi, name):
    write_image(tianchi.root.parent / "secret.jpg", 1, (9, 9))
    edit(tianchi.root / "train_mask.csv", "a.jpg\t", f"{name}\t")
    with pytest.raises(CompetitionError, match=f"'{name}' is not a plain path inside"):
        tianchi.open().samples("train")


def test_class_names_may_be_renamed_but_not_counted_anew(tianchi, clouds):
    tianchi.class_names = ("roof",)
    assert tianchi.open().class_names == ("roof",)
    clouds.class_names = ("background", "Fish")
    with pytest.raises(CompetitionError, match="class_names has 2 names, the profile clouds has 3 classes"):
        clouds.open()
    clouds.class_names = None
    assert clouds.open().num_classes == 3
