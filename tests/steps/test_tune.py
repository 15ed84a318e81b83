"""What tuning says of its result."""

from maskfold.config import PostConfig, TTAConfig
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.labels import LabelSpec
from maskfold.steps.tune import describe

CHOICE = EnsembleChoice(
    runs=[
        RunChoice(run="runs/a", checkpoint="ema", weight=0.25),
        RunChoice(run="runs/b", checkpoint="best", weight=0.75),
    ],
    tta=TTAConfig(views="d4"),
    post=PostConfig(threshold=0.45, min_area=25),
    metric="dice",
    scores={"before": 0.81, "after": 0.82},
)


def test_the_choice_and_its_scores_are_told():
    assert describe(CHOICE, LabelSpec("binary", ("building",))).splitlines() == [
        "runs/a: ema, weight 0.25",
        "runs/b: best, weight 0.75",
        "threshold 0.45, fill_holes 0, min_area 25, views d4",
        "Out-of-fold dice 0.8100 before tuning, 0.8200 after (cross-fitted)",
    ]


def test_a_gate_is_told_where_there_is_one():
    gated = CHOICE.model_copy(update={"post": PostConfig(presence=0.3)})
    assert "presence 0.3, threshold 0.5, fill_holes 0" in describe(gated, LabelSpec("binary", ("building",)))


def test_classes_and_a_tuning_that_did_not_help():
    lost = CHOICE.model_copy(
        update={"scores": {"before": 0.81, "after": 0.8}, "post": PostConfig(threshold=(0.4, 0.6))}
    )
    lines = describe(lost, LabelSpec("multilabel", ("fog", "haze"))).splitlines()
    assert lines[2].startswith("threshold of fog 0.4, threshold of haze 0.6, fill_holes of fog 0,")
    assert lines[-1] == "Tuning did not help: the config's own settings, shown above, are kept."
    exclusive = lost.model_copy(update={"post": PostConfig()})
    assert "\nthe most probable class, views d4\n" in describe(exclusive, LabelSpec("multiclass", ("sky", "road")))
