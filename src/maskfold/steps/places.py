"""Where the steps look and write, relative to the current folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from maskfold.errors import ExportError, RunError
from maskfold.program import command_line
from maskfold.runs.run import LOCAL, Run
from maskfold.storage import open_storage, url_of

DATA = Path("data")
DEMO = DATA / "demo"
PSEUDO = DATA / "pseudo"
RUNS = Path(os.environ.get("MASKFOLD_RUNS") or LOCAL)  # a folder, or a URL as in `maskfold.storage`
STUDIES = LOCAL / "studies"
AUTOPILOTS = LOCAL / "autopilot"
SUBMISSIONS = Path("submissions")
CONFIGS = Path("configs")
LOG = SUBMISSIONS / "log.csv"
PACKS = Path("packs")
RASTERS = Path("rasters")


def all_runs() -> list[Run]:
    """Every run under ``runs/``, by name.

    Raises:
        RunError: there is none.
    """
    folders = _run_folders(RUNS)
    if not folders:
        raise RunError(f"there is no run under {RUNS}/: train first, {command_line('train-fold', '--fold', '0')}")
    return [Run(folder) for folder in folders]


def runs_beside(runs: Sequence[Run]) -> list[Run]:
    """Some runs themselves, and the others in the folder of the first."""
    beside = [Run(folder) for folder in _run_folders(runs[0].path.parent)]
    own = {str(run.path) for run in runs}
    return [*runs, *(run for run in beside if str(run.path) not in own)]


def _run_folders(place: Path) -> list[Path]:
    """The folders of runs in a folder or at a URL, by name."""
    if url_of(place) is None:
        return sorted(config.parent for config in place.glob("*/config.yaml"))
    keys = [key.split("/") for key in open_storage(place).list()]
    return sorted(place / key[0] for key in keys if len(key) == 2 and key[1] == "config.yaml")


def as_runs(runs: Run | Sequence[Run]) -> list[Run]:
    """One run or several, as a list."""
    return [runs] if isinstance(runs, Run) else list(runs)


def ensemble_run(runs: Run | Sequence[Run]) -> Run:
    """Where the ensemble of these runs is kept: in the run itself, or in A+B beside the first one."""
    listed = as_runs(runs)
    return listed[0] if len(listed) == 1 else Run(listed[0].path.parent / joined_name(listed))


def joined_name(runs: Sequence[Run]) -> str:
    """What several runs together are called: A+B."""
    return "+".join(run.name for run in runs)


def export_path(runs: Run | Sequence[Run], form: str, out: Path | None, *, overwrite: bool) -> Path:
    """Where an exported file goes: ``out``, else in the run's own folder, with the run's name.

    Raises:
        ExportError: it exists and is not to be overwritten, or its suffix means something else.
    """
    suffix = {"onnx": ".onnx", "torchscript": ".pt"}[form]
    place = ensemble_run(runs)
    path = out or place.local_path / f"{place.name}{suffix}"
    if path.suffix != suffix:
        raise ExportError(f"--out is {path}: expected a name ending in {suffix} for {form}, or give another --format")
    if path.exists() and not overwrite:
        raise ExportError(f"{path} exists: choose another --out, or give --overwrite")
    return path


def pack_path(runs: Run | Sequence[Run], out: Path | None) -> Path:
    """Where a pack goes: ``out``, else ``packs/RUN``."""
    return out or PACKS / ensemble_run(runs).name
