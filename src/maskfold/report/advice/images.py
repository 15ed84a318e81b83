"""What the images and their pixels suggest."""

from collections.abc import Iterator

import numpy as np

from maskfold.errors import first_few
from maskfold.labels import MANY_CLASSES
from maskfold.report.advice.advice import Advice, check_command, train_command, tune_command
from maskfold.report.gallery import suspects
from maskfold.report.gather import Findings


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
            f"{mean:.3f}, against {table.loc[table['coverage'] > 0, 'score'].mean():.3f} of the others. Larger "
            "minimum areas may help, or more empty images in the batches (a lower data.positive_share).",
            tune_command(findings, tune__tried={"min_area": _larger_areas(findings)}),
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
            f"{last['mean']:.3f}. More of them in the batches may help, or data.scale above 1, or more weight on a "
            "loss of each image's overlap (dice, lovasz_hinge).",
            train_command(findings.trainings[0].run, "positive", data__positive_share=0.7),
        )


def lopsided_errors(findings: Findings) -> Iterator[Advice]:
    """Far more is missed than invented, or the reverse."""
    if not findings.binary:
        return
    _, false_positive, false_negative = findings.survey.metrics.counts[:, 1].sum(0)
    more, less = max(false_positive, false_negative), min(false_positive, false_negative)
    if more >= 1.5 * max(less, 1):
        missed = false_negative > false_positive
        alpha, beta = (0.3, 0.7) if missed else (0.7, 0.3)
        tversky = {"name": "tversky", "weight": 0.2, "options": {"alpha": alpha, "beta": beta}}
        yield Advice(
            "Balance the errors",
            f"{false_negative:,} foreground pixels are missed and {false_positive:,} background pixels are marked. "
            f"A {'lower' if missed else 'higher'} threshold changes that, which tuning tries, and a loss for which "
            f"{'the missed ones' if missed else 'those marked'} weigh more.",
            train_command(findings.trainings[0].run, "tversky", loss=[{"name": "bce", "weight": 0.8}, tversky]),
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
        largest = lost if len(lost) <= MANY_CLASSES else sorted(lost, key=lambda c: -labelled[c])
        shown = first_few((names[c] for c in largest), MANY_CLASSES if largest is lost else 8)
        yield Advice(
            "Teach the classes that are lost",
            f"IoU is below 0.05 for {shown}, which have {labelled[lost].sum():,} pixels, "
            f"{labelled[lost].sum() / labelled.sum():.1%} of all. A loss of each class's overlap may help, or "
            "class_weights of cross_entropy, a larger data.scale, more epochs.",
            train_command(findings.trainings[0].run, "lovasz", loss=_loss_by_class(findings.thresholded)),
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
            f"{gap:.4f} apart, {gap / np.hypot(error[low], error[high]):.1f} standard errors. "
            f"Look at the gallery, filtered by fold {low}, and at how the data are divided: scenes that are in one "
            "fold only are a reason.",
            check_command(findings),
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
            f"(expected calibration error of all pixels {findings.calibration_error:.4f}). The "
            "competition does not score probabilities, so a tuned threshold makes up for most of it; more weight on "
            "bce or cross_entropy in the loss and averaged weights mend it.",
            tune_command(findings),
        )


def label_errors(findings: Findings) -> Iterator[Advice]:
    """Labels that confident networks contradict."""
    found = suspects(findings.table)
    if len(found):
        first = ", ".join(map(str, found["id"].head(3)))
        yield Advice(
            "Look at suspected labels",
            f"On {len(found)} of {len(findings.table)} images networks that never saw them disagree with the label "
            f"over whole patches, with probabilities of 0.95 and more; the most on {first}. They are in "
            "the section Suspected labels; correct or drop what is wrong, check the data again, and train again.",
            check_command(findings),
        )


def borders_drawn_otherwise(findings: Findings) -> Iterator[Advice]:
    """Groups of images whose masks are drawn wider, or tighter, than those of others."""
    if findings.groups is None:
        return
    table = findings.table.dropna(subset=["border_offset", "group"])
    groups = table.groupby("group")["border_offset"].agg(["mean", "std", "count"])
    groups = groups[groups["count"] >= 5]
    if len(groups) < 2:
        return
    error = groups["std"] / np.sqrt(groups["count"])
    tight, wide = groups["mean"].idxmax(), groups["mean"].idxmin()
    gap = groups["mean"][tight] - groups["mean"][wide]
    if gap >= 0.5 and gap > 4 * np.hypot(error[tight], error[wide]):
        share = table["border_share"].mean()
        yield Advice(
            "Ask how the test's masks were made",
            f"Predictions reach {groups['mean'][tight]:+.2f} px beyond the masks of group {tight} on average, and "
            f"{groups['mean'][wide]:+.2f} px beyond those of group {wide}: {gap:.2f} px apart, "
            f"{gap / np.hypot(error[tight], error[wide]):.1f} standard errors; {share:.0%} of the wrong pixels are "
            "within four pixels of a border. So masks were made in more than one way (dilated, as polygons, by other "
            "people), and the test's may be like either: do not tune dilation on a public board, and look at both "
            "groups.",
            check_command(findings),
        )


def labels_beside(findings: Findings) -> Iterator[Advice]:
    """All masks stand a little beside what the images show."""
    shift = findings.label_shift
    if shift is not None and shift.found:
        yield Advice(
            "Undo the label shift",
            f"Masks stand {shift.figures()}. Drawing tools and resampling move all masks alike; with masks moved back "
            "for training and predictions moved to where masks are asked for, flips and views no longer contradict "
            "each other. Compare the two runs.",
            train_command(findings.trainings[0].run, "unshifted", data__label_shift=shift.key),
        )


def _larger_areas(findings: Findings) -> list[int]:
    """Minimum areas up to four times as large as those that tuning tried."""
    tried = [curve.value.tried[-1] for curve in findings.scores.curves if curve.value.step == "min_area"]
    largest = max([*tried, 16])
    return [0, largest, 2 * largest, 4 * largest]


def _loss_by_class(thresholded: bool) -> list[dict[str, object]]:
    pixels, overlap = ("bce", "lovasz_hinge") if thresholded else ("cross_entropy", "lovasz_softmax")
    return [{"name": pixels, "weight": 0.5}, {"name": overlap, "weight": 0.5}]
