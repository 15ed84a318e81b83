"""Split the training images into folds and write them to runs/NAME/folds.csv."""

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import next_command
from maskfold.program import command_line
from maskfold.runs.run import Run
from maskfold.steps.competition import check_competition, open_competition, with_root
from maskfold.steps.places import RUNS


def main() -> None:
    """Run the command."""
    arguments, config = parse(config_parser(__doc__, DATA_OPTIONS))
    check_competition(config)
    print("Splitting the training images into folds …", flush=True)
    competition = open_competition(config)
    run = Run.create(with_root(config, competition), RUNS)
    folds = run.folds(competition)
    for fold, rows in folds.groupby("fold"):
        count = rows.groupby("split")["times"].sum()
        print(f"fold {fold}: {count.get('train', 0)} images to train on, {count.get('valid', 0)} to validate on")
    print(f"Folds: {run.folds_path}")
    next_command(command_line("train-fold", *config_flags(arguments), "--fold", "0"))
