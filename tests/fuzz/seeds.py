"""Sound inputs of every kind, from which the others are made; drawn in memory."""

import io
import json
import zipfile
import zlib
from functools import cache

import cv2
import numpy as np
import torch
import yaml
from safetensors.torch import save
from tests.bad_input.spoiled import chunk

from maskfold.competitions.profile import SHIPPED
from maskfold.config import Config, config_yaml
from maskfold.runs.checkpoint import state_to_bytes

PIXELS = np.random.default_rng(7).integers(0, 256, (6, 9, 3), np.uint8)
MASK = (PIXELS[..., 0] > 120).astype(np.uint8)

RUNS = [
    b"",
    b"1 1",
    b"1 5 9 2 30 4",
    b"0 3 4 1 53 1",
    b"54",
    b"5 49",
    b"-1",
    b"3 3 6 2",
    b"999999999999999999 1",
    b" 1  2\t5\n6 ",
    b"1 54",
    b"2 2 4 6 8 8",
    b"05203",
    b"nan",
    "٣ 4".encode(),
]
COUNTED = [json.dumps(value).encode() for value in ([], [54], [5, 49], [0, 54], [5, -1, 50], [1.5], [None], ["5", 49])]
TABLES = [
    b"Id,Rle\na.jpg,1 2\nb.jpg,\n",
    b'"Id","Rle"\r\n"a.jpg","1 2 5 6"\r\n',
    b"a.jpg\t1 2\nb.jpg\t\n",
    "\ufeffId,Rle\n图.png,3 4\n".encode(),
    "Id,Rle\n图.png,3 4\n".encode("gbk"),
    "Id,Rle\nx,1 1\n".encode("utf-16"),
    b"Id,Rle\na_Fish,1 2\na_Sugar,\nb_Fish,7 7\n",
    b"Id,Kind,Rle\na,1,1 2\na,2,\n",
    b"",
]
ENSEMBLE = {
    "runs": [{"run": "runs/a", "checkpoint": "best", "weight": 1.0}, {"run": "b", "checkpoint": "ema", "weight": 0.5}],
    "tta": {"views": "d4", "scales": [1.0, 1.25]},
    "post": {"threshold": [0.4, 0.5], "min_area": {"road": 30}, "crf": {}},
    "scores": {"before": 0.7, "after": 0.71},
    "hashes": {"runs/a/fold_0/best.safetensors": "ab" * 32},
}
FOLDS = b"fold,id,split,times\n0,a,train,1\n0,b,train,2\n0,c,valid,1\n1,a,valid,1\n1,b,train,1\n1,c,train,1\n"
LABEL_MAPS = [
    b'{"7": "0", "19-22": "1-4", others: "255"}',
    b'{0: 0, 255: 1, "1-127": 0, "128-254": 1}',
    b'{"0 255 255": 1, "0-127 128-255 128-255": 0}',
    b'{"others": "255"}',
    b'{"1": "0-3"}',
]
COCO = {
    "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
    "categories": [{"id": 3, "name": "road"}, {"id": 1, "name": "sky"}],
    "annotations": [
        {"image_id": 1, "category_id": 3, "segmentation": [[0, 0, 5, 0, 5, 4]]},
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [6, 9], "counts": [3, 4, 47]}},
        {"image_id": 2, "category_id": 1, "segmentation": {"size": [6, 9], "counts": "34_1"}},
    ],
}


def configs() -> list[bytes]:
    """A whole config, and some of what people write."""
    own = [
        "model: {encoder: resnet18}\nloss: [{name: bce, weight: 0.5}, {name: dice}]\n",
        "post: {threshold: {road: 0.5}, steps: {'a:B': {c: 1}}}\ntune: {tried: {threshold: [0.4]}}\n",
        "a: &a [1, 2]\nb: [*a, *a]\n",
        "train: {epochs: 1e-4, batch_size: 0x_}\n? [a]\n: b\n",
        "targets: {annotators: {masks: [a.csv, b.csv]}}\nsemi: {}\n",
    ]
    return [config_yaml(Config(name="x")).encode(), *(text.encode() for text in own)]


def profiles() -> list[bytes]:
    """Profiles of all layouts that come with maskfold."""
    names = ("tianchi-buildings", "clouds", "airbus", "cityscapes", "voc2012", "png-masks", "file-list", "contrails")
    return [path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml")) if path.stem in names]


def ensembles() -> list[bytes]:
    """What tuning writes."""
    return [yaml.safe_dump(ENSEMBLE, sort_keys=False).encode()]


def checkpoints() -> list[bytes]:
    """A training state, weights, an old pickle, a zip of something else."""
    weights = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2, dtype=torch.float16)}
    old = io.BytesIO()
    torch.save(weights, old, _use_new_zipfile_serialization=False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00." * 50)
    state = state_to_bytes({"epoch": 3, "modules": {"network": weights}, "history": [{"loss": 0.5}]})
    return [state, save(weights), old.getvalue(), packed.getvalue(), b"<html>Sign in</html>"]


@cache
def pictures() -> list[tuple[str, bytes]]:
    """(name, content) of tiny images in the formats that are read."""
    made = [
        (f"a.{kind}", cv2.imencode(f".{kind}", PIXELS)[1].tobytes()) for kind in ("png", "jpg", "bmp", "webp", "tif")
    ]
    for array in (PIXELS, MASK, MASK.astype(np.float32)):
        stream = io.BytesIO()
        np.save(stream, array)
        made.append(("a.npy", stream.getvalue()))
    return [*made, ("a.png", _with_text(made[0][1])), ("m.png", cv2.imencode(".png", MASK * 255)[1].tobytes())]


def _with_text(png: bytes) -> bytes:
    """The png with a packed text chunk, which Pillow unpacks."""
    return png[:33] + chunk(b"zTXt", b"note\0\0" + zlib.compress(b"x" * 1000)) + png[33:]
