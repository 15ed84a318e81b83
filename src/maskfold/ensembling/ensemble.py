"""The networks of an ensemble, ready to predict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
from torch import Tensor

from maskfold.competitions import Competition, Samples
from maskfold.datasets import image_loader
from maskfold.ensembling.checkpoints import Predictor, adapt_networks, run_networks, with_batch_size
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.engines import check_graph, onnx_networks
from maskfold.ensembling.finished import folds_of
from maskfold.ensembling.stack_layer import stacked_map
from maskfold.errors import InferenceError
from maskfold.inference.batch_norm import batch_norm_statistics
from maskfold.inference.decoding import build_chain
from maskfold.inference.merge import mean_of_known
from maskfold.inference.predict import Prediction
from maskfold.runs import Run

Engine = Literal["torch", "onnx"]


def predicts_presence(runs: Sequence[Run], weights: Sequence[float]) -> bool:
    """Whether one of the runs that weigh something predicts a presence."""
    return any(run.config.model.presence for run, weight in zip(runs, weights, strict=True) if weight > 0)


def refuse_without_presence(choice: EnsembleChoice, competition: Competition, runs: Sequence[Run]) -> None:
    """Raise a ConfigError where the decoding asks for a presence that no run predicts that weighs something.

    ``runs`` are those of the choice, in its order.
    """
    chain = build_chain(choice.post, competition.labels, competition.images)
    chain.check_presence(predicts_presence(runs, choice.weights))


@dataclass
class Ensemble:
    """The networks of a choice, loaded when they are first asked for; what is pickled before that holds none.

    Attributes:
        choice, competition, folds: as for `maskfold.ensembling.submit.predict_samples`.
        batch_size: images, or windows, per batch.
        runs: of the choice, in its order.
        engine: what the networks run on; ``onnx``: onnxruntime, in float32, see `maskfold.ensembling.engines`.
        statistics: of the batch norms of each run's networks, where they were adapted to images; None: they were not.
    """

    choice: EnsembleChoice
    competition: Competition
    folds: Sequence[int | str] | None = None
    _: KW_ONLY
    batch_size: int
    runs: Sequence[Run]
    engine: Engine = "torch"
    statistics: Sequence[Sequence[Mapping[str, Tensor]]] | None = None

    @cached_property
    def parts(self) -> list[tuple[float, Predictor]]:
        """The runs that weigh something, each with its weight.

        Raises:
            ConfigError: the decoding asks for a presence that no run predicts.
        """
        if self.engine == "onnx":
            check_graph(self.choice.tta)
        refuse_without_presence(self.choice, self.competition, self.runs)
        pairs = zip(self.runs, self.choice.runs, strict=True)
        found = [(part.weight, self._load(run, part)) for run, part in pairs if part.weight > 0 or self.choice.stack]
        for (_, predictor), statistics in zip(found, self.statistics or (), strict=self.statistics is not None):
            for network, own in zip(predictor.networks, statistics, strict=True):
                network.load_state_dict(own, strict=False)
        return found

    def adapted(self, samples: Samples) -> "Ensemble":
        """The same with batch norms adapted to images, where ``tta`` asks for it and they are not yet.

        Networks that were adapted are loaded again where they predict, so that what is sent to processes holds none.
        """
        tta = self.choice.tta
        if tta.batch_norm_prior is None or self.statistics is not None:
            return self
        predictors = [predictor for _, predictor in replace(self).parts]
        for predictor in predictors:
            adapt_networks(predictor.networks, samples, self.competition, predictor.run.config, tta)
        found = [[batch_norm_statistics(network) for network in predictor.networks] for predictor in predictors]
        return replace(self, statistics=found)

    def predict(self, samples: Samples, *, rank: int = 0, world: int = 1) -> Iterator[Prediction]:
        """As `predict_samples`; with ``world`` only every ``world``-th batch, from batch ``rank`` on.

        The batches are those of one pass over all images, so that every image's probability is the same bit for bit.

        Raises:
            InferenceError: the runs' loaders give the images in different orders.
        """
        parts = self.adapted(samples).parts
        streams = [self._stream(predictor, samples, rank, world) for _, predictor in parts]
        weights = [weight for weight, _ in parts]
        for together in zip(*streams, strict=True):
            if len({prediction.id for prediction in together}) > 1:
                found = ", ".join(f"{p.run.path} {each.id}" for (_, p), each in zip(parts, together, strict=True))
                raise InferenceError(f"the runs give the images in different orders ({found}): predict each run alone")
            mean = self._together([prediction.probability for prediction in together], weights)
            presence = mean_of_known((weight, p.presence) for p, weight in zip(together, weights, strict=True))
            inside = mean_of_known((weight, p.inside) for p, weight in zip(together, weights, strict=True))
            first = together[0]
            image = partial(self.competition.image, samples.by_id[first.id].image)
            yield replace(first, probability=mean, presence=presence, inside=inside, image=image)

    def _together(self, maps: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
        """The probability that the runs' maps make, float32 (C, H, W)."""
        if self.choice.stack is not None:
            return stacked_map(self.choice.stack, maps)
        total = sum(weights)
        return np.asarray(sum(one * np.float32(weight / total) for one, weight in zip(maps, weights, strict=True)))

    def _load(self, run: Run, part: RunChoice) -> Predictor:
        folds = folds_of(run, self.folds)
        networks, weights = run_networks(run, part.checkpoint, folds, self.competition)
        if self.engine == "onnx":
            networks = onnx_networks(run, part.checkpoint, folds, networks, self.competition)
        return Predictor(run, networks, weights, self.competition.labels, self.batch_size)

    def _stream(self, predictor: Predictor, samples: Samples, rank: int, world: int) -> Iterator[Prediction]:
        config = with_batch_size(predictor.run.config, self.batch_size)
        return predictor(image_loader(self.competition, samples, config, rank=rank, world=world), self.choice.tta)
