"""A draft for competitions whose masks are label files: beside the images, or named in lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maskfold.checks.draft.csv_draft import add_images
from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.families import Family, Pair, families, id_folders, pairs
from maskfold.checks.draft.groups import folder_groups
from maskfold.checks.draft.id_lists import IdList, id_lists
from maskfold.checks.draft.label_values import LabelValues, Value, named_values, read_labels
from maskfold.checks.draft.pictures import look_at_images
from maskfold.checks.draft.tables import Table
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_map import NOT_SCORED
from maskfold.errors import first_few
from maskfold.picks import every_nth

Sources = dict[str, list[dict[str, Any]]]
"""train, valid, test -> image, label and ids, as a profile names them."""

# Where no name tells labels from images: files that are looked into, and values that labels hold at most.
FEW_FILES, FEW_VALUES = 6, 40


@dataclass(frozen=True)
class LabelFindings:
    """Images with label files, and images without.

    Attributes:
        files: of the competition.
        found: the pairs of families that are used, the largest first.
        unused: further families of labels of the same images.
        alone: families of images without labels.
        lists: files that say which ids belong to which split.
    """

    files: CompetitionFiles
    found: Sequence[Pair]
    unused: Sequence[Family]
    alone: Sequence[Family]
    lists: Sequence[IdList]


def find_labels(files: CompetitionFiles, paths: Sequence[str]) -> LabelFindings | None:
    """Which families of files are images and labels; None where no family is another's labels."""
    all_families = families(paths)
    matched = pairs(all_families, lambda family: family.of_labels)
    below = id_folders(paths)
    for further in (below, [*below, *(family for family in all_families if family.of_labels)]):
        if not matched and (found := pairs(further, lambda family: family.of_labels)):
            all_families, matched = further, found
    matched = matched or pairs(all_families, lambda family: _holds_classes(files, family))
    matched.sort(key=lambda pair: not _values_of_a_few(files, pair.labels).read)  # of several the first is used
    used: dict[str, Pair] = {}
    unused = []
    for pair in matched:
        if pair.images.pattern in used:
            unused.append(pair.labels)
        else:
            used[pair.images.pattern] = pair
    if not used:
        return None
    best = sorted(used.values(), key=lambda pair: -len(pair.common))
    labels = {pair.labels.pattern for pair in matched}
    images = [family for family in all_families if not family.of_labels and family.pattern not in labels]
    alone = [family for family in images if family.pattern not in used]
    ids = {image_id for pair in best for image_id in pair.images.paths}
    return LabelFindings(files, best, unused, alone, id_lists(files, ids))


def _holds_classes(files: CompetitionFiles, family: Family) -> bool:
    """Whether a few of its files hold few values, as pictures do not."""
    values = _values_of_a_few(files, family)
    classes = values.kind in ("two", "two scales", "numbers", "colours")
    return bool(values.read) and classes and len(values.pixels) <= FEW_VALUES


def _values_of_a_few(files: CompetitionFiles, family: Family) -> LabelValues:
    return read_labels(files, every_nth(sorted(family.paths.values()), FEW_FILES))


def draft_labels(found: LabelFindings, tables: Sequence[Table]) -> Draft:
    """The profile of label files whose paths follow patterns."""
    draft = Draft()
    values = read_labels(found.files, [pair.labels.paths[name] for pair in found.found for name in pair.common])
    folders = _two_folders(found, values)
    reason = "label files have the names of their images, or nearly"
    draft.add("layout", "label-files" if folders is None else "png-masks", reason)
    draft.leave_metric_open()
    if folders is None:
        _add_sources(draft, found)
    else:
        (pair,) = found.found
        count = len(pair.images.paths) - len(pair.common)
        draft.add(
            "images", folders[0], f"{len(pair.images.paths)} images; the {count} without a mask are the test split"
        )
        draft.add("masks", folders[1], f"{len(pair.labels.paths)} masks")
    add_label_values(draft, values, tables)
    add_images(
        draft, look_at_images(found.files, [pair.images.files(name) for pair in found.found for name in pair.common])
    )
    _remark_on_submissions(draft, found, values)
    draft.remarks += folder_groups([pair.images.pattern for pair in found.found if pair.images.split != "test"])
    remark_on_unused(draft, found)
    return draft


def remark_on_unused(draft: Draft, found: LabelFindings) -> None:
    """Further labels of images that have some already."""
    if found.unused:
        draft.remarks.append(f"other labels of the same images, not used: {first_few(f.pattern for f in found.unused)}")


def _remark_on_submissions(draft: Draft, found: LabelFindings, values: LabelValues) -> None:
    """What a submission's files would be, beside what the competition may ask for."""
    name = found.found[0].labels.pattern.rpartition("/")[2]
    notes = []
    if name != "{id}.png" and name.endswith((".png", ".tif")) and "*" not in name:
        notes.append(f'like the labels, with submission: {{file: "{name}"}}')
    if set(values.pixels) <= {0, 1}:
        notes.append("of 0 and 1 instead of 0 and 255, with label_map: {0: 0, 1: 1}")
    if notes:
        draft.remarks.append(f"a submission's files are called {{id}}.png; or {', and '.join(notes)}")


def _two_folders(found: LabelFindings, values: LabelValues) -> tuple[str, str] | None:
    """The folders of images and masks, where some of the images of one folder have no mask; None elsewhere."""
    if len(found.found) != 1 or found.alone or values.kind != "two" or not black_and_white(values):
        return None
    (pair,) = found.found
    image, label = (family.pattern.rpartition("/") for family in (pair.images, pair.labels))
    plain = all(name.startswith("{id}.") and "*" not in folder for folder, _, name in (image, label))
    incomplete = len(pair.images.paths) > len(pair.common) == len(pair.labels.paths)
    return (image[0], label[0]) if plain and incomplete and image[0] != label[0] else None


def black_and_white(values: LabelValues) -> bool:
    """Whether masks are 0 and 1, or 0 and 255."""
    return set(values.pixels) <= {0, 1} or set(values.pixels) <= {0, 255}


def add_label_values(draft: Draft, values: LabelValues, tables: Sequence[Table]) -> None:
    """class_names and label_map, by what the label files hold."""
    shown = first_few((_key(value) for value in values.values), 12)
    reason = f"{values.read} label files hold {len(values.pixels)} values: {shown}"
    if values.failures:
        draft.doubts.append(f"{len(values.failures)} label files cannot be read: {first_few(values.failures)}")
    if values.kind == "other":
        draft.leave_open("class_names", f"{reason}. These are no classes: are they instances, heights, pictures?")
    elif values.kind == "two":
        _add_two(draft, values, reason)
    elif values.kind == "two scales":
        _add_two_scales(draft, values, reason)
    elif values.kind == "blurred colours":
        _add_corners(draft, values, reason)
    elif values.kind == "blurred":
        draft.add("class_names", ["foreground"], f"{reason}: black and white, blurred by a compression with loss")
        draft.add("label_map", {"0": 0, "255": 1, "1-127": 0, "128-254": 1}, "cut at 128")
    else:
        _add_classes(draft, values, reason, tables)


def _add_two(draft: Draft, values: LabelValues, reason: str) -> None:
    draft.add("class_names", ["foreground"], f"{reason}. Names are free: write the competition's own")
    own = [value for value in values.values if isinstance(value, int)]
    if not black_and_white(values):
        low, high = own[0], own[-1]
        draft.add("label_map", {str(low): 0, str(high): 1}, "the larger value is taken for the foreground")
        draft.doubts.append(f"label_map: that {high} is the foreground and {low} the background is a guess")


def _add_two_scales(draft: Draft, values: LabelValues, reason: str) -> None:
    ones, whites = values.files_with(1), values.files_with(NOT_SCORED)
    draft.add("class_names", ["foreground"], f"{reason}. Names are free: write the competition's own")
    draft.add("label_map", {"0": 0, "255": 1, "1": 1}, "no file holds both 255, which is submitted, and 1")
    draft.doubts.append(
        f"label_map: {ones} label files hold 1, {whites} others hold 255: both are taken for the foreground, written "
        "in two ways. If 255 is what is not scored, write 255: 255"
    )


def _add_corners(draft: Draft, values: LabelValues, reason: str) -> None:
    corners = values.corners
    names = [f"class_{_key(corner).replace(' ', '_')}" for corner in corners]
    draft.add("class_names", names, f"{reason}: pure colours, blurred by a compression with loss; names are free")
    exact = {_key(corner): place for place, corner in enumerate(corners)}
    near = {" ".join("128-255" if level else "0-127" for level in corner): exact[_key(corner)] for corner in corners}
    draft.add("label_map", {**exact, **near, "others": NOT_SCORED}, "each channel is cut at 128")


def _add_classes(draft: Draft, values: LabelValues, reason: str, tables: Sequence[Table]) -> None:
    numbers = [
        value for value in values.values if value not in (NOT_SCORED, (NOT_SCORED,) * 3) or values.kind == "colours"
    ]
    names, table = named_values(tables, values.values)
    listed: Sequence[Value] = list(names) if names else numbers
    words = (
        [names[value] for value in listed] if names else [f"class_{_key(value).replace(' ', '_')}" for value in listed]
    )
    source = f"names by {table}" if names else "names are free: write the competition's own"
    draft.add("class_names", words, f"{reason}; {source}")
    if list(listed) != list(range(len(listed))):
        entries = {_key(value): place for place, value in enumerate(listed)}
        if NOT_SCORED in values.pixels and NOT_SCORED not in listed:
            entries[str(NOT_SCORED)] = NOT_SCORED
        draft.add("label_map", entries, "value or colour: class, counted from 0 in the order of class_names")
    rare = [_key(value) for value in numbers if values.files_with(value) * 20 < values.read]
    missing = "" if not rare else f"; {first_few(rare)} are in few files: are they drawn by mistake?"
    if NOT_SCORED in values.pixels and NOT_SCORED not in listed:
        draft.doubts.append(
            f"label_map: 255, in {values.files_with(NOT_SCORED)} of {values.read} label files, is taken for what is "
            "not scored. If it is a class, name it in class_names and give its number in label_map"
        )
    if NOT_SCORED in values.pixels and not rare:
        return
    what = "colours" if values.kind == "colours" else "values"
    draft.doubts.append(
        f"which {what} are not scored (255 in label_map) cannot be told, nor whether files that were not read hold "
        f"others{missing}"
    )


def _key(value: Value) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _add_sources(draft: Draft, found: LabelFindings) -> None:
    by_split: dict[str, list[Pair]] = {"train": [], "valid": [], "test": []}
    for pair in found.found:
        by_split[pair.images.split or "train"].append(pair)
    if not by_split["train"]:
        by_split["train"], by_split["valid"], by_split["test"] = by_split["valid"], [], by_split["test"]
    if not by_split["train"]:
        by_split["train"], by_split["test"] = by_split["test"], []
    sources: Sources = {
        split: [{"image": pair.images.image, "label": pair.labels.pattern} for pair in own]
        for split, own in by_split.items()
    }
    alone = [family for family in found.alone if family.split == "test"] or list(found.alone[:1])
    sources["test"] += [{"image": family.image} for family in alone if not by_split["test"]]
    sources = _with_lists(draft, sources, found)
    counts = {split: sum(len(pair.common) for pair in own) for split, own in by_split.items()}
    for split, own in sources.items():
        if own:
            reason = f"{counts[split]} images with labels" if counts[split] else "images without labels"
            draft.add(split, own[0] if len(own) == 1 else own, reason)
    if not sources["test"]:
        draft.doubts.append(_no_test_split(found))


def _no_test_split(found: LabelFindings) -> str:
    """Why there is nothing to submit, and what to do with images among the others that have no label."""
    bare = sorted(path for pair in found.found for name, path in pair.images.paths.items() if name not in pair.common)
    if not bare:
        return "no images without labels were found: there is no test split, so nothing to submit"
    return (
        f"{len(bare)} images have no label, {first_few(bare)}: to predict them, move them into a folder of their own, "
        "such as test/, and draft again"
    )


def _with_lists(draft: Draft, sources: Sources, found: LabelFindings) -> Sources:
    """The sources as lists of ids divide them, where all images have one pattern."""
    if len(sources["train"]) != 1 or sources["valid"] or not any(own.split == "train" for own in found.lists):
        return sources
    (whole,) = sources["train"]
    divided = dict(sources)
    for own in found.lists:
        if own.split == "test" and found.alone:
            continue
        divided[own.split] = [{**whole, "ids": own.path}]
    draft.remarks.append(f"lists of ids: {first_few((own.path for own in found.lists), 6)}")
    return divided
