"""The experiment as one typed, frozen tree: every option, its default, unit and allowed range."""

from typing import Any

from pydantic import Field, model_validator

from maskfold.config.data import CompetitionConfig, DataConfig, FoldsConfig, TargetsConfig
from maskfold.config.prediction import InferenceConfig, PostConfig, TTAConfig, TuneConfig
from maskfold.config.section import Section
from maskfold.config.training import (
    AdversarialConfig,
    AveragingConfig,
    ModelConfig,
    OptimConfig,
    ScheduleConfig,
    SemiConfig,
    TrainConfig,
)


class Config(Section):
    """One experiment. ``configs/<name>.yaml`` holds what differs from these defaults."""

    name: str = Field(default="", description="name of the run; default: the config file's name")
    seed: int = Field(default=0, ge=0, lt=1 << 63, description="seed of weights, order, augmentation and dropout")
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
    semi: SemiConfig | None = Field(default=None, description="training on images without labels as well; null: none")
    optim: OptimConfig = OptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    averaging: AveragingConfig = AveragingConfig()
    train: TrainConfig = TrainConfig()
    tta: TTAConfig = TTAConfig()
    inference: InferenceConfig = InferenceConfig()
    post: PostConfig = PostConfig()
    tune: TuneConfig = TuneConfig()

    @property
    def soft_targets(self) -> bool:
        """Whether training aims at shares of classes rather than at masks.

        Pseudo-labels are taken for shares, which they are unless they were made hard; a config does not say.
        """
        data, targets = self.data, self.targets
        merged = targets.annotators is not None and targets.annotators.merge != "random"
        smoothed = targets.smoothing.uniform or targets.smoothing.boundary
        mixed = data.mix is not None and data.mix.recipe == "mixup"
        between = any(distance % 1 for distance in data.label_shift)
        return bool(smoothed or merged or targets.sources or targets.teacher or data.extra or mixed or between)

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
        if self.data.mix is not None and self.data.mix.recipe == "mixup" and self.model.instances is not None:
            raise ValueError(
                f"data.mix.recipe is mixup, which leaves no objects, but model.instances is {self.model.instances}: "
                "set the recipe to cutmix, copy_paste or mosaic, or model.instances to null"
            )
        if self.semi is not None and self.averaging.ema is None:
            raise ValueError(
                "semi is set but averaging.ema is null: the moving average is the teacher, so set averaging.ema, such "
                "as 0.99, or semi to null"
            )
        if self.semi is not None and self.adversarial is not None:
            raise ValueError("semi and adversarial are both set: set one of them to null")
        return self
