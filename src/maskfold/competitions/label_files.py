"""Competitions of images and label files whose paths follow patterns: the usual layouts of public data sets."""

from collections.abc import Iterator, Mapping

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.label_layouts import lines_of
from maskfold.competitions.label_profiles import LabelFilesProfile, LabelSource
from maskfold.competitions.label_sources import OwnTrainSplit, SourcesLayout
from maskfold.competitions.patterns import PathLookup, Pattern, images_alone
from maskfold.competitions.samples import Sample
from maskfold.errors import CompetitionError, first_few, together
from maskfold.labels import LabelSpec


class LabelFiles(SourcesLayout):
    """Reads samples and labels as a `LabelFilesProfile` describes them."""

    profile: LabelFilesProfile

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

    def image_folders(self) -> set[str]:
        """The folders where patterns of images begin, unless a list says which of these are meant."""
        sources = (*self.profile.train, *self.profile.valid, *self.profile.test)
        return {Pattern(source.image[0]).folder for source in sources if source.ids is None} - {""}

    def is_there(self, source: LabelSource) -> bool:
        """Whether there is the list or the folder of images."""
        if source.ids is not None:
            return self.files.exists(source.ids)
        return self.files.has_folder(Pattern(source.image[0]).folder or ".")

    def name_of(self, source: LabelSource) -> str:
        """The list, or the pattern of the images."""
        return source.ids or source.image[0]

    def samples_of(self, source: LabelSource, own: OwnTrainSplit, *, labelled: bool) -> tuple[list[Sample], list[str]]:
        """See `SourcesLayout.samples_of`."""
        images = [PathLookup(Pattern(text), self.files) for text in source.image]
        labels = PathLookup(Pattern(source.label), self.files) if labelled and source.label is not None else None
        left_out = {image_id for name in source.without for image_id in self._listed(name)}
        form = Pattern(self.profile.id)
        found, failures = [], []
        for first, values in self._first_files(source, images[0]):
            try:
                image_id = form.fill(values)
                if image_id in left_out:
                    continue
                if first is None:
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

    def _first_files(self, source: LabelSource, image: PathLookup) -> Iterator[tuple[str | None, Mapping[str, str]]]:
        """(path, fields of it) of all images of a source; of ids of a list the path is still to be found."""
        if source.ids is None:
            labels = [Pattern(source.label)] if source.label else []
            yield from images_alone(image.pattern.find(self.files), labels).items()
        else:
            yield from ((None, {"id": image_id}) for image_id in self._listed(source.ids))

    def _listed(self, name: str) -> list[str]:
        """The ids of a list, each the first word of a line; more may follow, as in PASCAL VOC's lists of one class."""
        if not self.files.exists(name):
            raise CompetitionError(f"there is no list {name} in {self.files.root}")
        return [line.split()[0] for _, line in lines_of(self.files, name)]

    def _label(self, path: str, image: str) -> str:
        if not self.files.exists(path):
            raise CompetitionError(f"{image} has no label {path}")
        return path
