"""What predict.py does between its arguments and the written submission."""

import argparse
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from maskfold.cli.arguments import SUBMISSIONS
from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.checkpoints import has_oof
from maskfold.ensembling.choice import EnsembleChoice, read_ensemble
from maskfold.ensembling.submit import check_hashes, default_choice
from maskfold.errors import RunError, SubmissionError
from maskfold.runs import Run
from maskfold.runs.checkpoint import file_digest
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.scoring.submission_log import note_submission, same_submission

# Sections of the config that a tuned choice holds too, and that the command line may change.
CHOICE_SECTIONS = ("tta", "post")


def ensemble_run(runs: Sequence[Run]) -> Run:
    """Where the ensemble of these runs lives: the run itself, or A+B beside the first one."""
    return runs[0] if len(runs) == 1 else Run(runs[0].path.parent / "+".join(run.name for run in runs))


def choose(runs: Sequence[Run], config: Config, changed: set[str], *, untuned: bool) -> EnsembleChoice:
    """The tuned ensemble, or the config's plain one, with the command line's changes; says which.

    Raises:
        RunError: several runs without a tuned ensemble, or a damaged one.
        InferenceError: weights that changed since tuning.
    """
    path = ensemble_run(runs).ensemble_path
    if path.exists() and not untuned:
        choice = read_ensemble(path, [run.path for run in runs])
        print(f"Ensemble: {path} (out-of-fold {choice.metric} {choice.score:.4f})")
        if added := check_hashes(choice):
            print(f"Note: trained since tuning and used as well: {', '.join(added)}; python src/tune.py tunes on all.")
    elif len(runs) > 1:
        names = " ".join(str(run.path) for run in runs)
        raise RunError(f"there is no {path}: run python src/tune.py --runs {names} first")
    else:
        choice = default_choice(runs)
        print(
            f"Not tuned: equal mean of checkpoint '{choice.checkpoints[0]}', threshold {choice.post.threshold}, "
            f"views {choice.tta.views} (python src/tune.py chooses them)."
        )
    return _changed(choice, config, changed)


def describe_folds(runs: Sequence[Run], competition: Competition, folds: Sequence[int | str]) -> str:
    """Which folds predict, and which of the division do not."""
    rest = sorted(set(runs[0].folds(competition)["fold"].astype(str)) - set(map(str, folds)))
    missing = f"; without {', '.join(rest)}" if rest and list(folds) != ["all"] else ""
    trained = "" if not missing else " (not trained to the end, or not asked for)"
    return f"Folds: {', '.join(map(str, folds))}{missing}{trained}"


def submission_path(runs: Sequence[Run], competition: Competition, arguments: argparse.Namespace) -> Path:
    """Where the submission goes: ``--out``, else ``submissions/RUN.csv`` with a number if that exists.

    Raises:
        SubmissionError: ``--out`` exists and ``--overwrite`` was not given.
    """
    if arguments.out is not None:
        if arguments.out.exists() and not arguments.overwrite:
            raise SubmissionError(f"{arguments.out} exists: choose another --out, or give --overwrite")
        return arguments.out
    name, suffix = (
        "+".join(run.name for run in runs),
        ".csv" if competition.submission_kind == "csv" else ".zip",
    )
    numbered = (SUBMISSIONS / f"{name}-{number}{suffix}" for number in count(2))
    return next(path for path in chain([SUBMISSIONS / f"{name}{suffix}"], numbered) if not path.exists())


def compute_oof(choice: EnsembleChoice, competition: Competition, config: Config) -> None:
    """Compute the out-of-fold maps of all runs as the choice predicts, and print their score."""
    print(evaluate_oof(choice, competition, batch_size=config.inference.batch_size).line())


def log_submission(
    path: Path, choice: EnsembleChoice, competition: Competition, runs: Sequence[Run], folds: Sequence[int | str]
) -> None:
    """Note the submission, what made it, and its out-of-fold score, in the log; say if the file repeats another."""
    log, ensemble = SUBMISSIONS / "log.csv", ensemble_run(runs).ensemble_path
    sha256 = file_digest(path) if path.is_file() else None
    if sha256 and (earlier := same_submission(log, sha256)):
        print(f"Note: {path} is the same file, byte for byte, as {earlier}: it would score the same.")
    score = choice.score if choice.scores else _stored_score(choice, competition, runs, folds)
    note_submission(
        log,
        file=path,
        sha256=sha256,
        runs=" ".join(run.name for run in runs),
        folds=" ".join(map(str, folds)),
        ensemble_sha256=file_digest(ensemble) if ensemble.exists() and choice.scores else None,
        oof_score=None if score is None else f"{score:.6f}",
    )


def _stored_score(
    choice: EnsembleChoice, competition: Competition, runs: Sequence[Run], folds: Sequence[int | str]
) -> float | None:
    """Out-of-fold score of the folds that predicted, of stored maps; says how to make them where they are not there."""
    numbers = {int(fold) for fold in folds if str(fold) != "all"}
    if not numbers:
        return None
    parts = zip(runs, choice.checkpoints, strict=True)
    if not all(has_oof(run, fold, name, choice.tta) for run, name in parts for fold in numbers):
        names = " ".join(str(run.path) for run in runs)
        print(
            f"Note: without out-of-fold maps of these settings the log has no score beside it. To have one next time: "
            f"python src/predict.py --runs {names} --oof, with the same options."
        )
        return None
    return evaluate_oof(choice, competition, folds=numbers).score


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of predict.py besides runs and config keys."""
    parser.add_argument(
        "--folds", nargs="+", metavar="K", help="folds whose networks are averaged; default: all trained"
    )
    parser.add_argument("--untuned", action="store_true", help="ignore ensemble.yaml: the config's own settings")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="submission to write; default: submissions/RUN.csv (label files: .zip)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    parser.add_argument("--save-probabilities", action="store_true", help="keep 8-bit probability maps beside it")
    parser.add_argument("--oof", action="store_true", help="compute out-of-fold maps with the present views instead")


def _changed(choice: EnsembleChoice, config: Config, changed: set[str]) -> EnsembleChoice:
    values = {}
    for section in CHOICE_SECTIONS:
        asked = sorted({key.split(".")[1] for key in changed if key.startswith(f"{section}.")})
        old, new = getattr(choice, section), getattr(config, section)
        different = {name: getattr(new, name) for name in asked if getattr(new, name) != getattr(old, name)}
        for name, value in different.items():
            source = "tuned." if choice.scores else "in the run's config."
            print(f"Note: {section}.{name} is {value}, not {getattr(old, name)} as {source}")
        if different:
            values[section] = old.model_copy(update=different)
    if "inference.checkpoint" in changed:
        checkpoint = {"checkpoint": config.inference.checkpoint}
        values["runs"] = [run.model_copy(update=checkpoint) for run in choice.runs]
    # A changed choice is not the one whose score is known.
    return choice.model_copy(update={**values, "scores": {}}) if values else choice
