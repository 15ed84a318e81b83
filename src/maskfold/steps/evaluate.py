"""Scores of runs and of submissions, as figures and as text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition
from maskfold.config import Config
from maskfold.ensembling.choice import EnsembleChoice, has_ensemble, read_ensemble
from maskfold.ensembling.finished import finished_folds, optimism
from maskfold.ensembling.oof import candidate_table
from maskfold.ensembling.submit import default_choice
from maskfold.metrics import Evaluation
from maskfold.runs import Run
from maskfold.scoring.calibration import calibration_oof
from maskfold.scoring.evaluate import evaluate_oof, evaluate_submission, verdict
from maskfold.scoring.label_shift import label_shift_oof
from maskfold.scoring.likeness import Likeness, measure_likeness
from maskfold.scoring.medals import WORTH, medal_lines, placed
from maskfold.steps.competition import ROOT, open_competition
from maskfold.steps.matching import matching_runs
from maskfold.steps.places import ensemble_run
from maskfold.steps.together import with_batch


def evaluate(
    what: Run | Sequence[Run] | Path | str, truth: Path | None = None, *, config: Config | None = None
) -> Evaluation:
    """Score runs on their out-of-fold predictions, or a submission against the truth.

    Runs are scored as they would predict: tuned, where ``ensemble.yaml`` is there (its choice was made on these
    images: `tune` prints the cross-fitted score), else as in the config.

    Args:
        what: a run, several that were tuned together, or the path of a submission.
        truth: true masks in the competition's own form; only for a submission.
        config: names the competition of a submission, and how out-of-fold maps are made; None: the first
            run's.

    Raises:
        InferenceError: no finished fold, or a submission and a truth of other images.
        ValueError: a submission without ``truth`` or ``config``.
    """
    if isinstance(what, Path | str):
        if truth is None or config is None:
            raise ValueError("a submission is scored against a truth, in a competition: give truth and config")
        return evaluate_submission(Path(what), Path(truth), open_competition(config, predicting=True))
    runs = matching_runs(what, None if config is None else {ROOT: config.competition.root})
    config = config or runs[0].config
    path = ensemble_run(runs).ensemble_path
    tuned = has_ensemble(path) or len(runs) > 1
    choice = read_ensemble(path, [run.path for run in runs]) if tuned else default_choice(runs, config)
    return evaluate_oof(choice, open_competition(config), batch_size=config.inference.batch_size)


def show_runs(runs: list[Run], competition: Competition, config: Config, *, like_test: bool = False) -> bool:
    """Print the out-of-fold scores of runs, plain and tuned, and a verdict; returns whether they are tuned.

    ``like_test``: beside each also the score with images weighted by how much they look like test images.
    """
    config = with_batch(config)
    likeness = measure_likeness(competition) if like_test else None
    size = config.inference.batch_size
    found = [_show_run(run, _untuned(run, runs[0], config), competition, size, likeness) for run in runs]
    for run, other in zip(runs[1:], found[1:], strict=True):
        if list(other.ids) == list(found[0].ids):
            print(verdict(found[0], other, (str(runs[0].path), str(run.path))) + ", not tuned")
    path = ensemble_run(runs).ensemble_path
    if not has_ensemble(path):
        print("Verdict: not tuned; tuning chooses checkpoints, weights and decoding on these predictions")
        return False
    choice = read_ensemble(path, [run.path for run in runs])
    print(f"{path}: {choice.scored}{optimism(runs)}")
    if choice.helped:
        print(f"Verdict: tuning gains {choice.scores['after'] - choice.scores['before']:+.4f}")
    else:
        print("Verdict: tuning did not help; the config's own settings predict")
    return True


def _show_run(
    run: Run, untuned: EnsembleChoice, competition: Competition, batch_size: int, likeness: Likeness | None
) -> Evaluation:
    """Print what a run scores out of fold, and what its probabilities are worth; returns the scores."""
    table = candidate_table(run)
    note = optimism([run])
    print(f"{run.path}: {competition.metric.name} of each fold's checkpoints, threshold 0.5, no views{note}")
    print(table.assign(mean=table.mean(axis=1)).to_string(float_format="%.4f"))
    plain = evaluate_oof(untuned, competition, batch_size=batch_size)
    print(
        f"out of fold, {len(plain.ids)} images, folds {finished_folds(run)}, not tuned: {plain.line()}"
        f"{plain.class_lines()}"
    )
    if likeness is not None:
        print(likeness.line(plain))
    print(calibration_oof(untuned, competition, batch_size=batch_size).lines())
    if (medals := competition.profile.medals) is not None and not np.isnan(plain.score):
        print(f"{medal_lines(medals)}\n  {placed(medals, plain.score, *plain.interval())}; {WORTH}")
    if shift := label_shift_oof(untuned, competition, batch_size=batch_size):
        print(shift.line())
    return plain


def _untuned(run: Run, first: Run, config: Config) -> EnsembleChoice:
    """What a run predicts with untuned, with what the command line changed of the first run's config."""
    changed = {
        section: getattr(config, section)
        for section in ("tta", "post")
        if getattr(config, section) != getattr(first.config, section)
    }
    own = run.config.model_copy(update=changed)
    if config.inference.checkpoint != first.config.inference.checkpoint:
        own = own.model_copy(update={"inference": config.inference})
    return default_choice([run], own)


def show_submission(submission: Path, truth: Path, competition: Competition) -> Evaluation:
    """Print and return a submission's score against the truth."""
    found = evaluate_submission(submission, truth, competition)
    print(f"{submission}: {found.line()}{found.class_lines()}")
    worst = ", ".join(f"{row.id} {row.score:.3f}" for row in found.per_image().head(5).itertuples())
    print(f"worst images: {worst}")
    return found


def show_better(a: Path, b: Path, truth: Path, competition: Competition) -> Path:
    """Print how two submissions score against the truth; returns the better one."""
    first = show_submission(a, truth, competition)
    second = evaluate_submission(b, truth, competition)
    print(f"{b}: {second.line()}\n{a} against {b}: {first.against(second)}")
    print(verdict(first, second, (str(a), str(b))))
    return b if second.score > first.score else a
