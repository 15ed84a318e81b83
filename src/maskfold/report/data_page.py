"""One page about a competition's files: what is there, what is wrong, and what is worth a look."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from maskfold.checks import DataReport, Images, pixel_statistics
from maskfold.competitions import Competition
from maskfold.files import write_file
from maskfold.labels import MANY_CLASSES
from maskfold.report.data_charts import image_charts, mask_charts, shift_chart
from maskfold.report.data_pictures import Card, Drawer
from maskfold.report.page import class_legend, refuse_other_suffix, render_page

MOST_SIZES = 12
MOST_ROWS = 1000  # of tables that the page shows in parts


def write_data_page(report: DataReport, competition: Competition, path: Path) -> None:
    """Write what `check_data` found about ``competition``, with pictures; ``path`` is replaced as a whole.

    Raises:
        ReportError: another suffix than .html.
    """
    refuse_other_suffix(path)
    page = data_page(report, competition)
    write_file(path, page)


def data_page(report: DataReport, competition: Competition) -> str:
    """The whole page."""
    drawer = Drawer(report, competition, competition.survey("train").samples)
    agreement, shown = report.annotators, drawer.example_cards()
    return render_page(
        "data.html",
        script="data.js",
        title=f"Data: {competition.name}",
        root=competition.root,
        r=report,
        sizes=size_table(report.images.table),
        channels=channel_table(report.images),
        level="%.1f" if report.images.spec.scale > 10 else "%.3f",
        classes=class_table(report),
        charts={
            "images": image_charts(report.images),
            "masks": mask_charts(report.masks),
            "shift": [] if report.shift is None else [shift_chart(report.shift, report.images)],
        },
        many=len(report.masks.pixels) > MANY_CLASSES,
        legend=class_legend(competition.labels, report.masks.pixels),
        examples=shown,
        filters=_filters(shown),
        suspicious=drawer.suspicious_cards(),
        pairs=drawer.pair_cards(),
        tiles=drawer.tile_cards(),
        shifted=drawer.shift_cards(),
        reading=drawer.reading_card(),
        annotator_pairs=[] if agreement is None else agreement.pairs.head(MOST_ROWS).to_dict("records"),
        contested=[] if agreement is None else agreement.images.head(MOST_ROWS).to_dict("records"),
        leaks=[] if report.folds is None else report.folds.leaks.head(MOST_ROWS).to_dict("records"),
    )


def _filters(cards: Sequence[Card]) -> dict[str, list[str]]:
    """What the examples can be filtered by, where there is a choice: split, class, group."""
    found = {
        name: list(dict.fromkeys(value for card in cards for value in card.facts[name].split("\n") if value))
        for name in ("split", "class", "group")
    }
    return {name: values for name, values in found.items() if len(values) > 1}


def size_table(images: pd.DataFrame) -> list[dict[str, Any]]:
    """Size, mode and number of images in train and test, the most frequent first; rare ones together."""
    listed = images[images["split"] != ""]
    found = Counter(zip(listed["height"], listed["width"], listed["mode"], listed["split"], strict=True))
    kinds = Counter(zip(listed["height"], listed["width"], listed["mode"], strict=True)).most_common()
    rows = [
        {
            "size": f"{kind[0]} x {kind[1]}",
            "mode": kind[2],
            **{split: found[*kind, split] for split in ("train", "test")},
        }
        for kind, _ in kinds
    ]
    rest = rows[MOST_SIZES:]
    if rest:
        others = {split: sum(row[split] for row in rest) for split in ("train", "test")}
        rows = [*rows[:MOST_SIZES], {"size": f"{len(rest)} others", "mode": "", **others}]
    return rows


def channel_table(images: Images) -> list[dict[str, Any]]:
    """Split, channel, mean and standard deviation of all its pixels."""
    return [
        {"split": split, "channel": channel, "mean": mean, "std": std}
        for split in ("train", "test")
        if len(images.rows_of(split))
        for channel, (mean, std) in pixel_statistics(images, split).items()
    ]


def class_table(report: DataReport) -> list[dict[str, Any]]:
    """A row per class: name, share of the pixels, masks that hold it, components and their median area."""
    masks = report.masks
    total = max(1, masks.total)
    rows = []
    for value, name in enumerate(masks.labels.value_names):
        areas = masks.areas.get(value, np.empty(0))
        rows.append(
            {
                "name": name,
                "share": masks.pixels[value] / total,
                "masks": int(masks.images[value]),
                "components": len(areas) or None,
                "area": float(np.median(areas)) if len(areas) else None,
            }
        )
    pixels, count = masks.uncounted
    if pixels:
        rows.append({"name": "not scored", "share": pixels / total, "masks": count, "components": None, "area": None})
    return rows
