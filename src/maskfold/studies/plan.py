"""What a study trains, and where: the config of every variant and seed, and the order of the work."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from maskfold.config import Config, changed_keys, load_config, override
from maskfold.errors import ConfigError
from maskfold.runs.run import Run
from maskfold.studies.study import EPOCHS, RUN, Study, slug


class Job(NamedTuple):
    """A piece of work that one process does: pseudo-labels (fold None), or a fold's training."""

    variant: str
    seed: int
    fold: int | None


class Plan:
    """A study with the options of the command line, and its folder.

    Args:
        study: what is asked.
        folder: of its runs and results, such as ``runs/studies/NAME``.
        overrides: dotted keys for all variants; what a variant itself changes has the last word.

    Raises:
        ConfigError: options that do not fit, or a variant that is the same as another one.
    """

    def __init__(self, study: Study, folder: Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.study = study
        self.overrides = dict(overrides or {})
        self.folder = Path(folder)
        self.common = load_config(study.config, {**study.options, **self.overrides}, name=self.folder.name)
        self.levels = study.levels()
        self._refuse_twins()

    @cached_property
    def trained(self) -> list[str]:
        """The variants that have a training of their own, those first that others need."""
        own = [name for name, variant in self.study.variants.items() if variant.run is None]
        return sorted(own, key=lambda name: self.levels[name])

    def run(self, name: str, seed: int) -> Run:
        """The run with whose networks a variant predicts; its folder need not be there yet."""
        return Run(self.folder / self._run_name(name, seed))

    def pseudo_path(self, name: str, seed: int) -> Path:
        """The folder of a variant's own pseudo-labels."""
        return self.folder / "pseudo" / self._run_name(name, seed)

    def config(self, name: str, seed: int) -> Config:
        """The config that a variant is trained with."""
        variant = self.study.variants[self.trainer(name)]
        options = {key: self._filled(value, seed) for key, value in variant.options.items()}
        named = {"name": self._run_name(name, seed), "seed": seed}
        try:
            config = override(self.common, {**options, **named})
        except ConfigError as error:
            raise ConfigError(f"variant {name} of the study: {error}") from None
        if variant.pseudo is None:
            return config
        extra = (*config.data.extra, self.pseudo_path(name, seed))
        return config.model_copy(update={"data": config.data.model_copy(update={"extra": extra})})

    def prediction_config(self, name: str, seed: int) -> Config:
        """The config that a variant predicts with."""
        try:
            return override(self.config(name, seed), self.study.variants[name].predict)
        except ConfigError as error:
            raise ConfigError(f"variant {name} of the study: {error}") from None

    def folds(self, name: str) -> tuple[int, ...]:
        """The folds of a variant that the study trains and scores."""
        if self.study.folds != "all":
            return self.study.folds
        return tuple(range(self.config(name, self.study.seeds[0]).folds.made))

    def stages(self) -> list[list[Job]]:
        """All work; what stands in one stage may be done at the same time."""
        study, found = self.study, []
        for level in sorted({self.levels[name] for name in self.trained}):
            names = [name for name in self.trained if self.levels[name] == level]
            labelled = [name for name in names if study.variants[name].pseudo is not None]
            found.append([Job(name, seed, None) for name in labelled for seed in study.seeds])
            found.append([Job(name, seed, fold) for name in names for seed in study.seeds for fold in self.folds(name)])
        return [stage for stage in found if stage]

    def trainer(self, name: str) -> str:
        """The variant whose networks a variant predicts with: itself, or what its ``run`` names."""
        return self.study.variants[name].run or name

    def _run_name(self, name: str, seed: int) -> str:
        return f"{slug(self.trainer(name))}_seed{seed}"

    def _filled(self, value: Any, seed: int) -> Any:
        """An option's value with what its placeholders stand for."""
        if isinstance(value, list):
            return [self._filled(part, seed) for part in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {RUN}:
            return str(self.run(value[RUN], seed).path)
        if set(value) == {EPOCHS}:
            return self._share_of_epochs(value[EPOCHS])
        return {key: self._filled(part, seed) for key, part in value.items()}

    def _share_of_epochs(self, share: Any) -> int:
        epochs = self.common.train.epochs
        if epochs is None or not isinstance(share, int | float) or not share > 0:
            raise ConfigError(
                f"{{{EPOCHS}: {share}}} is a share of train.epochs, which is {epochs}: set both to numbers above 0"
            )
        return max(1, round(share * epochs))

    def _refuse_twins(self) -> None:
        """Two variants of equal config are one, or one of them lacks what it should change."""
        seed = self.study.seeds[0]
        configs = {name: self.prediction_config(name, seed) for name in self.study.variants}
        names = list(configs)
        for place, name in enumerate(names):
            for other in names[:place]:
                changes = changed_keys(configs[other], configs[name])
                if not [change for change in changes if not change.startswith("name:")]:
                    raise ConfigError(f"the variants {other} and {name} of the study are the same: leave one out")
