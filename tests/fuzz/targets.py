"""What is fuzzed: one function for each kind of input, which takes bytes and lets nothing but our own errors pass.

A target returns whether the input was accepted. What it accepts it also looks at: a decoded mask is encoded again, a
table's rows are gathered.
"""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
from tests.fuzz import seeds
from tests.fuzz.mutate import mutated, random_text

from maskfold.competitions.coco_json import CocoJson
from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.images import decode_image, image_size
from maskfold.competitions.label_images import LabelReader
from maskfold.competitions.label_map import LabelMap
from maskfold.competitions.label_profiles import CocoJsonProfile
from maskfold.competitions.profile import CsvProfile, read_profile
from maskfold.competitions.table import gather_masks, read_table
from maskfold.config import load_config
from maskfold.datasets.folds_file import read_folds
from maskfold.ensembling.choice import read_ensemble
from maskfold.errors import MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.models.weights import _read_tensors
from maskfold.rle import RLEDialect
from maskfold.runs.checkpoint import state_from_bytes, weights_from_bytes
from maskfold.yaml_text import load_yaml

SHAPE = (6, 9)
DIALECTS = [
    RLEDialect(layout=layout, order=order, start=start, empty=empty)
    for layout, order, start, empty in product(
        ("start-length", "start-end", "relative", "counts"), ("F", "C"), (0, 1), (None, "-1")
    )
    if start == 0 or layout.startswith("start")
]


@dataclass(frozen=True)
class Target:
    """``make`` draws an input; ``run`` takes one, and raises nothing but a MaskfoldError."""

    make: Callable[[Random], bytes]
    run: Callable[[bytes], None]

    def accepts(self, data: bytes) -> bool:
        """Whether an input is accepted; whatever else than our own errors is raised passes."""
        try:
            self.run(data)
        except MaskfoldError as error:
            if not str(error).strip():
                raise AssertionError("an error without a message") from error
            return False
        return True


def of(inputs: Sequence[bytes]) -> Callable[[Random], bytes]:
    """Inputs that are made of these."""
    return lambda random: mutated(random, inputs)


def _make_rle(random: Random) -> bytes:
    text = random_text(random) if random.random() < 0.6 else mutated(random, [*seeds.RUNS, *seeds.COUNTED], 200)
    return bytes([random.randrange(len(DIALECTS))]) + (text.encode() if isinstance(text, str) else text)


def rle(data: bytes) -> None:
    """A byte for the dialect, then the code: a text, or JSON's list of counts."""
    dialect, text = DIALECTS[data[0] % len(DIALECTS) if data else 0], data[1:].decode("utf-8", "replace")
    code: object = text
    if text.startswith("["):
        try:
            code = json.loads(text)
        except ValueError:
            code = text
    mask = dialect.decode(code, SHAPE)  # pyright: ignore[reportArgumentType]
    assert mask.shape == SHAPE
    assert mask.max() <= 1
    again = dialect.encode(mask)
    np.testing.assert_array_equal(dialect.decode(again, SHAPE), mask)
    assert dialect.area(again, SHAPE) == mask.sum()


PARTS = {"train": {"table": "a.csv", "image": "{id}"}, "test": {"table": "b.csv", "image": "{id}"}}
_BASE = {"name": "own", "layout": "csv", "metric": "dice", "columns": {"id": "Id", "mask": "Rle"}, **PARTS}
_CLASSES = {"rows": "class", "class_names": ("nothing", "Fish", "Sugar")}
FORMS = [
    CsvProfile.model_validate(tree)
    for tree in (
        _BASE,
        {**_BASE, "header": False, "separator": "\t"},
        {**_BASE, **_CLASSES, "class_separator": "_"},
        {
            **_BASE,
            **_CLASSES,
            "columns": {"id": "Id", "class": "Kind", "mask": "Rle"},
            "class_values": ("1", "2"),
        },
        {**_BASE, "rows": "instance"},
    )
]


def table(data: bytes) -> None:
    """A byte for the form and whether it is exact, then the file."""
    first = data[0] if data else 0
    form = FORMS[first % len(FORMS)]
    gather_masks(form, read_table(form, data[1:], "m.csv", exact=first > 127), "m.csv")


def _make_table(random: Random) -> bytes:
    return bytes([random.randrange(256)]) + mutated(random, seeds.TABLES)


@cache
def _folder(process: int) -> Path:
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix=f"fuzz-{process}-", dir=shared if os.access(shared, os.W_OK) else None))


def _file(data: bytes, name: str) -> Path:
    """A file of this content, in memory where the system has a place for it."""
    path = _folder(os.getpid()) / name
    path.write_bytes(data)
    return path


def config(data: bytes) -> None:
    """A config file."""
    load_config(_file(data, "config.yaml"))


def profile(data: bytes) -> None:
    """A profile."""
    read_profile(_file(data, "profile.yaml"))


def ensemble(data: bytes) -> None:
    """``ensemble.yaml``."""
    choice = read_ensemble(_file(data, "ensemble.yaml"))
    assert abs(sum(choice.weights) - 1) < 1e-6


def checkpoint(data: bytes) -> None:
    """A training state, weights of a run, weights from anywhere."""
    accepted = 0
    for read in (state_from_bytes, weights_from_bytes, lambda content, name: _read_tensors(_file(content, name))):
        try:
            read(data, "w.pth")
            accepted += 1
        except MaskfoldError as error:
            last = error
            if "weights_only" in str(error):
                raise AssertionError("torch's advice to switch the safety off") from error
    if not accepted:
        raise last


def label_map(data: bytes) -> None:
    """The entries of a profile's ``label_map``, and the values that they are for."""
    tree = load_yaml(data)
    if not isinstance(tree, dict):
        return
    made = LabelMap({str(key): str(value) for key, value in tree.items()})
    made.check(("background", "road"))
    if not made.colours:
        made.label(np.arange(12, dtype=np.uint8).reshape(3, 4), "m.png")


def _make_picture(random: Random) -> bytes:
    kinds = seeds.pictures()
    place = random.randrange(len(kinds))
    return bytes([place]) + mutated(random, [kinds[place][1]])


_MASKS = LabelReader(LabelSpec("binary", ("road",)))


def picture(data: bytes) -> None:
    """A byte for the format, then the file: its size, its pixels, the mask that it may be."""
    kinds = seeds.pictures()
    name, content = kinds[data[0] % len(kinds) if data else 0][0], data[1:]
    with open(_file(content, name), "rb") as stream:
        size = image_size(stream, name)
    if size[0] * size[1] < 1 << 20:
        decode_image(content, name)
        _MASKS.decode_for(content, name, SHAPE)


def folds(data: bytes) -> None:
    """``folds.csv``."""
    read_folds(data, Path("folds.csv"), ["a", "b", "c"], groups=["x", "y", "z"])


def coco(data: bytes) -> None:
    """An annotation file, and all the masks in it."""
    place = _file(data, "a.json").parent
    source = {"annotations": "a.json", "image": "{file_name}"}
    form = {
        "name": "own",
        "layout": "coco-json",
        "metric": "miou",
        "train": source,
        "class_names": ["b", "road", "sky"],
    }
    layout = CocoJson(CocoJsonProfile.model_validate(form), CompetitionFiles(place), None)
    found, _ = layout.samples_of(layout.profile.train[0], "train", labelled=True)
    for sample in found:
        layout.label(sample.masks, SHAPE)


TARGETS = {
    "rle": Target(_make_rle, rle),
    "table": Target(_make_table, table),
    "config": Target(of(seeds.configs()), config),
    "profile": Target(of(seeds.profiles()), profile),
    "ensemble": Target(of(seeds.ensembles()), ensemble),
    "checkpoint": Target(of(seeds.checkpoints()), checkpoint),
    "label_map": Target(of(seeds.LABEL_MAPS), label_map),
    "picture": Target(_make_picture, picture),
    "folds": Target(of([seeds.FOLDS]), folds),
    "coco": Target(of([json.dumps(seeds.COCO).encode()]), coco),
}
