"""The networks of a run's checkpoints, and their out-of-fold maps."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from maskfold.competitions import Competition, Samples
from maskfold.config import Config, TTAConfig
from maskfold.datasets import fold_splits, image_loader
from maskfold.device import choose_device, choose_precision
from maskfold.errors import InferenceError, RunError, first_few
from maskfold.inference.batch_norm import TOGETHER, adapt_batch_norm
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.labels import LabelSpec
from maskfold.models import build_model
from maskfold.models.blank import Blank
from maskfold.progress import progress
from maskfold.runs import FoldFolder, MapStore, Run

logger = logging.getLogger(__name__)


def load_networks(run: Run, fold: FoldFolder, checkpoint: str, competition: Competition) -> list[nn.Module]:
    """The networks of one fold's checkpoint, with weights checked against the fold's manifest.

    Raises:
        RunError: the fold lacks the checkpoint, or a file is missing or damaged.
    """
    layout = torch.channels_last if run.config.train.channels_last else torch.preserve_format
    networks = []
    for name in fold.weights_of(checkpoint):
        with Blank():
            network = build_model(
                run.config.model, classes=competition.labels.channels, images=competition.images, pretrained=False
            )
        network.load_state_dict(fold.load_checkpoint(name))
        networks.append(network.eval().to(memory_format=layout))
    return networks


def run_networks(
    run: Run, checkpoint: str, folds: Sequence[int | str], competition: Competition
) -> tuple[list[nn.Module], list[float]]:
    """The networks of a run's folds, and the weight of each: folds weigh the same, and so do the snapshots of one.

    Raises:
        RunError: a fold that is not trained to its end, or as `load_networks`.
    """
    networks, weights = [], []
    for fold in folds:
        run.fold(fold).summary()  # refuses a fold that is not trained to its end
        loaded = load_networks(run, run.fold(fold), checkpoint, competition)
        networks += loaded
        weights += [1 / len(loaded)] * len(loaded)
    return networks, weights


def adapt_networks(
    networks: Sequence[nn.Module], samples: Samples, competition: Competition, config: Config, tta: TTAConfig
) -> None:
    """Adapt the batch norms of networks to images that they will predict, where ``tta`` asks for it.

    What they become does not depend on the order of ``samples``, nor on how many images are predicted together.

    Raises:
        ModelError: a network has no batch norm.
    """
    if tta.batch_norm_prior is None:
        return
    images = samples.select(sorted(samples.ids)).unmasked()
    loader = image_loader(competition, images, with_batch_size(config, TOGETHER))
    device = choose_device()
    adapt_batch_norm(
        networks,
        progress(loader, "batch-norm statistics", total=len(loader), unit="batch"),
        tta=tta,
        device=device,
        precision=choose_precision(config.train.precision, device),
    )


@dataclass(frozen=True)
class Predictor:
    """Networks of a run, ready to predict batches.

    Attributes:
        run: the run.
        networks: of its folds, on any engine.
        weights: of the networks; None: they weigh the same.
        labels: the classes.
        batch_size: images, or windows, that go through a network together.
    """

    run: Run
    networks: Sequence[nn.Module]
    weights: Sequence[float] | None
    labels: LabelSpec
    batch_size: int

    def __call__(self, loader: Iterable[Mapping[str, Any]], tta: TTAConfig) -> Iterator[Prediction]:
        """See `predict_batches`."""
        device = choose_device()
        return predict_batches(
            self.networks,
            loader,
            labels=self.labels,
            tta=tta,
            window_batch=self.batch_size,
            weights=self.weights,
            seed=self.run.config.seed,
            device=device,
            precision=choose_precision(self.run.config.train.precision, device),
        )


def oof_options(tta: TTAConfig, size: tuple[int, int] | float | None = None) -> dict[str, Any]:
    """What out-of-fold maps depend on apart from the weights.

    Args:
        tta: how they are made.
        size: the competition's ``submission_size``.
    """
    asked = {} if size is None else {"size": list(size) if isinstance(size, tuple) else size}
    left_out = {name for name in ("batch_norm_prior", "view_weights") if getattr(tta, name) is None}
    return tta.model_dump(mode="json", exclude=left_out) | asked


def oof_facts(
    fold: FoldFolder, checkpoint: str, tta: TTAConfig, size: tuple[int, int] | float | None = None
) -> dict[str, Any]:
    """All that a fold's out-of-fold maps of a checkpoint depend on, as it is stored next to them.

    Raises:
        RunError: the fold has no such checkpoint, or its manifest is damaged.
    """
    return {"weights": fold.digests(checkpoint), **oof_options(tta, size)}


def oof_place(checkpoint: str, tta: TTAConfig) -> str:
    """How the out-of-fold maps of a checkpoint are called: those of single views are apart from the merged ones."""
    weighing = [view for view, weight in enumerate(tta.view_weights or ()) if weight > 0]
    return f"{checkpoint}.view_{weighing[0]}" if len(weighing) == 1 else checkpoint


def has_oof(run: Run, fold: int, checkpoint: str, competition: Competition, tta: TTAConfig) -> bool:
    """Whether a fold's out-of-fold maps of a checkpoint's weights are stored as made with ``tta``, at the scored size.

    Where the files of some are gone, or the list of them is damaged, they are not: they are made again. What is in the
    files is looked at when they are read.

    Raises:
        RunError: as `oof_facts`.
    """
    facts = oof_facts(run.fold(fold), checkpoint, tta, competition.submission_size)
    return _is_there(run.fold(fold).oof(oof_place(checkpoint, tta)), facts)


def _is_there(store: MapStore, facts: dict[str, Any]) -> bool:
    try:
        return store.whole(facts)
    except RunError as error:
        logger.warning("%s", str(error).partition(": ")[0])
        return False


def drop_damaged_oof(run: Run) -> None:
    """Remove all out-of-fold maps that tuning may read of a fold and a checkpoint, where a byte has changed."""
    for store in (store for fold in map(run.fold, run.finished_folds()) for store in fold.all_oof()):
        try:
            damaged = store.damaged()
        except RunError:  # the list of them: they count as missing already
            continue
        if damaged:
            place = run.path / store.prefix
            logger.warning("%s: %d maps are damaged: %s", place, len(damaged), first_few(damaged))
            store.clear()


def ensure_oof(
    run: Run, fold: int, checkpoint: str, competition: Competition, tta: TTAConfig, *, batch_size: int | None = None
) -> MapStore:
    """A fold's out-of-fold maps of a checkpoint, computed where they are not there yet.

    Args:
        run: the run.
        fold: number of one of its finished folds.
        checkpoint: best, ema, snapshots …
        competition: the run's.
        tta: how the maps are made.
        batch_size: images per batch; `None`: the run's ``inference.batch_size``.
    """
    place = oof_place(checkpoint, tta)
    store = run.fold(fold).oof(place)
    facts = partial(oof_facts, run.fold(fold), checkpoint, tta, competition.submission_size)
    if _is_there(store, facts()):
        return store
    config = run.config if batch_size is None else with_batch_size(run.config, batch_size)
    with run.fold(fold).lock("oof", place, wait=True):
        if not _is_there(store, facts()):  # nobody else made them meanwhile
            store.sweep()
            _compute_oof(run, config, fold, checkpoint, competition, tta, store)
    return store


def with_batch_size(config: Config, batch_size: int) -> Config:
    """The config with another number of images per batch of prediction."""
    inference = config.inference.model_copy(update={"batch_size": batch_size})
    return config.model_copy(update={"inference": inference})


def _compute_oof(
    run: Run, config: Config, fold: int, checkpoint: str, competition: Competition, tta: TTAConfig, store: MapStore
) -> None:
    samples = competition.samples("train")
    _, valid = fold_splits(run.folds(competition), fold)
    if valid.empty:
        raise InferenceError(f"fold {fold} of {run.path} has no validation images: nothing to score")
    images = samples.select(sorted(valid["id"]))
    # Before the weights are loaded: should a training replace them in between, these maps are not taken for theirs.
    facts = oof_facts(run.fold(fold), checkpoint, tta, competition.submission_size)
    networks = load_networks(run, run.fold(fold), checkpoint, competition)
    adapt_networks(networks, images, competition, config, tta)
    predictor = Predictor(run, networks, None, competition.labels, config.inference.batch_size)
    predictions = predictor(image_loader(competition, images, config), tta)
    with store.replace(facts) as new:
        for prediction in progress(predictions, f"{run.name} fold {fold} {checkpoint}", total=len(images)):
            new.write(prediction.id, prediction.probability, prediction.presence, prediction.inside)
