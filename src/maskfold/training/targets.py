"""From the config to the targets of one fold."""

from maskfold.config import TargetsConfig
from maskfold.datasets import AnnotatorTargets, Smoothing, TargetSource
from maskfold.errors import ConfigError
from maskfold.extension import load_named
from maskfold.labels import LabelSpec
from maskfold.runs import Run
from maskfold.training.teacher import teacher_maps


def target_sources(run: Run, fold: int | str) -> list[TargetSource]:
    """What changes the labels of a fold's training images, in turn: annotators, sources of one's own, teachers.

    A source of one's own, ``package.module:Name``, is made by ``Name(competition, **options)``.

    Raises:
        MaskfoldError: there is no such name, or it does not take the options; annotators' masks that cannot be read.
    """
    config = run.config.targets
    own = [_own_source(run, name, options) for name, options in config.sources.items()]
    teachers = [] if config.teacher is None else [teacher_maps(run, fold, config.teacher)]
    return [*_annotators(run), *own, *teachers]


def smoothing(config: TargetsConfig, labels: LabelSpec) -> Smoothing | None:
    """The smoothing that the config asks for, if any."""
    asked = config.smoothing
    return Smoothing(labels, **asked.model_dump()) if asked.uniform or asked.boundary else None


def _annotators(run: Run) -> list[TargetSource]:
    config, annotations = run.config.targets.annotators, run.annotations()
    if config is None or annotations is None:
        return []
    return [AnnotatorTargets(annotations, config.merge, seed=run.config.seed)]


def _own_source(run: Run, name: str, options: dict[str, object]) -> TargetSource:
    made = load_named(name, {}, "target source")
    try:
        return made(run.competition(), **options)
    except TypeError as error:
        raise ConfigError(f"targets.sources.{name} cannot be made with the options {options}: {error}") from None
