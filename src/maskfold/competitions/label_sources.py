"""What layouts have in common whose profile says for each split where its images come from."""

from abc import abstractmethod
from typing import Any, Literal

from maskfold.competitions.label_layouts import LabelLayout
from maskfold.competitions.samples import Sample, Split, Survey, survey_samples

OwnTrainSplit = Literal["train", "valid"] | None


class SourcesLayout(LabelLayout):
    """Its profile has ``train``, ``valid`` and ``test``, each a tuple of sources."""

    def survey(self, split: Split) -> Survey:
        """See `Competition.survey`."""
        profile: Any = self.profile
        parts: dict[OwnTrainSplit, list[Any]] = {None: [source for source in profile.test if self.is_there(source)]}
        if split == "train":
            valid = [source for source in profile.valid if self.is_there(source)]
            parts = {"train" if profile.valid else None: list(profile.train), "valid": valid}
        found, problems = [], []
        for own, sources in parts.items():
            for source in sources:
                samples, misfits = self.samples_of(source, own, labelled=split == "train")
                found += samples
                problems += misfits
        names = " and ".join(self.name_of(source) for sources in parts.values() for source in sources)
        return survey_samples(found, self.files, source=names, group=self.profile.group, problems=problems)

    @abstractmethod
    def is_there(self, source: Any) -> bool:
        """Whether there is anything of a source: not everybody downloads the test images."""

    @abstractmethod
    def name_of(self, source: Any) -> str:
        """What a source is called in messages."""

    @abstractmethod
    def samples_of(self, source: Any, own: OwnTrainSplit, *, labelled: bool) -> tuple[list[Sample], list[str]]:
        """The samples of one source, and what is wrong with the others."""
