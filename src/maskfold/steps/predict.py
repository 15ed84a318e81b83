"""From trained runs to a submission: which ensemble, which folds, which file."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from maskfold.cluster import Cluster, workers_of
from maskfold.competitions import Competition, Samples
from maskfold.competitions.encoded import MaskEncoder
from maskfold.config import Config, override
from maskfold.ensembling.checkpoints import drop_damaged_oof, has_oof
from maskfold.ensembling.choice import EnsembleChoice, ensemble_digest
from maskfold.ensembling.ensemble import Engine, Ensemble
from maskfold.ensembling.finished import folds_of, optimism
from maskfold.ensembling.rasters import RasterEnsemble
from maskfold.ensembling.shards import Shards, shard_count
from maskfold.ensembling.submit import Decoded, has_maps, maps_beside, test_samples, write_masks
from maskfold.errors import CompetitionError, FoldsError, SubmissionError
from maskfold.files import scratch_folder
from maskfold.packing.read import Pack
from maskfold.parallel import default_processes
from maskfold.program import command_line
from maskfold.progress import progress
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.steps.choose import changed_choice, choose, describe_folds, known_score
from maskfold.steps.competition import open_competition
from maskfold.steps.places import ensemble_run, joined_name
from maskfold.steps.submissions import Reserved, reserved
from maskfold.steps.together import open_together, with_batch
from maskfold.storage import open_storage, url_of

# Processes that the system may end before prediction gives up.
MOST_DEATHS = 3


def predict(
    runs: Run | Sequence[Run],
    out: Path | None = None,
    *,
    folds: Sequence[int | str] | None = None,
    untuned: bool = False,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    save_probabilities: bool = False,
    engine: Engine = "torch",
    parallel: int | None = None,
    cluster: Cluster | None = None,
) -> Path:
    """Predict the test images, write the validated submission, and note it in ``submissions/log.csv``.

    Args:
        runs: one run, or several that were tuned together.
        out: file to write; None: ``submissions/RUN.csv`` (label files: ``.zip``), with a number if that exists.
        folds: whose networks are averaged; None: all that are trained.
        untuned: leave the tuned ensemble aside; predict as in the config.
        overrides: dotted keys of the first run's config, such as ``{"tta.views": "d4"}``.
        overwrite: replace ``out`` if it exists.
        save_probabilities: also keep the probability maps, of 8 bits, in a folder beside the submission.
        engine: ``onnx`` runs each network with onnxruntime, in float32; its graph is made once and kept in the run.
        parallel: processes that share the images; None: one for each GPU, else one. What is written is the same byte
            for byte, as far as the number of threads does not change the networks' last bits. A script that asks for
            several, or has several GPUs, needs ``if __name__ == "__main__":``.
        cluster: predict on a Ray cluster.

    Returns:
        The submission's path.

    Raises:
        MaskfoldError: see its message: nothing trained, weights that changed since tuning, no test images, ``out``
            exists.
    """
    runs, config, competition = open_together(runs, overrides, predicting=True)
    choice = choose(runs, config, set(overrides or {}), untuned=untuned)
    used = folds_of(runs[0], folds)
    print(describe_folds(runs, used), flush=True)
    size = config.inference.batch_size
    ensemble = Ensemble(choice, competition, folds, batch_size=size, engine=engine, runs=runs)
    shards = Shards(ensemble, test_samples(competition), save_probabilities)
    row = partial(submission_row, choice, competition, runs, used)
    return _submitted(shards, out, row, overwrite=overwrite, parallel=parallel, cluster=cluster)


def predict_pack(
    pack: Pack,
    out: Path | None = None,
    *,
    folds: Sequence[int | str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    save_probabilities: bool = False,
    engine: Engine = "torch",
    parallel: int | None = None,
    cluster: Cluster | None = None,
) -> Path:
    """`predict` with an opened pack, see `maskfold.packing.read.open_pack`: the same submission, byte for byte.

    Args:
        pack: stays open until this returns.
        out, folds, overwrite, save_probabilities, engine, parallel, cluster: as in `predict`.
        overrides: dotted keys, of which ``competition.root`` says where the images are.

    Raises:
        MaskfoldError: as `predict`.
    """
    config = with_batch(override(pack.config, overrides or {}))
    competition = open_competition(config, predicting=True)
    choice = changed_choice(pack.choice, config, set(overrides or {}))
    used = folds_of(pack.runs[0], folds)
    print(f"Pack: {pack.source}{known_score(choice, pack.runs)}\nFolds: {', '.join(map(str, used))}", flush=True)
    size = config.inference.batch_size
    ensemble = Ensemble(choice, competition, folds, batch_size=size, engine=engine, runs=pack.runs)
    shards = Shards(ensemble, test_samples(competition), save_probabilities)
    row = partial(_row, pack.runs, used, score=choice.score, ensemble=None)
    return _submitted(shards, out, row, overwrite=overwrite, parallel=parallel, cluster=cluster)


def _submitted(
    shards: Shards,
    out: Path | None,
    row: Callable[[], Mapping[str, object]],
    *,
    overwrite: bool,
    parallel: int | None,
    cluster: Cluster | None,
) -> Path:
    """Write the submission and its line in the log; returns where it is."""
    competition, name = shards.ensemble.competition, joined_name(shards.ensemble.runs)
    with reserved(name, competition, out, overwrite=overwrite, made_of=_made_of(shards), row=row) as place:
        _write(place, shards, parallel, cluster)
    return place.path


def _made_of(shards: Shards) -> dict[str, Any]:
    """What decides what is written: not images, which nobody changes, but weights, which training does."""
    ensemble = shards.ensemble
    parts = zip(ensemble.runs, ensemble.choice.checkpoints, strict=True)
    used = [(run.fold(fold), name) for run, name in parts for fold in folds_of(run, ensemble.folds)]
    return {
        "choice": ensemble.choice.model_dump(mode="json"),
        "weights": [[fold.name, *map(fold.digest, fold.weights_of(name))] for fold, name in used],
        "data": str(ensemble.competition.root),
        "images": shards.samples.ids,
        "engine": ensemble.engine,
        "maps": shards.maps,
    }


def _write(place: Reserved, shards: Shards, parallel: int | None, cluster: Cluster | None) -> None:
    path, ensemble, ids = place.path, shards.ensemble, shards.samples.ids
    choice, competition = ensemble.choice, ensemble.competition
    maps = maps_beside(path) if shards.maps else None
    if place.complete and (maps is None or has_maps(maps, choice)):
        print(f"{path} was written before the command was interrupted; its line in the log is added.")
        return
    shards, rasters = _apart(shards, path)
    competition.refuse_cut_off(shards.samples)
    whole = len(shards.samples)
    processes = min(parallel or (1 if cluster else default_processes()), max(1, whole))
    if not whole or (cluster is None and processes == 1):
        stream = progress(shards.stream(), "predict", total=whole) if whole else ()
        counts = write_masks(chain(stream, rasters), choice, competition, path, ids, maps)
    else:
        with _place(path, ensemble) as folder:
            sizes = competition.sizes(shards.samples)
            count = shard_count(whole, ensemble.batch_size, processes)
            adapted = ensemble.adapted(shards.samples)
            shards = replace(shards, ensemble=adapted, folder=folder, count=count, sizes=sizes)
            tasks = [(number,) for number in range(shards.count)]
            with workers_of(cluster, processes, deaths=MOST_DEATHS) as workers:
                done = workers.finished(shards, tasks)
                for _ in progress(done, "predict", total=len(tasks), unit="shard"):
                    pass
            counts = write_masks(chain(shards.merged(), rasters), choice, competition, path, ids, maps)
    print(f"{counts['images']} images, {counts['empty']} with an empty mask. Valid submission: {path}")


@contextmanager
def _place(path: Path, ensemble: Ensemble) -> Iterator[Path]:
    """Where shards are kept until they are put together: beside the submission or, of runs elsewhere, beside these."""
    runs = ensemble.runs[0].path.parent
    if url_of(runs) is None:
        with scratch_folder(path) as folder:
            yield folder.resolve()
        return
    folder = runs / f"shards-{secrets.token_hex(6)}"
    try:
        yield folder
    finally:
        open_storage(runs).remove(folder.name)


def _apart(shards: Shards, path: Path) -> tuple[Shards, Iterator[Decoded]]:
    """The images that are held whole, and the masks of those that are predicted by windows."""
    samples = shards.samples
    large = [sample for sample in samples if shards.ensemble.competition.by_windows(sample)]
    if not large:
        return shards, iter(())
    if shards.maps:
        raise SubmissionError(
            f"{len(large)} images are predicted by windows, whose maps are not kept: leave out --save-probabilities, "
            f"or use {command_line('tile', 'predict', '--probabilities')}"
        )
    rasters, encode = RasterEnsemble(shards.ensemble), MaskEncoder(shards.ensemble.competition)
    for sample in large:  # before hours of prediction, not after them
        encode.check_windows(encode.competition.mask_size(sample))
    left_out = {sample.id for sample in large}
    whole = Samples(sample for sample in samples if sample.id not in left_out)
    return replace(shards, samples=whole), (Decoded(encode(*found)) for found in rasters.masks(large, path))


def predict_out_of_fold(
    runs: Run | Sequence[Run],
    *,
    untuned: bool = False,
    overrides: Mapping[str, Any] | None = None,
    cluster: Cluster | None = None,
) -> None:
    """Compute the out-of-fold maps of all runs as they would predict, on a cluster if asked, and print their score.

    Maps that are damaged are computed again.
    """
    runs, config, competition = open_together(runs, overrides)
    choice = choose(runs, config, set(overrides or {}), untuned=untuned)
    for run in runs:
        drop_damaged_oof(run)
    compute_oof(choice, competition, config, cluster)


def compute_oof(
    choice: EnsembleChoice, competition: Competition, config: Config, cluster: Cluster | None = None
) -> None:
    """Compute the out-of-fold maps of all runs as the choice predicts, and print their score."""
    print(evaluate_oof(choice, competition, batch_size=config.inference.batch_size, cluster=cluster).line())


def submission_row(
    choice: EnsembleChoice, competition: Competition, runs: Sequence[Run], folds: Sequence[int | str]
) -> dict[str, object]:
    """What the log says about a submission: what makes it, and its out-of-fold score."""
    ensemble = ensemble_run(runs).ensemble_path
    score = choice.score if choice.scores else _stored_score(choice, competition, runs, folds)
    return _row(runs, folds, score=score, ensemble=ensemble if choice.scores else None)


def _row(
    runs: Sequence[Run], folds: Sequence[int | str], *, score: float | None, ensemble: Path | None
) -> dict[str, object]:
    return {
        "runs": " ".join(run.name for run in runs),
        "folds": " ".join(map(str, folds)),
        "ensemble_sha256": None if ensemble is None else ensemble_digest(ensemble),
        "oof_score": None if score is None else f"{score:.6f}{optimism(runs)}",
    }


def _stored_score(
    choice: EnsembleChoice, competition: Competition, runs: Sequence[Run], folds: Sequence[int | str]
) -> float | None:
    """Out-of-fold score of the folds that predicted, of stored maps; prints how to make them where they are missing."""
    numbers = {int(fold) for fold in folds if str(fold) != "all"}
    if not numbers:
        return None
    parts = zip(runs, choice.checkpoints, strict=True)
    if not all(has_oof(run, fold, name, competition, choice.tta) for run, name in parts for fold in numbers):
        paths = [str(run.path) for run in runs]
        print(
            f"Note: without out-of-fold maps of these settings the log has no score beside it. To have one next time: "
            f"{command_line('predict', '--runs', *paths, '--oof')}, with the same options."
        )
        return None
    try:
        return evaluate_oof(choice, competition, folds=numbers).score
    except (CompetitionError, FoldsError) as error:
        print(f"Note: the log has no score beside it, for the training images are not those of the run: {error}.")
        return None
