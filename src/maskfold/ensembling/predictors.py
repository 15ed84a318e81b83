"""The networks of an ensemble's runs, ready to predict."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from maskfold.competitions import Competition
from maskfold.config import TTAConfig
from maskfold.device import choose_device, choose_precision
from maskfold.ensembling.checkpoints import run_networks
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.engines import onnx_networks, refuse_dropout
from maskfold.ensembling.finished import folds_of
from maskfold.inference.decoding import build_chain
from maskfold.inference.predict import Prediction, predict_batches
from maskfold.labels import LabelSpec
from maskfold.runs import Run

Engine = Literal["torch", "onnx"]


def refuse_without_presence(choice: EnsembleChoice, competition: Competition, runs: Sequence[Run]) -> None:
    """Raise a ConfigError where the decoding asks for a presence that no run predicts that weighs something.

    ``runs`` are those of the choice, in its order.
    """
    weights = [part.weight for part in choice.runs]
    available = any(run.config.model.presence for run, weight in zip(runs, weights, strict=True) if weight > 0)
    build_chain(choice.post, competition.labels, competition.images).check_presence(available)


@dataclass(frozen=True)
class Predictor:
    """The networks of a run's folds, ready to predict batches.

    Attributes:
        run: the run.
        networks, weights: as `maskfold.ensembling.checkpoints.run_networks` has them, on the engine that was asked for.
        labels: the classes.
        batch_size: images, or windows, that go through a network together.
    """

    run: Run
    networks: Sequence[nn.Module]
    weights: Sequence[float]
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


def load_predictors(
    choice: EnsembleChoice,
    competition: Competition,
    folds: Sequence[int | str] | None = None,
    *,
    batch_size: int,
    engine: Engine = "torch",
    runs: Sequence[Run] | None = None,
) -> list[tuple[float, Predictor]]:
    """The runs of an ensemble that weigh something, each with its weight. Arguments as those of `predict_samples`.

    Raises:
        ConfigError: the decoding asks for a presence that no run predicts.
    """
    if engine == "onnx":
        refuse_dropout(choice.tta)
    opened = runs or [Run.open(Path(part.run)) for part in choice.runs]
    refuse_without_presence(choice, competition, opened)
    pairs = [(run, part) for run, part in zip(opened, choice.runs, strict=True) if part.weight > 0]
    return [(part.weight, _load_predictor(run, part, competition, folds, batch_size, engine)) for run, part in pairs]


def _load_predictor(
    run: Run,
    part: RunChoice,
    competition: Competition,
    folds: Sequence[int | str] | None,
    batch_size: int,
    engine: Engine,
) -> Predictor:
    folds = folds or folds_of(run)
    networks, weights = run_networks(run, part.checkpoint, folds, competition)
    if engine == "onnx":
        networks = onnx_networks(run, part.checkpoint, folds, networks, competition)
    return Predictor(run, networks, weights, competition.labels, batch_size)
