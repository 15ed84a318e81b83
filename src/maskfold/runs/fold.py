"""What training one fold leaves behind, below ``fold_<k>/`` of its run."""

import hashlib
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfold.errors import RunError
from maskfold.program import command_line
from maskfold.runs.checkpoint import state_from_bytes, state_to_bytes, weights_from_bytes, weights_to_bytes
from maskfold.runs.documents import read_json, to_json
from maskfold.runs.lock import exclusive
from maskfold.runs.maps import MapStore
from maskfold.storage import Storage, url_of

if TYPE_CHECKING:  # a run's folder is read without torch
    import torch

ALL = "all"  # the fold that trains on every image
AGAIN = "train the fold again with --overwrite"


class FoldFolder:
    """One fold of a run: checkpoints, training state, summary, out-of-fold maps.

    ``path`` is where people find it, in messages and for trackers; its files are read and written through the storage.
    """

    def __init__(self, run_path: Path, storage: Storage, fold: int | str) -> None:
        self.name = str(fold)
        self.storage = storage
        self.path = run_path / self.key()

    def key(self, *parts: str) -> str:
        """The storage's key of something in this folder."""
        return "/".join([f"fold_{self.name}", *parts])

    def checkpoint_path(self, checkpoint: str) -> Path:
        """Where people find the weights of a checkpoint."""
        return self.path / f"{checkpoint}.safetensors"

    def save_checkpoint(self, checkpoint: str, weights: dict[str, "torch.Tensor"]) -> None:
        """Store one set of weights."""
        self.storage.publish(self.key(f"{checkpoint}.safetensors"), weights_to_bytes(weights))

    def load_checkpoint(self, checkpoint: str) -> dict[str, "torch.Tensor"]:
        """The weights of a checkpoint, checked against the digest that training wrote down at its end.

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self.checkpoint_path(checkpoint)
        try:
            content = self.storage.read(self.key(path.name))
        except FileNotFoundError:
            raise RunError(f"there is no {path}: train the fold first ({command_line('train-fold')})") from None
        return weights_from_bytes(content, path, sha256=self.digest(checkpoint))

    def checkpoints(self) -> list[str]:
        """Names of all stored checkpoints: best, ema, snapshot_1 …"""
        names = [key.rpartition("/")[2] for key in self.storage.list(self.key()) if key.count("/") == 1]
        return sorted(name.removesuffix(".safetensors") for name in names if name.endswith(".safetensors"))

    def snapshots(self) -> list[str]:
        """Names of the snapshots, in the order of their cycles."""
        found = [checkpoint for checkpoint in self.checkpoints() if checkpoint.startswith("snapshot_")]
        return sorted(found, key=lambda checkpoint: int(checkpoint.removeprefix("snapshot_")))

    def weights_of(self, checkpoint: str) -> list[str]:
        """The stored checkpoints that make one up: ``snapshots`` is all snapshots, every other one is itself.

        Raises:
            RunError: the fold has no such checkpoint.
        """
        found = self.snapshots() if checkpoint == "snapshots" else [m for m in self.checkpoints() if m == checkpoint]
        if not found:
            raise RunError(
                f"{self.path} has no checkpoint '{checkpoint}': it has {', '.join(self.checkpoints()) or 'none'}"
            )
        return found

    def save_state(self, state: dict[str, Any]) -> None:
        """Store the complete training state as ``last.pt``."""
        self.storage.publish(self.key("last.pt"), state_to_bytes(state))

    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` stored, on the CPU; None before that.

        Raises:
            RunError: the file is damaged.
        """
        try:
            content = self.storage.read(self.key("last.pt"))
        except FileNotFoundError:
            return None
        return state_from_bytes(content, self.path / "last.pt")

    def has_state(self) -> bool:
        """Whether `save_state` has stored anything."""
        return self.storage.exists(self.key("last.pt"))

    def oof(self, checkpoint: str) -> MapStore:
        """Out-of-fold probabilities of a checkpoint on this fold's validation images."""
        return MapStore(self.storage, self.key("oof", checkpoint))

    def teacher(self) -> MapStore:
        """What the teachers see on this fold's training images."""
        return MapStore(self.storage, self.key("teacher"))

    def begun(self) -> bool:
        """Whether training has left anything that it could go on with."""
        return bool(self.checkpoints()) or self.has_state()

    def finished(self) -> bool:
        """Whether training came to an end, so that the fold can predict."""
        return self.storage.exists(self.key("summary.json"))

    def may_continue(self, max_hours: float | None) -> bool:
        """Whether ``train.max_hours`` ended training, and this limit (None: no limit) lets it go on."""
        stopped_at = self.summary().get("max_hours")
        return stopped_at is not None and (max_hours is None or max_hours > stopped_at)

    def summary(self) -> dict[str, Any]:
        """What training reported at its end: scores of all candidates, epochs, seconds, when it ended, device.

        Raises:
            RunError: the fold is not trained to its end, or the file is damaged.
        """
        found = read_json(self.storage, self.key("summary.json"), advice=AGAIN)
        if found is None:
            raise RunError(f"fold {self.name} of {self.path.parent} is not trained to its end")
        return found

    def optimistic(self) -> bool:
        """Whether the finished fold learned from networks that saw its validation images."""
        return self.finished() and bool(self.summary().get("optimistic"))

    def finish(self, summary: dict[str, Any]) -> None:
        """Store the digests of all weights, then the summary, whose presence marks the fold as finished."""
        digests = {
            name: hashlib.sha256(self.storage.read(self.key(f"{name}.safetensors"))).hexdigest()
            for name in self.checkpoints()
        }
        self.storage.publish(self.key("manifest.json"), to_json(digests))
        self.storage.publish(self.key("summary.json"), to_json(summary))

    def reopen(self) -> None:
        """Take back what `finish` stored, so that training can go on."""
        self.storage.remove(self.key("summary.json"))
        self.storage.remove(self.key("manifest.json"))

    def digest(self, checkpoint: str) -> str | None:
        """SHA-256 that a checkpoint's weights must have; None while the fold is unfinished.

        Raises:
            RunError: the list of digests is damaged.
        """
        digests = read_json(self.storage, self.key("manifest.json"), advice=AGAIN)
        return None if digests is None else digests.get(checkpoint)

    def clear(self) -> None:
        """Remove everything that training left."""
        with self.lock():
            self.reopen()
            self.storage.remove(self.key())

    def lock(self) -> AbstractContextManager[None]:
        """Keep other processes of this machine off this fold."""
        folder = self.path.parent
        if (url := url_of(folder)) is not None:
            folder = Path(tempfile.gettempdir(), "maskfold", hashlib.sha256(url.encode()).hexdigest()[:16])
        return exclusive(folder / f".{self.key()}.lock", self.path)
