"""What evaluate.py can be asked for."""

from pathlib import Path

from maskfold.cli.arguments import SUBMISSIONS
from maskfold.cli.predict import ensemble_run
from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.inference.evaluate import (
    class_lines,
    compare,
    contest_metric,
    evaluate_oof,
    evaluate_submission,
)
from maskfold.inference.oof import candidate_table, finished_folds
from maskfold.inference.submission_log import note_leaderboard
from maskfold.inference.submit import default_choice
from maskfold.runs import Run, read_ensemble


def show_runs(runs: list[Run], competition: Competition, config: Config) -> None:
    """Print the out-of-fold scores of runs, member by member, plain and tuned."""
    for run in runs:
        table = candidate_table(run)
        print(
            f"{run.path}: {contest_metric(competition).name} of each fold's members, threshold 0.5, no views"
        )
        print(table.assign(mean=table.mean(axis=1)).to_string(float_format="%.4f"))
        plain = evaluate_oof(default_choice(run), competition, config.inference)
        classes = class_lines(plain.metric, plain.stats, competition.class_names)
        print(
            f"out of fold, {len(plain.ids)} images, folds {finished_folds(run)}, not tuned: {plain.line()}{classes}"
        )
    path = ensemble_run(runs).ensemble_path
    if path.exists():
        choice = read_ensemble(path, [run.path for run in runs])
        print(
            f"{path}: {choice.metric} {choice.scores['before']:.4f} before tuning, "
            f"{choice.scores['after']:.4f} after (cross-fitted)"
        )


def show_submission(submission: Path, truth: Path, other: Path | None, competition: Competition) -> None:
    """Print a submission's score against the truth, and how it compares with another submission."""
    found = evaluate_submission(submission, truth, competition)
    print(f"{submission}: {found.line()}{class_lines(found.metric, found.stats, competition.class_names)}")
    worst = ", ".join(f"{row.id} {row.score:.3f}" for row in found.per_image().head(5).itertuples())
    print(f"worst images: {worst}")
    if other is not None:
        second = evaluate_submission(other, truth, competition)
        print(f"{other}: {second.line()}")
        print(f"{submission} against {other}: {compare(found, second)}")


def note(score: float, submission: Path | None) -> None:
    """Add the leaderboard's score to the log."""
    log = SUBMISSIONS / "log.csv"
    print(f"{log}: leaderboard {score:g} noted for {note_leaderboard(log, score, submission)}")
