"""Divide the training images into folds and write them down, runs/NAME/folds.csv."""

from maskfold.cli.arguments import competition_of, config_flags, config_parser, parse, with_root
from maskfold.cli.script import next_command, run_script
from maskfold.runs import Run


def main() -> None:
    arguments, config = parse(config_parser(__doc__))
    competition = competition_of(config)
    run = Run.create(with_root(config, competition))
    folds = run.folds(competition)
    for fold, rows in folds.groupby("fold"):
        count = rows.groupby("split")["times"].sum()
        print(f"fold {fold}: {count.get('train', 0)} images to train on, {count.get('valid', 0)} to validate on")
    print(f"Folds: {run.folds_path}")
    next_command(f"python src/train_fold.py{config_flags(arguments)} --fold 0")


if __name__ == "__main__":
    run_script(main)
