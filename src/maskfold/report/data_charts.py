"""Charts about a competition's files: how bright images are, how much masks cover, and in how many pieces."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd

from maskfold.checks import Images, Masks
from maskfold.checks.shift import Shift
from maskfold.report.chart import Axis, Chart, Series, around, between, histogram, powers, vertical, whole_numbers

CHANNEL_COLOURS: dict[str, int | str] = {"red": "red", "green": "green", "blue": "blue"}
BINS = 32
# Up to here numbers are shown one by one, further up on a logarithmic axis.
FEW = 30


def image_charts(images: Images) -> list[Chart]:
    """Brightness of the splits, and the channels' means; none without images."""
    table = images.table[images.table["split"] != ""]
    if table.empty:
        return []
    names = images.spec.channel_names
    brightness = table[[f"mean {channel}" for channel in names]].mean(axis=1)
    splits = {split: brightness[table["split"] == split] for split in table["split"].unique()}
    channels = {channel: table[f"mean {channel}"] for channel in names}
    others = dict(zip(names, cycle(range(7)), strict=False))
    scale = images.spec.scale
    return [
        _levels_chart("Brightness of the images", splits, {split: place for place, split in enumerate(splits)}, scale),
        _levels_chart("Mean of each channel", channels, {**others, **CHANNEL_COLOURS}, scale),
    ]


def mask_charts(masks: Masks) -> list[Chart]:
    """Coverage, number and area of components; none without masks, only coverage where all are empty."""
    table = masks.table
    filled = table[table["coverage"] > 0]
    charts = [_coverage_chart(table["coverage"].to_numpy(float))] if len(table) else []
    if len(filled):
        charts += [
            _count_chart("Components in a mask", "components", "masks", filled["components"].to_numpy(float)),
            _count_chart("Area of the components", "pixels", "components", masks.all_areas.astype(float)),
        ]
    return charts


def shift_chart(shift: Shift, images: Images) -> Chart:
    """How much like test images the images of each split look."""
    splits, odds = images.table["split"].to_numpy()[shift.rows], shift.odds
    values = {split: pd.Series(odds[splits == split]) for split in ("train", "test")}
    low = float(odds.min())
    high = max(float(odds.max()), low + 1e-6)
    series = _outlines(values, np.linspace(low, high, BINS + 1), {"train": 0, "test": 1})
    y = around([value for each in series for value in each.y], "share of the images", zero=True)
    text = f"histograms of the log odds of being a test image; AUC {shift.auc:.2f}"
    x = between(low, high, "log odds of being a test image, by colour statistics")
    return Chart("How much like test images they look", text, x, y, tuple(series))


def _levels_chart(title: str, values: Mapping[str, pd.Series], colours: Mapping[str, int | str], scale: float) -> Chart:
    series = _outlines(values, np.linspace(0, scale, BINS + 1), colours)
    y = around([value for each in series for value in each.y], "share of the images", zero=True)
    digits = ".0f" if scale > 10 else ".3f"
    means = ", ".join(f"{name} {levels.mean():{digits}}" for name, levels in values.items())
    text = f"{title}, histograms of the images' means; on average {means}"
    return Chart(title, text, between(0, scale, f"level, 0 to {scale:g}"), y, tuple(series))


def _outlines(values: Mapping[str, pd.Series], edges: np.ndarray, colours: Mapping[str, int | str]) -> list[Series]:
    """Histograms as outlines, since several are on top of each other, and what is read of them."""
    series = []
    for name, levels in values.items():
        shares = np.histogram(levels, edges)[0] / max(1, len(levels))
        across, up = np.repeat(edges, 2)[1:-1], np.repeat(shares, 2)
        middle, notes = ((edges[:-1] + edges[1:]) / 2).tolist(), [f"{share:.1%}" for share in shares]
        series += [
            Series("", across.tolist(), up.tolist(), colour=colours[name], read=False),
            Series(f"{name} ({len(levels)})", middle, shares.tolist(), colour=colours[name], notes=notes, drawn=False),
        ]
    return series


def _coverage_chart(coverage: np.ndarray) -> Chart:
    filled = coverage[coverage > 0]
    empty = len(coverage) - len(filled)
    bars = [histogram("", 100 * filled, np.linspace(0, 100, 26), unit=" masks")]
    if empty:
        bars.append(
            Series(f"empty ({empty})", [-4.0], [float(empty)], "bars", widths=[4.0], colour=1, notes=[f"{empty} masks"])
        )
    y = around([height for each in bars for height in each.y], "masks", zero=True)
    marks = tuple((float(mark), str(mark)) for mark in range(0, 101, 20))
    x = Axis(-6 if empty else 0, 100, marks, "% of the image that is foreground")
    text = f"histogram of {len(filled)} masks that are not empty, and {empty} empty ones"
    return Chart("Coverage", text, x, y, tuple(bars))


def _count_chart(title: str, axis: str, what: str, values: np.ndarray) -> Chart:
    few = values.max() <= FEW
    steps = np.arange(values.max() + 2) if few else np.geomspace(values.min(), values.max() + 1, 25).round()
    # Whole numbers: bins end halfway between them.
    edges = np.unique(steps) - 0.5
    bars = histogram("", values, edges if few else edges.clip(0.5), unit=f" {what}")
    y, median = around(bars.y, what, zero=True), float(np.median(values))
    low, high = values.min(), values.max()
    few_marks = whole_numbers(0, max(1, int(high))).marks
    x = Axis(-0.5, max(1, high) + 0.5, few_marks, axis) if few else powers(max(0.5, low - 0.5), high + 0.5, axis)
    text = f"{title}: median {median:g}, {low:g} to {high:g}"
    return Chart(title, text, x, y, (bars, vertical(median, y, f"median {median:g}", dash=2)))
