"""Competitions of lists that name images and label files."""

from maskfold.competitions.files import CompetitionFiles, safe_path
from maskfold.competitions.label_layouts import LabelLayout, lines_of
from maskfold.competitions.label_profiles import FileListProfile
from maskfold.competitions.samples import OwnSplit, Sample, Split, Survey, survey_samples
from maskfold.competitions.table import duplicates
from maskfold.errors import CompetitionError, raise_all, together
from maskfold.labels import LabelSpec


class FileList(LabelLayout):
    """Reads samples and labels as a `FileListProfile` describes them."""

    profile: FileListProfile

    def __init__(self, profile: FileListProfile, files: CompetitionFiles, class_names: tuple[str, ...] | None) -> None:
        names = class_names or profile.class_names or _names_in(files, profile.labels)
        if len(names) < 2:
            raise CompetitionError(
                f"the names of the classes are not known: set competition.class_names (two or more), or write "
                f"them into {profile.labels}, one per line"
            )
        super().__init__(profile, files, LabelSpec("multiclass", names))

    def image_folders(self) -> set[str]:
        """None: the lists name the images."""
        return set()

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        profile = self.profile
        named: dict[OwnSplit, str | None] = (
            {"train": profile.train, "valid": profile.valid} if split == "train" else {"test": profile.test}
        )
        lists: dict[OwnSplit, str] = {own: name for own, name in named.items() if name is not None}
        found, problems = self._listed(lists)
        return survey_samples(
            found, self.files, source=" and ".join(lists.values()), group=profile.group, problems=problems
        )

    def annotations(self, name: str, column: str | None) -> dict[str, dict[str, str]]:
        """See `Competition.annotations`: of a list, or of a folder."""
        if column is not None or not self.files.exists(name):
            return super().annotations(name, column)
        found, problems = self._listed({"train": name})
        raise_all([*problems, *duplicates((sample.id for sample in found), name)])
        return {name: {sample.id: sample.masks for sample in found}}

    def _listed(self, lists: dict[OwnSplit, str]) -> tuple[list[Sample], list[str]]:
        """The samples of lists, and at most one problem: the lines that cannot be used."""
        found, problems = [], []
        for own, name in lists.items():
            for number, line in lines_of(self.files, name):
                try:
                    found.append(self._sample(line, own))
                except CompetitionError as error:
                    problems.append(f"{name}, line {number}: {error}")
        return found, together(problems, "lines cannot be used")

    def _sample(self, line: str, split: OwnSplit) -> Sample:
        """The sample of one line."""
        fields = [field.strip() for field in line.split(self.profile.separator)]
        if len(fields) != 2 and (split != "test" or len(fields) != 1):
            expected = "'image label'" + (" or 'image'" if split == "test" else "")
            raise CompetitionError(f"{len(fields)} fields, expected {expected}")
        image = safe_path(fields[0])
        if split == "test":
            return Sample(fields[0], image)
        own = None if self.profile.valid is None else split
        return Sample(fields[0], image, self._label(fields[1]), split=own)

    def _label(self, path: str) -> str:
        path = safe_path(path)
        if not self.files.exists(path):
            raise CompetitionError(f"there is no label {path}")
        return path


def _names_in(files: CompetitionFiles, path: str) -> tuple[str, ...]:
    return tuple(line for _, line in lines_of(files, path))
