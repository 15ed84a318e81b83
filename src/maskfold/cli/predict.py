"""What predict.py does between its arguments and the written submission."""

import argparse
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from maskfold.cli.arguments import SUBMISSIONS
from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, read_ensemble
from maskfold.ensembling.submit import check_hashes, default_choice
from maskfold.errors import RunError, SubmissionError
from maskfold.runs import Run
from maskfold.runs.checkpoint import file_digest
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.scoring.submission_log import note_submission

# Keys of the config that a tuned choice holds too, and that the command line may change.
CHOICE_KEYS = {
    **{f"inference.{key}": key for key in ("views", "scales", "merge", "window", "overlap")},
    **{f"post.{key}": key for key in ("threshold", "min_area", "fill_holes")},
}


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
        choice = default_choice(runs[0])
        print(
            f"Not tuned: equal mean of checkpoint '{choice.checkpoints[0].checkpoint}', "
            f"threshold {choice.threshold:g}, "
            f"views {choice.views} (python src/tune.py chooses them)."
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
    """Compute the out-of-fold maps of all runs as the choice predicts, and say their score."""
    used = {key: getattr(choice, key) for key in CHOICE_KEYS.values() if hasattr(config.inference, key)}
    print(evaluate_oof(choice, competition, config.inference.model_copy(update=used)).line())


def log_submission(path: Path, choice: EnsembleChoice, runs: Sequence[Run], folds: Sequence[int | str]) -> None:
    """Note the submission, what made it, and its out-of-fold score, in submissions/log.csv."""
    ensemble = ensemble_run(runs).ensemble_path
    note_submission(
        SUBMISSIONS / "log.csv",
        file=path,
        sha256=file_digest(path) if path.is_file() else None,
        runs=" ".join(run.name for run in runs),
        folds=" ".join(map(str, folds)),
        ensemble_sha256=file_digest(ensemble) if ensemble.exists() and choice.scores else None,
        oof_score=f"{choice.score:.6f}" if choice.score is not None else None,
    )


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
    for key in sorted(changed & CHOICE_KEYS.keys()):
        section, name = key.split(".")
        new, old = getattr(getattr(config, section), name), getattr(choice, CHOICE_KEYS[key])
        if new != old:
            print(f"Note: {key} is {new}, not {old} as " + ("tuned." if choice.scores else "in the run's config."))
            values[name] = new
    if "inference.checkpoint" in changed:
        checkpoints = [
            checkpoint.model_copy(update={"checkpoint": config.inference.checkpoint})
            for checkpoint in choice.checkpoints
        ]
        values["checkpoints"] = checkpoints
    # A changed choice is not the one whose score is known.
    return choice.model_copy(update={**values, "scores": {}}) if values else choice
