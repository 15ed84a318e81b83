"""A draft for competitions whose masks are run lengths in a table."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from maskfold.checks.draft.classes import add_classes
from maskfold.checks.draft.composed import composed_places
from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.evidence import Evidence, study
from maskfold.checks.draft.families import Family
from maskfold.checks.draft.masks import MasksByImage
from maskfold.checks.draft.pictures import Pictures, look_at_images
from maskfold.checks.draft.places import ImagePaths, Places
from maskfold.checks.draft.roles import Roles, find_roles
from maskfold.checks.draft.sample_table import find_test_table, looks_like_a_sample
from maskfold.checks.draft.tables import Table, empty_texts, mask_column, mask_columns
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.patterns import Pattern
from maskfold.errors import first_few


@dataclass
class CsvFindings:
    """What was found out about a competition of run lengths, before any of it is worded.

    Attributes:
        files: of the competition.
        images: the paths of all images.
        train: the table of training masks.
        test: the sample submission; None where there is none.
        further: tables of the name and form of ``train`` in other folders, with masks of other images.
    """

    files: CompetitionFiles
    images: ImagePaths
    train: Roles
    test: Roles | None
    further: Sequence[Roles]

    @property
    def table_paths(self) -> set[str]:
        """The tables of masks."""
        return {roles.table.path for roles in (self.train, self.test, *self.further) if roles is not None}

    @cached_property
    def masks(self) -> MasksByImage:
        """The rows of the training table by image."""
        return MasksByImage(self.files, self.images, self.train)

    @cached_property
    def pictures(self) -> Pictures:
        """The training images."""
        return look_at_images(self.files, [path for _, path in self.masks.located])

    @cached_property
    def evidence(self) -> Evidence:
        """How run lengths are written."""
        return study(self.masks.sample(self.pictures.spec))


def find_csv(files: CompetitionFiles, tables: Sequence[Table], images: ImagePaths) -> CsvFindings | None:
    """The table of training masks and that of a submission; None where no table holds run lengths of its own."""
    masked = [(table, column) for table in tables if (column := mask_column(table)) is not None]
    found = [find_roles(table, column, images) for table, column in masked if not looks_like_a_sample(table)]
    found = [roles for roles in found if not _of_test_images(roles)]
    if not found:
        return None
    train = max(found, key=lambda roles: (roles.places.found > 0, len(set(roles.masks))))
    test = find_test_table(tables, train, images)
    if train.places.id_pattern is not None and test is not None and not test.places.found:
        # A part that is the same in one table is none of the other's.
        id_pattern = composed_places([*train.images, *test.images], images.paths).id_pattern
        train, test = (
            replace(roles, places=composed_places(roles.images, images.paths, id_pattern)) for roles in (train, test)
        )
    further = [roles for roles in found if _is_another_part(roles, train)]
    return CsvFindings(files, images, train.settled(test), test, further)


def _is_another_part(one: Roles, train: Roles) -> bool:
    """Whether a table has the name and the columns of the training table, but other images."""
    same_name = one.table.path.rpartition("/")[2] == train.table.path.rpartition("/")[2]
    same_columns = one.table.header is not None and one.table.header == train.table.header
    return same_name and same_columns and not set(one.images) <= set(train.images)


def _of_test_images(roles: Roles) -> bool:
    """Whether what looks like ids are those of test images: numbers may be, which mean something else here."""
    places = roles.places
    paths = [f"{root}/{pattern}" for root in places.roots for pattern in places.patterns]
    return bool(paths) and all(Family(path, {}).split == "test" for path in paths)


def draft_csv(found: CsvFindings) -> Draft:
    """The profile of a competition of run lengths."""
    draft = Draft()
    train = found.train
    draft.add("layout", "csv", f"run lengths stand in {train.table.path}, column {train.table.name(train.mask)}")
    draft.leave_metric_open()
    if found.further:
        _leave_parts_open(draft, found)
    else:
        add_split(draft, "train", train)
        _add_unlisted(draft, found)
    _add_test(draft, found)
    _add_table(draft, found)
    _add_unused_columns(draft, train, found.test)
    _add_id_pattern(draft, found)
    add_classes(draft, train, found.test, found.masks, found.evidence.dialect)
    _add_dialect(draft, found)
    add_images(draft, found.pictures)
    return draft


def add_images(draft: Draft, pictures: Pictures) -> None:
    """Channels and type of the images, where they are not those of a photograph."""
    sizes = first_few((f"{height}x{width} ({count})" for (height, width), count in pictures.sizes.most_common()), 4)
    if pictures.failures:
        draft.doubts.append(f"images that cannot be read: {first_few(pictures.failures)}")
    if pictures.spec is None:
        if pictures.sizes and not pictures.failures:
            draft.doubts.append("the images are not stored alike")
        return
    spec = pictures.spec
    value = {"channels": spec.channels, "dtype": spec.dtype, "scale": _plain(spec.scale)}
    if not pictures.needs_spec:
        draft.remarks.append(f"images are 8-bit, {spec.channels} channel(s), height x width {sizes}")
        return
    draft.add(
        "image_spec",
        value,
        f"of the images that were decoded; the largest value in them is {pictures.highest:g}, scale (the value that "
        f"means 1.0) is a guess by it. Height x width: {sizes}",
    )


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number


def add_split(draft: Draft, split: str, roles: Roles) -> None:
    """The table of a split, and where its images are."""
    table = roles.table
    filled = sum(any(character.isdigit() for character in text) for text in set(roles.masks))
    count = f"{len(table.cells)} rows of {len(set(roles.images))} images"
    reason = f"{count}, {filled} different masks" if split == "train" else f"{count}: the rows of a submission"
    draft.add(f"{split}.table", table.path, reason)
    _add_image(draft, split, roles.places, table.path)


def add_test_split(draft: Draft, test: Roles, train: Places) -> None:
    """The sample submission, and where test images are; where it has no rows, they are where ``train`` says."""
    if test.images:
        add_split(draft, "test", test)
        return
    draft.add("test.table", test.table.path, "the columns of a submission, and no rows")
    draft.add("test.hidden", True, "without rows test images are those that a submitted notebook is shown")
    patterns = [pattern.replace("train", "test") for pattern in train.patterns]
    if train.roots != ("",) or patterns == list(train.patterns):
        draft.leave_open("test.image", "path of a test image with {id} where the id stands")
        return
    draft.add("test.image", _as_list_or_one(patterns), "train.image, with test in the place of train")
    draft.doubts.append("test.image: that test images are called like training images is a guess, no table names any")


def _add_image(draft: Draft, split: str, places: Places, table: str) -> None:
    if not places.patterns:
        draft.leave_open(
            f"{split}.image",
            f"the ids of {table} are in no path of an image here: write the path of an image with {{id}} for the id",
        )
        return
    pattern = _as_list_or_one(places.patterns)
    reason = f"{places.found} of {places.tried} ids that were looked up have their image there"
    if len(places.patterns) > 1:
        reason += "; files beside each other are taken as channels of one image"
    if places.others:
        reason += f"; not used: {first_few(places.others)}"
    draft.add(f"{split}.image", pattern, reason)
    if places.roots not in ((), ("",)):
        draft.add(f"{split}.roots", list(places.roots), "images are spread over these folders")
    if places.share < 1:
        draft.doubts.append(
            f"{places.tried - places.found} of {places.tried} ids of {table} that were looked up have no image. "
            "Incomplete data are refused: where they are to stay so, name a copy of the table without these rows"
        )


def _leave_parts_open(draft: Draft, found: CsvFindings) -> None:
    """Training masks in several tables, of which a profile names one."""
    parts = [found.train, *found.further]
    draft.leave_open(
        "train.table",
        f"{len(parts)} tables of one form hold masks: {first_few(sorted(part.table.path for part in parts))}. Write "
        "the rows of all that are to be trained on into one CSV, and name it; or, where masks are image files, too, "
        "give train.mask instead",
    )
    _add_image(draft, "train", found.train.places, found.train.table.path)


def _as_list_or_one(texts: Sequence[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else list(texts)


def _add_unlisted(draft: Draft, found: CsvFindings) -> None:
    """Images beside those of the training table, which are empty where no row of the table is."""
    if not found.train.places.patterns:
        return
    beside = found.images.without_row(found.train.places, found.train.images, found.test.images if found.test else ())
    if not beside:
        return
    if any(empty_texts(found.train.masks).values()):
        draft.remarks.append(f"{len(beside)} images have no row in {found.train.table.path}: {first_few(beside)}")
        return
    draft.add(
        "train.unlisted",
        "empty",
        f"{len(beside)} images have no row, and no row has an empty mask, so only masks that are not empty are listed",
    )


def _add_unused_columns(draft: Draft, train: Roles, test: Roles | None) -> None:
    """Columns with run lengths beside those that are read, of which each is perhaps a class."""
    masked = [train.table.name(column) for column in mask_columns(train.table)]
    if len(masked) > 1:
        draft.doubts.append(
            f"columns: {first_few(masked, 8)} of {train.table.path} all look like run lengths, and only "
            f"{train.table.name(train.mask)} is read. If each is of a class, write copies of the tables with a row for "
            "each image and class (columns id, class, mask), and draft again; a submission will have such rows, too"
        )
    further = [] if test is None else set(test.table.header or ()) - set(_columns_of(test).values()) - {""}
    if test is not None and further:
        draft.doubts.append(
            f"columns: {test.table.path} also has {first_few(sorted(further))}, which a submission will not have"
        )


def _add_test(draft: Draft, found: CsvFindings) -> None:
    test, train = found.test, found.train
    if test is not None:
        add_test_split(draft, test, train.places)
        own = _columns_of(test)
        same = list(own.items()) == list(_columns_of(train).items()) and test.separator == train.separator
        if test.table.header is not None and not same:
            draft.add(
                "test.columns", own, f"{test.table.path} has other columns than {train.table.path}, or another order"
            )
            if test.separator is not None:
                draft.add("test.class_separator", test.separator, f"stands between image and class in {own['id']}")
        return
    draft.leave_open(
        "test.table", "no sample submission was found: the CSV of ids (and classes) that a submission consists of"
    )
    draft.leave_open("test.image", "path of a test image with {id} where the id stands")


def add_form(draft: Draft, roles: Roles) -> None:
    """separator, header and columns of a table."""
    table = roles.table
    separator, header = table.separator, table.header is not None
    name = {"\t": "a tab", ",": "a comma"}.get(separator, repr(separator))
    draft.add("separator", separator, f"{name} cuts every line of {table.path} into {len(table.columns)} fields")
    draft.add("header", header, "the first row holds names" if header else "the first row is data")
    known = first_few(map(table.name, table.columns), 8)
    shown = f"{table.path} has the columns {known}" if header else "columns are taken by position, names are free"
    draft.add("columns", _columns_of(roles), f"{shown}; in the order of a submission")


def _add_table(draft: Draft, found: CsvFindings) -> None:
    train, test = found.train, found.test
    add_form(draft, train)
    forms = {(roles.table.separator, roles.table.header is None) for roles in (train, test or train)}
    if test is not None and len(forms) > 1:
        draft.doubts.append(
            f"{train.table.path} and {test.table.path} differ in separator or header: a profile has one for both"
        )


def _add_id_pattern(draft: Draft, found: CsvFindings) -> None:
    places = found.train.places
    if places.id_pattern is None:
        return
    fields = Pattern(places.id_pattern).fields
    if len(fields) == 1:
        draft.add("id_pattern", places.id_pattern, "images are called like the part of the id in braces")
        return
    draft.add("id_pattern", places.id_pattern, "the parts of an id that are words of its image's path")
    patterns = [found.train.places.patterns[0], *(found.test.places.patterns[:1] if found.test else ())]
    groups = first_few((f'"{_group_pattern(patterns, field)}"' for field in fields), 5)
    draft.remarks.append(
        "ids have several fields: where images with the same one belong together (a patient, a place), folds should "
        f"not part them: add one of group: {groups}"
    )


def _group_pattern(patterns: Sequence[str], field: str) -> str:
    """A pattern of all the paths, with ``{group}`` for a field."""
    levels = zip(*(pattern.split("/") for pattern in patterns), strict=False)
    common = "/".join(parts[0] if len(set(parts)) == 1 else "*" for parts in levels)
    return re.sub(r"\{(\w+)\}\*?", lambda found: "{group}" if found[1] == field else "*", common)


def _columns_of(roles: Roles) -> dict[str, str]:
    places = {"id": roles.id, "class": roles.value, "mask": roles.mask}
    there = {role: column for role, column in places.items() if column is not None}
    ordered = sorted(there, key=lambda role: there[role])
    if roles.table.header is None:
        return {role: role if role != "id" else "name" for role in ordered}
    return {role: roles.table.name(there[role]) for role in ordered}


def _add_dialect(draft: Draft, found: CsvFindings) -> None:
    evidence = found.evidence
    dialect = evidence.dialect
    for key in ("layout", "order", "start"):
        draft.add(
            f"dialect.{key}", getattr(dialect, key), evidence.reasons.get(key, "the most usual; nothing shows it")
        )
    if evidence.doubts:
        draft.doubts.append(
            f"dialect.{', dialect.'.join(evidence.doubts)}: "
            + ("no mask with runs has an image here" if not evidence.sample else "the masks do not decide it")
        )
    texts = empty_texts(found.train.masks)
    markers = [text for text, _ in texts.most_common() if text]
    wanted = _sample_marker(found.test, markers)
    if wanted:
        draft.add("dialect.empty", wanted, f"stands in the sample submission; {_counted(texts)} in the training table")
        markers = [text for text in markers if text != wanted]
    if markers:
        draft.add("dialect.also_empty", markers, f"no run lengths: {_counted(texts)} in {found.train.table.path}")


def _sample_marker(test: Roles | None, markers: Sequence[str]) -> str:
    """What a submission holds for an empty mask: what the sample holds, else what all empty training masks hold."""
    own = {text for text in empty_texts(test.masks) if text} if test else set()
    if len(own) == 1:
        return own.pop()
    return markers[0] if len(markers) == 1 and re.fullmatch(r"-1?|\d+ 0|0", markers[0]) else ""


def _counted(texts: Counter[str]) -> str:
    return first_few((f"{text or 'nothing'!r} {count} times" for text, count in texts.most_common()), 5) or "none"
