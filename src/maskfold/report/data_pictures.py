"""Cards of images and masks for the page about a competition's files."""

from dataclasses import dataclass, field

import cv2
import numpy as np
import pandas as pd

from maskfold.checks import DataReport, Reading
from maskfold.competitions import Competition, ImagePath, Samples
from maskfold.drawing import FOREGROUND, UNSCORED, class_colours, colour_numbers, fitting_size, shrink_labels
from maskfold.errors import CompetitionError
from maskfold.images import to_rgb
from maskfold.labels import Label, LabelSpec
from maskfold.progress import progress
from maskfold.report.examples import Example, examples
from maskfold.report.pictures import BASE64, data_uri, encode_labels, encode_photograph
from maskfold.symmetries import D4

# What all photographs of the page may take once encoded; masks and charts need a few MB more.
PHOTOGRAPH_BYTES = 12_000_000
MOST_BYTES = 60_000  # of one photograph
SIDE = 288
MOST_SUSPICIOUS = MOST_PAIRS = 200
MOST_TILES = 100
MOST_SHIFTED = 12  # of each kind
# Colour and size in pixels of the ring around what is worth a look, and of the frame around what tiles share.
RING, RADIUS = (230, 80, 0), 12


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
    """Pictures that belong together, their name, what is to be said about them, and what the page filters by."""

    title: str
    text: str
    panels: tuple[Panel, ...]
    facts: dict[str, str] = field(default_factory=dict)


class Drawer:
    """Draws the cards of one page, whose photographs share `PHOTOGRAPH_BYTES`.

    Args:
        report: what was found.
        competition: whose images and masks these are.
        train: the training images that can be used.
    """

    def __init__(self, report: DataReport, competition: Competition, train: Samples) -> None:
        self.report, self.competition, self.train = report, competition, train
        self.masks: dict[str, object] = {sample.id: sample.masks for sample in train}
        self.examples = examples(report)
        self.shifted = shifted_rows(report)
        count = len(self.examples) + len(report.suspicious[:MOST_SUSPICIOUS]) + sum(map(len, self.shifted.values()))
        count += 2 * len(report.duplicates.pairs.head(MOST_PAIRS)) + 2 * len(self._tiles) + 1
        self.budget = min(MOST_BYTES, PHOTOGRAPH_BYTES / BASE64 / count)

    def example_cards(self) -> list[Card]:
        """Images of both splits, of each class and each group, with their masks."""
        cards = []
        for each in progress(self.examples, "examples", total=len(self.examples)):
            masks = self.masks.get(each.id) if each.split == "train" else None
            cards.append(Card(each.id, each.text, self._panels(each.path, masks), _facts(each)))
        return cards

    def suspicious_cards(self) -> list[Card]:
        """The first suspicions; a ring shows where, if it is in one place."""
        return [
            Card(item.id, item.reason, self._panels(item.path, self.masks[item.id], place=item.place))
            for item in self.report.suspicious[:MOST_SUSPICIOUS]
        ]

    def pair_cards(self) -> list[Card]:
        """The first pairs of copies, side by side."""
        table = self.report.images.table
        cards = []
        for pair in self.report.duplicates.pairs.head(MOST_PAIRS).itertuples():
            both = [table.iloc[row] for row in (pair.first, pair.second)]
            own = [self.masks[row["id"]] if row["split"] == "train" else None for row in both]
            panels = [self._panels(row["path"], each, name=row["id"]) for row, each in zip(both, own, strict=True)]
            what = f"{pair.bits} of 64 bits differ, {pair.correlation:.3f} alike"
            what = "same pixels" if pair.kind == "exact" else what
            splits = f"{both[0]['split']} and {both[1]['split']}"
            text = "; ".join(filter(None, (splits, what, D4[pair.turn].words)))
            cards.append(Card(f"{both[0]['id']} and {both[1]['id']}", text, (*panels[0], *panels[1])))
        return cards

    def tile_cards(self) -> list[Card]:
        """Validation tiles beside training tiles of their fold, what they share in a frame."""
        paths = {sample.id: sample.image for sample in self.train}
        cards = []
        for pair in self._tiles.to_dict("records"):
            own, other = ([pair[name + end] for name in ("top", "left", "height", "width")] for end in ("", "_other"))
            panels = tuple(
                self._photograph(self._image(paths[name]), str(name), shared(own, other, tile))
                for name, tile in ((pair["id"], own), (pair["other"], other))
            )
            text = f"validated in fold {pair['fold']}, which trains on {pair['other']}; raster {pair['scene']}"
            cards.append(Card(f"{pair['id']} and {pair['other']}", text, panels))
        return cards

    def shift_cards(self) -> dict[str, list[Card]]:
        """Images by how much they look like those of the other split, under what is to be said about them."""
        table, shift = self.report.images.table, self.report.shift
        if shift is None:
            return {}
        odds = dict(zip(shift.rows.tolist(), shift.odds.tolist(), strict=True))
        found: dict[str, list[Card]] = {}
        for title, rows in self.shifted.items():
            own = [(table["id"].iloc[row], table["path"].iloc[row], f"log odds {odds[row]:+.1f}") for row in rows]
            found[title] = [Card(id_, text, (self._photograph(self._image(path), "image"),)) for id_, path, text in own]
        return found

    def reading_card(self) -> Card | None:
        """One image and its run lengths as the chosen dialect and as the other order reads them."""
        dialect = self.report.dialect
        if dialect is None:
            return None
        chosen = dialect.chosen
        id_ = dialect.sample[int(np.nan_to_num(chosen.fits, nan=-1).argmax())]
        sample = self.train.by_id[id_]
        image = self._image(sample.image)
        panels = [self._photograph(image, "image")]
        for reading in dialect.readings:
            if reading is chosen or reading.changes(chosen) == ["order"]:
                mask = _as_read(reading, sample.masks, image.shape[:2])
                panels += [] if mask is None else [_mask_panel(FOREGROUND, mask, reading.name)]
        return Card(id_, "", tuple(panels))

    @property
    def _tiles(self) -> pd.DataFrame:
        folds = self.report.folds
        return pd.DataFrame() if folds is None else folds.tiles.head(MOST_TILES)

    def _image(self, path: ImagePath) -> np.ndarray:
        return to_rgb(self.competition.image(path), self.competition.images)

    def _panels(
        self, path: ImagePath, masks: object, *, name: str = "image", place: tuple[int, int] | None = None
    ) -> tuple[Panel, ...]:
        """An image and, where there is one that can be read, its mask."""
        image = self._image(path)
        photograph = self._photograph(image, name)
        try:
            label = self.competition.label(masks, image.shape[:2]) if masks is not None else None
        except CompetitionError:
            label = None
        labels = self.competition.labels
        return (photograph,) if label is None else (photograph, _mask_panel(labels, label, "mask", place))

    def _photograph(self, image: np.ndarray, text: str, frame: tuple[float, ...] | None = None) -> Panel:
        """``frame``: top, left, bottom and right of a rectangle, as shares of height and width."""
        width, height = fitting_size(image.shape[:2], SIDE)
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        if frame is not None:
            top, left, bottom, right = (
                round(share * (side - 1)) for share, side in zip(frame, (height, width) * 2, strict=True)
            )
            small = cv2.rectangle(small.copy(), (left, top), (right, bottom), RING, thickness=2)
        return Panel("image", text, data_uri(encode_photograph(small, self.budget), "webp"), width, height)


def shifted_rows(report: DataReport) -> dict[str, list[int]]:
    """Rows of the images that look least, and most, like those of the other split; empty: that is not measured."""
    shift = report.shift
    if shift is None:
        return {}
    splits = report.images.table["split"].to_numpy()[shift.rows]
    found = {}
    for title, split, sign in (
        ("Test images that look least like training images", "test", -1),
        ("Training images that look least like test images", "train", 1),
        ("Test images that look most like training images", "test", 1),
        ("Training images that look most like test images", "train", -1),
    ):
        own = np.flatnonzero(splits == split)
        order = own[np.argsort(sign * shift.odds[own], kind="stable")]
        found[title] = shift.rows[order[:MOST_SHIFTED]].tolist()
    return found


def shared(first: list[int], second: list[int], tile: list[int]) -> tuple[float, ...]:
    """What two tiles (top, left, height, width, pixels of the raster) share, as shares of ``tile``, one of them.

    Returns:
        top, left, bottom, right.
    """
    starts = [max(first[axis], second[axis]) for axis in (0, 1)]
    ends = [min(first[axis] + first[axis + 2], second[axis] + second[axis + 2]) for axis in (0, 1)]
    return tuple((place[axis] - tile[axis]) / tile[axis + 2] for place in (starts, ends) for axis in (0, 1))


def _facts(example: Example) -> dict[str, str]:
    return {"split": example.split, "class": "\n".join(example.classes), "group": example.group}


def _as_read(reading: Reading, strings: tuple[str, ...], shape: tuple[int, int]) -> Label | None:
    """All rows of the image together, as a binary mask."""
    try:
        return Label.whole(np.maximum.reduce([reading.dialect.decode(text, shape) for text in strings]))
    except ValueError:
        return None


def _mask_panel(labels: LabelSpec, label: Label, text: str, place: tuple[int, int] | None = None) -> Panel:
    rows, columns = label.valid.shape
    width, height = fitting_size((rows, columns), SIDE)
    colours = [colour for colour, _ in class_colours(labels)]
    small = shrink_labels(colour_numbers(labels, label.values, label.valid), (width, height))
    if place is not None:
        centre = (place[1] * width // columns, place[0] * height // rows)
        cv2.circle(small, centre, RADIUS, len(colours) + 1, thickness=2)
    content = encode_labels(small, [*colours, UNSCORED, RING])
    return Panel("truth", text, data_uri(content, "png"), width, height)
