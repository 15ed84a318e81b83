"""From an ensemble and the test images to a validated submission."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition, Samples, SubmissionWriter
from maskfold.competitions.encoded import EncodedMask, MaskEncoder
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.finished import weight_hashes
from maskfold.errors import InferenceError, RunError, first_few
from maskfold.inference.decoding import build_chain
from maskfold.inference.predict import Prediction
from maskfold.instances import plain
from maskfold.program import command_line
from maskfold.progress import progress
from maskfold.runs import MapStore, Run
from maskfold.storage import LocalStorage


def default_choice(runs: Sequence[Run], config: Config | None = None) -> EnsembleChoice:
    """What predicts where nothing was tuned: the config's checkpoint, TTA and decoding; several runs with equal weight.

    Args:
        runs: the runs. Each has the checkpoint of its own config, unless ``config`` changed it.
        config: the first run's, with the command line's changes; `None`: without any.
    """
    own = runs[0].config
    config = config or own
    asked = config.inference.checkpoint
    changed = asked != own.inference.checkpoint
    return EnsembleChoice(
        runs=[
            RunChoice(
                run=str(run.path),
                checkpoint=asked if changed else run.config.inference.checkpoint,
                weight=1 / len(runs),
            )
            for run in runs
        ],
        tta=config.tta,
        post=config.post,
    )


def check_hashes(choice: EnsembleChoice, runs: Sequence[Run]) -> list[str]:
    """Refuse a choice whose weights changed since it was made; returns files of folds trained since then.

    ``runs`` are those of the choice, in its order.

    Raises:
        InferenceError: weights are gone, or others than those it was tuned on.
    """
    now: dict[str, str | None] = {}
    for run, checkpoint in zip(runs, choice.checkpoints, strict=True):
        now |= weight_hashes(run, checkpoint, run.finished_folds())
    changed = [path for path, digest in choice.hashes.items() if now.get(path) != digest]
    if changed:
        raise InferenceError(
            f"{changed[0]} is not what the ensemble was tuned on: run {command_line('tune')} again, or predict "
            "with --untuned"
        )
    return sorted(set(now) - set(choice.hashes))


def predict_samples(
    choice: EnsembleChoice,
    competition: Competition,
    samples: Samples,
    folds: Sequence[int | str] | None = None,
    *,
    batch_size: int,
    runs: Sequence[Run] | None = None,
) -> Iterator[Prediction]:
    """Stream the ensemble's probabilities at `Competition.scored_size`, each run reading the images once.

    Within a run, all folds' networks and views are merged as in ``choice.tta.merge``, folds with equal weight;
    runs are then averaged by their weights, as tuning did.

    Args:
        folds: of each run; `None`: its finished folds, else ``all`` where only that is trained.
        batch_size: images per batch.
        runs: of the choice, in its order; `None`: opened where the choice says.

    Raises:
        ConfigError: the decoding asks for a presence that no run predicts.
        InferenceError: an image that is predicted by windows only, see `Competition.by_windows`.
    """
    if large := [sample.id for sample in samples if competition.by_windows(sample)]:
        raise InferenceError(
            f"{len(large)} images are read by windows only, which {command_line('predict')} and "
            f"{command_line('tile', 'predict')} do: {first_few(large)}"
        )
    ensemble = Ensemble(choice, competition, folds, batch_size=batch_size, runs=runs or choice.open_runs())
    yield from ensemble.predict(samples)


def test_samples(competition: Competition) -> Samples:
    """The images to predict.

    Raises:
        InferenceError: there are none.
    """
    samples = competition.samples("test")
    if not samples:
        raise InferenceError(f"{competition.root} has no test images: docs/competitions.md says where they belong")
    return samples


@dataclass(frozen=True)
class Decoded:
    """What becomes of a `Prediction`: its mask, and, where maps are kept, what `maskfold.runs.MapStore` keeps of it."""

    mask: EncodedMask
    probability: np.ndarray | None = None
    presence: np.ndarray | None = None
    inside: np.ndarray | None = None


def decoded(
    predictions: Iterable[Prediction], choice: EnsembleChoice, competition: Competition, *, maps: bool
) -> Iterator[Decoded]:
    """Decode a stream; ``maps``: keep probabilities too."""
    decode, encode = build_chain(choice.post, competition.labels, competition.images), MaskEncoder(competition)
    for prediction in predictions:
        mask = decode(prediction)
        kept = (prediction.probability, prediction.presence, prediction.inside) if maps else ()
        yield Decoded(encode(prediction.id, mask if competition.instances else plain(mask)), *kept)


def write_submission(
    predictions: Iterator[Prediction],
    choice: EnsembleChoice,
    competition: Competition,
    path: Path,
    ids: Sequence[str],
    probabilities: Path | None = None,
) -> dict[str, int]:
    """Decode a stream and write the validated submission; returns counts of images and of empty masks.

    Args:
        probabilities: folder to store the 8-bit maps in as well; None: none are, and those that `maps_beside` has of a
            former submission are removed.
    """
    stream = decoded(predictions, choice, competition, maps=probabilities is not None)
    return write_masks(progress(stream, "predict", total=len(ids)), choice, competition, path, ids, probabilities)


def write_masks(
    stream: Iterable[Decoded],
    choice: EnsembleChoice,
    competition: Competition,
    path: Path,
    ids: Sequence[str],
    probabilities: Path | None = None,
) -> dict[str, int]:
    """`write_submission` of masks that are decoded already."""
    empty = 0
    maps = MapStore(LocalStorage(probabilities or maps_beside(path)), "")
    with ExitStack() as stack:
        store = None
        if probabilities is not None:
            maps.sweep()
            store = stack.enter_context(maps.replace(choice.model_dump(mode="json")))
        # Entered last, so left first: maps are kept only beside a submission that is valid.
        writer = stack.enter_context(SubmissionWriter(competition, path, ids))
        for each in stream:
            empty += not writer.add(each.mask)
            if store is not None and each.probability is not None:
                store.write(each.mask.id, each.probability, each.presence, each.inside)
        maps.clear()  # those of the former submission, which must not be taken for this one's, nor after a kill
    return {"images": len(ids), "empty": empty}


def maps_beside(path: Path) -> Path:
    """The folder of the probability maps that made the submission ``path``."""
    return path.with_name(path.stem + "_probabilities")


def has_maps(probabilities: Path, choice: EnsembleChoice) -> bool:
    """Whether `write_masks` has stored all maps, as a choice predicts, beside the submission that is there."""
    try:
        return MapStore(LocalStorage(probabilities), "").made_with() == choice.model_dump(mode="json")
    except RunError:  # their list is damaged
        return False
