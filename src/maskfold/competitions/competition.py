"""One competition's files, seen through its profile: samples, images, masks."""

import copy
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from maskfold.competitions.coco_json import CocoJson
from maskfold.competitions.csv_layout import CsvLayout
from maskfold.competitions.file_list import FileList
from maskfold.competitions.files import CompetitionFiles, safe_path
from maskfold.competitions.images import MOST_PIXELS, is_image
from maskfold.competitions.label_files import LabelFiles
from maskfold.competitions.png_masks import PngMasks
from maskfold.competitions.profile import Profile
from maskfold.competitions.samples import Sample, Samples, Split, Survey, read_groups
from maskfold.competitions.stored_images import StoredImages
from maskfold.config import GroupConfig
from maskfold.errors import CompetitionError
from maskfold.labels import Label, LabelSpec
from maskfold.metrics import build_metric
from maskfold.resizing import fit_label, scaled_size
from maskfold.rle import Runs

LAYOUTS = {
    "csv": CsvLayout,
    "png-masks": PngMasks,
    "file-list": FileList,
    "label-files": LabelFiles,
    "coco-json": CocoJson,
}


class Competition(StoredImages):
    """A competition's folder and the profile that describes how to read it.

    Tables and the sizes of images are read once. Pickles, as data workers get them, leave out samples
    and sizes.

    Attributes:
        name: the profile's name.
        files: the competition's, wherever they are.
        profile: the profile as read from its YAML.
        images: how the images are stored.
        metric: the competition's score.
        labels: the task and its classes.
    """

    def __init__(
        self,
        profile: Profile,
        root: Path,
        *,
        class_names: tuple[str, ...] | None = None,
        max_pixels: int = MOST_PIXELS,
        follow_links: bool = False,
    ) -> None:
        """Open a folder or URL; ``max_pixels`` and ``follow_links``: see the config's section ``competition``."""
        super().__init__(profile, CompetitionFiles(root, follow_links=follow_links), max_pixels)
        self._surveys: dict[Split, Survey] = {}
        self.layout = LAYOUTS[profile.layout](profile, self.files, class_names)
        self.metric = build_metric(profile.metric.name, self.labels, profile.metric.options)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_surveys": {}}

    @property
    def name(self) -> str:
        return self.profile.name

    @property
    def root(self) -> Path:
        """The competition's folder, on this machine."""
        return self.files.root

    @property
    def labels(self) -> LabelSpec:
        return self.layout.labels

    @property
    def submission_kind(self) -> str:
        """``csv``: one CSV of run lengths; ``files``: a folder or zip archive of mask files."""
        return self.layout.submission_kind

    @property
    def submission_suffix(self) -> str:
        """What a submission's name ends in where nobody named it: mask files go into an archive then."""
        return ".csv" if self.submission_kind == "csv" else ".zip"

    @property
    def instances(self) -> bool:
        """Whether the objects of a mask are told apart: labels then have instances, and a submission rows for each."""
        return self.layout.instances

    @property
    def submission_size(self) -> tuple[int, int] | float | None:
        """``(H, W)`` of all masks of a submission, or the fraction that they are of their images' size; `None`: 1."""
        return self.layout.submission_size

    def samples(self, split: Split) -> Samples:
        """The samples of one split, sorted by id; none where the competition does not have the split.

        Raises:
            CompetitionError: missing images or labels, duplicate ids, names that leave the competition's
                folder, tables of another form; all that is wrong, the first few of each kind.
        """
        return self.survey(split).checked()

    def survey(self, split: Split) -> Survey:
        """The samples of one split that can be used, as `samples` has them, and all problems that it would raise."""
        if split not in self._surveys:
            try:
                self._surveys[split] = self._in_units(self.layout.survey(split))
            except CompetitionError as error:
                self._surveys[split] = Survey(Samples(), (str(error),))
        return self._surveys[split]

    def _in_units(self, survey: Survey) -> Survey:
        """Images that the metric scores together are a group, unless the profile names groups."""
        units = [(sample, self.metric.unit(sample.id)) for sample in survey.samples]
        if all(sample.group is not None or unit == sample.id for sample, unit in units):
            return survey
        samples = Samples(replace(sample, group=sample.group or unit) for sample, unit in units)
        return replace(survey, samples=samples)

    def reading_from(self, root: Path) -> "Competition":
        """The same competition, which looks for the files of images in another folder. Its samples are not there."""
        other = copy.copy(self)
        links = self.files.follow_links
        other.files, other._sizes = CompetitionFiles(root, follow_links=links), {}
        return other

    def unnamed_images(self) -> list[str]:
        """Images beside those of the samples, or where the profile expects images, that no table or list names.

        None where an image is several files: beside these there may be more of the same image.
        """
        samples = [*self.survey("train").samples, *self.survey("test").samples]
        images = {sample.image for sample in samples}
        named = {image for image in images if isinstance(image, str)}
        if named != images:
            return []
        folders = {str(PurePosixPath(path).parent) for path in named} | self.layout.image_folders()
        files = (PurePosixPath(folder) / name for folder in sorted(folders) for name in self.files.names(folder))
        labels = {sample.masks for sample in samples if isinstance(sample.masks, str)}  # may be beside their images
        return sorted({str(file) for file in files if is_image(str(file))} - named - labels)

    def groups(self, samples: Samples, group: GroupConfig) -> list[str | None]:
        """The group of every one of ``samples`` from a CSV of the competition (id, file name or stem).

        Raises:
            CompetitionError: missing file, columns or rows.
        """
        return read_groups(self.files, group, samples)

    def masks_stand(self, masks: Any) -> Any:
        """Run lengths as they are; of a label file how it stands, see `CompetitionFiles.stands`."""
        return (masks, self.files.stands(masks)) if isinstance(masks, str) else masks

    def by_windows(self, sample: Sample) -> bool:
        """Whether a sample is predicted by windows from its file: it is large, or training images are tiles of rasters.

        Raises:
            CompetitionError: as `size`.
        """
        return sample.masks is None and (self.profile.tile_scale is not None or self.is_large(sample.image))

    def seen_size(self, sample: Sample) -> tuple[int, int]:
        """``(H, W)`` at which networks see a sample before ``data.scale``: pixels of one size, rasters as their tiles.

        Raises:
            CompetitionError: as `size` and `resampling`.
        """
        tiles = self.profile.raster_scale if self.by_windows(sample) else 1.0
        return scaled_size(self.size(sample.image), self.resampling(sample) * tiles)

    def scored_size(self, sample: Sample) -> tuple[int, int]:
        """``(H, W)`` at which a sample is decided and scored: its image's, or what the profile asks for.

        Validation, out-of-fold maps, tuning and prediction all work at this size, so that areas mean the same
        everywhere.

        Raises:
            CompetitionError: as `size`.
        """
        asked = self.submission_size
        if isinstance(asked, tuple):
            return asked
        return self.size(sample.image) if asked is None else scaled_size(self.size(sample.image), asked)

    def mask_size(self, sample: Sample) -> tuple[int, int]:
        """``(H, W)`` of a sample's mask in files: training masks have their image's, a submission's `scored_size`.

        Raises:
            CompetitionError: as `size`.
        """
        return self.size(sample.image) if sample.masks is not None else self.scored_size(sample)

    def label(self, masks: Any, shape: tuple[int, int], *, id: str = "") -> Label:
        """The truth of one image: a mask as ``labels`` has it, and which pixels count.

        Args:
            masks: the cell of `samples`, or a value of `read_masks`.
            shape: ``(H, W)`` of the image.
            id: named in errors.

        Raises:
            CompetitionError: a mask that does not fit ``shape``, malformed run lengths, values that are no
                class, one pixel in two exclusive classes.
        """
        return self._named(id, self.layout.label, masks, shape)

    def runs(self, masks: Any, shape: tuple[int, int], *, id: str = "") -> tuple[Runs, ...]:
        """The mask of one image as runs, which `maskfold.rle.ops` counts and merges, one for each channel.

        The channels are those of `LabelSpec.layers`. Run lengths are not drawn; other masks are.

        Args:
            masks, shape, id: as in `label`.

        Raises:
            CompetitionError: as `label`.
        """
        return self._named(id, self.layout.runs, masks, shape)

    def objects(self, masks: Any, shape: tuple[int, int], *, id: str = "") -> tuple[Runs, ...]:
        """The objects of one image as runs, which `maskfold.rle.objects` compares, one for each row that has pixels.

        Only where `instances` is true.

        Args:
            masks: a value of `read_masks`.
            shape, id: as in `label`.

        Raises:
            CompetitionError: a row that does not fit ``shape``, malformed run lengths.
        """
        assert isinstance(self.layout, CsvLayout)
        return self._named(id, self.layout.objects, masks, shape)

    def scored_label(self, sample: Sample, shape: tuple[int, int] | None = None, *, masks: Any = None) -> Label:
        """The truth of a sample, or another mask of it, at its `scored_size`, see `maskfold.resizing.fit_label`.

        Args:
            sample: with masks, unless others are given.
            shape: ``(H, W)`` of the mask in its file; `None`: its `mask_size`.
            masks: a value of `read_masks` instead of the sample's own.

        Raises:
            CompetitionError: as `label` and `size`.
        """
        masks = sample.masks if masks is None else masks
        label = self.label(masks, shape or self.mask_size(sample), id=sample.id)
        asked = label.valid.shape if self.submission_size is None else self.scored_size(sample)
        return fit_label(label, asked, self.labels)

    def coverage(self, masks: Any, shape: tuple[int, int], *, id: str = "") -> float:
        """Share of the image that is foreground (see `LabelSpec.foreground`) and counts.

        Run lengths are drawn only where they can overlap; overlapping instances count twice, at most 1.

        Raises:
            CompetitionError: as `label`.
        """
        return self._named(id, self.layout.coverage, masks, shape)

    def read_masks(self, path: Path) -> dict[str, Any]:
        """id -> what `label` takes, from a CSV in the competition's form (a submission, a truth): a tuple of strings.

        A competition of label files: from a folder or zip archive, named as in a submission: bytes.

        Raises:
            CompetitionError: another form, duplicate rows, unknown classes or files.
        """
        return self.layout.read_masks(Path(path))

    def annotations(self, name: str, column: str | None = None) -> dict[str, dict[str, Any]]:
        """Further masks of training images, by others: annotator -> id -> what `label` takes.

        Args:
            name: path inside the competition's folder, of what its profile reads: a table of run lengths; a folder of
                label files, each with the stem of its image; of a competition of lists also a list.
            column: the table's column that names the annotator, the last one where tables have no header; None: all
                masks are of one annotator, called ``name``.

        Raises:
            CompetitionError: no such file or folder, another form, duplicate rows, unknown classes.
        """
        return self.layout.annotations(safe_path(name), column)

    @staticmethod
    def _named(id: str, read: Any, *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except CompetitionError as error:
            if not id:
                raise
            raise CompetitionError(f"{id}: {error}") from None
