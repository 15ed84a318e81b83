"""Published weights from the network, asked for with little patience: a machine without one learns it at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import EntryNotFoundError

from maskfold.errors import ModelError
from maskfold.models.published import FILES, Published

# Seconds in which the server must answer. Without this, Hugging Face's client tries five times for ten seconds each.
PATIENCE = 2.5


def fetch(source: Published) -> Path:
    """The file of these weights, from Hugging Face or ``source.url``, kept in the usual cache.

    Raises:
        ModelError: the server did not answer within `PATIENCE` (the reason is the message), or the transfer broke off.
    """
    try:
        return _from_hub(source) if source.repository else _from_url(source.url)
    except ModelError:
        raise
    except Exception as error:  # the client's own errors are of four families, and change with its versions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{reason[:150]}{'…' if len(reason) > 150 else ''}") from error


def torch_hub_file(url: str) -> Path:
    """Where torch hub keeps what it fetched from ``url``."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name


def _from_hub(source: Published) -> Path:
    for name in FILES:
        url = hf_hub_url(source.repository, name, revision=source.revision)
        try:
            _in_time(lambda url=url: get_hf_file_metadata(url, timeout=PATIENCE), url)
        except EntryNotFoundError:
            continue
        return Path(hf_hub_download(source.repository, name, revision=source.revision))
    raise ModelError(f"{source.repository} has none of {', '.join(FILES)}")


def _from_url(url: str) -> Path:
    # Not Hugging Face's server: its token is not for this one.
    _in_time(lambda: get_hf_file_metadata(url, timeout=PATIENCE, token=False), url)
    path = torch_hub_file(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(url, str(path))
    return path


def _in_time(ask: Callable[[], object], url: str) -> None:
    """Run ``ask``, but wait for it no longer than `PATIENCE`: the look-up of a name has no time limit of its own."""
    found: list[Any] = []

    def run() -> None:
        try:
            ask()
        except Exception as error:  # handed on to the caller's thread
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise ModelError(f"{urlsplit(url).hostname} did not answer within {PATIENCE:g} s")
    if found:
        raise found[0]
