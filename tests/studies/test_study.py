"""What a study's file may say, and what is refused."""

import pytest
import yaml

from maskfold.config import shipped_configs
from maskfold.errors import ConfigError
from maskfold.studies.plan import Plan
from maskfold.studies.study import load_study, placeholders


def write(path, variants, **more):
    path.write_text(yaml.safe_dump({"about": "x", "config": "demo", "variants": variants, **more}, sort_keys=False))
    return path


@pytest.mark.parametrize("name", shipped_configs("studies"))
def test_every_shipped_study_loads_and_its_variants_differ(name, tmp_path):
    study = load_study(name)
    text = shipped_configs("studies")[name].read_text()
    assert text.startswith("# "), "the first line says what it is for"
    plan = Plan(study, tmp_path / name)
    trained = {(job.variant, job.fold) for stage in plan.stages() for job in stage if job.fold is not None}
    assert trained == {(variant, fold) for variant in plan.trained for fold in plan.folds(variant)}


def test_the_first_variant_is_the_baseline_unless_another_is_named(tmp_path):
    study = load_study(write(tmp_path / "s.yaml", {"a": {}, "b": {"options": {"seed": 1}}, "c": {"against": "b"}}))
    assert [study.against(name) for name in "abc"] == [None, "a", "b"]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"a": {}, "b": {"option": {}}}, "unknown key variants.b.option: did you mean variants.options?"),
        ({"a": {}, "b": {"against": "x1"}}, "b names the variant x1: known are a, b"),
        ({"a": {"options": {"k": [{"run": "z"}]}}}, "a names the variant z"),
        ({"a": {"run": "b"}, "b": {"pseudo": {"runs": ["a"]}}}, "a, b need each other"),
        ({"a": {}, "b": {"run": "a"}, "c": {"run": "b"}}, "c predicts with b, which trains nothing itself"),
        ({"a": {}, "b": {"run": "a", "options": {"seed": 2}}}, "run is a, so nothing is trained"),
        ({"a": {"predict": {"train.epochs": 2}}}, "predict has train.epochs"),
        ({"a": {}, "b": {"pseudo": ["a"]}}, "variants.b.pseudo"),
        ({"a b": {}, "a-b": {}}, "'a b' and 'a-b' would share a folder"),
        ({"a, b": {}}, "without a comma"),
        ({}, "variants"),
    ],
)
def test_what_does_not_fit_is_refused(variants, message, tmp_path):
    path = write(tmp_path / "s.yaml", variants)
    with pytest.raises(ConfigError) as error:
        load_study(path)
    assert str(error.value).startswith(f"{path}:")
    assert message in str(error.value)


def test_pseudo_labels_have_the_rules_of_the_command(tmp_path):
    asked = {"runs": ["a"], "mean_confidence": 0.95, "hard": True}
    labelled = load_study(write(tmp_path / "s.yaml", {"a": {}, "b": {"pseudo": asked}})).variants["b"].pseudo
    assert labelled.rules.model_dump() == {
        "confidence": 0.8,
        "confident_share": None,
        "mean_confidence": 0.95,
        "hard": True,
    }


def test_numbers_that_are_asked_twice_or_below_zero_are_refused(tmp_path):
    study = load_study(write(tmp_path / "s.yaml", {"a": {}}, folds=[1, 3]))
    assert study.asked(seeds=(4, 2)).seeds == (4, 2)
    assert study.asked(seeds=(4, 2)).folds == (1, 3)
    for wrong in ((1, 1), (-1,), ()):
        with pytest.raises(ConfigError, match=r"the command line:(?s:.*)folds"):
            study.asked(folds=wrong)


def test_selected_variants_bring_what_they_need_and_are_compared_with(tmp_path):
    variants = {
        "base": {},
        "large": {"options": {"seed": 1}},
        "student": {"options": {"targets.teacher": {"runs": [{"run": "large"}]}}, "against": "small"},
        "small": {"options": {"seed": 2}},
        "other": {"options": {"seed": 3}},
    }
    study = load_study(write(tmp_path / "s.yaml", variants))
    assert list(study.select(["student"]).variants) == ["base", "large", "student", "small"]
    with pytest.raises(ConfigError, match="no variant studnet: did you mean student"):
        study.select(["studnet"])


def test_placeholders_are_found_wherever_they_stand():
    value = {"runs": [{"run": "a"}, "runs/b"], "loss": [{"name": "x", "from_epoch": {"epochs": 0.5}}], "run": 1, "k": 2}
    assert list(placeholders(value)) == [("run", "a"), ("epochs", 0.5)]


def test_there_is_a_hint_where_a_study_is_misspelt():
    with pytest.raises(ConfigError, match="no study file wieghts: did you mean weights"):
        load_study("wieghts")
