"""Each rule speaks when its figures call for it, says them, and is silent otherwise."""

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.report.conftest import fake_run

from maskfold.competitions import open_competition
from maskfold.config import Config, PostConfig, load_config, override
from maskfold.labels import LabelSpec
from maskfold.losses import build_loss
from maskfold.metrics import SegmentationMetrics
from maskfold.report import read_choice
from maskfold.report.advice import advise
from maskfold.report.advice import ensemble as ensemble_rules
from maskfold.report.advice import images as image_rules
from maskfold.report.advice import training as training_rules
from maskfold.report.gather import gather
from maskfold.runs.history import FoldHistory
from maskfold.scoring.label_shift import LabelShift, Offset

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def findings(run):
    return gather([run], open_competition(run.config.competition), read_choice([run], run.path / "no.yaml"))


def history(scores, losses=None):
    losses = np.linspace(1, 0.1, len(scores)) if losses is None else losses
    epochs = pd.DataFrame({"epoch": range(1, len(scores) + 1), "loss": losses, "valid_dice": scores})
    return FoldHistory("0", epochs, {})


def trained(findings, *folds, **changes):
    training = replace(findings.trainings[0], history=list(folds), **changes)
    return replace(findings, trainings=[training])


def said(rule, findings):
    found = list(rule(findings))
    for advice in found:
        assert_copied(advice.action)
    return [f"{advice.title}: {advice.figures}" for advice in found]


def assert_copied(action):
    """The advice is a command that a shell reads as its program does: values that the config takes."""
    python, script, *words = shlex.split(action)
    assert python == "python"
    assert (SRC / script.removeprefix("src/")).is_file()
    config = load_config(words[words.index("--config") + 1]) if "--config" in words else Config()
    keys = [place for place, word in enumerate(words) if ("." in word and word.startswith("--")) or word == "--loss"]
    changed = override(config, {words[place].removeprefix("--"): words[place + 1] for place in keys})
    if changed.loss:
        exclusive = changed.loss[0]["name"] == "cross_entropy"
        build_loss(
            changed.loss, LabelSpec("multiclass", ("sky", "road")) if exclusive else LabelSpec("binary", ("roof",))
        )
    assert all(Path(word).is_dir() for word in words if word.startswith("/") and "--runs" in words)


def test_rise_at_the_end(findings):
    rising = trained(findings, history(np.linspace(0.5, 0.8, 10)))
    (text,) = said(training_rules.unfinished_rise, rising)
    # The last fifth of ten epochs is two steps of 0.3 / 9.
    assert "rises by 0.0667 in the last fifth of 10 epochs" in text
    flat = trained(findings, history([0.5, 0.7, 0.8, 0.8, 0.8, 0.801, 0.801, 0.79, 0.8, 0.8]))
    assert said(training_rules.unfinished_rise, flat) == []


def test_overfitting(findings):
    scores = [0.5, 0.7, 0.8, 0.79, 0.78, 0.77, 0.77, 0.76, 0.76, 0.75]
    (text,) = said(training_rules.overfitting, trained(findings, history(scores)))
    assert "0.0500 below the best one, which comes after 30% of the epochs" in text
    assert said(training_rules.overfitting, trained(findings, history(scores, np.ones(10)))) == []
    assert said(training_rules.overfitting, trained(findings, history(sorted(scores)))) == []


def test_averaging(findings):
    swinging = trained(findings, history([0.5, 0.6, 0.7, 0.72, 0.70, 0.72, 0.70, 0.72, 0.70]))
    assert "moves by 0.0200 from epoch to epoch" in said(training_rules.averaging, swinging)[0]
    calm = trained(findings, history([0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]))
    assert said(training_rules.averaging, calm) == []


def test_soft_labels_and_an_inner_product(findings):
    def asked(loss, **changes):
        """The advice to a run with that loss and these targets."""
        training = findings.trainings[0]
        config = override(training.run.config, {"loss": loss, **changes})
        run = SimpleNamespace(config=config, name="mine", config_path=training.run.config_path)
        return said(training_rules.soft_labels, replace(findings, trainings=[replace(training, run=run)]))

    annotators = {"targets.annotators.masks": ["a.csv", "b.csv"]}
    (text,) = asked(None, **annotators)
    assert text.startswith("Use a loss for soft labels: mine: the labels are shares of classes, and dice in the loss")
    assert "dml is smallest where both are equal, and it fits the metric dice" in text
    inner = [{"name": "jaccard"}, {"name": "tversky"}, {"name": "jaccard", "output": "mask"}]
    assert "jaccard and tversky in the loss" in asked(inner, **{"targets.smoothing.uniform": 0.1})[0]
    for change in ({"data.label_shift": [0, 0.5]}, {"data.mix.recipe": "mixup"}, {"data.extra": ["pseudo"]}):
        assert len(asked(None, **change)) == 1, change
    assert asked(None, **{"data.label_shift": [2, -1], "data.mix.recipe": "mosaic"}) == []
    assert asked([{"name": "bce"}, {"name": "jml"}], **annotators) == []
    assert asked(None) == []
    assert asked(None, **annotators, **{"targets.annotators.merge": "random"}) == []


def test_missing_folds_and_tuning(findings, tiles, tmp_path):
    assert said(training_rules.missing_folds, findings) == []
    part = fake_run(tmp_path, "part", folds=(0, 2), **{"competition.root": tiles})
    competition = open_competition(part.config.competition)
    partial = gather([part], competition, read_choice([part], tmp_path / "no.yaml"))
    assert "2 of 3 folds are trained, so 16 images" in said(training_rules.missing_folds, partial)[0]
    assert "Tune the ensemble" in said(ensemble_rules.untuned, findings)[0]
    tuned = replace(findings, choice=findings.choice.model_copy(update={"scores": {"after": 0.9, "before": 0.8}}))
    assert said(ensemble_rules.untuned, tuned) == []


def test_values_at_the_border_of_those_tried(run):
    competition = open_competition(run.config.competition)
    choice = read_choice([run], run.path / "no.yaml").model_copy(update={"scores": {"after": 0.9, "before": 0.8}})

    def advice(**post):
        chosen = choice.model_copy(update={"post": PostConfig(**post)})
        return list(ensemble_rules.at_the_border(gather([run], competition, chosen)))

    assert advice(threshold=0.5) == [], "0, which is nothing done, has no further values"
    high, large = advice(threshold=0.6, min_area=9)
    assert "The threshold chosen, 0.6, is the outermost of those tried (0.4 to 0.6)" in high.figures
    assert (
        high.action == f"python src/tune.py --runs '{run.path}' --tune.tried '{{\"threshold\": [0.5, 0.6, 0.7, 0.8]}}'"
    )
    assert large.title == "Try further values of min_area"
    assert large.action.endswith("""--tune.tried '{"min_area": [0, 9, 18, 27]}'""")
    (low,) = advice(threshold=0.4)
    assert low.action.endswith("[0.2, 0.3, 0.4, 0.5]}'")


def test_views(findings):
    assert said(ensemble_rules.views, findings) == []
    training = findings.trainings[0]
    better = training.candidates + 0.02
    (text,) = said(ensemble_rules.views, replace(findings, trainings=[replace(training, candidates=better)]))
    assert "'best' scores -0.0150" in text


def with_table(findings, **columns):
    n = len(next(iter(columns.values())))
    base = {"id": [f"i{k}" for k in range(n)], "unlabelled": 0, "unfound": 0, "fold": 0}
    return replace(findings, table=pd.DataFrame({**base, **columns}))


def test_empty_images(findings):
    coverage, predicted = [0.0] * 6 + [0.2] * 4, [0.1] * 2 + [0] * 4 + [0.2] * 4
    noisy = with_table(findings, coverage=coverage, predicted=predicted, score=[0, 0, 1, 1, 1, 1, 0.8, 0.9, 0.7, 0.8])
    assert (
        "On 2 of 6 images without a mask something is predicted; their mean score is 0.667, against 0.800"
        in (said(image_rules.empty_images, noisy)[0])
    )
    clean = with_table(findings, coverage=coverage, predicted=[0] * 10, score=[1] * 10)
    assert said(image_rules.empty_images, clean) == []


def test_errors_on_one_side(findings):
    def counted(fp, fn):
        metrics = SegmentationMetrics(LabelSpec("binary", ("roof",)))
        truth, mask = np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8)
        truth[:10] = mask[:10] = 1
        mask[20].ravel()[:fp] = 1
        truth[30].ravel()[:fn] = 1
        metrics.update(mask, truth)
        return replace(findings, survey=replace(findings.survey, metrics=metrics))

    (text,) = image_rules.lopsided_errors(counted(10, 30))
    assert text.figures.startswith("30 foreground pixels are missed and 10 background pixels are marked")
    assert "A lower threshold" in text.figures
    assert """"alpha": 0.3, "beta": 0.7}""" in text.action
    other = next(image_rules.lopsided_errors(counted(30, 10)))
    assert "A higher threshold" in other.figures
    assert """"alpha": 0.7, "beta": 0.3}""" in other.action
    assert said(image_rules.lopsided_errors, counted(20, 25)) == []


def test_classes_that_are_lost(findings):
    labels = LabelSpec("multiclass", ("sky", "road", "car", "pole", "ghost"))

    def classes(found_poles):
        metrics = SegmentationMetrics(labels)
        truth = np.zeros((20, 50), np.uint8)
        truth[5:10], truth[10:12], truth[12, :40] = 1, 2, 3
        mask = np.where(truth == 3, 1, truth)
        mask[12, :found_poles] = 3
        metrics.update(mask, truth)
        competition = SimpleNamespace(labels=labels)
        return replace(findings, competition=competition, survey=replace(findings.survey, metrics=metrics))

    (text,) = said(image_rules.lost_classes, classes(found_poles=1))
    assert "IoU is below 0.05 for pole, which have 40 pixels, 4.0% of all." in text
    assert said(image_rules.lost_classes, classes(found_poles=4)) == []
    assert said(image_rules.lost_classes, findings) == []


def test_uneven_folds(findings):
    rng = np.random.default_rng(0)
    fold = np.repeat([0, 1], 30)
    scores = rng.normal(0.8, 0.02, 60)
    assert said(image_rules.uneven_folds, with_table(findings, fold=fold, score=scores)) == []
    (text,) = said(image_rules.uneven_folds, with_table(findings, fold=fold, score=scores - 0.1 * (fold == 1)))
    assert text.startswith("Find out what is different in fold 1")


def test_small_objects_calibration_and_labels(findings):
    def bins(first, last):
        coverage = pd.DataFrame({"bin": ["empty", "1 to 2 %", "5 to 9 %"], "mean": [1.0, first, last]})
        return replace(findings, coverage=coverage)

    assert "score 0.500 on average, those with 5 to 9 % 0.850" in said(image_rules.small_objects, bins(0.5, 0.85))[0]
    assert said(image_rules.small_objects, bins(0.8, 0.85)) == []

    def calibrated(observed):
        table = pd.DataFrame(
            {"low": [0.0, 0.3, 0.6], "high": [0.1, 0.4, 0.7], "pixels": [900, 50, 50],
             "predicted": [0.01, 0.35, 0.65], "observed": [0.01, *observed]}
        )  # fmt: skip
        return replace(findings, calibration=table)

    assert "are right 15.0% less often than promised" in said(image_rules.calibration, calibrated([0.2, 0.5]))[0]
    assert said(image_rules.calibration, calibrated([0.36, 0.64])) == []

    table = with_table(findings, unlabelled=[0, 30, 0, 99], score=[1.0] * 4)
    assert "On 2 of 4 images" in said(image_rules.label_errors, table)[0]
    assert "the most on i3, i1" in said(image_rules.label_errors, table)[0]


def test_runs_together(run, weaker):
    choice = read_choice([run, weaker], run.path / "no.yaml")
    both = gather([run, weaker], open_competition(run.config.competition), choice)
    (advice,) = ensemble_rules.several_runs(both)
    assert_copied(advice.action)
    text = advice.figures
    together, best = (both.plain_score, both.runs["score"].max())
    assert f"{together:.4f}" in text
    assert f"({together - best:+.4f})" in text
    assert said(ensemble_rules.several_runs, SimpleNamespace(runs=both.runs.head(1))) == []


def test_all_rules_are_asked(findings):
    titles = [advice.title for advice in advise(findings)]
    assert titles[0] == "Tune the ensemble"
    assert len(titles) == len(set(titles))


def test_masks_that_were_drawn_in_two_ways(findings):
    table = findings.table.copy()
    groups = np.array(["a", "b"])[np.arange(len(table)) % 2]
    noise = 0.1 * np.sin(np.arange(len(table)))
    table = table.assign(group=groups, border_share=0.9, border_offset=np.where(groups == "a", 1.2, -0.3) + noise)
    (text,) = said(image_rules.borders_drawn_otherwise, replace(findings, table=table, groups=groups))
    assert "masks of group a on average" in text
    assert "90% of the wrong pixels" in text
    alike = table.assign(border_offset=0.4 + noise)
    assert said(image_rules.borders_drawn_otherwise, replace(findings, table=alike, groups=groups)) == []
    assert said(image_rules.borders_drawn_otherwise, replace(findings, groups=None)) == []


def test_masks_beside_what_images_show(findings):
    beside = Offset((0.52, -0.26), (0.4, -0.4), (0.6, -0.1))
    shift = LabelShift(beside, beside, 90)
    (advice,) = image_rules.labels_beside(replace(findings, label_shift=shift))
    assert "+0.52 px down (99.9 %: +0.40 to +0.60), -0.26 px right" in advice.figures
    config = override(Config(), {"data.label_shift": shlex.split(advice.action)[-1]})
    assert config.data.label_shift == (0.5, -0.3)
    assert_copied(advice.action)
    assert said(image_rules.labels_beside, replace(findings, label_shift=None)) == []
