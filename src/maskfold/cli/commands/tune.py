"""Choose checkpoints, weights, threshold and minimum area on out-of-fold predictions, and write ensemble.yaml."""

from maskfold.cli.arguments import open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import finished_folds
from maskfold.steps.competition import check_competition
from maskfold.steps.places import ensemble_run

SECTIONS = ("inference", "tune", "post")


def main() -> None:
    """Run the command."""
    arguments, overrides = parse_sections(runs_parser(__doc__, SECTIONS), SECTIONS)
    runs = open_runs(arguments.runs)
    count = sum(len(finished_folds(run)) for run in runs)
    check_competition(override(runs[0].config, overrides))
    starting(f"Tuning {' + '.join(str(run.path) for run in runs)}, {count} fold{'s' * (count > 1)} …")
    from maskfold.steps.tune import tune

    choice = tune(runs, overrides=overrides)
    for checkpoint in choice.checkpoints:
        print(f"{checkpoint.run}: {checkpoint.checkpoint}, weight {checkpoint.weight:.2f}")
    print(f"threshold {choice.threshold:g}, minimum area {choice.min_area} pixels, views {choice.views}")
    print(
        f"Out-of-fold {choice.metric} {choice.scores['before']:.4f} before, {choice.scores['after']:.4f} after "
        f"(cross-fitted). Ensemble: {ensemble_run(runs).ensemble_path}"
    )
    next_command(f"python src/predict.py{run_flags(runs, overrides)}")
