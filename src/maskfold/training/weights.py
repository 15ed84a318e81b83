"""How often each training image is drawn: hard ones more often, those whose mask may be wrong less.

How well networks trained before agree with a mask says both: what one run gets wrong is hard (bootstrapping, or mining,
of hard examples: Shrivastava, Gupta & Girshick, CVPR 2016), what all of several runs get most wrong is drawn wrongly
more often than other images are (small losses tell clean labels: Han et al., NeurIPS 2018). A fold asks the other runs'
networks of the same fold, about its own training images: those of other folds would know its validation images.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from maskfold.competitions import Competition, Samples
from maskfold.config import TTAConfig, WeightsConfig
from maskfold.ensembling.finished import weight_hashes
from maskfold.ensembling.submit import default_choice, predict_samples
from maskfold.inference.predict import Prediction
from maskfold.metrics.overlap import mask_agreement
from maskfold.progress import progress
from maskfold.runs import Run
from maskfold.runs.documents import read_json, to_json
from maskfold.runs.fold import AGAIN
from maskfold.training.leaks import learning_folds, refuse_unfit
from maskfold.training.processes import processes

FILE = "agreement.json"
LEAST, MOST = 0.25, 4.0  # times the mean
EASE = 0.05  # what is right everywhere is drawn too


def image_weights(run: Run, fold: int | str, samples: Samples, config: WeightsConfig) -> np.ndarray:
    """float64 (n,) of a fold's training images; their agreement is computed once, and kept in the fold's folder.

    Raises:
        TrainingError: a run of another competition, or one whose fold was trained on validation images.
        MaskfoldError: a run that is not there, or whose fold is not trained to its end.
    """
    sources = [Run.open(path) for path in config.runs]
    for source in sources:
        refuse_unfit(source, run, fold, what="the run", key="data.weights.runs", use="weighing images by its networks")
    folds = learning_folds(sources, fold)
    made_with = _fingerprint(sources, folds, samples)
    storage, key = run.storage, run.fold(fold).key(FILE)
    with processes().main_process_first():
        known = read_json(storage, key, advice=AGAIN)
        if known is None or known["made_with"] != made_with:
            known = {"made_with": made_with, "agreement": _agreements(run, sources, folds, samples)}
            storage.publish(key, to_json(known))
    return weights_of(np.array([known["agreement"][name] for name in samples.ids]), config)


def weights_of(agreement: np.ndarray, config: WeightsConfig) -> np.ndarray:
    """Weights (n,) of the agreement (n, runs) of images with each run, 0 to 1."""
    weights = (1 - agreement.mean(1) + EASE) ** config.hard
    weights = (weights / weights.mean()).clip(LEAST, MOST)
    doubtful = np.argsort(agreement.max(1), kind="stable")[: int(config.doubtful * len(agreement))]
    weights[doubtful] = LEAST  # they are mostly the hardest, too
    return weights


def agreement_of(prediction: Prediction, competition: Competition, samples: Samples) -> float:
    """`mask_agreement` of what is decided at one half and the mask, without the background."""
    labels, truth = competition.labels, competition.scored_label(samples.by_id[prediction.id])
    decided, true = labels.decide(prediction.probability), labels.hard(truth)
    return mask_agreement(decided, true, labels, valid=truth.valid, background=False)


def _agreements(
    run: Run, sources: Sequence[Run], folds: Sequence[int | str] | None, samples: Samples
) -> dict[str, list[float]]:
    """Image -> its agreement with each of the other runs, seen in one view."""
    competition, batch_size = run.competition(), run.config.inference.batch_size
    unmasked = samples.unmasked()
    found: dict[str, list[float]] = {name: [] for name in samples.ids}
    for source in sources:
        choice = default_choice([source]).model_copy(update={"tta": TTAConfig(views="none")})
        predictions = predict_samples(choice, competition, unmasked, folds, batch_size=batch_size, runs=[source])
        for prediction in progress(predictions, f"agreement with {source.name}", total=len(samples)):
            found[prediction.id].append(agreement_of(prediction, competition, samples))
    return found


def _fingerprint(sources: Sequence[Run], folds: Sequence[int | str] | None, samples: Samples) -> dict[str, Any]:
    """All that the agreement depends on; where the runs' folders are makes no difference."""
    weights = [list(weight_hashes(source, source.config.inference.checkpoint, folds).values()) for source in sources]
    return {"weights": weights, "ids": hashlib.sha256("\0".join(samples.ids).encode()).hexdigest()}
