"""What a fold's training starts from: random or published weights, a file, or what another run has trained."""

import logging
from dataclasses import replace
from pathlib import Path

from maskfold.config import Config
from maskfold.datasets import image_statistics
from maskfold.datasets.statistics import faint
from maskfold.errors import ConfigError, RunError
from maskfold.models import SegmentationModel, build_model, load_weights
from maskfold.runs import FoldFolder, Run
from maskfold.training.leaks import refuse_leak

logger = logging.getLogger(__name__)


def start_network(run: Run, fold: int | str) -> SegmentationModel:
    """The config's network with the weights that a fold's training starts from.

    Where a training state is stored, they stay at random, since the state holds all of them: a training goes on
    without the files that it began with. Images that are not 8-bit RGB are normalised by the statistics of the fold's
    training images, unless the encoder's weights were published with statistics of their own; where these make
    the images nearly even, a warning says so.

    Raises:
        TrainingError: weights of a network that has seen validation images of this fold.
        ModelError, RunError: weights that are not there or do not fit.
        ConfigError: ``model.instances`` where there are several classes.
    """
    config = run.config.model
    competition = run.competition()
    fresh = not run.fold(fold).has_state()
    encoder, images = None, competition.images
    if fresh and config.init_from is None and config.encoder_weights is not None:
        encoder = _checkpoint_of(config.encoder_weights, run, fold)
    if encoder is not None:
        config = config.model_copy(update={"encoder_weights": str(encoder[0].checkpoint_path(encoder[1]))})
        images = replace(images, rgb=())  # unlike published weights, a run's are for channels as they stand
    if config.instances is not None and competition.labels.task != "binary":
        raise ConfigError(
            f"model.instances is {config.instances}, which tells the objects of one class apart, and there are "
            f"{', '.join(competition.labels.class_names)}: set it to null"
        )
    pretrained = fresh and config.init_from is None
    network = build_model(config, classes=competition.labels.channels, images=images, pretrained=pretrained)
    if fresh and not competition.images.plain:
        mean, std = image_statistics(competition, run.fold_samples(fold)[0])
        if encoder is not None or config.encoder_weights is None:
            network.set_statistics(mean, std)
        elif pretrained and (text := faint(mean, std, competition.images)):
            logger.warning(text)
    if fresh and config.init_from is not None:
        found = _checkpoint_of(config.init_from, run, fold)
        if found is None:
            raise RunError(f"model.init_from is {config.init_from}: expected runs/NAME, or runs/NAME/fold_0/best")
        folder, checkpoint = found
        load_weights(network, folder.load_checkpoint(checkpoint), folder.checkpoint_path(checkpoint))
    return network


def refuse_random_encoder(config: Config) -> None:
    """Refuse to keep what an encoder came with for the whole training, where it came with random numbers.

    Raises:
        ConfigError: says which keys to set.
    """
    if config.model.encoder_weights is not None or config.model.init_from is not None:
        return
    for key in ("freeze_encoder_epochs", "freeze_statistics_epochs"):
        if getattr(config.optim, key) == "all":
            raise ConfigError(
                f"optim.{key} is all, but the encoder starts at random and would never be anything else: set "
                f"model.encoder_weights (imagenet, a file or a run) or model.init_from, or optim.{key} to 0"
            )


def learned_from(run: Run, fold: int | str) -> FoldFolder | None:
    """The fold of another run whose weights the training starts from, as long as it has no state of its own."""
    config = run.config.model
    place = config.encoder_weights if config.init_from is None else config.init_from
    found = None if place is None or run.fold(fold).has_state() else _checkpoint_of(place, run, fold)
    return None if found is None else found[0]


def _checkpoint_of(place: str | Path, run: Run, fold: int | str) -> tuple[FoldFolder, str] | None:
    """The fold's folder and the checkpoint that ``runs/A`` or ``runs/A/fold_0/best`` means, None for anything else."""
    path = Path(place).expanduser()
    if (path / "config.yaml").is_file():
        source, theirs, checkpoint = Run.open(path), str(fold), "best"
    elif path.parent.name.startswith("fold_") and (path.parent.parent / "config.yaml").is_file():
        source, theirs = Run.open(path.parent.parent), path.parent.name.removeprefix("fold_")
        checkpoint = path.name.removesuffix(".safetensors")
    else:
        return None
    folder = source.fold(theirs)
    folder.weights_of(checkpoint)
    refuse_leak(source, theirs, run, fold, use="starting from its weights")
    return folder, checkpoint
