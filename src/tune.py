"""Choose checkpoints, weights and decoding on out-of-fold predictions, and write ensemble.yaml."""

from maskfold.cli.arguments import competition_of, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.predict import ensemble_run
from maskfold.cli.script import next_command, run_script
from maskfold.cli.tune import describe
from maskfold.config import override
from maskfold.ensembling.choice import write_ensemble
from maskfold.ensembling.tune import tune

SECTIONS = ("inference", "tta", "post", "tune")


def main() -> None:
    arguments, overrides = parse_sections(runs_parser(__doc__, SECTIONS), SECTIONS)
    runs = open_runs(arguments.runs)
    config = override(runs[0].config, overrides)
    competition = competition_of(config)
    choice = tune(runs, competition, config)
    path = ensemble_run(runs).ensemble_path
    write_ensemble(choice, path)
    print(describe(choice, competition.labels))
    print(f"Ensemble: {path}")
    next_command(f"python src/predict.py{run_flags(runs, overrides)}")


if __name__ == "__main__":
    run_script(main)
