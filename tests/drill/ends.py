"""What a run ended with, file by file, to be compared byte for byte with an undisturbed one."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from maskfold.runs import Run

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
    left = [path for path in folder.rglob(".*") if path.name != ".begun"]
    return found | {f"left behind: {path.relative_to(folder)}": b"" for path in left}


def differences(wanted: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Names of what is missing, more or another."""
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _fold(run: Run, number: str) -> dict[str, bytes]:
    fold = run.fold(number)
    found = {path.name: path.read_bytes() for path in fold.path.glob("*.safetensors")}
    if (metrics := fold.path / "metrics.csv").exists():
        found["metrics.csv"] = metrics.read_bytes()
    if fold.finished():
        summary = {key: value for key, value in fold.summary().items() if key not in TIMES}
        found["summary.json"] = json.dumps(summary).encode()
    for path in sorted(fold.path.glob("stats/*.npz")):
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found[f"stats {path.name}"] = b"".join(arrays[name].tobytes() for name in sorted(arrays))
    for path in sorted(fold.path.glob("oof/*")):
        store = fold.oof(path.name)
        named = {shard for shard, *_ in json.loads((path / "maps.json").read_bytes())["maps"].values()}
        found |= {f"oof {path.name} {name}": store.read(name).tobytes() for name in store.ids()}
        strangers = {each.name for each in path.glob("*.pngs")} - named
        found |= {f"left behind: {path.name}/{name}": b"" for name in strangers}
    return found


def is_one_message(said: str) -> bool:
    """Whether a command ended with a message for people, and not with an error of Python's."""
    last = said.strip().splitlines()[-1:] or [""]
    return (
        "error: " in said and "MASKFOLD_DEBUG" not in said and "Traceback" not in said and last[0].startswith("error:")
    )


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive."""
    return zipfile.is_zipfile(path)
