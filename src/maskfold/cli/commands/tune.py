"""Choose checkpoints, weights and decoding on out-of-fold predictions, and write ensemble.yaml."""

from maskfold.cli.arguments import listed, open_runs, parse_sections, run_flags, runs_parser
from maskfold.cli.engine import add_engine, cluster_of
from maskfold.cli.script import next_command, starting
from maskfold.config import override
from maskfold.ensembling.finished import finished_folds
from maskfold.program import command_line
from maskfold.steps.competition import check_competition

SECTIONS = ("inference", "tta", "post", "tune")


def main() -> None:
    """Run the command."""
    parser = runs_parser(__doc__, SECTIONS)
    add_engine(parser)
    arguments, overrides = parse_sections(parser, SECTIONS)
    runs = open_runs(arguments.runs, overrides)
    count = sum(len(finished_folds(run)) for run in runs)
    check_competition(override(runs[0].config, overrides))
    with starting(f"Tuning {listed(runs)}, {count} fold{'s' * (count > 1)} …"):
        from maskfold.steps.tune import tune

    tune(runs, overrides=overrides, cluster=cluster_of(arguments))
    next_command(command_line("predict", *run_flags(runs, overrides)))
