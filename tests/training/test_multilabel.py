"""Classes that overlap, from the table of samples to a scored submission and a report."""

import itertools

import numpy as np
import pytest
from tests.clouds import NAMES, clouds_config, write_clouds

from maskfold.checks import check_data
from maskfold.competitions import open_competition, validate_submission
from maskfold.ensembling.submit import default_choice, predict_samples, write_submission
from maskfold.ensembling.tune import tune
from maskfold.errors import CompetitionError, SubmissionError
from maskfold.report import make_report, read_choice
from maskfold.report.data_page import write_data_page
from maskfold.runs import Run
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
    return run, competition, fit(config, competition, run, 0)


def dice(a, b):
    total = int(a.sum()) + int(b.sum())
    return 1.0 if total == 0 else 2 * int((a & b).sum()) / total


def test_samples_and_labels(clouds):
    folder, masks = clouds
    competition = open_competition(clouds_config(folder).competition)
    samples = competition.samples("train")
    assert len(samples) == 8
    pairs = itertools.combinations(range(4), 2)
    assert any((masks[i][a] & masks[i][b]).any() for i in samples["id"] for a, b in pairs)
    for row in samples.itertuples():
        label = competition.label(row.masks, competition.size(row.image), id=row.id)
        np.testing.assert_array_equal(label.values, masks[row.id])
        assert label.valid.all()
        share = masks[row.id].any(0).mean()
        assert competition.coverage(row.masks, label.valid.shape) == pytest.approx(share)


def test_a_multiclass_profile_refuses_the_same_table(clouds, tmp_path):
    folder, _ = clouds
    text = (folder / "profile.yaml").read_text().replace("task: multilabel\n", "").replace("[Fish", "[none, Fish")
    (tmp_path / "exclusive.yaml").write_text(text)
    config = clouds_config(folder, **{"competition.profile": str(tmp_path / "exclusive.yaml")})
    competition = open_competition(config.competition)
    samples = competition.samples("train")
    with pytest.raises(CompetitionError, match="exclude each other, unless the profile has task: multilabel"):
        for row in samples.itertuples():
            competition.label(row.masks, competition.size(row.image))


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
    header = run.fold(0).metrics_path.read_text().splitlines()[0]
    assert {"bce", "dice"} <= set(header.split(","))
    store = run.fold(0).oof(summary["best_checkpoint"], competition.labels.channels)
    found = np.stack([store.read(image_id).astype(float).sum(0).mean() for image_id in store.ids()])
    assert not np.allclose(found, 255, atol=3)  # a softmax's probabilities would sum to 1


def test_scores_out_of_fold_are_dice_per_image_and_class(trained, clouds):
    run, competition, _ = trained
    evaluation = evaluate_oof(default_choice(run), competition, run.config.inference)
    store = run.fold(0).oof("best", 4)
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
    choice = default_choice(run)
    stream = predict_samples(choice, competition, samples, [0], batch_size=2)
    path = tmp_path / "submission.csv"
    write_submission(stream, choice, competition, path, list(samples["id"]))
    validate_submission(path, competition)
    order = [line.split(",")[0] for line in path.read_text().splitlines()]
    assert order == [line.split(",")[0] for line in (folder / "sample_submission.csv").read_text().splitlines()]
    written = competition.read_masks(path)
    expected = []
    for row in samples.itertuples():
        layers = competition.label(written[row.id], competition.size(row.image)).values
        expected.append([dice(a, b) for a, b in zip(layers, masks[row.id], strict=True)])
    assert evaluate_submission(path, folder / "truth.csv", competition).score == pytest.approx(np.mean(expected))
    assert compare_masks(path, folder / "truth.csv", competition).table["pixels"].sum() == sum(
        masks[row.id][0].size for row in samples.itertuples()
    )


def test_a_submission_without_a_class_or_with_another_mask_is_refused(trained, clouds, tmp_path):
    _, competition, _ = trained
    lines = (clouds[0] / "sample_submission.csv").read_text().splitlines()
    (tmp_path / "short.csv").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(SubmissionError, match=r"1 missing ids: test_2\.png \(class Gravel\)"):
        validate_submission(tmp_path / "short.csv", competition)


def test_tuning_and_the_report_work(trained, tmp_path):
    run, competition, _ = trained
    choice = tune([run], competition, run.config)
    assert choice.metric == "dice"
    report = make_report([run], competition, read_choice([run], tmp_path / "no.yaml"), tmp_path / "r.html", count=4)
    page = report.path.read_text()
    assert all(name in page for name in (*NAMES, "none of them"))
    assert report.findings.survey.metrics.per_class().index.tolist() == list(NAMES)
