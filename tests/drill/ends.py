"""What a run ended with, file by file, to be compared byte for byte with an undisturbed one."""

import json
import re
from pathlib import Path

import pandas as pd

from maskfold.errors import RunError
from maskfold.runs import MapStore, Run

# They say when and how fast, not what.
TIMES = ("seconds", "ended", "processes")


def end_of(folder: Path) -> dict[str, bytes]:
    """Name -> content of everything that counts, whatever there is by now; what kills left behind counts too."""
    found: dict[str, bytes] = {}
    for fold in sorted((folder / "runs/r").glob("fold_*")):
        if fold.is_dir():
            found |= _fold(Run(fold.parent), fold.name.removeprefix("fold_"))
    for path in (folder / "runs/r/ensemble.yaml", folder / "runs/r/folds.csv", folder / "sub.csv"):
        if path.exists():
            found[path.name] = path.read_bytes()
    if (log := folder / "submissions/log.csv").exists():
        found["log.csv"] = pd.read_csv(log, dtype=str).drop(columns="time").to_csv().encode()
    # The lock of one who was killed stays until somebody holds it again; nobody does where all is done.
    left = [path for path in folder.rglob(".*") if not path.name.endswith(".lock")]
    return found | {f"left behind: {path.relative_to(folder)}": b"" for path in left}


def differences(wanted: dict[str, bytes], found: dict[str, bytes], but: str = "-") -> list[str]:
    """Names of what is missing, more or another, but for those that hold ``but``."""
    names = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    return [name for name in names if but not in name]


def _fold(run: Run, number: str) -> dict[str, bytes]:
    fold = run.fold(number)
    found = {path.name: path.read_bytes() for path in fold.path.glob("*.safetensors")}
    if (metrics := fold.path / "metrics.csv").exists():
        found["metrics.csv"] = metrics.read_bytes()
    if fold.finished():
        try:
            summary = {key: value for key, value in fold.summary().items() if key not in TIMES}
            found["summary.json"] = json.dumps(summary).encode()
        except RunError as error:
            found["summary.json"] = str(error).encode()
    found |= {f"stats {path.name}": path.read_bytes() for path in fold.path.glob("stats/*.npz")}
    for path in sorted(fold.path.glob("oof/*")):
        found |= _maps(fold.oof(path.name), path)
    return found


def _maps(store: MapStore, path: Path) -> dict[str, bytes]:
    try:
        named = {shard for shard, *_ in json.loads((path / "maps.json").read_bytes())["maps"].values()}
        found = {f"oof {path.name} {name}": store.read(name).tobytes() for name in store.ids()}
    except (RunError, ValueError, OSError) as error:
        return {f"oof {path.name}": str(error).encode()}
    strangers = {each.name for each in path.glob("*.pngs")} - named
    return found | {f"left behind: {path.name}/{name}": b"" for name in strangers}


def is_one_message(said: str) -> bool:
    """Whether a command ended with a message for people, whose further lines are indented, and not with Python's."""
    return bool(re.search(r"^error: .+(\n  .+)*\s*\Z", said, re.M)) and not re.search("MASKFOLD_DEBUG|Traceback", said)
