"""From the competition's files to a submission within so many hours; interrupted, the same command goes on."""

import time

from maskfold.cli.arguments import config_flags, config_parser, parse
from maskfold.cli.commands.plan import add_hours, refuse_decided
from maskfold.cli.options import DATA_OPTIONS
from maskfold.cli.script import next_scores, starting
from maskfold.steps.competition import check_competition


def main() -> None:
    """Run the command."""
    parser = config_parser(__doc__, DATA_OPTIONS, name="the config file's name, followed by _auto")
    add_hours(parser)
    arguments, config = parse(parser)
    refuse_decided(arguments.overrides)
    check_competition(config)
    name = arguments.name or f"{config.name}_auto"
    with starting(f"Autopilot {name}: {arguments.hours:g} hours for everything …"):
        import psutil

        from maskfold.autopilot import Autopilot

    spent = time.time() - psutil.Process().create_time()
    config = config.model_copy(update={"name": name})
    pilot = Autopilot(config, arguments.hours, flags=config_flags(arguments), spent=spent)
    path = pilot.run()
    print(f"What it did and why: {pilot.folder / 'autopilot.md'}\nSubmission: {path}")
    next_scores(path)
