"""Compare variants of a config on the same folds and seeds; interrupted, the same command goes on where it stopped."""

import argparse
import sys
from pathlib import Path

from maskfold.cli.arguments import EVERYTHING, dotted_overrides
from maskfold.cli.engine import add_engine, cluster_of
from maskfold.cli.options import COMMON, command_parser
from maskfold.cli.script import if_interrupted, next_command, starting
from maskfold.cli.values import count_from
from maskfold.config import load_config
from maskfold.errors import StudyError
from maskfold.program import command_line
from maskfold.steps.competition import check_competition
from maskfold.steps.places import STUDIES
from maskfold.studies.study import Study, load_study


def main() -> None:
    """Run the command."""
    parser = _parser()
    arguments, rest = parser.parse_known_args()
    overrides = dotted_overrides(rest, parser)
    study = _asked(arguments, parser)
    folder = STUDIES / (arguments.name or Path(arguments.study).stem)
    check_competition(load_config(study.config, {**study.options, **overrides}, name=folder.name))
    with starting(f"Study {arguments.study}: {len(study.variants)} variants in {folder} …"):
        from maskfold.studies.plan import Plan
        from maskfold.studies.run import forecast, run_study
        from maskfold.studies.write import document, markdown

    if_interrupted("the same command goes on where it stopped")
    plan = Plan(study, folder, overrides)
    if arguments.dry_run:
        print(forecast(plan))
        return next_command(command_line("study", *(word for word in sys.argv[1:] if word != "--dry-run")))
    results = run_study(plan, parallel=arguments.parallel, cluster=cluster_of(arguments))
    print(f"\n{markdown(plan, results)}\nResults: {folder / 'results.md'}, {folder / 'results.html'}")
    if arguments.document is not None:
        document(arguments.document, folder.name, markdown(plan, results))
        print(f"Document: {arguments.document}")
    if results.missing:
        raise StudyError(
            f"{', '.join(results.missing)}: not trained to the end, for the reasons above; the same command tries again"
        )
    return next_command(command_line("report", "--runs", str(plan.run(study.first, study.seeds[0]).path)))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, EVERYTHING, COMMON)
    add = parser.add_argument
    add("study", metavar="STUDY", help="a YAML file, or the name of a study that comes with maskfold (weights)")
    add("--name", help="folder of its runs and results, runs/studies/NAME; default: the file's name")
    add("--variants", metavar="A,B", help="only these, and those that they need or are compared with; default: all")
    add("--folds", type=int, nargs="+", metavar="K", help="folds to train and score; default: the study's")
    add("--seeds", type=int, nargs="+", metavar="S", help="seeds to train with; default: the study's")
    add("--trials", type=count_from(1), metavar="N", help="trials of the search; default: the study's")
    add(
        "--parallel",
        type=count_from(1),
        default=1,
        metavar="N",
        help="trainings at a time, with their share of the cores and GPUs, of which one may serve all; default: 1",
    )
    add_engine(parser)
    add("--document", type=Path, metavar="FILE", help="put the results into this Markdown file too, as a section")
    add("--dry-run", action="store_true", help="print what would be trained and, as far as is known, how long it takes")
    return parser


def _asked(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> Study:
    """The study with what the command line changes of it."""
    study = load_study(arguments.study)
    asked = {"folds": arguments.folds, "seeds": arguments.seeds}
    study = study.asked(**{name: tuple(values) for name, values in asked.items() if values is not None})
    if arguments.trials is not None:
        if study.search is None:
            parser.error(f"--trials needs a study with a search, and {arguments.study} has none")
        study = study.asked(search={**study.search.model_dump(), "trials": arguments.trials})
    if arguments.variants:
        return study.select([name.strip() for name in arguments.variants.split(",")])
    return study
