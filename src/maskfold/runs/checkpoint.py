"""Weights of checkpoints (safetensors) and the complete training state (``last.pt``) as bytes, and back."""

import hashlib
import io
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

from maskfold.archives import refuse_packed
from maskfold.errors import RunError
from maskfold.runs.manifest import damaged

if TYPE_CHECKING:  # a run's folder is read without torch: it is imported where tensors are
    import torch


def weights_to_bytes(weights: dict[str, "torch.Tensor"]) -> bytes:
    """One set of weights as safetensors: a copy, never a reference to live weights."""
    from safetensors.torch import save

    return save({key: tensor.detach().cpu().contiguous() for key, tensor in weights.items()})


def weights_from_bytes(content: bytes, source: object, *, sha256: str | None = None) -> dict[str, "torch.Tensor"]:
    """What `weights_to_bytes` was given; ``sha256`` is the digest that ``content`` must have, if known.

    Raises:
        RunError: ``content``, which is that of ``source``, is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise damaged(source, "its content is not what training wrote")
    try:
        return load(content)
    except SafetensorError as error:
        raise damaged(source, str(error)) from None


def state_to_bytes(state: dict[str, Any]) -> bytes:
    """A complete training state: tensors and plain values only, so that it loads with weights_only."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def state_from_bytes(content: bytes, source: object) -> dict[str, Any]:
    """What `state_to_bytes` was given, on the CPU, after checking the archive's checksums.

    Raises:
        RunError: ``content``, which is that of ``source``, is damaged.
    """
    import torch

    try:
        refuse_packed(io.BytesIO(content))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            bad = archive.testzip()
        if bad is not None:
            raise damaged(source, f"checksum of {bad} differs")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RunError, MemoryError):
        raise
    except pickle.UnpicklingError:  # its own text advises to switch the safety off
        raise damaged(source, "it holds Python objects that could run code, which training never writes") from None
    except Exception as error:  # of a damaged file zipfile and the unpickler raise whatever they stumble over
        raise damaged(source, str(error).strip().partition("\n")[0]) from None
    if not isinstance(state, dict):
        raise damaged(source, f"it holds a {type(state).__name__}")
    return state
