"""Prediction in shards: each is a file, whole or not there, and all of them together are what one pass would give."""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfold.competitions import Samples
from maskfold.competitions.encoded import EncodedMask
from maskfold.datasets import image_batches
from maskfold.ensembling.ensemble import Ensemble
from maskfold.ensembling.submit import Decoded, decoded
from maskfold.errors import InferenceError
from maskfold.runs.maps import quantise
from maskfold.storage import open_storage, url_of

INDEX = "index.json"
MAPS = ("probability", "inside")  # of a `Decoded`, in 8 bits
SHARD_IMAGES = 512  # at most, so that little is lost where a process is ended
MOST_SHARDS = 256  # files that are open at once when they are put together


@dataclass
class Shards:
    """Predicts test images shard by shard, in as many processes as there are; every one loads the networks once.

    Shard k of ``count`` holds every ``count``-th batch of one pass over all images, from batch k on.

    Attributes:
        ensemble: not loaded yet, where it is sent to processes.
        samples: all images.
        maps: whether 8-bit probability maps are kept as well.
        folder: where the shards are written, or a URL.
        count: number of shards.
        sizes: (H, W) of the images; empty: every process reads all images' headers.
    """

    ensemble: Ensemble
    samples: Samples
    maps: bool
    folder: Path = Path()
    count: int = 1
    sizes: Sequence[tuple[int, int]] = ()

    def __call__(self, shard: int) -> None:
        """Predict a shard and publish its file."""
        if self.sizes:
            self.ensemble.competition.remember_sizes(self.samples, self.sizes)
        content = io.BytesIO()
        _write(self.stream(shard), content)
        open_storage(self.folder).publish(_name(shard), content.getvalue())

    def stream(self, shard: int = 0) -> Iterator[Decoded]:
        """Predict, decode and encode a shard's images."""
        ensemble = self.ensemble
        predictions = ensemble.predict(self.samples, rank=shard, world=self.count)
        return decoded(predictions, ensemble.choice, ensemble.competition, maps=self.maps)

    def merged(self) -> Iterator[Decoded]:
        """All images, in the order of one pass, once all shards are written.

        Raises:
            InferenceError: a shard holds another image than the one whose turn it is.
        """
        ensemble = self.ensemble
        batches = image_batches(ensemble.competition, self.samples, ensemble.batch_size)
        with ExitStack() as stack:
            files = [stack.enter_context(zipfile.ZipFile(self._file(shard))) for shard in range(self.count)]
            streams = [_read(file) for file in files]
            for number, batch in enumerate(batches):
                for place in batch:
                    found = next(streams[number % self.count], None)
                    if found is None or found.mask.id != self.samples[place].id:
                        wrong = self.folder / _name(number % self.count)
                        raise InferenceError(f"{wrong} lacks {self.samples[place].id}: predict again")
                    yield found

    def _file(self, shard: int) -> Path | io.BytesIO:
        if url_of(self.folder) is None:
            return self.folder / _name(shard)
        return io.BytesIO(open_storage(self.folder).read(_name(shard)))


def _name(shard: int) -> str:
    return f"{shard:05d}.zip"


def shard_count(images: int, batch_size: int, processes: int) -> int:
    """Number of shards: eight for each process, more where they would be large, and no more than there are batches."""
    batches = -(-images // batch_size)
    return max(1, min(batches, MOST_SHARDS, max(8 * processes, -(-images // SHARD_IMAGES))))


def _write(stream: Iterator[Decoded], content: io.BytesIO) -> None:
    index = []
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for number, each in enumerate(stream):
            maps = {name: getattr(each, name) for name in MAPS if getattr(each, name) is not None}
            for name, values in maps.items():
                _add(file, f"{number}.{name}.npy", quantise(values))
            mask = each.mask
            written = mask.content if isinstance(mask.content, bytes) else json.dumps(mask.content)
            file.writestr(f"{number}.mask", written)
            presence = None if each.presence is None else each.presence.tolist()
            facts = {"id": mask.id, "size": mask.size, "there": mask.there, "rows": not isinstance(mask.content, bytes)}
            index.append({**facts, "maps": list(maps), "presence": presence})
        file.writestr(INDEX, json.dumps(index))


def _add(file: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with file.open(name, "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)


def _read(file: zipfile.ZipFile) -> Iterator[Decoded]:
    for number, facts in enumerate(json.loads(file.read(INDEX))):
        content = file.read(f"{number}.mask")
        size = (facts["size"][0], facts["size"][1])
        mask = EncodedMask(facts["id"], size, facts["there"], json.loads(content) if facts["rows"] else content)
        # Stored in 8 bits, and so again where it is kept: the same.
        maps = {name: _array(file, f"{number}.{name}.npy") / 255.0 for name in facts["maps"]}
        presence = None if facts["presence"] is None else np.array(facts["presence"], np.float32)
        yield Decoded(mask, presence=presence, **maps)


def _array(file: zipfile.ZipFile, name: str) -> np.ndarray:
    with file.open(name) as entry:
        return np.lib.format.read_array(entry, allow_pickle=False)
