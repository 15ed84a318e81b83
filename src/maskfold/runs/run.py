"""A run: one resolved config and its folder ``runs/<name>/``."""

import json
import platform
import shutil
import subprocess
from collections.abc import Collection
from contextlib import AbstractContextManager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from maskfold.config import Config, changed_keys, load_config, save_config
from maskfold.errors import RunError
from maskfold.files import atomic_path
from maskfold.runs.checkpoint import file_digest
from maskfold.runs.lock import exclusive
from maskfold.runs.maps import MapStore

# They change speed or comfort, never a result: a run may go on with other values.
FREE_KEYS = ("data.workers", "inference.batch_size", "train.max_hours", "train.trackers")
REPORTED_PACKAGES = (
    "torch",
    "segmentation-models-pytorch",
    "timm",
    "albumentations",
    "numpy",
    "opencv-python",
)


class FoldFolder:
    """``runs/<name>/fold_<k>/``: what training one fold leaves behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The fold as users write it: ``3`` or ``all``."""
        return self.path.name.removeprefix("fold_")

    @property
    def last(self) -> Path:
        """The complete training state."""
        return self.path / "last.pt"

    @property
    def metrics_path(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    def checkpoint_path(self, checkpoint: str) -> Path:
        """Weights of one checkpoint."""
        return self.path / f"{checkpoint}.safetensors"

    def checkpoints(self) -> list[str]:
        """Names of all stored checkpoints: best, ema, snapshot_1 …"""
        return sorted(path.stem for path in self.path.glob("*.safetensors") if path.name[0] != ".")

    def snapshots(self) -> list[str]:
        """Names of the snapshots, in the order in which they were taken."""
        found = [checkpoint for checkpoint in self.checkpoints() if checkpoint.startswith("snapshot_")]
        return sorted(found, key=lambda checkpoint: int(checkpoint.removeprefix("snapshot_")))

    def weights_of(self, checkpoint: str) -> list[str]:
        """Weights that make up a checkpoint: ``snapshots`` is all snapshots, every other kind itself.

        Raises:
            RunError: the fold has no such checkpoint.
        """
        found = self.snapshots() if checkpoint == "snapshots" else [m for m in self.checkpoints() if m == checkpoint]
        if not found:
            raise RunError(
                f"{self.path} has no checkpoint '{checkpoint}': it has {', '.join(self.checkpoints()) or 'none'}"
            )
        return found

    def oof(self, checkpoint: str, classes: int = 1) -> MapStore:
        """Out-of-fold probabilities of a checkpoint on this fold's validation images."""
        return MapStore(self.path / "oof" / checkpoint, classes)

    def finished(self) -> bool:
        """Whether training came to its end."""
        return (self.path / "summary.json").exists()

    def summary(self) -> dict[str, Any]:
        """What training reported at its end: scores of all candidates, epochs, seconds, device."""
        try:
            return json.loads((self.path / "summary.json").read_text())
        except FileNotFoundError:
            raise RunError(f"fold {self.name} of {self.path.parent} is not trained to its end") from None
        except ValueError:
            raise RunError(f"{self.path / 'summary.json'} is damaged: train the fold with --overwrite") from None

    def finish(self, summary: dict[str, Any]) -> None:
        """Write the digests of all weights, then the summary, whose presence marks the fold as finished."""
        digests = {checkpoint: file_digest(self.checkpoint_path(checkpoint)) for checkpoint in self.checkpoints()}
        for name, content in (("manifest.json", digests), ("summary.json", summary)):
            with atomic_path(self.path / name) as temporary:
                temporary.write_text(json.dumps(content, indent=2) + "\n")

    def digest(self, checkpoint: str) -> str | None:
        """SHA-256 that a checkpoint's weights must have; null while the fold is unfinished."""
        manifest = self.path / "manifest.json"
        return json.loads(manifest.read_text()).get(checkpoint) if manifest.exists() else None

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes off this fold."""
        return exclusive(self.path)


class Run:
    """One resolved config and its folder."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @classmethod
    def open(cls, path: Path) -> "Run":
        """An existing run.

        Raises:
            RunError: the folder is no run.
        """
        run = cls(path)
        if not run.config_path.exists():
            raise RunError(f"{path} is not a run (no config.yaml): train first, python src/train_fold.py --fold 0")
        return run

    @classmethod
    def create(cls, config: Config, root: Path = Path("runs"), overwrite: Collection[int | str] = ()) -> "Run":
        """The run of this config: new, or the existing one if it was made with the same config.

        Args:
            overwrite: folds whose earlier training is forgotten, once it is sure that the config fits.

        Raises:
            RunError: the folder holds other folds that were trained with another config.
        """
        run = cls.named(config.name, root)
        changes = run._changes(config) if run.config_path.exists() else []
        if changes and run.begun_folds() - {str(fold) for fold in overwrite}:
            raise RunError(
                f"{run.path} was made with another config ({'; '.join(changes)}): "
                "give this one another --name, or remove the folder"
            )
        for fold in overwrite:
            shutil.rmtree(run.fold(fold).path, ignore_errors=True)
        if changes:
            run.folds_path.unlink(missing_ok=True)
        if changes or not run.config_path.exists():
            save_config(config, run.config_path, **made_with())
            run.__dict__.pop("config", None)
        return run

    @classmethod
    def named(cls, name: str, root: Path = Path("runs")) -> "Run":
        """The run of a name, whether it exists or not."""
        return cls(root / name)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def config_path(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def folds_path(self) -> Path:
        """The division into folds."""
        return self.path / "folds.csv"

    @property
    def ensemble_path(self) -> Path:
        """What tuning chose."""
        return self.path / "ensemble.yaml"

    @cached_property
    def config(self) -> Config:
        """The resolved config that the run was made with."""
        return load_config(self.config_path)

    def fold(self, fold: int | str) -> FoldFolder:
        """The folder of a fold number, or of ``all``."""
        return FoldFolder(self.path / f"fold_{fold}")

    def finished_folds(self) -> list[int]:
        """Numbers of the folds that are trained to their end."""
        numbers = [path.name.removeprefix("fold_") for path in self.path.glob("fold_*")]
        return sorted(int(n) for n in numbers if n.isdecimal() and self.fold(n).finished())

    def begun_folds(self) -> set[str]:
        """Names of the folds that have a checkpoint: ``0``, ``3``, ``all`` …"""
        files = [*self.path.glob("fold_*/*.pt"), *self.path.glob("fold_*/*.safetensors")]
        return {file.parent.name.removeprefix("fold_") for file in files}

    def _changes(self, config: Config) -> list[str]:
        changes = changed_keys(self.config, config)
        return [change for change in changes if change.split(":")[0] not in FREE_KEYS]


def made_with() -> dict[str, str]:
    """Versions and code commit, for the record."""
    facts = {package: version(package) for package in REPORTED_PACKAGES}
    return {"python": platform.python_version(), **facts, "commit": _commit()}


def _commit() -> str:
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
