"""What an autopilot was begun with: started again, it goes on with the same, wherever the files are now."""

from pathlib import Path

from maskfold.autopilot.log import Log
from maskfold.config import Config, config_yaml, load_config, override
from maskfold.config.load import changed_values, flatten
from maskfold.errors import RunError
from maskfold.files import write_file
from maskfold.runs import Run
from maskfold.runs.run import FREE_KEYS


def same_as_begun(log: Log, config: Config) -> None:
    """Note the options that a plan keeps, or refuse those that this autopilot was not begun with.

    Args:
        log: the autopilot's.
        config: whose sections ``competition`` and ``folds`` hold.

    Raises:
        RunError: an option of these sections that changes results is another one now.
    """
    tree = config.model_dump(mode="json", include={"competition", "folds"})
    given = {key: value for key, value in flatten(tree) if key not in FREE_KEYS}
    if changes := changed_values(log.facts.setdefault("given", given), given):
        raise RunError(
            f"{log.folder} was begun with other options ({'; '.join(changes)}): go on with those, or give another "
            "--name"
        )


def move_to(root: Path | None, log: Log) -> None:
    """Let the trainings of an autopilot, and their runs, name the folder in which the competition is now."""
    for known in log.facts.get("trainings", {}).values():
        path, run = Path(known["config"]), Run(Path(known["run"]))
        moved = override(load_config(path), {"competition.root": root})
        write_file(path, config_yaml(moved))
        if run.config_path.exists():
            run.adopt(override(run.config, {"competition.root": root}))
