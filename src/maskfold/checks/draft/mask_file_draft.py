"""A draft for competitions whose training masks are files, and whose submission is a table of run lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

from maskfold.checks.draft.csv_draft import add_form, add_images, add_test_split
from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.families import Pair
from maskfold.checks.draft.label_draft import LabelFindings, add_label_values, remark_on_unused
from maskfold.checks.draft.label_values import read_labels
from maskfold.checks.draft.pictures import look_at_images
from maskfold.checks.draft.places import ImagePaths, Places
from maskfold.checks.draft.roles import Roles, find_roles
from maskfold.checks.draft.sample_table import looks_like_a_sample
from maskfold.checks.draft.tables import RUNS, Table, empty_texts
from maskfold.errors import first_few
from maskfold.rle import RLEDialect


@dataclass(frozen=True)
class MaskFiles:
    """Images with mask files, further ones that are not in one pattern with them, and the sample submission."""

    labels: LabelFindings
    pair: Pair
    further: Sequence[Pair]
    sample: Roles


def find_mask_files(labels: LabelFindings, tables: Sequence[Table], images: ImagePaths) -> MaskFiles | None:
    """The sample submission of run lengths that stands beside label files; None where there is none."""
    samples = [find_roles(table, table.columns[-1], images) for table in tables if _may_be_a_sample(table)]
    best = max(samples, key=lambda roles: roles.places.share, default=None)
    if best is None or (best.images and not best.places.found):
        return None
    train = [pair for pair in labels.found if pair.images.split != "test"]
    return MaskFiles(labels, train[0], train[1:], best) if train else None


def draft_mask_files(found: MaskFiles) -> Draft:
    """The profile of mask files and a submission of run lengths."""
    draft, pair, sample = Draft(), found.pair, found.sample
    table = sample.table.path
    draft.add("layout", "csv", f"a submission is a table of run lengths, {table}, though training masks are files")
    draft.leave_metric_open()
    draft.add("train.image", pair.images.image, f"{len(pair.images.paths)} images")
    draft.add("train.mask", pair.labels.pattern, f"{len(pair.common)} of them have a mask of their name")
    add_test_split(draft, sample, Places((pair.images.pattern, *pair.images.beside), ("",)))
    add_form(draft, sample)
    _add_rows(draft, found)
    default = RLEDialect()
    for key in ("layout", "order", "start"):
        draft.add(
            f"dialect.{key}", getattr(default, key), "what most competitions use; no run lengths of theirs are here"
        )
    draft.doubts.append(
        "dialect: no table holds run lengths of known masks. Compare layout, order (F: down the columns, C: along the "
        "rows) and start with the competition's page, which usually gives an example"
    )
    markers = [text for text in empty_texts(sample.masks) if text]
    if len(markers) == 1:
        draft.add("dialect.empty", markers[0], f"stands in {table}")
    without = sorted(pair.images.paths.keys() - pair.labels.paths.keys())
    if without:
        draft.doubts.append(f"{len(without)} images at train.image have no mask: {first_few(without)}")
    add_images(draft, look_at_images(found.labels.files, [pair.images.files(name) for name in pair.common]))
    remark_on_unused(draft, found.labels)
    if found.further:
        counts = (f"{own.images.pattern} ({len(own.common)})" for own in found.further)
        draft.doubts.append(
            f"train.image: further images with masks are not used: {first_few(counts)}. To train on them, too, "
            "name the folders in train.roots, and leave them out of train.image and train.mask"
        )
    return draft


def _add_rows(draft: Draft, found: MaskFiles) -> None:
    """rows, and class_names and label_map by what the mask files hold."""
    pair, sample = found.pair, found.sample
    values = read_labels(found.labels.files, [pair.labels.paths[name] for name in pair.common])
    rows = f"{sample.table.path} has {len(sample.table.cells)} rows of {len(set(sample.images))} images"
    if sample.rows == "class":
        classes = sorted(set(sample.classes))
        draft.add("rows", "class", f"{rows}, with the classes {first_few(classes, 8)}")
        if sample.separator is not None:
            draft.add("class_separator", sample.separator, "stands between image and class")
        why = "as the table writes them, in the order of class_names after the background"
        draft.add("class_values", classes, why)
        add_label_values(draft, values, ())
        draft.doubts.append("class_values: which value or colour of the masks is which class is a guess by their order")
        return
    draft.add("rows", "image", rows)
    if values.kind in ("two", "two scales", "blurred"):
        add_label_values(draft, values, ())
        return
    draft.add("class_names", ["foreground"], "names are free: write the competition's own")
    draft.doubts.append(
        f"label_map: {values.read} mask files hold the values {first_few(values.values, 8)}, but a submission has one "
        "mask for each image: say in label_map which are foreground (1) and background (0)"
    )


def _may_be_a_sample(table: Table) -> bool:
    cells = table.cells[table.columns[-1]].tolist()
    texts = {text for text in empty_texts(cells) if text}
    runs = sum(RUNS.fullmatch(cell) is not None for cell in cells)
    return looks_like_a_sample(table) and len(texts) <= 1 and (runs > 0 or len(texts | {""}) <= 2)
