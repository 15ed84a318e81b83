"""What tuning says of its result."""

from maskfold.config import CRFConfig, PostConfig, TTAConfig
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
    assert describe(CHOICE, LabelSpec("binary", ("building",)), PostConfig()).splitlines() == [
        "runs/a: ema, weight 0.25",
        "runs/b: best, weight 0.75",
        "threshold 0.45, fill_holes 0, min_area 25, views d4",
        "Out-of-fold dice 0.8100 before tuning, 0.8200 after (cross-fitted)",
    ]


def test_a_gate_is_told_where_there_is_one():
    gated = CHOICE.model_copy(update={"post": PostConfig(presence=0.3)})
    told = describe(gated, LabelSpec("binary", ("building",)), PostConfig())
    assert "presence 0.3, threshold 0.5, fill_holes 0" in told


def test_classes_and_a_tuning_that_did_not_help():
    lost = CHOICE.model_copy(
        update={"scores": {"before": 0.81, "after": 0.8}, "post": PostConfig(threshold=(0.4, 0.6))}
    )
    lines = describe(lost, LabelSpec("multilabel", ("fog", "haze")), PostConfig()).splitlines()
    assert lines[2].startswith("threshold of fog 0.4, threshold of haze 0.6, fill_holes of fog 0,")
    assert lines[-1] == "Tuning did not help: the config's own settings, shown above, are kept."
    exclusive = lost.model_copy(update={"post": PostConfig()})
    assert "\nthe most probable class, views d4\n" in describe(
        exclusive, LabelSpec("multiclass", ("sky", "road")), PostConfig()
    )


def test_a_step_that_was_left_out_is_named():
    asked = PostConfig(crf=CRFConfig())
    lines = describe(CHOICE, LabelSpec("binary", ("building",)), asked).splitlines()
    assert lines[-1] == "Left out, as nothing scores higher with it: post.crf."
    kept = CHOICE.model_copy(update={"post": asked})
    told = describe(kept, LabelSpec("binary", ("building",)), asked)
    assert (
        "\ncrf.theta_beta 4.0, crf.theta_alpha 60.0, crf.w1 4.0, crf.w2 3.0, crf.theta_gamma 3.0, threshold 0.5" in told
    )
    assert "Left out" not in told
