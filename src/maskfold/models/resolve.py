"""From what ``model.encoder_weights`` says to a file: what is at hand first, the network last."""

import logging
import os
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from maskfold.errors import ModelError
from maskfold.models.download import fetch, torch_hub_file
from maskfold.models.published import FILES, Published, file_stems, plain_stem, pretrained_names, published

logger = logging.getLogger(__name__)

# The environment variable that names folders of weights, separated as in PATH.
FOLDERS = "MASKFOLD_WEIGHTS"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


def resolve_weights(weights: str, encoder: str) -> Path:
    """The file of ``weights`` for ``encoder``; the first of these that there is.

    1. A path, with or without its suffix, so that ``runs/A/fold_0/best`` is a run's checkpoint.
    2. In the folders of ``MASKFOLD_WEIGHTS``: a file of that name, or one whose name is the encoder's and the
       weights' (`maskfold.models.published.file_stems`): ``resnet34_imagenet.safetensors``, ``resnet34-b627a593.pth``.
    3. Where ``weights`` is a published name: Hugging Face's cache, torch hub's, and at last the network.

    Raises:
        ModelError: no such file and no such published name; several files that fit equally (all are listed); no
            network (the message names the address, and where to put the file).
    """
    names = pretrained_names(encoder)
    found = resolve_local(weights, encoder)
    if found is not None:
        return found
    if weights not in names:
        raise ModelError(
            f"there are no weights {weights} for encoder {encoder}: neither a file, nor published (published are: "
            f"{', '.join(names) or 'none'}), nor in {_folder_words()}; model.encoder_weights is a published name, a "
            "file, a run (runs/NAME) or its checkpoint (runs/NAME/fold_0/best), or null"
        )
    return _fetched(published(encoder, weights), weights, encoder)


def resolve_local(weights: str, encoder: str) -> Path | None:
    """As `resolve_weights`, without the network; None where the file is not on this machine.

    Raises:
        ModelError: several files that fit equally.
    """
    found = _with_suffix(Path(weights).expanduser()) or _in_folders(weights, encoder)
    if found is not None or weights not in pretrained_names(encoder):
        return found
    return _cached(published(encoder, weights))


def _with_suffix(path: Path) -> Path | None:
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES if path.name)]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _in_folders(weights: str, encoder: str) -> Path | None:
    stems = file_stems(encoder, weights)
    bare = Path(weights).name == weights
    named = [path for folder in _folders() if bare and (path := _with_suffix(folder / weights)) is not None]
    fitting = named or [path for path in _files() if plain_stem(path.stem) in stems]
    if len(fitting) > 1:
        listed = ", ".join(map(str, fitting))
        raise ModelError(
            f"{len(fitting)} files in {_folder_words()} may be the {weights} weights of encoder {encoder}: {listed}; "
            "set model.encoder_weights to the path of one"
        )
    return fitting[0] if fitting else None


def _files() -> list[Path]:
    return [path for folder in _folders() for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]


def _folders() -> list[Path]:
    folders = [Path(name).expanduser() for name in os.environ.get(FOLDERS, "").split(os.pathsep) if name]
    for folder in folders:
        if not folder.is_dir():
            raise ModelError(f"{FOLDERS} names {folder}, where there is no folder: correct it, or unset it")
    return folders


def _folder_words() -> str:
    folders = _folders()
    return f"{FOLDERS} ({', '.join(map(str, folders))})" if folders else f"the folder of {FOLDERS}, which is not set"


def _cached(source: Published) -> Path | None:
    for name in FILES if source.repository else ():
        path = try_to_load_from_cache(source.repository, name, revision=source.revision)
        if isinstance(path, str):
            return Path(path)
    path = torch_hub_file(source.url) if source.url else None
    return path if path is not None and path.is_file() else None


def _fetched(source: Published, weights: str, encoder: str) -> Path:
    logger.info("fetching the %s weights of encoder %s", weights, encoder)
    try:
        return fetch(source)
    except ModelError as error:
        suffix = Path(source.address).suffix
        raise ModelError(
            f"the {weights} weights of encoder {encoder} are not here and could not be downloaded ({error}): "
            f"bring {source.address} into {_folder_words()}, as {file_stems(encoder, weights)[0]}{suffix}, or name a "
            "mirror of Hugging Face in HF_ENDPOINT, or set model.encoder_weights to the file's path, or to null for "
            "random weights"
        ) from error
