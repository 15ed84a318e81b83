"""Weights of checkpoints (safetensors) and the complete training state (``last.pt``), written atomically."""

import hashlib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfold.errors import RunError
from maskfold.files import atomic_path

if TYPE_CHECKING:  # a run's folder is read without torch: it is imported where tensors are
    import torch


def save_checkpoint(weights: dict[str, "torch.Tensor"], path: Path) -> None:
    """Write one set of weights as safetensors: a copy on disk, never a reference to live weights."""
    from safetensors.torch import save_file

    copies = {key: tensor.detach().cpu().contiguous() for key, tensor in weights.items()}
    with atomic_path(path) as temporary:
        save_file(copies, temporary)


def load_checkpoint(path: Path, *, sha256: str | None = None) -> dict[str, "torch.Tensor"]:
    """Read what `save_checkpoint` wrote; ``sha256`` is the digest it must have, if known.

    Raises:
        RunError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise RunError(f"there is no {path}: train the fold first (python src/train_fold.py)")
    if sha256 is not None and file_digest(path) != sha256:
        raise RunError(_damaged(path, "its content is not what training wrote"))
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(_damaged(path, str(error))) from None


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a complete training state: tensors and plain values only, so that it loads with weights_only."""
    import torch

    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU, after checking the archive's checksums.

    Raises:
        RunError: the file is damaged.
    """
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise RunError(_damaged(path, f"checksum of {bad} differs"))
        return torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, OSError, EOFError) as error:
        raise RunError(_damaged(path, str(error).splitlines()[0])) from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged ({reason}): train the fold again with --overwrite, or restore the file"
