"""Competitions of a folder of images and one of binary masks."""

from typing import get_args

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_layouts import LabelLayout
from maskfold.competitions.label_profiles import PngMasksProfile
from maskfold.competitions.samples import OwnSplit, Sample, Split, Survey, read_pairs, survey_samples
from maskfold.competitions.table import duplicates
from maskfold.errors import CompetitionError, first_few
from maskfold.labels import LabelSpec


class PngMasks(LabelLayout):
    """Reads samples and masks as a `PngMasksProfile` describes them."""

    profile: PngMasksProfile

    def __init__(self, profile: PngMasksProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        if class_names is not None and len(class_names) != 1:
            raise CompetitionError(f"competition.class_names has {len(class_names)} names, binary masks have one class")
        super().__init__(profile, files, LabelSpec("binary", class_names or profile.class_names))

    def image_folders(self) -> set[str]:
        """The one folder of images."""
        return {self.profile.images}

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        images, twice = self.images_by_stem(self.profile.images)
        masks, masks_twice = self.images_by_stem(self.profile.masks)
        problems = [*twice, *masks_twice]
        strangers = sorted(set(masks) - set(images))
        if strangers:
            problems.append(
                f"{len(strangers)} masks have no image of the same stem in {self.profile.images}: "
                f"{first_few(masks[stem] for stem in strangers)}; name each mask as its image"
            )
        splits, misfits = self._splits(images, masks)
        if split == "test":
            found = [Sample(stem, images[stem]) for stem, own in splits.items() if own == "test"]
        else:
            found = [
                Sample(stem, images[stem], masks[stem], split=own) for stem, own in splits.items() if own != "test"
            ]
        return survey_samples(
            found,
            self.files,
            source=self.profile.images,
            group=self.profile.group,
            problems=[*problems, *misfits],
        )

    def _splits(self, images: dict[str, str], masks: dict[str, str]) -> tuple[dict[str, OwnSplit | None], list[str]]:
        """Stem -> train, valid, test; without a split file test (no mask) or None (mask). And what does not fit."""
        source = self.profile.split
        if not self.files.exists(source):
            return {stem: None if stem in masks else "test" for stem in images}, []
        rows = read_pairs(self.files, source, "id", "split")
        splits = dict(rows)
        problems = {
            "ids without an image": sorted(set(splits) - set(images)),
            "images without a row": sorted(set(images) - set(splits)),
            "splits other than train, valid, test": sorted(set(splits.values()) - {"train", "valid", "test"}),
            "train or valid ids without a mask": sorted(
                stem for stem, split in rows if split != "test" and stem not in masks
            ),
        }
        found = [f"{source}: {len(names)} {what}: {first_few(names)}" for what, names in problems.items() if names]
        known: dict[str, OwnSplit] = {name: name for name in get_args(OwnSplit)}
        usable: dict[str, OwnSplit | None] = {
            stem: known[split]
            for stem, split in splits.items()
            if stem in images and split in known and (split == "test" or stem in masks)
        }
        return usable, [*duplicates((stem for stem, _ in rows), source), *found]
