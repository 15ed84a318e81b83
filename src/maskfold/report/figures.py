"""Charts as small SVG pictures, drawn without a display."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from maskfold.metrics import CompetitionMetric
from maskfold.report.curves import Curve
from maskfold.runs.history import FoldHistory

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# Okabe & Ito's colours, told apart by all common kinds of colour vision; styles help where colours run out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", ":", "-.")
INCHES = (3.8, 2.6)
SETTINGS: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none",
    "svg.hashsalt": "maskfold",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#667788",
    "grid.color": "#dde3ea",
    "legend.frameon": False,
    "legend.fontsize": 8,
}


@dataclass(frozen=True)
class Chart:
    """A picture for the page: its title, ``src`` (a data URI) and a sentence on what it shows."""

    title: str
    src: str
    text: str


def draw(title: str, text: str, plot: Callable[[Axes], None]) -> Chart:
    """A chart of what ``plot`` puts on the axes."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=INCHES, layout="constrained")
        plot(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Chart(title, "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), text)


def learning_charts(history: Sequence[FoldHistory], metric: str, ends: Sequence[int]) -> list[Chart]:
    """The loss and its terms, the validation score and the learning rate over the epochs, a line per fold."""
    terms = dict.fromkeys(name for fold in history for name in fold.terms)
    charts = [
        _epochs_chart(
            f"Training loss: {term}" if term != "loss" else "Training loss",
            [(f.fold, f.epochs["epoch"], f.epochs[term]) for f in history if term in f.epochs],
            ends,
        )
        for term in terms
    ]
    scored = [(f.fold, f.scores.index, f.scores) for f in history if len(f.scores)]
    if scored:
        charts.append(_epochs_chart(f"Validation {metric}, no views", scored, ends))
    rates = [(f.fold, f.epochs["epoch"], f.epochs["lr"]) for f in history if "lr" in f.epochs]
    if rates:
        charts.append(_epochs_chart("Learning rate", rates, ends))
    return charts


def curve_chart(curve: Curve, metric: str) -> Chart:
    """The score over the values of a setting: all images, each fold, the value chosen and the best one."""
    axis = curve.title

    def plot(axes: Axes) -> None:
        for fold, scores in curve.by_fold.items():
            axes.plot(curve.values, scores, color="#aab4c0", linewidth=0.8)
            axes.annotate(f"fold {fold}", (curve.values[-1], scores[-1]), fontsize=6, color="#667788")
        axes.plot(curve.values, curve.scores, color=COLOURS[0], linewidth=2, marker=".", label="all images")
        axes.axvline(curve.chosen, color=COLOURS[1], linestyle="--", label=f"chosen {curve.chosen:g}")
        axes.set(xlabel=axis, ylabel=metric)
        axes.legend()

    best = f"best {np.nanmax(curve.scores):.4f} at {curve.best:g}, chosen {curve.chosen:g}"
    return draw(axis[0].upper() + axis[1:], f"{metric} over the {axis}: {best}; grey: single folds", plot)


def score_chart(scores: np.ndarray, metric: str) -> Chart:
    """How the images' scores are distributed."""
    scores = scores[~np.isnan(scores)]

    def plot(axes: Axes) -> None:
        axes.hist(scores, bins=(np.arange(21) / 20).tolist(), color=COLOURS[0], edgecolor="white")
        axes.axvline(scores.mean(), color=COLOURS[1], linestyle="--", label=f"mean {scores.mean():.3f}")
        axes.axvline(np.median(scores), color="black", linestyle=":", label=f"median {np.median(scores):.3f}")
        axes.set(xlabel=f"{metric} of an image", ylabel="images", xlim=(0, 1))
        axes.legend(loc="upper left")

    return draw(f"{metric} of the images", f"histogram of {len(scores)} scores, mean {scores.mean():.4f}", plot)


def coverage_chart(table: pd.DataFrame, scores: np.ndarray, metric: str) -> Chart:
    """The images' scores by bin of coverage: quartile boxes with the images as dots."""

    def plot(axes: Axes) -> None:
        values = [scores[rows] for rows in table["rows"]]
        axes.boxplot(values, showfliers=False, medianprops={"color": COLOURS[1], "linewidth": 2})
        for place, dots in enumerate(values, start=1):
            spread = np.linspace(-0.25, 0.25, len(dots)) if len(dots) > 1 else np.zeros(1)
            axes.plot(place + spread, dots, ".", color=COLOURS[0], markersize=3, alpha=0.4)
        labels = [row.bin.replace(" to ", "\nto ") + f"\nn = {row.images}" for row in table.itertuples()]
        axes.set_xticks(range(1, len(table) + 1), labels, fontsize=7)
        axes.set(ylabel=metric, ylim=(-0.03, 1.03))

    means = ", ".join(f"{row.bin}: mean {row.mean:.3f}" for row in table.itertuples())
    return draw(f"{metric} by coverage of the image", f"scores by share of labelled pixels; {means}", plot)


def reliability_chart(tables: Mapping[str, pd.DataFrame], label: str, outcome: str) -> Chart:
    """How often a pixel is right, over what its probability promises; a line for each of some `calibration_table`."""

    def plot(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color="#667788", linestyle="--", label="calibrated")
        for colour, (name, table) in zip(COLOURS, tables.items(), strict=False):
            axes.plot(table["predicted"], table["observed"], color=colour, marker="o", markersize=4, label=name)
        axes.set(xlabel=label, ylabel=outcome, xlim=(0, 1), ylim=(0, 1))
        axes.legend(loc="upper left")

    gaps = {name: (table["observed"] - table["predicted"]).abs().max() for name, table in tables.items()}
    largest = ", ".join(f"{name} {gap:.3f}" for name, gap in gaps.items())
    return draw("Reliability", f"{outcome} over {label}, largest gaps: {largest}", plot)


def _epochs_chart(title: str, lines: Sequence[tuple[str, Sequence, Sequence]], ends: Sequence[int]) -> Chart:
    def plot(axes: Axes) -> None:
        for number, (fold, epochs, values) in enumerate(lines):
            axes.plot(
                epochs,
                values,
                color=COLOURS[number % len(COLOURS)],
                linestyle=STYLES[number // len(COLOURS) % len(STYLES)],
                marker="." if len(values) < 3 else None,
                label=f"fold {fold}",
            )
        for end in ends:
            axes.axvline(end, color="#667788", linestyle=":", label="end of a cycle" if end == ends[0] else None)
        axes.set(xlabel="epoch")
        axes.locator_params(axis="x", integer=True)
        axes.legend()

    last = ", ".join(f"fold {fold} {np.asarray(values)[-1]:.4g}" for fold, _, values in lines)
    cycles = f"; cycles end after epochs {', '.join(map(str, ends))}" if ends else ""
    return draw(title, f"{title} over the epochs; at the end {last}{cycles}", plot)


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


def label_of(metric: CompetitionMetric) -> str:
    """The metric as people write it."""
    return LABELS.get(metric.name, metric.name)
