"""Classes that overlap, from the table of samples to a scored submission and a report."""

import itertools
import shutil

import numpy as np
import pytest
import yaml
from scipy import ndimage
from tests.clouds import NAMES, clouds_config, write_clouds
from tests.drawn_runs import dice

from maskfold.checks import check_data
from maskfold.competitions import open_competition, validate_submission
from maskfold.config import override
from maskfold.ensembling.choice import write_ensemble
from maskfold.ensembling.submit import default_choice, predict_samples, write_submission
from maskfold.ensembling.tune import tune
from maskfold.errors import CompetitionError, SubmissionError
from maskfold.report import make_report, read_choice
from maskfold.report.data_page import write_data_page
from maskfold.runs import Run
from maskfold.runs.history import read_epochs
from maskfold.scoring.agreement import compare_masks
from maskfold.scoring.evaluate import evaluate_oof, evaluate_submission
from maskfold.training import fit


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clouds") / "clouds"
    return folder, write_clouds(folder)


@pytest.fixture(scope="module")
def trained(clouds, tmp_path_factory):
    """A run of one fold, trained for two steps."""
    config = clouds_config(clouds[0], **{"train.epochs": 2, "train.batch_size": 4})
    competition = open_competition(config.competition)
    run = Run.create(config, tmp_path_factory.mktemp("runs"))
    return run, competition, fit(run, 0)


def test_samples_and_labels(clouds):
    folder, masks = clouds
    competition = open_competition(clouds_config(folder).competition)
    samples = competition.samples("train")
    assert len(samples) == 8
    pairs = itertools.combinations(range(4), 2)
    assert any((masks[i][a] & masks[i][b]).any() for i in samples.ids for a, b in pairs)
    for sample in samples:
        label = competition.label(sample.masks, competition.size(sample.image), id=sample.id)
        np.testing.assert_array_equal(label.values, masks[sample.id])
        assert label.valid.all()
        share = masks[sample.id].any(0).mean()
        assert competition.coverage(sample.masks, label.valid.shape) == pytest.approx(share)


def test_a_multiclass_profile_refuses_the_same_table(clouds, tmp_path):
    folder, _ = clouds
    text = (folder / "profile.yaml").read_text().replace("task: multilabel\n", "").replace("[Fish", "[none, Fish")
    (tmp_path / "exclusive.yaml").write_text(text)
    config = clouds_config(folder, **{"competition.profile": str(tmp_path / "exclusive.yaml")})
    competition = open_competition(config.competition)
    samples = competition.samples("train")
    with pytest.raises(CompetitionError, match="exclude each other, unless the profile has task: multilabel"):
        for sample in samples:
            competition.label(sample.masks, competition.size(sample.image))


def test_checks_and_their_page(clouds, tmp_path):
    folder, masks = clouds
    config = clouds_config(folder)
    competition = open_competition(config.competition)
    report = check_data(competition, config.folds)
    assert report.ok, report.problems
    train = [layers for name, layers in masks.items() if name.startswith("train")]
    assert report.masks.pixels.tolist() == [sum(int(layers[c].sum()) for layers in train) for c in range(4)]
    assert report.masks.images.tolist() == [sum(bool(layers[c].any()) for layers in train) for c in range(4)]
    write_data_page(report, competition, tmp_path / "data.html")
    page = (tmp_path / "data.html").read_text()
    assert all(name in page for name in (*NAMES, "none of them"))


def test_training_has_a_sigmoid_for_each_class(trained):
    run, competition, summary = trained
    assert list(competition.metric.class_names) == list(NAMES)
    assert {"bce", "dice"} <= set(read_epochs(run.fold(0)))
    store = run.fold(0).oof(summary["best_checkpoint"])
    found = np.stack([store.read(image_id).astype(float).sum(0).mean() for image_id in store.ids()])
    assert not np.allclose(found, 255, atol=3)  # a softmax's probabilities would sum to 1


def test_scores_out_of_fold_are_dice_per_image_and_class(trained, clouds):
    run, competition, _ = trained
    evaluation = evaluate_oof(default_choice([run], run.config), competition)
    store = run.fold(0).oof("best")
    expected = []
    for image_id in store.ids():
        found = store.read(image_id).astype(np.float32) / np.float32(255) >= np.float32(0.5)
        expected.append([dice(a, b) for a, b in zip(found, clouds[1][image_id].astype(bool), strict=True)])
    assert evaluation.score == pytest.approx(np.mean(expected))
    lines = [line.split() for line in evaluation.class_lines().splitlines() if line]
    assert {name: float(score) for name, score in lines} == pytest.approx(
        dict(zip(NAMES, np.mean(expected, 0), strict=True)), abs=1e-4
    )


def test_prediction_ends_in_a_valid_scored_submission(trained, clouds, tmp_path):
    run, competition, _ = trained
    folder, masks = clouds
    samples = competition.samples("test")
    choice = default_choice([run], run.config)
    stream = predict_samples(choice, competition, samples, [0], batch_size=2)
    path = tmp_path / "submission.csv"
    write_submission(stream, choice, competition, path, samples.ids)
    validate_submission(path, competition)
    order = [line.split(",")[0] for line in path.read_text().splitlines()]
    assert order == [line.split(",")[0] for line in (folder / "sample_submission.csv").read_text().splitlines()]
    written = competition.read_masks(path)
    expected = []
    for sample in samples:
        layers = competition.label(written[sample.id], competition.size(sample.image)).values
        expected.append([dice(a, b) for a, b in zip(layers, masks[sample.id], strict=True)])
    assert evaluate_submission(path, folder / "truth.csv", competition).score == pytest.approx(np.mean(expected))
    assert compare_masks(path, folder / "truth.csv", competition).table["pixels"].sum() == sum(
        masks[image_id][0].size for image_id in samples.ids
    )


def test_a_submission_without_a_class_or_with_another_mask_is_refused(trained, clouds, tmp_path):
    _, competition, _ = trained
    lines = (clouds[0] / "sample_submission.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(SubmissionError, match=r"1 missing ids: test_2\.png \(class Gravel\)"):
        validate_submission(tmp_path / "short.csv", competition)


def test_every_class_is_tuned_by_itself(trained, clouds, tmp_path):
    """Fish is at 0.35 before 0.1, Flower at 0.9 before 0.6, Gravel and Sugar at 0.9 before 0.1; Sugar has specks."""
    source, competition, _ = trained
    run = Run.open(shutil.copytree(source.path, tmp_path / "clouds"))
    high, low = (np.array(levels)[:, None, None] for levels in ((0.35, 0.9, 0.9, 0.9), (0.1, 0.6, 0.1, 0.1)))
    store = run.fold(0).oof("best")
    with store.replace(store.made_with()) as maps:
        for image_id in source.fold(0).oof("best").ids():
            drawn = clouds[1][image_id].copy()
            drawn[3, -2:, -2:] = 1
            maps.write(image_id, np.where(drawn, high, low).astype(np.float32))
    tried = {"tune.tried": {"threshold": [0.2, 0.5, 0.8], "fill_holes": [0], "min_area": [0, 9]}}
    write_ensemble(tune([run], competition, override(run.config, tried)), run.ensemble_path)
    post = yaml.safe_load(run.ensemble_path.read_text())["post"]
    assert (post["threshold"], post["min_area"]) == ([0.2, 0.8, 0.5, 0.5], [0, 0, 0, 9])
    choice = read_choice([run], run.ensemble_path)
    assert evaluate_oof(choice, competition).score == 1.0

    samples = competition.samples("test")
    written = predict_samples(choice, competition, samples, [0], batch_size=2)
    write_submission(written, choice, competition, tmp_path / "s.csv", samples.ids)
    masks = competition.read_masks(tmp_path / "s.csv")
    for prediction in predict_samples(choice, competition, samples, [0], batch_size=2):
        expected = prediction.probability >= np.float32([0.2, 0.8, 0.5, 0.5])[:, None, None]
        pieces, count = ndimage.label(expected[3], np.ones((3, 3)))
        for number in range(1, count + 1):
            expected[3] &= (pieces != number) | ((pieces == number).sum() >= 9)
        found = competition.label(masks[prediction.id], prediction.probability.shape[1:]).values
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("step", "option", "off", "tried"),
    [
        ("certain", "threshold", {"threshold": 0, "area": 1}, {"threshold": [0, 0.8], "area": [1]}),
        ("certain", "area", {"threshold": 0.8, "area": 0}, {"threshold": [0.8], "area": [0, 30]}),
        ("top_mean", "threshold", {"threshold": 0, "pixels": 60}, {"threshold": [0, 0.7], "pixels": [60]}),
    ],
)
def test_false_alarms_of_a_class_are_ruled_out_by_tuning(trained, clouds, tmp_path, step, option, off, tried):
    """Where Gravel is not, 36 pixels of it are at 0.6; where it is, all are at 0.9. Every pixel of Fish is at 0.55."""
    source, competition, _ = trained
    run = Run.open(shutil.copytree(source.path, tmp_path / "clouds"))
    store = run.fold(0).oof("best")
    high = np.array((0.55, 0.9, 0.9, 0.9))[:, None, None]
    truth = {image_id: clouds[1][image_id] for image_id in source.fold(0).oof("best").ids()}
    absent = [image_id for image_id, layers in truth.items() if not layers[2].any()]
    assert 0 < len(absent) < len(truth)
    with store.replace(store.made_with()) as maps:
        for image_id, layers in truth.items():
            probability = np.where(layers, high, 0.1).astype(np.float32)
            if image_id in absent:
                probability[2, 3:9, 4:10] = 0.6
            maps.write(image_id, probability)
    only = {"threshold": [0.5], "fill_holes": [0], "min_area": [0], step: tried}
    config = override(run.config, {f"post.{step}": off, "tune.tried": only})
    plain = evaluate_oof(default_choice([run], config), competition)
    assert plain.score == pytest.approx(1 - len(absent) / (4 * len(truth)))
    choice = tune([run], competition, config)
    assert evaluate_oof(choice, competition).score == 1.0
    chosen = getattr(getattr(choice.post, step), option)
    assert chosen[0] == 0  # Fish would be lost
    assert chosen[2] == tried[option][1]


def test_tuning_and_the_report_work(trained, tmp_path):
    run, competition, _ = trained
    choice = tune([run], competition, run.config)
    assert choice.metric == "dice"
    report = make_report([run], competition, read_choice([run], tmp_path / "no.yaml"), tmp_path / "r.html", count=4)
    page = report.path.read_text()
    assert all(name in page for name in (*NAMES, "none of them"))
    assert report.findings.survey.metrics.per_class().index.tolist() == list(NAMES)
