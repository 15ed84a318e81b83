"""From a folder to the draft of a profile that has been tried out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskfold.checks.draft.csv_draft import draft_csv, find_csv
from maskfold.checks.draft.draft import Draft
from maskfold.checks.draft.groups import archives, group_candidates
from maskfold.checks.draft.id_lists import file_lists
from maskfold.checks.draft.label_draft import draft_labels, find_labels
from maskfold.checks.draft.list_draft import draft_lists
from maskfold.checks.draft.mask_file_draft import draft_mask_files, find_mask_files
from maskfold.checks.draft.places import ImagePaths
from maskfold.checks.draft.tables import Table, read_tables
from maskfold.checks.draft.try_out import Tried, try_out
from maskfold.checks.draft.write import as_yaml
from maskfold.checks.notes import wrap
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.images import IMAGE_SUFFIXES, is_image
from maskfold.errors import CompetitionError, first_few
from maskfold.program import command_line


@dataclass(frozen=True)
class Drafted:
    """A draft, its text, and what came of trying it out."""

    draft: Draft
    text: str
    tried: Tried

    def summary(self) -> str:
        """What a person should know before they open the file."""
        facts = [self.tried.facts, _resemblance(self.tried), *self.draft.remarks]
        marked = [("", text) for text in facts if text]
        marked += [("Not certain: ", text) for text in self.draft.doubts]
        marked += [("Problem: ", text) for text in self.tried.problems]
        return "\n".join(wrap(f"{mark}{text}", "  ") for mark, text in marked)


def draft_profile(root: Path) -> Drafted:
    """The draft of a profile for the files in ``root``.

    Raises:
        CompetitionError: no such folder; no images, or nothing that looks like masks.
    """
    if not root.is_dir():
        raise CompetitionError(f"{root} is not a folder: give the competition's with --competition.root")
    files = CompetitionFiles(root)
    paths = files.below("")
    images = ImagePaths(path for path in paths if is_image(path))
    if not images.paths:
        raise CompetitionError(
            f"{root} holds no image ({first_few(sorted(IMAGE_SUFFIXES), 20)}) but {first_few(paths)}"
        )
    tables = read_tables(files, images)
    draft = _draft(files, tables, images)
    if draft is None:
        raise CompetitionError(
            f"nothing in {root} looks like masks: no table holds run lengths, no list names labels, and no folder or "
            "file is called after masks or labels and has the names of the images. For COCO's annotation files write a "
            "profile of layout: coco-json by hand"
        )
    tried = try_out(draft, root)
    heading = (
        f"Draft of a profile for {root.name}, by {command_line('check-data', '--draft')}: every value with what it was "
        "told from. Correct what is wrong, replace FILL-IN, and remove what you do not need."
    )
    return Drafted(draft, as_yaml(draft, heading), tried)


def _resemblance(tried: Tried) -> str:
    nearest = tried.nearest
    if tried.fits is not None and (nearest is None or nearest.differences):
        return f"the files also fit maskfold's profile {tried.fits}: --competition.profile {tried.fits}"
    if nearest is None:
        return "none of maskfold's profiles is like it"
    if not nearest.differences:
        return f"the profile {nearest.name} of maskfold reads the same: --competition.profile {nearest.name}"
    return f"most like maskfold's profile {nearest.name} (its score: {nearest.metric}); what differs: " + "; ".join(
        nearest.differences
    )


def _draft(files: CompetitionFiles, tables: Sequence[Table], images: ImagePaths) -> Draft | None:
    """Run lengths go before label files, lists before folders."""
    if found := find_csv(files, tables, images):
        draft, named = draft_csv(found), [image for image, _ in found.masks.located]
        tables = [table for table in tables if table.path not in found.table_paths]
    elif lists := file_lists(files, set(images.paths)):
        draft, named = draft_lists(files, lists, tables), [image for image, _ in lists.pairs]
    elif labels := find_labels(files, images.paths):
        masks = find_mask_files(labels, tables, images)
        draft = draft_labels(labels, tables) if masks is None else draft_mask_files(masks)
        named = [name for pair in labels.found for name in pair.common]
    else:
        return None
    draft.remarks += [*archives(files), *group_candidates(tables, named)]
    return draft
