"""The experiment as one typed, frozen tree: every option, its default, unit and allowed range."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
# YAML and the command line both write an absent value as `null`; these names mean the same to people.
NoneWord = BeforeValidator(lambda value: None if value in ("none", "None", "null", "") else value)


# A decoding step's value: one for all classes, a list with one for each, or a mapping by class name. Which of the three
# is told first, so that a wrong value is one error and not three; the words in brackets are in no message.
ONE, EACH, NAMED = PER_CLASS_TAGS = ("<one for all>", "<one for each>", "<by name>")


def _form(value: Any) -> str:
    return NAMED if isinstance(value, dict) else EACH if isinstance(value, list | tuple) else ONE


Pixels = Annotated[int, Field(ge=0)]
Shares = Annotated[
    Annotated[Share, Tag(ONE)] | Annotated[tuple[Share, ...], Tag(EACH)] | Annotated[dict[str, Share], Tag(NAMED)],
    Discriminator(_form),
]
Areas = Annotated[
    Annotated[Pixels, Tag(ONE)] | Annotated[tuple[Pixels, ...], Tag(EACH)] | Annotated[dict[str, Pixels], Tag(NAMED)],
    Discriminator(_form),
]


class Section(BaseModel):
    """A part of the tree. Unknown keys are errors, and nothing can be changed after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class CompetitionConfig(Section):
    """Which competition, and where its files are."""

    profile: str = Field(default="tianchi-buildings", description="name of a profile, or path to a profile YAML")
    root: Path | None = Field(
        default=None, description="folder of the competition's files; null: the one found under data/"
    )
    class_names: tuple[str, ...] | None = Field(
        default=None, description="names of classes 0..C-1; null: the profile's"
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
    valid_share: float = Field(default=0.2, gt=0, lt=1, description="hold-out: share of images for validation")
    bins: Count = Field(default=5, description="stratified: coverage bins, and one more for empty masks")
    group: GroupConfig | None = Field(default=None, description="where groups come from; null: the profile's, if any")
    seed: int = Field(default=0, description="seed of the folds")


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
    augment: str | list[Any] = Field(
        default="d4", description="preset (none, flips, d4, d4_color, heavy, scale_crop) or a list of albumentations"
    )
    workers: int = Field(default=2, ge=0, description="data loading processes")
    positive_share: Share | None = Field(
        default=None,
        description="share of the training images drawn that have a mask, batch by batch; null: as they come",
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
        default=0.0, description="standard deviation, in pixels after scale, by which labels are blurred; 0: not"
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
        default=None, description="masks by several annotators in the place of the competition's own; null: none"
    )
    teacher: TeacherConfig | None = Field(
        default=None, description="runs whose probabilities are learned beside the masks; null: none"
    )
    sources: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="what changes the labels of training images: package.module:Name, and the options of each",
    )

    @property
    def soft(self) -> bool:
        """Whether training aims at shares of classes rather than at masks."""
        merged = self.annotators is not None and self.annotators.merge != "random"
        return bool(self.smoothing.uniform or self.smoothing.boundary or merged or self.sources or self.teacher)


class ModelConfig(Section):
    """The network and the weights it starts from."""

    architecture: str = Field(
        default="unet", description="any smp architecture, fcn8s, segnet, refinenet … (models/build.py), or module:Name"
    )
    encoder: str = Field(
        default="resnet34", description="any smp or timm (tu-…) encoder; own: the architecture brings its own"
    )
    encoder_weights: Annotated[str | None, NoneWord] = Field(
        default="imagenet",
        description="imagenet or another published name, a .pth or .safetensors file, a run (runs/A: its weights of "
        "the same fold), a run's checkpoint (runs/A/fold_0/best), or null: random",
    )
    partial_weights: bool = Field(
        default=False, description="take encoder_weights that have fewer than 90 % of the encoder's tensors"
    )
    init_from: Path | None = Field(
        default=None,
        description="whole network to start from: a run (its weights of the same fold), or a run's checkpoint "
        "(runs/A/fold_0/best)",
    )
    deep_supervision: int = Field(
        default=0, ge=0, description="coarser stages of the decoder that the loss sees too; 0: none"
    )
    hypercolumns: bool = Field(
        default=False, description="U-Nets: the mask is made of all stages of the decoder, not of the last alone"
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the decoder's channels that training drops before the mask's head",
    )
    presence: bool = Field(
        default=False, description="a further output for whole images, class by class: is there any mask?"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the architecture")


class AdversarialConfig(Section):
    """A second network, which learns to tell true masks from predicted ones, and a term of the loss that fools it."""

    weight: float = Field(
        default=0.01, ge=0, description="weight of the term beside those of the loss; 0: as without this section"
    )
    from_epoch: Count = Field(default=1, description="first epoch, from 1, in which the second network learns")
    ramp_epochs: int = Field(
        default=0, ge=0, description="epochs, counted from that one, in which the weight grows to its full value"
    )
    lr: float = Field(
        default=2e-4, gt=0, description="peak learning rate of the second network (Adam); it follows the same schedule"
    )
    width: Count = Field(default=32, description="channels of its first convolutions; deeper ones have four times them")


class SemiConfig(Section):
    """Images without labels: the network is to predict on them what its own moving average, ``averaging.ema``, does."""

    images: tuple[str, ...] = Field(
        default=("test",),
        description="test: the competition's test images; others: folders inside the competition's (./test for one of "
        "that name). What data.labelled_share leaves without labels is always used",
    )
    unlabelled_per_batch: Count = Field(
        default=8, description="images without labels per step and process, beside those of train.batch_size"
    )
    weight: float = Field(
        default=1.0, ge=0, description="weight of the term beside those of the loss; 0: as without this section"
    )
    ramp_epochs: int = Field(
        default=5, ge=0, description="epochs in which the weight grows, as exp(-5 (1 - t)^2), to its full value"
    )
    threshold: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.9, description="pixels of which the average is less certain than this do not count; 0: all count"
    )


class OptimConfig(Section):
    """The optimiser."""

    name: str = Field(default="adamw", description="any timm optimiser; prefix lookahead_ wraps it in Lookahead")
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay (not on biases and norms)")
    encoder_lr_factor: float = Field(default=1.0, ge=0, description="the encoder's learning rate relative to lr")
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=0, description="epochs at the start in which the encoder is kept fixed; all: throughout"
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="largest gradient norm; null: no clipping"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the optimiser")

    def encoder_frozen(self, epoch: int) -> bool:
        """Whether the encoder is kept fixed in this epoch, counted from 1."""
        return self.freeze_encoder_epochs == "all" or epoch <= self.freeze_encoder_epochs


class ScheduleConfig(Section):
    """The course of the learning rate."""

    name: Literal["constant", "cosine", "one_cycle", "snapshot"] = Field(
        default="one_cycle", description="course of the learning rate, per batch"
    )
    warmup: Share = Field(default=0.1, description="share of the steps (snapshot: of each cycle) with rising rate")
    final_factor: Share = Field(default=0.01, description="last learning rate relative to the peak")
    cycles: Count = Field(default=1, description="snapshot: number of warm restarts, each ending in a stored snapshot")


class AveragingConfig(Section):
    """Averages of weights that are kept beside the best."""

    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="decay of the moving average of weights per step; null: none"
    )
    swa_start: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="share of the run after which SWA averages each epoch's weights; null: none"
    )
    bn_batches: Count = Field(
        default=50, description="training batches that recompute batch-norm statistics of averaged weights"
    )


class TrainConfig(Section):
    """Length, batches, precision and logs of the training."""

    epochs: Count | None = Field(default=30, description="length in epochs (null when iterations is given)")
    iterations: Count | None = Field(default=None, description="length in optimiser steps instead of epochs")
    epoch_images: Count | None = Field(default=None, description="images drawn per epoch; null: each image once")
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="stop after the epoch that would pass this many hours"
    )
    early_stop: Count | None = Field(
        default=None, description="stop after this many validations without a better score"
    )
    validate_every: Count = Field(default=1, description="epochs between validations (the last epoch always validates)")
    batch_size: Count = Field(default=8, description="images per step and process")
    accumulate: Count = Field(default=1, description="batches whose gradients are added up for one optimiser step")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 where the device is fast at it, else fp16 on a GPU, else fp32"
    )
    channels_last: bool = Field(default=True, description="memory layout of tensors: channels last")
    compile: bool = Field(default=False, description="torch.compile the network")
    oof_checkpoints: Count = Field(default=2, description="best candidates whose out-of-fold predictions are stored")
    trackers: tuple[str, ...] = Field(default=("tensorboard",), description="accelerate trackers that log the run")

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(
                f"epochs is {self.epochs} and iterations is {self.iterations}: set one, and the other to null"
            )
        return self


class TTAConfig(Section):
    """Test-time augmentation: how one probability map comes from several looks at an image."""

    views: str = Field(default="flips", description="test-time views: none, flips (4), d4 (8)")
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1.0,), description="test-time scales, each with every view"
    )
    merge: Literal["probabilities", "logits", "vote"] = Field(
        default="probabilities", description="what is averaged over checkpoints and views"
    )
    window: Annotated[int, Field(ge=32)] | None = Field(
        default=None, description="side of the sliding window in pixels after scale; null: whole images"
    )
    overlap: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.25, description="overlap of neighbouring windows, share of the side"
    )
    dropout_passes: int = Field(
        default=0,
        ge=0,
        description="passes of each network and view with its dropout on (Monte Carlo), all averaged; 0: one, without",
    )


class InferenceConfig(Section):
    """What predicts whole images, and how many at a time."""

    checkpoint: str = Field(
        default="best", description="weights used without a tuned ensemble: best, ema, swa, snapshots …"
    )
    batch_size: Count = Field(default=8, description="images per batch")


class CRFConfig(Section):
    """A fully connected CRF (Krähenbühl & Koltun, NIPS 2011), which draws probabilities to the image's edges.

    Pixels of another class cost ``w1`` where they are near and of similar colour, and ``w2`` where they are near; how
    near and how similar say the standard deviations of Gaussians. DeepLab's ranges: w1 3 to 6, theta_alpha 30 to 100,
    theta_beta 3 to 6, w2 and theta_gamma 3.
    """

    w1: float = Field(default=4.0, ge=0, description="weight of the kernel of positions and colours")
    theta_alpha: float = Field(default=60.0, ge=1, description="its standard deviation of positions in pixels")
    theta_beta: float = Field(default=4.0, ge=1, description="its standard deviation of colours, of 255 levels")
    w2: float = Field(default=3.0, ge=0, description="weight of the kernel of positions alone")
    theta_gamma: float = Field(default=3.0, gt=0, description="its standard deviation in pixels")
    steps: Count = Field(default=5, description="mean-field steps; usual are 5 to 10")


class PostConfig(Section):
    """The decoding chain: how probabilities become masks, where nothing was tuned.

    Each value is one number for all classes, a list with a number for each class, or a mapping from each class's
    name to its number; ``crf`` is one section for all. The steps are applied in this order: ``crf``, those of ``steps``
    that change the probability, ``presence``, the threshold, ``fill_holes``, ``min_area``, those of ``steps`` that
    change the mask.
    """

    crf: CRFConfig | None = Field(
        default=None,
        description="a CRF that sees the image: {} for the default w1, theta_alpha, theta_beta, w2, theta_gamma and "
        "steps; null: none",
    )
    presence: Shares = Field(
        default=0.0,
        description="a class is nowhere in an image whose presence of it is below this (needs model.presence); 0: off",
    )
    threshold: Shares = Field(default=0.5, description="probability from which a pixel is of the class")
    fill_holes: Areas = Field(default=0, description="holes of at most this many pixels are filled")
    min_area: Areas = Field(default=0, description="components with fewer pixels are removed")
    steps: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="further steps, package.module:Name, and the options of each"
    )


class TuneConfig(Section):
    """What tuning tries."""

    checkpoints: Count = Field(
        default=2, description="checkpoints compared with the configured one: the best by mean validation score"
    )
    tried: dict[str, tuple[Any, ...] | dict[str, tuple[Any, ...]]] = Field(
        default_factory=dict,
        description="values tried instead of a decoding step's own: {threshold: [0.4, 0.5]}; for a step of "
        "post.steps: {package.module:Name: {option: [1, 2]}}",
    )


# Keys of earlier versions and what they are called now.
RENAMED = {
    **{f"inference.{key}": f"tta.{key}" for key in TTAConfig.model_fields},
    "inference.member": "inference.checkpoint",
    "train.oof_members": "train.oof_checkpoints",
    "tune.members": "tune.checkpoints",
    "tune.thresholds": "tune.tried.threshold",
    "tune.min_areas": "tune.tried.min_area",
}


class Config(Section):
    """One experiment. ``configs/<name>.yaml`` holds what differs from these defaults."""

    name: str = Field(default="", description="name of the run; default: the config file's name")
    seed: int = Field(default=0, ge=0, description="seed of weights, order, augmentation and dropout")
    competition: CompetitionConfig = CompetitionConfig()
    folds: FoldsConfig = FoldsConfig()
    data: DataConfig = DataConfig()
    targets: TargetsConfig = TargetsConfig()
    model: ModelConfig = ModelConfig()
    loss: list[dict[str, Any]] | None = Field(
        default=None, description="weighted terms, see docs/losses_metrics.md; null: 0.8 cross-entropy + 0.2 Dice"
    )
    adversarial: AdversarialConfig | None = Field(
        default=None, description="a second network that the predictions must fool; null: none"
    )
    semi: SemiConfig | None = Field(default=None, description="training on images without labels as well; null: not")
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    averaging: AveragingConfig = AveragingConfig()
    train: TrainConfig = TrainConfig()
    tta: TTAConfig = TTAConfig()
    inference: InferenceConfig = InferenceConfig()
    post: PostConfig = PostConfig()
    tune: TuneConfig = TuneConfig()

    @model_validator(mode="after")
    def _cross_checks(self) -> "Config":
        if self.schedule.cycles > 1 and self.schedule.name != "snapshot":
            raise ValueError(
                f"schedule.cycles is {self.schedule.cycles} but schedule.name is {self.schedule.name}: "
                "set schedule.name to snapshot, or schedule.cycles to 1"
            )
        if self.train.epochs and self.schedule.cycles > self.train.epochs:
            raise ValueError(
                f"schedule.cycles is {self.schedule.cycles} but train.epochs is {self.train.epochs}: "
                "a cycle needs at least one epoch"
            )
        if self.semi is not None and self.averaging.ema is None:
            raise ValueError(
                "semi is set but averaging.ema is null: the moving average is the teacher, so set averaging.ema, such "
                "as 0.99, or semi to null"
            )
        if self.semi is not None and self.adversarial is not None:
            raise ValueError("semi and adversarial are both set: set one of them to null")
        return self
