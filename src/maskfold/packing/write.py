"""Writing a pack: the weights, configs and choices that predict, and nothing else of the runs."""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp

from maskfold import __version__
from maskfold.archives import new_member
from maskfold.competitions import Competition
from maskfold.competitions.profile import profile_yaml
from maskfold.config import Config, config_yaml
from maskfold.ensembling.choice import EnsembleChoice, write_ensemble
from maskfold.errors import PackError
from maskfold.files import atomic_path, exchange_folder, file_digest, scratch_folder, sweep
from maskfold.locks import exclusive
from maskfold.models import build_model
from maskfold.models.blank import Blank
from maskfold.models.published import pretrained_names
from maskfold.packing.layout import (
    ADDED,
    BESIDE,
    CARD,
    CONTENTS,
    ENSEMBLE,
    HUB,
    MODEL,
    NET,
    PROFILE,
    RUNS,
    PackedFold,
    PackedRun,
)
from maskfold.runs import FoldFolder, Run
from maskfold.runs.checkpoint import weights_to_bytes
from maskfold.runs.documents import to_json
from maskfold.runs.run import CONFIG
from maskfold.storage import LocalStorage

# What of a fold's summary a pack keeps.
SUMMARY = ("metric", "score", "best_checkpoint", "optimistic")


def write_pack(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    folds: Sequence[Sequence[int | str]],
    competition: Competition,
    card: str,
    out: Path,
) -> None:
    """Write a folder, or an archive where ``out`` ends in ``.zip``: whole, or not at all; what was there is replaced.

    Args:
        choice: what predicts.
        runs: of the choice, in its order.
        folds: of each run.
        competition: theirs.
        card: the text of ``README.md``.
        out: a folder or archive; `check_out` has allowed it.

    Raises:
        RunError: weights that are missing or damaged.
        PackError: a config that names a place on this machine, or two runs of one name.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise PackError(f"the runs are called {', '.join(names)}: in a pack each needs a name of its own; rename one")
    lock = out.with_name(f".{out.name}.lock")
    with exclusive(lock, out), _beside(out) as folder:
        (folder / PROFILE).write_text(profile_yaml(competition.profile), encoding="utf-8")
        hashes: dict[str, str | None] = {}
        for run, part, numbers in zip(runs, choice.runs, folds, strict=True):
            packed = _write_run(run, part.checkpoint, numbers, competition, folder / RUNS / run.name)
            hashes |= {
                fold.checkpoint_path(name).relative_to(folder).as_posix(): fold.digest(name)
                for fold in map(packed.fold, numbers)
                for name in fold.checkpoints()
            }
        moved = choice.moved_to([Path(RUNS, name) for name in names]).model_copy(update={"hashes": hashes})
        write_ensemble(moved, folder / ENSEMBLE)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        listed = {name: file_digest(folder / name) for name in files}
        (folder / CONTENTS).write_bytes(to_json({"maskfold": __version__, "files": listed}))
        (folder / CARD).write_text(card, encoding="utf-8")
        if out.suffix == ".zip":
            _zip(folder, out)
        else:
            exchange_folder(folder, out)


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        PackError: ``out`` exists and ``overwrite`` is not given, or it is something else than a pack.
    """
    if not out.exists():
        return
    if not overwrite:
        raise PackError(f"{out} exists: choose another --out, or give --overwrite")
    is_pack = out.is_file() if out.suffix == ".zip" else out.is_dir() and (out / CONTENTS).is_file()
    if not is_pack:
        raise PackError(f"{out} is not a pack, so --overwrite does not replace it: choose another --out")


def _write_run(run: Run, checkpoint: str, folds: Sequence[int | str], competition: Competition, place: Path) -> Run:
    storage = LocalStorage(place)
    config = portable_config(run.config, competition)
    facts = run.made_with()
    storage.publish(CONFIG, config_yaml(config, **facts).encode())
    classes = competition.labels.channels
    with Blank():
        net = build_model(config.model, classes=classes, images=competition.images, pretrained=False).net
    hub = None if config.model.hypercolumns else hub_config(net)  # they change smp's head
    for number in folds:
        fold = run.fold(number)
        summary = fold.summary()
        for name in fold.weights_of(checkpoint):
            _write_checkpoint(fold, name, hub, storage)
        packed = PackedFold(place, storage, number)
        digests = {name: file_digest(packed.checkpoint_path(name)) for name in packed.checkpoints()}
        storage.publish(packed.key("manifest.json"), to_json(digests))
        storage.publish(packed.key("summary.json"), to_json({key: summary[key] for key in SUMMARY if key in summary}))
    return PackedRun(place)


def _write_checkpoint(fold: FoldFolder, name: str, hub: dict[str, Any] | None, storage: LocalStorage) -> None:
    tensors = fold.load_checkpoint(name)
    smps = {key for key in tensors if key.startswith(NET) and not key.startswith(ADDED)}
    own = {key.removeprefix(NET): tensor for key, tensor in tensors.items() if key in smps}
    beside = {key: tensor for key, tensor in tensors.items() if key not in smps}
    storage.publish(fold.key(name, MODEL), weights_to_bytes(own))
    storage.publish(fold.key(name, BESIDE), weights_to_bytes(beside))
    if hub is not None:
        storage.publish(fold.key(name, HUB), to_json(hub))


def hub_config(net: Any) -> dict[str, Any] | None:
    """What smp's ``from_pretrained`` builds a network from, as ``save_pretrained`` writes it; `None`: not smp's own."""
    if type(net) not in smp.MODEL_ARCHITECTURES_MAPPING.values():
        return None
    config = {**net.config, "encoder_weights": None, "_model_class": type(net).__name__}
    try:
        json.dumps(config)
    except TypeError:
        return None
    return config


def portable_config(config: Config, competition: Competition) -> Config:
    """A run's config without anything that is about the machine: the pack's own profile, classes by name, no paths.

    Raises:
        PackError: a path that an option of the user's own holds.
    """
    section = config.competition.model_copy(
        update={"root": None, "profile": PROFILE, "class_names": competition.labels.class_names}
    )
    weights = config.model.encoder_weights
    published = weights in ("imagenet", *pretrained_names(config.model.encoder))
    model = config.model.model_copy(update={"encoder_weights": weights if published else None, "init_from": None})
    portable = config.model_copy(update={"competition": section, "model": model})
    places = [text for text in texts(portable.model_dump(mode="json")) if Path(text).is_absolute() or text[:1] == "~"]
    if places:
        raise PackError(
            f"the config holds the path {places[0]}, which means nothing elsewhere: give paths relative to the current "
            "folder when you train"
        )
    return portable


def texts(tree: Any) -> Iterator[str]:
    """All texts of a nested config."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from texts(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from texts(value)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out``, on its disk, removed in the end."""
    sweep(out.parent, out.name)
    with scratch_folder(out) as folder:
        (folder / "pack").mkdir()
        yield folder / "pack"


def _zip(folder: Path, out: Path) -> None:
    with atomic_path(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = new_member(path.relative_to(folder).as_posix())
            # Weights do not shrink, and an archive that is not compressed is read faster.
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(source, packed)
