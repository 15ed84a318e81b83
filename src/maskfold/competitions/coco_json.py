"""Competitions whose masks are polygons and run lengths in COCO's annotation files."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_profiles import CocoJsonProfile, CocoSource
from maskfold.competitions.label_sources import OwnTrainSplit, SourcesLayout
from maskfold.competitions.patterns import Pattern
from maskfold.competitions.samples import Sample
from maskfold.errors import CompetitionError, first_few, together
from maskfold.labels import Label, LabelSpec
from maskfold.rle import RLEDialect, RLEError
from maskfold.rle.coco import counts_of_string, mask_of_polygon

_COUNTS = RLEDialect(layout="counts", order="F", start=0)


class CocoJson(SourcesLayout):
    """Reads samples and masks as a `CocoJsonProfile` describes them.

    A sample's masks are one text for each annotation: JSON of its class and its segmentation. Areas of a crowd
    (``iscrowd``) are part of their class; what belongs to no class is background. Pixels of several classes do not
    count, as in torchvision's reference for semantic segmentation on COCO. The ids of images and categories are
    compared as texts, since some writers have numbers in one list and texts in another.
    """

    profile: CocoJsonProfile

    def __init__(self, profile: CocoJsonProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        own = profile.class_names or _all_classes(_read(files, profile.train[0].annotations))
        names = class_names or own
        if len(names) != len(own):
            raise CompetitionError(
                f"competition.class_names has {len(names)} names, there are {len(own)} classes: {first_few(own)}"
            )
        super().__init__(profile, files, LabelSpec("binary" if len(own) == 1 else "multiclass", names))
        self._values = {name: value for value, name in enumerate(("", *own) if len(own) == 1 else own) if value}

    def image_folders(self) -> set[str]:
        """None: the annotation files name the images."""
        return set()

    def is_there(self, source: CocoSource) -> bool:
        """Whether there is the annotation file."""
        return self.files.exists(source.annotations)

    def name_of(self, source: CocoSource) -> str:
        """The annotation file."""
        return source.annotations

    def label(self, masks: tuple[str, ...] | bytes, shape: tuple[int, int]) -> Label:
        """See `Competition.label`."""
        if isinstance(masks, bytes):
            return super().label(masks, shape)
        values, valid = np.zeros(shape, np.uint8), np.ones(shape, bool)
        for text in masks:
            value, segmentation = json.loads(text)
            try:
                drawn = _mask(segmentation, shape)
            except RLEError as error:
                raise CompetitionError(f"an annotation of {self.labels.value_names[value]}: {error}") from None
            valid[drawn & (values != 0) & (values != value)] = False
            values[drawn] = value
        return Label(np.where(valid, values, 0).astype(np.uint8), valid)

    def samples_of(self, source: CocoSource, own: OwnTrainSplit, *, labelled: bool) -> tuple[list[Sample], list[str]]:
        """See `SourcesLayout.samples_of`."""
        content = _read(self.files, source.annotations)
        masks = self._masks(content, source.annotations) if labelled else {}
        problems = _strays(content, source.annotations) if labelled else []
        found, failures = [], []
        for image in content["images"]:
            try:
                name = str(image["file_name"])
                path = Pattern(source.image).fill({"file_name": name, "image_id": str(image["id"])})
                own_masks = tuple(masks.get(str(image["id"]), ())) if labelled else None
                found.append(Sample(name, path, own_masks, split=own))
            except CompetitionError as error:
                failures.append(str(error))
            except KeyError as error:
                failures.append(f"{source.annotations} has an image without {error}")
        return found, [*problems, *together(failures, "images cannot be used")]

    def _masks(self, content: Mapping[str, Any], name: str) -> dict[str, list[str]]:
        """Image id -> its annotations of the classes, as texts."""
        names = {str(category["id"]): str(category["name"]) for category in content.get("categories", [])}
        unknown = [own for own in self._values if own not in names.values()]
        if unknown:
            raise CompetitionError(
                f"{name} has no categories {first_few(unknown)} (class_names): it has {first_few(names.values(), 8)}"
            )
        values = {number: self._values[own] for number, own in names.items() if own in self._values}
        masks: dict[str, list[str]] = {}
        for annotation in content.get("annotations", []):
            value, segmentation = values.get(str(annotation["category_id"])), annotation.get("segmentation")
            if value is not None and segmentation:
                text = json.dumps([value, segmentation], separators=(",", ":"))
                masks.setdefault(str(annotation["image_id"]), []).append(text)
        return masks


def _strays(content: Mapping[str, Any], name: str) -> list[str]:
    """What is wrong with the annotations' ids; lists that were cut short leave some behind."""
    problems, annotations = [], content.get("annotations", [])
    for key, part in (("image_id", "images"), ("category_id", "categories")):
        known = {str(entry["id"]) for entry in content.get(part, [])}
        ids = dict.fromkeys(str(annotation[key]) for annotation in annotations)
        unknown = [own for own in ids if own not in known]
        if unknown and len(unknown) == len(ids):
            problems.append(f"{name} has annotations whose {key} is not among its {part}: {first_few(unknown)}")
    return problems


def _all_classes(content: Mapping[str, Any]) -> tuple[str, ...]:
    """All categories in the order of their ids, after a background where there are several."""
    ordered = sorted(content.get("categories", []), key=_order)
    names = tuple(str(category["name"]) for category in ordered)
    return names if len(names) < 2 else ("background", *names)


def _order(category: Mapping[str, Any]) -> tuple[bool, int, str]:
    """By the id: numbers, also where they are written as texts, before names."""
    text = str(category["id"])
    try:
        return False, int(text), ""
    except ValueError:
        return True, 0, text


def _read(files: CompetitionFiles, name: str) -> dict[str, Any]:
    try:
        content = json.loads(files.read(name))
    except (ValueError, RecursionError) as error:
        raise CompetitionError(f"{name} is not JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise CompetitionError(f"{name} is not an annotation file of COCO's form: it has no list of images")
    for part, keys in _ENTRIES.items():
        entries = content.get(part, [])
        if not isinstance(entries, list):
            raise CompetitionError(f"{name} is not an annotation file of COCO's form: its {part} are not a list")
        for number, entry in enumerate(entries):
            wrong = [key for key in keys if not isinstance(entry, dict) or not isinstance(entry.get(key), int | str)]
            if wrong:
                raise CompetitionError(f"{name}: {part}[{number}] has no {' and no '.join(wrong)} that can be read")
    return content


# What each entry of an annotation file's lists must have, a number or a text.
_ENTRIES = {"categories": ("id", "name"), "annotations": ("image_id", "category_id"), "images": ("id", "file_name")}


def _mask(segmentation: Any, shape: tuple[int, int]) -> np.ndarray:
    """Where a segmentation is, bool (H, W): polygons, or run lengths as a list or a compressed string."""
    if isinstance(segmentation, dict):
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if size != list(shape):
            raise RLEError(f"its run lengths are of a mask of {size}, its image is {list(shape)} (height, width)")
        return _COUNTS.decode(counts_of_string(counts) if isinstance(counts, str) else counts, shape) != 0
    drawn = np.zeros(shape, bool)
    for polygon in segmentation if isinstance(segmentation, Sequence) else ():
        drawn |= mask_of_polygon(polygon, shape) != 0
    return drawn
