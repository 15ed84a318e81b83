"""Which charts a report about runs has."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from maskfold.report.chart import (
    COLOURS,
    GREY,
    Axis,
    Chart,
    Series,
    around,
    between,
    histogram,
    named,
    number_text,
    vertical,
    whole_numbers,
)
from maskfold.report.curves import Curve
from maskfold.runs.history import FoldHistory


def learning_charts(history: Sequence[FoldHistory], metric: str, ends: Sequence[int]) -> list[Chart]:
    """The loss and the score over the epochs, of training and validation images, a colour per fold."""
    kinds = [("Loss", "loss", "valid_loss"), (f"{metric}, no views", "train_score", "score")]
    charts = [
        _course(title, history, {"training": first, "validation": second}, ends) for title, first, second in kinds
    ]
    return [chart for chart in charts if chart is not None]


def further_charts(history: Sequence[FoldHistory], ends: Sequence[int]) -> list[Chart]:
    """The terms of the training loss and the learning rate over the epochs, a line per fold."""
    terms = dict.fromkeys(name for fold in history for name in fold.terms if name != "loss")
    charts = [_course(f"Training loss: {term}", history, {"": term}, ends) for term in terms]
    charts.append(_course("Learning rate", history, {"": "lr"}, ends))
    return [chart for chart in charts if chart is not None]


def curve_chart(curve: Curve, metric: str) -> Chart:
    """The score over the values of a setting: all images, each fold, the value chosen and the best one."""
    values = [float(value) for value in curve.values]
    y = around([*curve.scores, *(score for scores in curve.by_fold.values() for score in scores)], metric)
    folds = [Series(f"fold {fold}", values, scores.tolist(), colour=GREY) for fold, scores in curve.by_fold.items()]
    series = [
        *folds,
        Series("all images", values, curve.scores.tolist(), colour=0),
        Series("", values, curve.scores.tolist(), "points", read=False),
        vertical(curve.chosen, y, f"chosen {curve.chosen:g}"),
    ]
    best = f"best {np.nanmax(curve.scores):.4f} at {curve.best:g}, chosen {curve.chosen:g}"
    title = curve.title[0].upper() + curve.title[1:]
    text = f"{metric} over the {curve.title}: {best}; grey: single folds"
    return Chart(title, text, between(values[0], values[-1], curve.title), y, tuple(series))


def score_chart(scores: np.ndarray, metric: str) -> Chart:
    """How the images' scores are distributed."""
    scores = scores[~np.isnan(scores)]
    bars = histogram("", scores, np.arange(21) / 20, unit=" images")
    y, text, rules = around(bars.y, "images", zero=True), f"histogram of {len(scores)} scores", []
    if len(scores):
        mean, median = float(scores.mean()), float(np.median(scores))
        text += f", mean {mean:.4f}"
        rules = [
            vertical(mean, y, f"mean {mean:.3f}"),
            vertical(median, y, f"median {median:.3f}", colour=6, dash=2),
        ]
    return Chart(f"{metric} of the images", text, shares(f"{metric} of an image"), y, (bars, *rules))


def coverage_chart(table: pd.DataFrame, images: pd.DataFrame, metric: str) -> Chart:
    """The images' scores by bin of coverage: boxes from quartile to quartile, the median, the images as dots.

    Args:
        table: `coverage_table`.
        images: id and score of each image, the rows that the table names.
    """
    scores = [images["score"].to_numpy()[rows] for rows in table["rows"]]
    quartiles = np.array([np.quantile(own, (0.25, 0.5, 0.75)) for own in scores]).reshape(-1, 3)
    places, widths = [float(place) for place in range(len(scores))], [0.6] * len(scores)
    spread = [np.linspace(-0.25, 0.25, len(own)) if len(own) > 1 else np.zeros(1) for own in scores]
    dots = np.concatenate([place + offset for place, offset in enumerate(spread)])
    ids = [str(images["id"].iloc[row]) for rows in table["rows"] for row in rows]
    heights = np.concatenate(scores)
    series = (
        Series("from quartile to quartile", places, quartiles[:, 2].tolist(), "bars", base=quartiles[:, 0].tolist(),
               widths=widths, colour=GREY, read=False),
        Series("median", places, quartiles[:, 1].tolist(), "ticks", widths=widths, colour=1, read=False),
        Series("an image", dots.tolist(), heights.tolist(), "points",
               notes=[f"{name}: {score:.4f}" for name, score in zip(ids, heights, strict=True)]),
    )  # fmt: skip
    means = ", ".join(f"{row.bin}: mean {row.mean:.3f}" for row in table.itertuples())
    x = named([row.bin.replace(" to ", "\nto ") + f"\nn = {row.images}" for row in table.itertuples()])
    title, text = f"{metric} by coverage of the image", f"scores by share of labelled pixels; {means}"
    return Chart(title, text, x, _of_scores(heights), series, nearest=True)


def reliability_chart(tables: Mapping[str, pd.DataFrame], label: str, outcome: str) -> Chart:
    """How often a pixel is right, over what its probability promises; a line for each of some `calibration_table`."""
    lines = [
        Series(name, table["predicted"].tolist(), table["observed"].tolist(), colour=place, notes=_reliability(table))
        for place, (name, table) in enumerate(tables.items())
    ]
    dots = [Series("", line.x, line.y, "points", colour=line.colour, read=False) for line in lines]
    series = (Series("calibrated", (0, 1), (0, 1), colour=GREY, dash=1, read=False), *lines, *dots)
    gaps = {name: (table["observed"] - table["predicted"]).abs().max() for name, table in tables.items()}
    largest = ", ".join(f"{name} {gap:.3f}" for name, gap in gaps.items())
    text = f"{outcome} over {label}, largest gaps: {largest}"
    return Chart("Reliability", text, shares(label), shares(outcome), series, nearest=True)


def presence_chart(table: pd.DataFrame, gates: Sequence[float]) -> Chart:
    """What networks promise about the presence of classes, of images with and without them; ``gates`` above 0."""
    edges = np.arange(21) / 20
    parts = {"labelled": table[table["labelled"]], "not labelled": table[~table["labelled"]]}
    bars = [
        histogram(f"{name} ({len(part)})", part["presence"].to_numpy(), edges, colour=place)
        for place, (name, part) in enumerate(parts.items())
    ]
    y = around([height for each in bars for height in each.y], "images and classes", zero=True)
    rules = [vertical(gate, y, f"gate {gate:g}", colour=6) for gate in gates]
    means = ", ".join(f"{name} {part['presence'].mean():.3f}" for name, part in parts.items() if len(part))
    text = f"histograms of the presence of a class in an image, by whether it is labelled there; on average {means}"
    return Chart("Presence of classes", text, shares("presence"), y, (*bars, *rules))


def shares(title: str = "") -> Axis:
    """From 0 to 1."""
    return Axis(0, 1, tuple((mark / 5, f"{mark / 5:.1f}") for mark in range(6)), title)


def _reliability(table: pd.DataFrame) -> list[str]:
    return [
        f"promised {row.predicted:.3f}, observed {row.observed:.3f} ({row.pixels:,} pixels)"
        for row in table.itertuples()
    ]


def _of_scores(scores: np.ndarray) -> Axis:
    return shares() if np.nanmin(scores) >= 0 and np.nanmax(scores) <= 1 else around(scores.tolist())


def _course(
    title: str, history: Sequence[FoldHistory], columns: Mapping[str, str], ends: Sequence[int]
) -> Chart | None:
    """Values over the epochs: a colour per fold, a dash for each of ``columns`` (its name -> `FoldHistory.course`)."""
    series, told, last = [], [], 1
    for place, fold in enumerate(history):
        for dash, (kind, column) in enumerate([*columns.items()][::-1]):
            values = fold.course(column)
            if values.empty:
                continue
            name, epochs = f"fold {fold.fold} {kind}".strip(), values.index.tolist()
            dash = dash + place // COLOURS
            series.append(Series(name, epochs, values.tolist(), colour=place, dash=dash))
            if len(values) < 3:
                series.append(Series("", epochs, values.tolist(), "points", colour=place, read=False))
            told.append(f"{name} {number_text(float(values.iloc[-1]))}")
            last = max(last, *epochs)
    if not series:
        return None
    y = around([value for each in series for value in each.y])
    rules = [
        vertical(end, y, "end of a cycle" if end == ends[0] else "", colour=GREY, dash=2) for end in ends if end <= last
    ]
    cycles = f"; cycles end after epochs {', '.join(map(str, ends))}" if ends else ""
    text = f"{title} over the epochs; at the end {', '.join(told)}{cycles}"
    return Chart(title, text, whole_numbers(1, last, "epoch"), y, (*series, *rules))


LABELS = {
    "dice": "Dice",
    "iou": "IoU",
    "miou": "mean IoU",
    "f_beta": "F-beta",
    "pooled_dice": "pooled Dice",
    "pooled_iou": "pooled IoU",
    "pooled_f_beta": "pooled F-beta",
    "tgs_map": "mAP (TGS)",
    "dsb_map": "mAP of objects",
    "airbus_f2": "F2 of ships",
    "gi_tract": "Dice and Hausdorff",
}


def label_of(metric: str) -> str:
    """A metric's name as people write it."""
    return LABELS.get(metric, metric)
