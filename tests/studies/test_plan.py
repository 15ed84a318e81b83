"""Configs of variants, and the order of the work."""

from pathlib import Path

import pytest

from maskfold.errors import ConfigError
from maskfold.studies.plan import Job, Plan
from maskfold.studies.study import Study

VARIANTS = {
    "small": {"options": {"model.encoder": "resnet18"}},
    "large": {},
    "student": {
        "options": {
            "model.encoder": "resnet18",
            "targets.teacher": {"runs": [{"run": "large"}], "temperature": 2},
            "loss": [{"name": "bce"}, {"name": "jml", "from_epoch": {"epochs": 0.5}}],
        },
        "against": "small",
    },
    "again": {"pseudo": {"runs": ["student", "large"], "confidence": 0.9}},
    "flips": {"run": "student", "predict": {"tta.views": "d4"}},
}


def plan(variants=None, overrides=None, **more):
    tree = {"about": "x", "config": "demo", "folds": (1, 0), "seeds": (7,), "variants": variants or VARIANTS, **more}
    return Plan(Study.model_validate(tree), Path("runs/studies/s"), overrides)


def test_placeholders_become_runs_of_the_same_seed_and_shares_of_epochs():
    config = plan(options={"train.epochs": 9}).config("student", 7)
    assert config.seed == 7
    assert config.targets.teacher.runs == (Path("runs/studies/s/large_seed7"),)
    assert config.targets.teacher.temperature == 2
    assert config.loss == [{"name": "bce"}, {"name": "jml", "from_epoch": 4}]
    assert config.name == "student_seed7"


def test_a_variant_has_the_last_word_after_the_command_line_and_the_study():
    variants = {"a": {}, "half": {"options": {"train.epochs": {"epochs": 0.5}}}, "b": {"options": {"optim.lr": 0.5}}}
    found = plan(variants, {"train.epochs": "6", "optim.lr": "0.25"}, options={"train.epochs": 30, "data.crop": 64})
    assert [found.config(name, 7).train.epochs for name in variants] == [6, 3, 6]
    little = plan({"a": {}, "one": {"options": {"train.epochs": {"epochs": 0.02}}}})
    assert little.config("one", 7).train.epochs == 1
    assert [found.config(name, 7).optim.lr for name in variants] == [0.25, 0.25, 0.5]
    assert {found.config(name, 7).data.crop for name in variants} == {64}


def test_pseudo_labels_are_trained_on_beside_what_the_config_adds():
    assert plan().config("again", 7).data.extra == (Path("runs/studies/s/pseudo/again_seed7"),)


def test_a_variant_that_trains_nothing_has_the_run_of_another_and_its_own_way_to_predict():
    found = plan()
    assert found.run("flips", 7).path == found.run("student", 7).path == Path("runs/studies/s/student_seed7")
    assert found.config("flips", 7) == found.config("student", 7)
    assert found.prediction_config("flips", 7).tta.views == "d4"
    assert "flips" not in found.trained


def test_what_others_need_comes_first():
    stages = plan(seeds=(7, 8)).stages()
    first = {Job(name, seed, fold) for name in ("small", "large") for seed in (7, 8) for fold in (0, 1)}
    second = {Job("student", seed, fold) for seed in (7, 8) for fold in (0, 1)}
    labels = {Job("again", seed, None) for seed in (7, 8)}
    last = {Job("again", seed, fold) for seed in (7, 8) for fold in (0, 1)}
    assert [set(stage) for stage in stages] == [first, second, labels, last]


def test_variants_that_are_the_same_are_refused():
    with pytest.raises(ConfigError, match="the variants large and twin of the study are the same"):
        plan({"large": {}, "twin": {"options": {"train.epochs": 17}}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train.epohcs": 3}, "variant b of the study.*did you mean train.epochs"),
        ({"train.epochs": {"epochs": -1}}, "{epochs: -1} is a share of train.epochs, which is 17"),
        ({"train.epochs": {"epochs": "x"}}, "{epochs: x}"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        plan({"a": {}, "b": {"options": options}})


def test_all_folds_are_those_of_the_variants_own_section():
    variants = {"five": {}, "one": {"options": {"folds.kind": "holdout"}}, "two": {"options": {"folds.count": 2}}}
    found = plan(variants, folds="all")
    assert [found.folds(name) for name in variants] == [(0, 1, 2, 3, 4), (0,), (0, 1)]
    assert [job.fold for job in found.stages()[0] if job.variant == "two"] == [0, 1]
