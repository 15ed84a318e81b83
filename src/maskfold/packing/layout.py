"""The layout of a pack, and its runs as prediction sees them.

====================================  =========================================================================
``README.md``                         the model card
``pack.json``                         SHA-256 of every other file
``ensemble.yaml``, ``profile.yaml``   what predicts, and how the competition's files are read
``runs/NAME/config.yaml``             the resolved config, without places
``runs/NAME/fold_K/CHECKPOINT/``      ``model.safetensors``: the net's weights as smp names them; ``config.json``
                                      beside it where smp's own ``from_pretrained`` can load them;
                                      ``beside.safetensors``: mean and deviation of the images, and heads that
                                      smp does not know, for deep supervision and presence
====================================  =========================================================================
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfold.runs import FoldFolder, Run
from maskfold.runs.checkpoint import weights_from_bytes
from maskfold.runs.documents import read_json
from maskfold.storage import LocalStorage

if TYPE_CHECKING:  # a pack is opened and checked without torch
    import torch

CARD, CONTENTS, ENSEMBLE, PROFILE, RUNS = "README.md", "pack.json", "ensemble.yaml", "profile.yaml", "runs"
MODEL, BESIDE, HUB = "model.safetensors", "beside.safetensors", "config.json"
# What the wrapper puts before the names of the net's own tensors, and which of those smp's class does not have.
NET = "net."
ADDED = f"{NET}deep_heads."


class PackedFold(FoldFolder):
    """A fold in a pack: each checkpoint is a folder in the layout of model hubs."""

    def checkpoint_path(self, checkpoint: str) -> Path:
        return self.path / checkpoint / MODEL

    def checkpoints(self) -> list[str]:
        keys = (key.split("/") for key in self.storage.list(self.key()))
        return sorted(parts[1] for parts in keys if len(parts) == 3 and parts[2] == MODEL)

    def load_checkpoint(self, checkpoint: str) -> dict[str, "torch.Tensor"]:
        def read(name: str, sha256: str | None = None) -> dict[str, "torch.Tensor"]:
            content = self.storage.read(self.key(checkpoint, name))
            return weights_from_bytes(content, self.path / checkpoint / name, sha256=sha256)

        net = read(MODEL, self.digest(checkpoint))
        return {f"{NET}{name}": tensor for name, tensor in net.items()} | read(BESIDE)

    def digest(self, checkpoint: str) -> str | None:
        return (self._document("manifest.json") or {}).get(checkpoint)

    def summary(self) -> dict[str, Any]:
        return self._document("summary.json") or super().summary()

    def _document(self, name: str) -> dict[str, Any] | None:
        # The list of the pack holds the digests of both.
        return read_json(self.storage, self.key(name), advice="copy the pack again")


class PackedRun(Run):
    """A run in a pack."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _ReadOnly(path))

    def fold(self, fold: int | str) -> FoldFolder:
        return PackedFold(self.path, self.storage, fold)


class _ReadOnly(LocalStorage):
    def publish(self, key: str, content: bytes) -> None:
        raise PermissionError(f"a pack is read-only: {self.root / key}")
