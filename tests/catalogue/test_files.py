"""What each profile reads of its competition's files, and what it writes: the files are drawn in their genuine form."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from tests.catalogue import drawing
from tests.catalogue.twins import CATALOGUE, header_of, submitted
from tests.conftest import TINY

from maskfold.checks import check_data
from maskfold.competitions import SubmissionWriter, find_competitions, open_competition, validate_submission
from maskfold.competitions.find import fitting_profile
from maskfold.config import CompetitionConfig, SemiConfig, load_config
from maskfold.datasets import Draw, EvalDataset, TrainDataset, UnlabelledDataset, image_loader
from maskfold.errors import CompetitionError
from maskfold.images import to_rgb
from maskfold.labels import Label
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_submission
from maskfold.training.unlabelled import unlabelled_factors, unlabelled_samples

PROFILES = [form.profile for form in CATALOGUE]


def written(competition, path, layers_of):
    """A submission of the masks ``layers_of`` ids, bool (C, H, W)."""
    samples = competition.samples("test")
    with SubmissionWriter(competition, path, samples.ids) as writer:
        for name in samples.ids:
            writer.write(name, competition.labels.mask(layers_of(name)))
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_images_and_masks_are_read_as_they_were_drawn(opened, profile):
    twin, competition = opened(profile)
    for split, ids in zip(("train", "test"), twin.form.ids, strict=True):
        samples = competition.samples(split)
        assert samples.ids == tuple(sorted(ids))
        for sample in samples:
            image = competition.image(sample.image)
            # Two decoders of jpg round the last bit differently.
            close = {"atol": 2} if "jpg" in str(sample.image) else {"rtol": 1e-5, "atol": 1e-6}
            np.testing.assert_allclose(image.astype(float), twin.images[sample.id].astype(float), **close)
            assert competition.size(sample.image) == image.shape[:2]
            if split == "train":
                label = competition.label(sample.masks, image.shape[:2], id=sample.id)
                np.testing.assert_array_equal(competition.labels.layers(label.values), twin.layers(sample.id))
                share = twin.layers(sample.id).any(0).mean()
                assert competition.coverage(sample.masks, image.shape[:2]) == pytest.approx(share)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_folder_is_recognised_by_names_and_columns(twin, profile):
    assert fitting_profile(twin(profile).root) == profile
    assert find_competitions(twin(profile).root.parent) == [(twin(profile).root, profile)]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_submission_has_the_rows_that_the_test_wrote(opened, profile, tmp_path):
    twin, competition = opened(profile)
    path = written(competition, tmp_path / "s.csv", twin.layers)
    assert path.read_text().splitlines() == [*header_of(twin.form.sample), *submitted(twin, twin.layers)]
    validate_submission(twin.truth, competition)
    assert evaluate_submission(path, twin.truth, competition).score == pytest.approx(1)


@pytest.mark.parametrize("profile", ["hubmap-kidney", "siim-pneumothorax", "severstal-steel"])
def test_a_truth_may_have_the_form_of_the_training_table(opened, profile, tmp_path):
    twin, competition = opened(profile)
    _, header, row = twin.form.train
    of_test = [
        row.format(id=name, cls=value, rle=twin.text(mask))
        for name in twin.form.ids[1]
        for value, objects in zip(twin.form.classes, twin.objects[name], strict=True)
        for mask in (
            objects if twin.form.objects[0] and objects else [twin.layers(name)[twin.form.classes.index(value)]]
        )
    ]
    drawing.write_lines(tmp_path / "truth.csv", [header, *of_test])
    assert evaluate_submission(twin.truth, tmp_path / "truth.csv", competition).score == pytest.approx(1)


@pytest.mark.parametrize("profile", ["airbus-ships", "contrails"])
def test_the_whole_download_may_stay_packed(twin, profile, tmp_path):
    shutil.make_archive(str(tmp_path / "packed/download"), "zip", twin(profile).root)
    assert fitting_profile(tmp_path / "packed") == profile
    competition = open_competition(CompetitionConfig(profile=profile, root=tmp_path / "packed"))
    for sample in competition.samples("train"):
        label = competition.label(sample.masks, competition.image(sample.image).shape[:2])
        np.testing.assert_array_equal(competition.labels.layers(label.values), twin(profile).layers(sample.id))


def test_test_images_may_be_hidden(twin, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(twin("gi-tract").root, root, ignore=shutil.ignore_patterns("test"))
    (root / "sample_submission.csv").write_text("id,class,predicted\n")
    assert fitting_profile(root) == "gi-tract"
    competition = open_competition(CompetitionConfig(profile="gi-tract", root=root))
    assert competition.samples("test").ids == ()
    assert competition.samples("train").ids == tuple(sorted(twin("gi-tract").form.ids[0]))


def test_images_without_a_row_count_as_empty_and_are_counted(opened):
    twin, competition = opened("severstal-steel")
    table = (twin.root / "train.csv").read_text()
    without = [name for name in twin.form.ids[0] if name not in table]
    assert without == ["b2.jpg"]
    assert competition.survey("train").notes == (
        "1 of 4 images have no row in train.csv: they count as empty (train.unlisted)",
    )
    assert [sample.masks for sample in competition.samples("train").select(without)] == [("",) * 4]
    assert competition.survey("test").notes == ()
    assert competition.unnamed_images() == []


@pytest.mark.parametrize(("profile", "groups"), [("gi-tract", {"case7", "case123"}), ("carvana", {"0ab", "1cd"})])
def test_images_of_a_patient_or_a_car_stay_together(opened, profile, groups):
    _, competition = opened(profile)
    assert {sample.group for sample in competition.samples("train")} == groups


@pytest.mark.parametrize(
    ("profile", "unused"), [("contrails", "human_individual_masks.npy"), ("vesuvius-ink", "ir.png")]
)
def test_masks_in_files_of_another_size_are_refused(twin, profile, unused, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(twin(profile).root, root)
    (root / "train" / twin(profile).form.ids[0][0] / unused).write_bytes(b"beside the others")
    competition = open_competition(CompetitionConfig(profile=profile, root=root))
    sample = competition.samples("train")[0]
    with pytest.raises(CompetitionError, match=r"is 40x48 \(height x width\), its image 41x48: they must be the same"):
        competition.label(sample.masks, (41, 48))
    (root / sample.masks).unlink()
    with pytest.raises(CompetitionError, match="there is no file"):
        competition.label(sample.masks, (40, 48))


def test_pixels_of_all_images_are_seen_at_one_size(opened):
    _, competition = opened("hubmap-hpa")
    samples = competition.samples("test")
    assert [competition.resampling(sample) for sample in samples] == [2.0, pytest.approx(0.5725)]
    items = [EvalDataset(competition, samples, scale=0.5)[place] for place in range(2)]
    assert [tuple(item["image"].shape) for item in items] == [(3, 36, 52), (3, 10, 15)]
    assert [item["size"] for item in items] == [(36, 52)] * 2  # masks stay as large as the files
    assert {competition.resampling(sample) for sample in competition.samples("train")} == {1.0}
    batches = image_loader(competition, samples, load_config(None, {**TINY, "data.scale": 0.5}, name="x"))
    assert [batch["id"] for batch in batches] == [["10078"], ["11"]]


def test_images_beside_the_training_images_are_seen_at_that_size_too(opened):
    _, competition = opened("hubmap-hpa")
    train, test = competition.samples("train"), competition.samples("test")
    unlabelled = unlabelled_samples(competition, SemiConfig(), train[:1])
    factors = unlabelled_factors(competition, unlabelled)
    assert factors == [2.0, pytest.approx(0.5725), 1.0]
    looks = {"weak": lambda image, label, seed: (image, label), "strong": lambda image, seed: image}
    items = UnlabelledDataset(competition, unlabelled, scales=[0.5 * factor for factor in factors], **looks)
    assert [tuple(items[Draw(0, place)]["weak"].shape[1:]) for place in range(2)] == [(36, 52), (10, 15)]
    extra = SimpleNamespace(
        samples=test,
        image=lambda sample: competition.image(sample.image),
        label=lambda sample, size: Label.whole(np.eye(*size, dtype=np.uint8)),
    )
    dataset = TrainDataset(competition, train, scale=0.5, extra=[extra])
    items = [dataset[Draw(0, len(train) + place)] for place in range(2)]
    assert [tuple(item["image"].shape) for item in items] == [(3, 36, 52), (3, 10, 15)]
    assert [tuple(item["targets"]["mask"].shape[-2:]) for item in items] == [(36, 52), (10, 15)]


def test_what_tables_of_pixel_sizes_must_hold(twin, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(twin("hubmap-hpa").root, root)
    table = (root / "test.csv").read_text()
    (root / "test.csv").write_text(table.replace(",0.8,", ",wide,"))
    competition = open_competition(CompetitionConfig(profile="hubmap-hpa", root=root))
    with pytest.raises(
        CompetitionError, match=r"1 sizes of pixels are not numbers above 0: 10078 in test\.csv has 'wide'"
    ):
        competition.resampling(competition.samples("test")[0])
    (root / "test.csv").write_text("".join(table.splitlines(keepends=True)[:-1]))
    competition = open_competition(CompetitionConfig(profile="hubmap-hpa", root=root))
    with pytest.raises(CompetitionError, match=r"have no row of 11 \(pixel_size\)"):
        competition.resampling(competition.samples("test")[1])


def test_how_many_have_no_row_is_said_by_check_data_and_when_folds_are_made(opened, tmp_path, caplog):
    twin, competition = opened("severstal-steel")
    keys = {"competition.profile": "severstal-steel", "competition.root": twin.root, "folds.count": 2}
    config = load_config(None, {**TINY, **keys}, name="steel")
    (said,) = competition.survey("train").notes
    assert check_data(competition, config.folds).facts["of the train images"] == said
    Run.create(config, tmp_path).folds()
    assert said in caplog.text


def test_scans_that_use_a_part_of_16_bits_are_as_light_as_others(opened):
    """Values up to 15,300, of 16,000."""
    twin, competition = opened("gi-tract")
    samples = competition.samples("train")
    assert len(samples) > 0
    for sample in samples:
        image = competition.image(sample.image)
        expected = twin.images[sample.id] / 16000 * 255
        np.testing.assert_allclose(to_rgb(image, competition.images), expected, atol=0.6)
