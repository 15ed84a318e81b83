"""What the images and their pixels suggest."""

from collections.abc import Iterator

import numpy as np

from maskfold.report.advice.advice import Advice
from maskfold.report.findings import Findings
from maskfold.report.gallery import suspects


def empty_images(findings: Findings) -> Iterator[Advice]:
    """Empty images on which something is predicted."""
    table = findings.table
    empty = table[table["coverage"] == 0]
    wrong = int((empty["predicted"] > 0).sum())
    if findings.binary and len(empty) >= 5 and wrong / len(empty) >= 0.2:
        mean = empty["score"].mean()
        yield Advice(
            "Keep empty images empty",
            f"On {wrong} of {len(empty)} images without a mask something is predicted; their mean score is "
            f"{mean:.3f}, against {table.loc[table['coverage'] > 0, 'score'].mean():.3f} of the others.",
            "a larger minimum area (tune.tried.min_area), or a larger share of empty images in the batches "
            "(data.positive_share lower)",
        )


def small_objects(findings: Findings) -> Iterator[Advice]:
    """Images with little foreground score much lower than those with much."""
    filled = findings.coverage[findings.coverage["bin"] != "empty"]
    if not findings.binary or len(filled) < 2:
        return
    first, last = filled.iloc[0], filled.iloc[-1]
    if last["mean"] - first["mean"] >= 0.1:
        yield Advice(
            "Look after images with little foreground",
            f"Images with {first['bin']} foreground score {first['mean']:.3f} on average, those with {last['bin']} "
            f"{last['mean']:.3f}.",
            "--data.scale above 1, a loss of each image's overlap (dice or lovasz_hinge with more weight), "
            "--data.positive_share 0.7",
        )


def lopsided_errors(findings: Findings) -> Iterator[Advice]:
    """Far more is missed than invented, or the reverse."""
    if not findings.binary:
        return
    _, false_positive, false_negative = findings.survey.metrics.counts[:, 1].sum(0)
    more, less = max(false_positive, false_negative), min(false_positive, false_negative)
    if more >= 1.5 * max(less, 1):
        missed = false_negative > false_positive
        yield Advice(
            "Balance the errors",
            f"{false_negative:,} foreground pixels are missed and {false_positive:,} background pixels are marked.",
            f"a {'lower' if missed else 'higher'} threshold, or the tversky loss with "
            f"{'beta above alpha' if missed else 'alpha above beta'}",
        )


def lost_classes(findings: Findings) -> Iterator[Advice]:
    """Classes of the truth that are hardly ever found."""
    if findings.binary:
        return
    found, wrong, missed = findings.survey.metrics.counts.sum(0).T
    labelled = found + missed
    lost = [c for c in np.flatnonzero(labelled) if found[c] < 0.05 * (labelled[c] + wrong[c])]
    if lost:
        names = findings.competition.labels.value_names
        yield Advice(
            "Teach the classes that are lost",
            f"IoU is below 0.05 for {', '.join(names[c] for c in lost)}, which have {labelled[lost].sum():,} pixels, "
            f"{labelled[lost].sum() / labelled.sum():.1%} of all.",
            "class_weights of the cross_entropy loss, lovasz_softmax or dice beside it, a larger --data.scale, "
            "more epochs",
        )


def uneven_folds(findings: Findings) -> Iterator[Advice]:
    """One fold scores so differently that chance does not explain it."""
    table = findings.table.dropna(subset="score")
    folds = table.groupby("fold")["score"].agg(["mean", "std", "count"])
    if len(folds) < 2:
        return
    error = folds["std"] / np.sqrt(folds["count"])
    low, high = folds["mean"].idxmin(), folds["mean"].idxmax()
    gap = folds["mean"][high] - folds["mean"][low]
    if gap > 3 * np.hypot(error[low], error[high]):
        yield Advice(
            f"Find out what is different in fold {low}",
            f"Its images score {folds['mean'][low]:.4f} on average, those of fold {high} {folds['mean'][high]:.4f}: "
            f"{gap:.4f} apart, {gap / np.hypot(error[low], error[high]):.1f} standard errors.",
            f"the gallery, filtered by fold {low}; scenes that are in one fold only are a reason "
            "(folds.kind stratified-grouped)",
        )


def calibration(findings: Findings) -> Iterator[Advice]:
    """Probabilities that promise too much or too little."""
    table = findings.calibration
    middle = table[(table["low"] > 0.05) & (table["high"] < 0.95)]
    if middle.empty or findings.choice.tta.merge == "vote":
        return
    gaps = (middle["observed"] - middle["predicted"]) * middle["pixels"]
    gap = float(gaps.sum() / middle["pixels"].sum())
    if abs(gap) >= 0.08:
        yield Advice(
            "Mind the calibration",
            f"Pixels with probabilities of {middle['low'].min():g} to {middle['high'].max():g} are right "
            f"{abs(gap):.1%} {'more' if gap > 0 else 'less'} often than promised "
            f"(expected calibration error of all pixels {findings.calibration_error:.4f}).",
            "more weight on bce or cross_entropy in the loss, averaged weights, more checkpoints; or only the "
            "threshold, since the competition does not score probabilities",
        )


def label_errors(findings: Findings) -> Iterator[Advice]:
    """Labels that confident networks contradict."""
    found = suspects(findings.table)
    if len(found):
        first = ", ".join(map(str, found["id"].head(3)))
        yield Advice(
            "Look at suspected labels",
            f"On {len(found)} of {len(findings.table)} images networks that never saw them disagree with the label "
            f"over whole patches, with probabilities of 0.95 and more; the most on {first}.",
            "the section Suspected labels; correct or drop what is wrong in the training table, and train again",
        )
