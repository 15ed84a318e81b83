"""Competitions of images and label files whose paths follow patterns: the usual layouts of public data sets."""

from typing import Literal

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_layouts import LabelLayout, lines_of
from maskfold.competitions.label_profiles import LabelFilesProfile, LabelSource
from maskfold.competitions.patterns import PathLookup, Pattern
from maskfold.competitions.samples import Sample, Split, Survey, survey_samples
from maskfold.errors import CompetitionError, first_few, together
from maskfold.labels import LabelSpec


class LabelFiles(LabelLayout):
    """Reads samples and labels as a `LabelFilesProfile` describes them."""

    def __init__(
        self, profile: LabelFilesProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None
    ) -> None:
        names = class_names or profile.class_names
        if len(names) != len(profile.class_names):
            raise CompetitionError(
                f"competition.class_names has {len(names)} names, the profile {profile.name} has "
                f"{len(profile.class_names)} classes: {first_few(profile.class_names)}"
            )
        super().__init__(profile, files, LabelSpec("binary" if len(names) == 1 else "multiclass", names))
        self.profile = profile

    def image_folders(self) -> set[str]:
        """The folders where patterns of images begin, unless a list says which of these are meant."""
        sources = (*self.profile.train, *self.profile.valid, *self.profile.test)
        return {Pattern(source.image[0]).folder for source in sources if source.ids is None} - {""}

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        profile, found, problems = self.profile, [], []
        if split == "test":
            parts = [(source, None) for source in profile.test if self._is_there(source)]
        else:
            parts = [(source, "train" if profile.valid else None) for source in profile.train]
            parts += [(source, "valid") for source in profile.valid if self._is_there(source)]
        for source, own in parts:
            samples, misfits = self._samples(source, own, labelled=split == "train")
            found += samples
            problems += misfits
        names = " and ".join(source.ids or source.image[0] for source, _ in parts)
        return survey_samples(found, self.files, source=names, group=profile.group, problems=problems)

    def _is_there(self, source: LabelSource) -> bool:
        """Whether there is the list or the folder of images: not everybody downloads the test images."""
        if source.ids is not None:
            return self.files.exists(source.ids)
        return self.files.has_folder(Pattern(source.image[0]).folder or ".")

    def _samples(
        self, source: LabelSource, own: Literal["train", "valid"] | None, *, labelled: bool
    ) -> tuple[list[Sample], list[str]]:
        """The samples of one source, and what is wrong with the others."""
        images = [PathLookup(Pattern(text), self.files) for text in source.image]
        labels = PathLookup(Pattern(source.label), self.files) if labelled and source.label is not None else None
        left_out = {image_id for name in source.without for image_id in self._listed(name)}
        found, failures = [], []
        for values in self._values(source, images[0].pattern):
            try:
                image_id = Pattern(self.profile.id).fill(values)
                if image_id in left_out:
                    continue
                first = images[0].path(values)
                values = {**values, **(images[0].pattern.match(first) or {})}
                paths = (first, *(image.path(values) for image in images[1:]))
                label = None if labels is None else self._label(labels.path(values), first)
                found.append(Sample(image_id, first if len(paths) == 1 else paths, label, split=own))
            except CompetitionError as error:
                failures.append(str(error))
        if not found and not failures:
            failures = [f"there is no image {source.image[0]} in {self.files.root}"]
        return found, together(failures, "images cannot be used")

    def _values(self, source: LabelSource, image: Pattern) -> list[dict[str, str]]:
        """The fields of all images of a source: those of their paths, or the ids of its list."""
        if source.ids is None:
            return list(image.find(self.files).values())
        return [{"id": image_id} for image_id in self._listed(source.ids)]

    def _listed(self, name: str) -> list[str]:
        """The ids of a list, each the first word of a line; more may follow, as in PASCAL VOC's lists of one class."""
        if not self.files.exists(name):
            raise CompetitionError(f"there is no list {name} in {self.files.root}")
        return [line.split()[0] for _, line in lines_of(self.files, name)]

    def _label(self, path: str, image: str) -> str:
        if not self.files.exists(path):
            raise CompetitionError(f"{image} has no label {path}")
        return path
