"""Sections about what is learned: competition, folds, training samples, targets."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from maskfold.config.section import Count, Section, Share


class CompetitionConfig(Section):
    """Which competition, and where its files are."""

    profile: str = Field(default="tianchi-buildings", description="name of a profile, or path to a profile YAML")
    root: Path | None = Field(
        default=None,
        description="folder of the competition's files, or a URL (s3://…) that they are copied from once, see "
        "docs/machines.md; null: the one found under data/",
    )
    class_names: tuple[str, ...] | None = Field(
        default=None, description="names of classes 0..C-1; null: the profile's"
    )
    max_pixels: int = Field(
        default=89_478_485,
        ge=1,
        description="pixels of the largest image that is read whole: what is larger could be a decompression bomb; tif "
        "and jp2 are then read by windows, npy, which is not packed, is read all the same, other formats are refused "
        "(png, jpg, bmp and webp of more than 178,956,970 whatever stands here)",
    )
    follow_links: bool = Field(
        default=False,
        description="whether links below the folders of images may lead out of them; those directly in "
        "competition.root may anyway",
    )


class GroupConfig(Section):
    """A table of which images belong together."""

    file: str = Field(description="CSV inside the competition's folder")
    id: str = Field(default="id", description="its column with the image's id or file name")
    column: str = Field(default="group", description="its column with the group")


class FoldsConfig(Section):
    """How the training images are split into folds."""

    kind: Literal["auto", "holdout", "kfold", "stratified", "grouped", "stratified-grouped", "bootstrap", "given"] = (
        Field(
            default="auto",
            description="how images are split; stratified means by mask coverage; auto: stratified, with groups kept "
            "together where there are any",
        )
    )
    count: Count = Field(default=5, description="number of folds (hold-out and given splits: one)")
    trained: Count | None = Field(
        default=None, description="how many of them train_all trains where none are named, the first ones; null: all"
    )
    valid_share: float = Field(default=0.2, gt=0, lt=1, description="hold-out: share of images for validation")
    bins: Count = Field(default=5, description="stratified: coverage bins, and one more for empty masks")
    group: GroupConfig | None = Field(default=None, description="where groups come from; null: the profile's, if any")
    copies: Literal["apart", "together"] = Field(
        default="apart",
        description="together: images that are nearly the same, also mirrored or turned, are one group, and so are the "
        "groups that they belong to; every image is read for it, once",
    )
    seed: int = Field(default=0, ge=0, lt=1 << 32, description="seed of the folds")

    @property
    def made(self) -> int:
        """Number of folds that are made."""
        return 1 if self.kind in ("holdout", "given") else self.count

    @property
    def to_train(self) -> int:
        """Number of folds that are trained where none are named."""
        return min(self.made, self.trained or self.made)


class MixConfig(Section):
    """Training images that are made of several, with the labels that belong to them."""

    recipe: Literal["mixup", "cutmix", "copy_paste", "mosaic"] = Field(
        description="mixup: mean of two images and their labels; cutmix: a rectangle of another image; copy_paste: "
        "half of another image's objects with their masks; mosaic: four images around a random centre"
    )
    share: Share = Field(default=0.5, description="share of the training images that are mixed with others")
    alpha: float | None = Field(
        default=None,
        gt=0,
        description="mixup and cutmix: the weight is drawn from Beta(alpha, alpha); null: 0.2 for mixup, 1 for cutmix",
    )

    @property
    def strength(self) -> float:
        """``alpha``, or what null stands for."""
        return self.alpha or (0.2 if self.recipe == "mixup" else 1.0)

    @model_validator(mode="after")
    def _used(self) -> "MixConfig":
        if self.alpha is not None and self.recipe not in ("mixup", "cutmix"):
            raise ValueError(f"alpha is {self.alpha:g}, but recipe {self.recipe} draws no weights: leave alpha out")
        return self


class WeightsConfig(Section):
    """How often each training image is drawn, by how well networks trained before agree with its mask."""

    runs: tuple[Path, ...] = Field(
        min_length=1,
        description="run folders with the same folds; each fold asks their networks of that fold, which never saw what "
        "it validates on",
    )
    hard: float = Field(
        default=0.0,
        ge=0,
        le=4,
        description="images are drawn by (1 - agreement) to this power, each 1/4 to 4 times as often as the mean; 0: "
        "all alike",
    )
    doubtful: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="share of the images that is drawn a quarter as often as the mean: those with which even the best "
        "of the runs agrees least, so that the mask may be wrong",
    )

    @model_validator(mode="after")
    def _some(self) -> "WeightsConfig":
        if not self.hard and not self.doubtful:
            raise ValueError("hard and doubtful are both 0, so all images weigh the same: set one, or weights to null")
        return self


class DataConfig(Section):
    """What a training sample looks like."""

    crop: Annotated[int, Field(ge=8)] = Field(
        default=256, description="side of the square training crop in pixels, after scale"
    )
    scale: float = Field(
        default=1.0,
        gt=0,
        le=8,
        description="images are resized by this before the network; predictions are resized back",
    )
    label_shift: tuple[Annotated[float, Field(ge=-32, le=32)], Annotated[float, Field(ge=-32, le=32)]] = Field(
        default=(0.0, 0.0),
        description="pixels (down, right) by which the competition's masks stand beside what the images show: training "
        "moves them back, and predictions are moved to where masks are asked for; evaluate measures it",
    )
    augment: str | list[Any] = Field(
        default="d4", description="preset (none, flips, d4, d4_color, heavy, scale_crop) or a list of albumentations"
    )
    mix: MixConfig | None = Field(
        default=None, description="training images that are made of several, such as {recipe: cutmix}; null: none"
    )
    workers: int = Field(default=2, ge=0, description="data loading processes")
    cache: Literal["none", "memory", "disk"] = Field(
        default="none",
        description="where decoded, scaled images are kept from epoch to epoch: memory, shared by the workers; disk, "
        "for later runs too, in ~/.cache/maskfold or MASKFOLD_CACHE; training is the same bit for bit as without",
    )
    cache_gib: float | None = Field(
        default=None,
        gt=0,
        description="room for the cache in GiB, what does not fit is read each time; null: half of what is free",
    )
    positive_share: Share | None = Field(
        default=None,
        description="share of the training images drawn that have a mask, batch by batch; null: as they come",
    )
    weights: WeightsConfig | None = Field(
        default=None, description="hard images are drawn more often, those with doubtful masks less; null: all alike"
    )
    extra: tuple[Path, ...] = Field(
        default=(), description="folders of pseudo-labels whose images are trained on too; they never validate"
    )
    labelled_share: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="share of a fold's training images whose labels are used; semi uses the others without labels",
    )


class SmoothingConfig(Section):
    """Labels that are less certain than the mask, in training only."""

    uniform: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="share of each label that is given to all classes alike"
    )
    boundary: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.0, description="standard deviation, in pixels after scale, by which labels are blurred; 0: no blur"
    )


class AnnotatorsConfig(Section):
    """Masks of the training images by several people; images that one of them has not drawn use the others'."""

    masks: tuple[str, ...] = Field(
        min_length=1,
        description="paths inside the competition's folder, one for each annotator: tables, lists or folders of masks; "
        "with column, one table of all of them",
    )
    column: str | None = Field(
        default=None, description="the table's column that names the annotator (without a header: the last one)"
    )
    merge: Literal["mean", "random", "staple"] = Field(
        default="mean",
        description="mean: share of the annotators; random: another annotator in each epoch; staple: probability by "
        "how reliable each is on the image, of their agreement (STAPLE)",
    )

    @model_validator(mode="after")
    def _one_each(self) -> "AnnotatorsConfig":
        if self.column is not None and len(self.masks) > 1:
            raise ValueError(f"column is {self.column}, so masks must be one table: it has {len(self.masks)}")
        if len(set(self.masks)) < len(self.masks):
            raise ValueError(f"masks names a file twice: {', '.join(self.masks)}")
        return self


class TeacherConfig(Section):
    """Networks trained before, whose probabilities a network learns beside the masks: distillation."""

    runs: tuple[Path, ...] = Field(
        min_length=1, description="run folders with the same folds; their probabilities are averaged"
    )
    temperature: float = Field(
        default=1.0, gt=0, description="by which the logits are divided: above 1 probabilities are softer"
    )
    weight: Share = Field(default=0.5, description="share of the teachers in the target; the rest is the mask's")


class TargetsConfig(Section):
    """What training aims at, where masks are not certain; validation and scores are always on the masks."""

    smoothing: SmoothingConfig = SmoothingConfig()
    annotators: AnnotatorsConfig | None = Field(
        default=None, description="masks by several annotators instead of the competition's own; null: none"
    )
    teacher: TeacherConfig | None = Field(
        default=None, description="runs whose probabilities are learned beside the masks; null: none"
    )
    sources: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="what changes the labels of training images: package.module:Name, and the options of each",
    )
