"""Cards of images and masks for the page about a competition's files."""

from dataclasses import dataclass

import cv2
import numpy as np

from maskfold.checks import DataReport, Reading
from maskfold.competitions import Competition, ImagePath, Samples
from maskfold.errors import CompetitionError
from maskfold.images import to_rgb
from maskfold.labels import Label, LabelSpec
from maskfold.report.pictures import (
    BASE64,
    FOREGROUND,
    UNSCORED,
    class_colours,
    colour_numbers,
    data_uri,
    encode_labels,
    encode_photograph,
    fitting_size,
)
from maskfold.symmetries import D4

# What all photographs of the page may take once encoded; masks and charts need less than 2 MB.
PHOTOGRAPH_BYTES = 7_000_000
SIDE = 288
MOST_SUSPICIOUS = 24
MOST_PAIRS = 24
EXAMPLES = 8
# Colour and size in pixels of the ring around what is worth a look.
RING, RADIUS = (230, 80, 0), 12
# Photographs of all cards: an example and a suspicion have one, a pair has two.
MOST_PHOTOGRAPHS = EXAMPLES + MOST_SUSPICIOUS + 2 * MOST_PAIRS + 1


@dataclass(frozen=True)
class Panel:
    """One picture: ``kind`` is "image" or "truth", as the style sheet calls them."""

    kind: str
    text: str
    src: str
    width: int
    height: int


@dataclass(frozen=True)
class Card:
    """Pictures that belong together, their name and what is to be said about them."""

    title: str
    text: str
    panels: tuple[Panel, ...]


def example_cards(report: DataReport, competition: Competition, masks: dict[str, object]) -> list[Card]:
    """Images and masks spread over the training split, those that are not empty."""
    table = report.masks.table
    filled = table[table["coverage"] > 0]
    places = np.unique(np.linspace(0, len(filled) - 1, min(EXAMPLES, len(filled))).round().astype(int))
    binary = competition.labels.task == "binary"
    return [
        Card(
            row.id,
            f"covers {row.coverage:.1%}" if binary else f"{row.values} classes",
            _panels(competition, row.path, masks[row.id]),
        )
        for row in filled.iloc[places].to_records(index=False)
    ]


def suspicious_cards(report: DataReport, competition: Competition, masks: dict[str, object]) -> list[Card]:
    """The first suspicions; a ring shows where, if it is in one place."""
    return [
        Card(item.id, item.reason, _panels(competition, item.path, masks[item.id], place=item.place))
        for item in report.suspicious[:MOST_SUSPICIOUS]
    ]


def pair_cards(report: DataReport, competition: Competition, masks: dict[str, object]) -> list[Card]:
    """The first pairs of copies, side by side."""
    table = report.images.table
    cards = []
    for pair in report.duplicates.pairs.head(MOST_PAIRS).itertuples():
        both = [table.iloc[row] for row in (pair.first, pair.second)]
        own = [masks[row["id"]] if row["split"] == "train" else None for row in both]
        panels = [
            _panels(competition, row["path"], strings, name=row["id"]) for row, strings in zip(both, own, strict=True)
        ]
        what = "same pixels" if pair.kind == "exact" else f"{pair.bits} of 64 bits differ, {pair.correlation:.3f} alike"
        splits = f"{both[0]['split']} and {both[1]['split']}"
        text = "; ".join(filter(None, (splits, what, D4[pair.turn].words)))
        cards.append(Card(f"{both[0]['id']} and {both[1]['id']}", text, (*panels[0], *panels[1])))
    return cards


def reading_card(report: DataReport, competition: Competition, train: Samples) -> Card | None:
    """One image and its run lengths as the chosen dialect and as the other order reads them."""
    if report.dialect is None:
        return None
    chosen = report.dialect.chosen
    id_ = report.dialect.sample[int(np.nan_to_num(chosen.fits, nan=-1).argmax())]
    sample = train.by_id[id_]
    image = to_rgb(competition.image(sample.image), competition.images)
    panels = [_photograph(image, "image")]
    for reading in report.dialect.readings:
        if reading is chosen or reading.changes(chosen) == ["order"]:
            mask = _as_read(reading, sample.masks, image.shape[:2])
            panels += [] if mask is None else [_mask_panel(FOREGROUND, mask, reading.name)]
    return Card(id_, "", tuple(panels))


def _as_read(reading: Reading, strings: tuple[str, ...], shape: tuple[int, int]) -> Label | None:
    """All rows of the image together, as a binary mask."""
    try:
        return Label.whole(np.maximum.reduce([reading.dialect.decode(text, shape) for text in strings]))
    except ValueError:
        return None


def _panels(
    competition: Competition,
    path: ImagePath,
    masks: object,
    *,
    name: str = "image",
    place: tuple[int, int] | None = None,
) -> tuple[Panel, ...]:
    """An image and, where there is one that can be read, its mask."""
    image = to_rgb(competition.image(path), competition.images)
    photograph = _photograph(image, name)
    try:
        label = competition.label(masks, image.shape[:2]) if masks is not None else None
    except CompetitionError:
        label = None
    return (photograph,) if label is None else (photograph, _mask_panel(competition.labels, label, "mask", place))


def _photograph(image: np.ndarray, text: str) -> Panel:
    width, height = fitting_size(image.shape[:2], SIDE)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    content = encode_photograph(small, PHOTOGRAPH_BYTES / BASE64 / MOST_PHOTOGRAPHS)
    return Panel("image", text, data_uri(content, "webp"), width, height)


def _mask_panel(labels: LabelSpec, label: Label, text: str, place: tuple[int, int] | None = None) -> Panel:
    rows, columns = label.valid.shape
    width, height = fitting_size((rows, columns), SIDE)
    colours = [colour for colour, _ in class_colours(labels)]
    numbers = np.where(label.valid, colour_numbers(labels, label.values), len(colours)).astype(np.uint8)
    small = cv2.resize(numbers, (width, height), interpolation=cv2.INTER_NEAREST)
    if place is not None:
        centre = (place[1] * width // columns, place[0] * height // rows)
        cv2.circle(small, centre, RADIUS, len(colours) + 1, thickness=2)
    content = encode_labels(small, [*colours, UNSCORED, RING])
    return Panel("truth", text, data_uri(content, "png"), width, height)
