"""What a choice gains out of fold: variants of one config with the same budget, each paired with its baseline.

python benchmarks/gains.py STUDY [--root FOLDER] [--weights FOLDER], STUDY being one of those below. Trained folds stay
in runs/gains_STUDY_VARIANT/ and are not trained again. The score is that of the config's checkpoint and views at
threshold 0.5 unless a variant says otherwise; nothing is tuned.
"""

import argparse
import re
from dataclasses import dataclass, field
from typing import Any

import maskfold
from maskfold.config import override
from maskfold.metrics import Evaluation, paired_bootstrap
from timing import machine

WEIGHTS = {
    "mobilenet_v2": "mobilenet_v2_imagenet.safetensors",
    "tu-tf_efficientnet_lite0": "tf_efficientnet_lite0_imagenet.safetensors",
    "tu-tf_efficientnet_lite2": "tf_efficientnet_lite2_imagenet.safetensors",
}
# Short enough for two slow cores: a quarter of the real tiles' pixels, small crops, few epochs.
SHORT = {"data.crop": 128, "train.epochs": 6, "train.validate_every": 2, "optim.encoder_lr_factor": 1.0}


@dataclass(frozen=True)
class Variant:
    """Options of training, and further ones of prediction with the same weights; ``against`` is its baseline."""

    name: str
    against: str | None = None
    train: dict[str, Any] = field(default_factory=dict)
    predict: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A config, options of all variants, the folds that are trained, and the variants, baselines first."""

    config: str
    options: dict[str, Any]
    folds: tuple[int, ...]
    variants: tuple[Variant, ...]


def _pretrained() -> Study:
    variants = []
    for encoder, file in WEIGHTS.items():
        variants.append(Variant(f"{encoder}, random", None, {"model.encoder": encoder, "model.encoder_weights": None}))
        pretrained = {"model.encoder": encoder, "model.encoder_weights": file}
        variants.append(Variant(f"{encoder}, ImageNet", f"{encoder}, random", pretrained))
    return Study("satellite_mobilenet", SHORT, (0,), tuple(variants))


# What a network may have beside its mask, and how it may be trained and read: each against the plain network.
DEEP = [
    {"name": "bce", "weight": 0.8, "outputs": {"mask": 1, "deep_1": 0.4, "deep_2": 0.2}},
    {"name": "dice", "weight": 0.2},
]
HYPERCOLUMNS = {"model.hypercolumns": True, "model.deep_supervision": 2, "loss": DEEP}
PARTS = (
    Variant("plain"),
    Variant("deep supervision", "plain", {"model.deep_supervision": 2, "loss": DEEP}),
    Variant("hypercolumns, deep supervision", "plain", HYPERCOLUMNS),
    Variant("presence head", "plain", {"model.presence": True}),
    Variant("presence head, gate at 0.5", "presence head", {"model.presence": True}, {"post.presence": 0.5}),
    Variant("dropout 0.2", "plain", {"model.dropout": 0.2}),
    Variant("dropout 0.2, four passes", "dropout 0.2", {"model.dropout": 0.2}, {"tta.dropout_passes": 4}),
    Variant("adversarial", "plain", {"adversarial": {"weight": 0.02, "from_epoch": 3, "ramp_epochs": 2}}),
    Variant("CRF", "plain", {}, {"post.crf": {}}),
)
LITE = {"model.encoder": "tu-tf_efficientnet_lite0", "model.encoder_weights": WEIGHTS["tu-tf_efficientnet_lite0"]}

STUDIES = {
    "weights": _pretrained(),
    "parts-demo": Study("demo", {}, (0, 1), PARTS),
    "parts-real": Study("satellite_mobilenet", {**SHORT, **LITE}, (0,), PARTS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--root", help="folder of the competition's files; default: the one under data/ that fits")
    parser.add_argument("--weights", default="data/weights", help="folder of encoder weights; default: data/weights")
    arguments = parser.parse_args()
    study = STUDIES[arguments.study]
    if arguments.root:
        study.options["competition.root"] = arguments.root
    found: dict[str, Evaluation] = {}
    for variant in study.variants:
        found[variant.name] = evaluate(arguments.study, study, variant, arguments.weights)
    print(f"\n{arguments.study}: {study.config}, {study.options}, folds {study.folds}; {machine('torch')}\n")
    print("| variant | score | against | difference, 95 % of paired bootstraps |\n| --- | --- | --- | --- |")
    for variant in study.variants:
        print(f"| {variant.name} | {found[variant.name].score:.4f} | {difference(variant, found)} |")


def evaluate(name: str, study: Study, variant: Variant, weights: str) -> Evaluation:
    """Train what is missing of a variant, and score it out of fold."""
    same_weights = next(other for other in study.variants if other.train == variant.train)
    folder = f"gains_{name}_" + re.sub(r"\W+", "_", same_weights.name)
    options = {**study.options, **variant.train}
    file = options.get("model.encoder_weights")
    if file:
        options["model.encoder_weights"] = f"{weights}/{file}"
    config = maskfold.load_config(study.config, options, name=folder)
    run = maskfold.train(config, study.folds)
    return maskfold.evaluate(run, config=override(run.config, variant.predict))


def difference(variant: Variant, found: dict[str, Evaluation]) -> str:
    """The baseline, and the paired difference from it."""
    if variant.against is None:
        return " | "
    ours, theirs = found[variant.name], found[variant.against]
    result = paired_bootstrap(ours.stats, theirs.stats, ours.metric.score, groups=ours.groups)
    return f"{variant.against} | {result.difference:+.4f} ({result.low:+.4f} to {result.high:+.4f})"


if __name__ == "__main__":
    main()
