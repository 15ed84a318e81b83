"""What training one fold leaves behind, below ``fold_<k>/`` of its run."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfold.errors import RunError
from maskfold.locks import exclusive, notice_at
from maskfold.program import command_line
from maskfold.runs.checkpoint import state_from_bytes, state_to_bytes, weights_from_bytes, weights_to_bytes
from maskfold.runs.documents import to_json
from maskfold.runs.manifest import AGAIN, Manifest
from maskfold.runs.maps import MapStore
from maskfold.storage import Storage, url_of

if TYPE_CHECKING:  # a run's folder is read without torch
    import torch

logger = logging.getLogger(__name__)

PREVIEW = "preview"
ALL = "all"  # the fold that trains on every image
LAST, PREVIOUS, SUMMARY, WEIGHTS = "last.pt", "previous.pt", "summary.json", ".safetensors"


class FoldFolder:
    """One fold of a run: checkpoints, training state, summary, out-of-fold maps.

    ``path`` is where people find it, in messages and for trackers; its files are read and written through the storage.
    """

    def __init__(self, run_path: Path, storage: Storage, fold: int | str) -> None:
        self.name = str(fold)
        self.storage = storage
        self.path = run_path / self.key()
        self.manifest = Manifest(storage, self.key(), self.path)

    def key(self, *parts: str) -> str:
        """The storage's key of something in this folder."""
        return "/".join([f"fold_{self.name}", *parts])

    def checkpoint_path(self, checkpoint: str) -> Path:
        """Where people find the weights of a checkpoint."""
        return self.path / f"{checkpoint}{WEIGHTS}"

    def save_checkpoint(self, checkpoint: str, weights: dict[str, "torch.Tensor"]) -> None:
        """Store one set of weights."""
        self.manifest.publish(f"{checkpoint}{WEIGHTS}", weights_to_bytes(weights))

    def load_checkpoint(self, checkpoint: str) -> dict[str, "torch.Tensor"]:
        """The weights of a checkpoint, checked against the digest that was written down with them.

        Raises:
            RunError: the file is missing or damaged.
        """
        path = self.checkpoint_path(checkpoint)
        try:
            content = self.manifest.read(path.name)
        except FileNotFoundError:
            first = f"train the fold first ({command_line('train-fold')})"
            first = f"restore it, or {AGAIN}" if self.finished() else first
            raise RunError(f"there is no {path}: {first}") from None
        return weights_from_bytes(content, path)

    def check_weights(self, checkpoints: Sequence[str]) -> None:
        """Refuse checkpoints that are gone or damaged, before a training goes on that would call them its own.

        Of one that a kill kept from being replaced, the digest is that of what is there; the caller holds the lock.

        Raises:
            RunError: the first of them.
        """
        for checkpoint in checkpoints:
            path = self.checkpoint_path(checkpoint)
            try:
                self.manifest.settle(path.name)
            except FileNotFoundError:
                raise RunError(f"{path}, which this training had stored, is gone: restore it, or {AGAIN}") from None

    def checkpoints(self) -> list[str]:
        """Names of all stored checkpoints: best, ema, snapshot_1 … Of a finished fold those that it ended with."""
        names = self.manifest.names() if self.finished() else self._files()
        return sorted(name.removesuffix(WEIGHTS) for name in names if name.endswith(WEIGHTS))

    def _files(self) -> list[str]:
        return [key.rpartition("/")[2] for key in self.storage.list(self.key()) if key.count("/") == 1]

    def snapshots(self) -> list[str]:
        """Names of the snapshots, in the order of their cycles."""
        found = [checkpoint for checkpoint in self.checkpoints() if checkpoint.startswith("snapshot_")]
        return sorted(found, key=lambda checkpoint: int(checkpoint.removeprefix("snapshot_")))

    def weights_of(self, checkpoint: str) -> list[str]:
        """The stored checkpoints that make one up: ``snapshots`` is all snapshots, every other one is itself.

        Raises:
            RunError: the fold has no such checkpoint.
        """
        alone = [checkpoint] if checkpoint in self.checkpoints() else []
        found = self.snapshots() if checkpoint == "snapshots" else alone
        if not found:
            raise RunError(
                f"{self.path} has no checkpoint '{checkpoint}': it has {', '.join(self.checkpoints()) or 'none'}"
            )
        return found

    def save_state(self, state: dict[str, Any]) -> None:
        """Store the complete training state as ``last.pt``; the one before it is kept as ``previous.pt``."""
        self.manifest.rotate(LAST, PREVIOUS, state_to_bytes(state))

    def load_state(self) -> dict[str, Any] | None:
        """What `save_state` stored last, on the CPU; None before that.

        Where it is damaged or gone, it is removed and the one before it taken, which the log tells.

        Raises:
            RunError: both are damaged.
        """
        problem = None
        try:
            return state_from_bytes(self.manifest.read(LAST), self.path / LAST)
        except FileNotFoundError:
            if not self.storage.exists(self.key(PREVIOUS)):
                return None
            problem = f"{self.path / LAST} is gone"
        except RunError as error:
            if not self.storage.exists(self.key(PREVIOUS)):
                raise
            problem = str(error).partition(": ")[0]
        state = state_from_bytes(self.manifest.read(PREVIOUS), self.path / PREVIOUS)
        self.manifest.remove(LAST)
        logger.warning(
            "%s: going on from the state before it, %s; what was trained since is repeated", problem, PREVIOUS
        )
        return state

    def save_preview(self, epoch: int, picture: bytes) -> None:
        """Store the picture of some validation images after an epoch, a JPEG."""
        self.storage.publish(self.key(PREVIEW, f"{epoch:04d}.jpg"), picture)

    def previews(self) -> dict[int, str]:
        """The epochs that have a picture, in order, and the key of each."""
        keys = [key for key in self.storage.list(self.key(PREVIEW)) if key.endswith(".jpg")]
        return {int(key.rpartition("/")[2].removesuffix(".jpg")): key for key in sorted(keys)}

    def has_state(self) -> bool:
        """Whether `save_state` has stored anything."""
        return any(self.storage.exists(self.key(name)) for name in (LAST, PREVIOUS))

    def oof(self, checkpoint: str) -> MapStore:
        """Out-of-fold probabilities of a checkpoint on this fold's validation images."""
        return MapStore(self.storage, self.key("oof", checkpoint))

    def all_oof(self) -> list[MapStore]:
        """The out-of-fold probabilities of all checkpoints, and of single views, that were stored."""
        keys = self.storage.list(self.key("oof"))
        return [self.oof(name) for name in sorted({key.split("/")[2] for key in keys})]

    def teacher(self) -> MapStore:
        """What the teachers see on this fold's training images."""
        return MapStore(self.storage, self.key("teacher"))

    def begun(self) -> bool:
        """Whether training has left anything that it could go on with."""
        return any(name in (LAST, PREVIOUS) or name.endswith(WEIGHTS) for name in self._files())

    def finished(self) -> bool:
        """Whether training came to an end, so that the fold can predict."""
        return self.storage.exists(self.key(SUMMARY))

    def may_continue(self, max_hours: float | None) -> bool:
        """Whether ``train.max_hours`` ended training, and this limit (None: no limit) lets it go on."""
        stopped_at = self.summary().get("max_hours")
        return stopped_at is not None and (max_hours is None or max_hours > stopped_at)

    def summary(self) -> dict[str, Any]:
        """What training reported at its end: scores of all candidates, epochs, seconds, when it ended, device.

        Raises:
            RunError: the fold is not trained to its end, or the file is damaged.
        """
        try:
            return json.loads(self.manifest.read(SUMMARY))
        except FileNotFoundError:
            raise RunError(f"fold {self.name} of {self.path.parent} is not trained to its end") from None

    def optimistic(self) -> bool:
        """Whether the finished fold learned from networks that saw its validation images."""
        return self.finished() and bool(self.summary().get("optimistic"))

    def finish(self, summary: dict[str, Any]) -> None:
        """Store the summary, whose presence marks the fold as finished."""
        self.manifest.publish(SUMMARY, to_json(summary))

    def reopen(self) -> None:
        """Take back what `finish` stored, so that training can go on."""
        self.manifest.remove(SUMMARY)

    def digest(self, checkpoint: str) -> str | None:
        """SHA-256 that a checkpoint's weights must have; None while the fold is unfinished.

        Raises:
            RunError: the list of digests is damaged.
        """
        return self.manifest.digest(f"{checkpoint}{WEIGHTS}") if self.finished() else None

    def digests(self, checkpoint: str) -> list[str | None]:
        """SHA-256 of the weights that make up a checkpoint, see `weights_of`; at the end of training, too.

        Raises:
            RunError: the fold has no such checkpoint, or the list of digests is damaged.
        """
        return [self.manifest.digest(f"{name}{WEIGHTS}") for name in self.weights_of(checkpoint)]

    def clear(self) -> None:
        """Remove everything that training left; the caller holds the lock."""
        self.reopen()
        self.storage.remove(self.key())
        self.manifest = Manifest(self.storage, self.key(), self.path)

    def sweep(self) -> None:
        """Remove what trainings that were killed left unfinished; the caller holds the lock.

        Out-of-fold maps and exported graphs are not looked at: others may be writing them.
        """
        for folder in (self.key(), self.key("stats"), self.key(PREVIEW)):
            self.storage.sweep(folder)
        self.teacher().sweep()

    def lock(self, *parts: str, wait: bool = False) -> AbstractContextManager[None]:
        """Keep other processes off this fold, or off a part of it such as ``"oof", "best"``.

        Args:
            parts: name the part.
            wait: until they are done, instead of a `BusyError`.
        """
        folder, name, shared = self.path.parent, ".".join([self.key(), *parts, "lock"]), None
        if (url := url_of(folder)) is not None:
            own = f"maskfold-{os.getuid()}" if hasattr(os, "getuid") else "maskfold"
            folder = Path(tempfile.gettempdir(), own, hashlib.sha256(url.encode()).hexdigest()[:16])
            shared = notice_at(self.storage, name)
        advice = "wait for it, or choose another fold or --name"
        return exclusive(folder / f".{name}", self.path.joinpath(*parts), shared=shared, wait=wait, advice=advice)
