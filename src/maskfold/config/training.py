"""Sections about how it is learned: network, ways of training, optimiser, schedule, averages, length."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from maskfold.config.section import Batch, Count, NoneWord, Section, Share


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
    instances: Literal["border", "inner"] | None = Field(
        default=None,
        description="a further output that tells touching objects apart, for post.watershed. border: where two objects "
        "touch; inner: how far inside of an object, 0 at its edge and 1 in its middle; null: none",
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

    name: str = Field(
        default="adamw", description="any timm optimiser but adahessian; prefix lookahead_ wraps it in Lookahead"
    )
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=1e-2, ge=0, description="weight decay (not on biases and norms)")
    encoder_lr_factor: float = Field(default=1.0, ge=0, description="the encoder's learning rate relative to lr")
    freeze_encoder_epochs: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=0, description="epochs at the start in which the encoder is kept fixed; all: throughout"
    )
    freeze_statistics_epochs: Annotated[int, Field(ge=0)] | Literal["all"] = Field(
        default=0,
        description="epochs at the start in which the encoder's batch norms work with the statistics that they came "
        "with, while its weights learn; all: throughout",
    )
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="largest gradient norm; null: no clipping"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="further arguments of the optimiser")

    def encoder_frozen(self, epoch: int) -> bool:
        """Whether the encoder is kept fixed in this epoch, counted from 1."""
        return self.freeze_encoder_epochs == "all" or epoch <= self.freeze_encoder_epochs

    def statistics_frozen(self, epoch: int) -> bool:
        """Whether the statistics of the encoder's batch norms are kept in this epoch, counted from 1."""
        kept = self.freeze_statistics_epochs
        return self.encoder_frozen(epoch) or kept == "all" or epoch <= kept


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

    epochs: Count | None = Field(default=30, description="length in epochs; null where iterations or hours say it")
    iterations: Count | None = Field(default=None, description="length in optimiser steps instead of epochs")
    hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="length in hours instead of epochs (which is null then), of all folds that the command trains, "
        "scores and out-of-fold maps included: measured before the first fold, and written into the run as iterations",
    )
    epoch_images: Count | None = Field(default=None, description="images drawn per epoch; null: each image once")
    max_hours: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="stop where another epoch would pass this many hours"
    )
    save_minutes: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="minutes after which the state is stored inside an epoch, too; null: after whole epochs only",
    )
    early_stop: Count | None = Field(
        default=None, description="stop after this many validations without a better score"
    )
    validate_every: Count = Field(default=1, description="epochs between validations (the last epoch always validates)")
    batch_size: Batch = Field(
        default=8, description="images per step and process; auto: as many as fit the device, written into the run"
    )
    accumulate: Count = Field(default=1, description="batches whose gradients are added up for one optimiser step")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="auto: bf16 where the device is fast at it, else fp16 on a GPU, else fp32"
    )
    channels_last: bool | Literal["auto"] = Field(
        default=True,
        description="memory layout of tensors: channels last; auto: what trains faster here, written into the run",
    )
    compile: bool | Literal["auto"] = Field(
        default=False, description="torch.compile the network; auto: where it trains faster, written into the run"
    )
    oof_checkpoints: Count = Field(default=2, description="best candidates whose out-of-fold predictions are stored")
    watched_images: Annotated[int, Field(ge=0)] = Field(
        default=16,
        description="training images, the same in every epoch, that are scored beside the validation images; 0: none",
    )
    preview: bool = Field(
        default=True, description="draw four validation images after each validation, fold_K/preview/EPOCH.jpg"
    )
    trackers: tuple[str, ...] = Field(default=("tensorboard",), description="accelerate trackers that log the run")

    @model_validator(mode="after")
    def _one_length(self) -> "TrainConfig":
        if self.hours is not None:
            if self.epochs is not None:
                raise ValueError(f"hours is {self.hours:g} and epochs is {self.epochs}: set epochs to null")
            return self  # iterations: as measured, once they are
        if (self.epochs is None) == (self.iterations is None):
            raise ValueError(
                f"epochs is {self.epochs} and iterations is {self.iterations}: set one, and the other to null"
            )
        return self
