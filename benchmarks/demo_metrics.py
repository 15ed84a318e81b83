"""No single metric tells all: one network's out-of-fold maps, cut in several ways, under several metrics.

python benchmarks/demo_metrics.py [runs/demo]
"""

import sys
from pathlib import Path

import numpy as np

from maskfold.competitions import open_competition
from maskfold.config import PostConfig
from maskfold.ensembling.choice import Mix
from maskfold.ensembling.oof import OofImage, oof_images
from maskfold.ensembling.settings import Scorer, Setting
from maskfold.ensembling.tune import ranked_checkpoints
from maskfold.inference.decoding import build_chain
from maskfold.metrics import SegmentationMetrics, bootstrap_interval, build_metric, precision, recall
from maskfold.runs import Run

CUTS = {"0.3": (0.3, 0), "0.5": (0.5, 0), "0.5, area 100": (0.5, 100), "0.7": (0.7, 0)}


def main() -> None:
    run = Run.open(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo"))
    competition = open_competition(run.config.competition)
    names = ranked_checkpoints(run, None, run.config)
    images = oof_images([run], [names], competition, [run.config.tta])
    scorer = Scorer(images, competition)
    found = {name: scorer.metric.score(scorer.stats(Setting((name,), (1.0,), PostConfig()))) for name in names}
    checkpoint = max(found, key=lambda name: found[name])
    print(f"{len(images)} images, folds {run.finished_folds()}, checkpoint {checkpoint}")
    print("| threshold | mean Dice (95 %) | mean IoU | worst 5 % IoU | precision | recall | empty tiles right |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, cut in CUTS.items():
        print(f"| {name} | " + " | ".join(row(images, competition, checkpoint, cut)) + " |")


def row(images: list[OofImage], competition, checkpoint: str, cut: tuple[float, int]) -> list[str]:
    """The scores of one way to cut the maps."""
    labels = competition.labels
    chain = build_chain(PostConfig(threshold=cut[0], min_area=cut[1]), labels)
    metric, counts = build_metric("dice", labels), SegmentationMetrics(labels, worst=(5,))
    stats, shares, empty = [], [], []
    for image in images:
        probability = image.probability(Mix((checkpoint,), (1.0,)))
        label = image.truth(competition)
        mask, truth = chain.decode(probability), label.values
        stats.append(metric.image_stats(mask, label))
        counts.update(mask, truth, label.valid)
        if truth.any():
            shares.append((precision(mask, truth), recall(mask, truth)))
        else:
            empty.append(not mask.any())
    low, high = bootstrap_interval(np.stack(stats), metric.score)
    found = counts.compute()
    means = np.mean(shares, axis=0)
    return [
        f"{metric.score(np.stack(stats)):.3f} ({low:.3f} to {high:.3f})",
        f"{found['miou_i']:.3f}",
        f"{found['miou_i_worst5']:.3f}",
        f"{means[0]:.3f}",
        f"{means[1]:.3f}",
        f"{sum(empty)} of {len(empty)}",
    ]


if __name__ == "__main__":
    main()
