"""Charts about a competition's files: how bright images are, how much masks cover, and in how many pieces."""

from collections.abc import Mapping
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from maskfold.checks import Images, Masks
from maskfold.report.figures import COLOURS, Chart, draw

CHANNEL_COLOURS = {"red": "#d1495b", "green": "#2e9e5b", "blue": "#2f6fc4"}
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
    others = dict(zip(names, cycle(COLOURS), strict=False))
    scale = images.spec.scale
    return [
        _levels_chart("Brightness of the images", splits, dict(zip(splits, COLOURS, strict=False)), scale),
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


def _levels_chart(title: str, values: Mapping[str, pd.Series], colours: Mapping[str, str], scale: float) -> Chart:
    def plot(axes: Axes) -> None:
        for name, levels in values.items():
            weights = np.full(len(levels), 1 / len(levels))
            axes.hist(
                levels, bins=np.linspace(0, scale, BINS + 1).tolist(), weights=weights, histtype="step", linewidth=1.6,
                color=colours[name], label=f"{name} ({len(levels)})",
            )  # fmt: skip
        axes.set(xlabel=f"level, 0 to {scale:g}", ylabel="share of the images", xlim=(0, scale))
        axes.legend()

    digits = ".0f" if scale > 10 else ".3f"
    means = ", ".join(f"{name} {levels.mean():{digits}}" for name, levels in values.items())
    return draw(title, f"{title}, histograms of the images' means; on average {means}", plot)


def _coverage_chart(coverage: np.ndarray) -> Chart:
    filled = coverage[coverage > 0]
    empty = len(coverage) - len(filled)

    def plot(axes: Axes) -> None:
        axes.hist(100 * filled, bins=np.linspace(0, 100, 26).tolist(), color=COLOURS[0], edgecolor="white")
        if empty:
            axes.bar(-4, empty, width=4, color=COLOURS[1], label=f"empty ({empty})")
            axes.legend()
        axes.set(xlabel="% of the image that is foreground", ylabel="masks")

    text = f"histogram of {len(filled)} masks that are not empty, and {empty} empty ones"
    return draw("Coverage", text, plot)


def _count_chart(title: str, axis: str, what: str, values: np.ndarray) -> Chart:
    def plot(axes: Axes) -> None:
        few = values.max() <= FEW
        steps = np.arange(values.max() + 2) if few else np.geomspace(values.min(), values.max() + 1, 25).round()
        # Whole numbers: bins end halfway between them.
        axes.hist(values, bins=(np.unique(steps) - 0.5).tolist(), color=COLOURS[0], edgecolor="white")
        median = np.median(values)
        axes.axvline(median, color="black", linestyle=":", label=f"median {median:g}")
        axes.set(xlabel=axis, ylabel=what, xscale="linear" if few else "log")
        axes.legend()

    low, high = values.min(), values.max()
    return draw(title, f"{title}: median {np.median(values):g}, {low:g} to {high:g}", plot)
