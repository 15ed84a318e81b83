"""Probability maps at the scored size: 8-bit PNGs, back to back in shards, and a marker that lists what is where."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from maskfold.errors import RunError, StorageError
from maskfold.labels import LabelSpec
from maskfold.program import command_line
from maskfold.runs.documents import read_sealed, sealed
from maskfold.storage import Storage

MARKER, SHARD = "maps.json", ".pngs"
REPAIR = command_line("predict", "--oof")
SHARD_BYTES = 32 * 2**20


class MapStore:
    """Probability maps below a prefix of a storage, found by the images' ids, whatever these look like.

    A probability p is stored as ``round(255 p)``: the stored value is off by at most 1/510. A map is a PNG, its
    channels stacked from top to bottom. The marker ``maps.json`` comes last; without it nothing is there. It holds
    ``made_with``, the number of channels, and for each id the shard's name, the offset and the length in bytes, and a
    digest of these bytes; and, where networks have outputs for them, the presence of each class in each image, and the
    place of a further map of how far inside of an object each pixel is.
    """

    def __init__(self, storage: Storage, prefix: str) -> None:
        self.storage = storage
        self.prefix = prefix
        self._marker: dict[str, Any] | None = None
        self._made_with: dict[str, Any] | None = None  # what is read must have been made so, once that is known

    @contextmanager
    def replace(self, made_with: dict[str, Any]) -> Iterator["MapWriter"]:
        """Yield a writer whose maps take the place of the former ones when all went well, and not before.

        Shards get new names, so two writers of the same maps do not disturb each other: the last marker counts, and
        who writes it removes the shards that it replaces. ``made_with`` is how the maps were made, for `made_with`.
        """
        writer = MapWriter(self.storage, self.prefix)
        try:
            yield writer
            writer.close()
            former = self._shards()
            self.storage.publish(self._key(MARKER), sealed({"made_with": made_with, **writer.index()}))
            self._marker, self._made_with = None, made_with
        except BaseException:
            former = writer.shards
            raise
        finally:
            for shard in former:
                self.storage.remove(self._key(shard))

    def made_with(self) -> dict[str, Any] | None:
        """How the maps were made; None where there are no complete ones.

        Raises:
            RunError: the marker is damaged.
        """
        marker = self._read_marker()
        return None if marker is None else marker["made_with"]

    def damaged(self) -> list[str]:
        """Ids of the maps that are missing or not what was written; every byte is read, none is decoded.

        Raises:
            RunError: the marker is damaged.
        """
        self._marker = self._read_marker()
        found = set()
        for kind in ("maps", "inside"):
            for image_id, place in (self._marker or {}).get(kind, {}).items():
                try:
                    self._intact(image_id, *place)
                except (FileNotFoundError, RunError):
                    found.add(image_id)
        return sorted(found)

    def whole(self, made_with: dict[str, Any]) -> bool:
        """Whether there are maps that were made so, and all their shards; if so, no others are read from then on.

        Raises:
            RunError: the marker is damaged.
        """
        marker = self._read_marker()
        whole = marker is not None and marker["made_with"] == made_with and not self._missing(marker)
        self._made_with = made_with if whole else self._made_with
        return whole

    def _missing(self, marker: dict[str, Any] | None) -> set[str]:
        named = self._named(marker)
        return named - {key.rpartition("/")[2] for key in self.storage.list(self.prefix)} if named else named

    def clear(self) -> None:
        """Remove the maps, the marker first."""
        named = self._shards()
        for name in (MARKER, *named):
            self.storage.remove(self._key(name))
        self._marker = self._made_with = None

    def sweep(self) -> None:
        """Remove what writers that were killed left; nobody may be writing maps here."""
        named = self._shards()
        for key in self.storage.list(self.prefix):
            if key.endswith(SHARD) and key.rpartition("/")[2] not in named:
                self.storage.remove(key)
        self.storage.sweep(self.prefix)

    def ids(self) -> list[str]:
        """Ids of the stored maps, sorted."""
        return sorted((self._read_marker() or {"maps": {}})["maps"])

    def read(self, image_id: str) -> np.ndarray:
        """The stored map, uint8 (C, H, W), 255 for probability 1.

        Raises:
            RunError: the map is missing or damaged, or another process replaced the maps by others made otherwise.
        """
        stacked = self._decoded(image_id, "maps")
        if stacked is None:
            raise self._broken(image_id, "missing")
        assert self._marker is not None  # it says where the content is
        channels = self._marker["channels"]
        if stacked.shape[0] % channels:
            raise self._broken(image_id, "damaged")
        return stacked.reshape(channels, -1, stacked.shape[1])

    def inside(self, image_id: str) -> np.ndarray | None:
        """The further map, uint8 (H, W), 255 for 1; `None` where there was none.

        Raises:
            RunError: as `read`; not where there was none.
        """
        return self._decoded(image_id, "inside")

    def presence(self, image_id: str) -> np.ndarray | None:
        """The presence that was stored with the map, float32 (C,); `None` where there was none."""
        self._marker = self._marker or self._expected_marker()
        found = (self._marker or {}).get("presence", {}).get(image_id)
        return None if found is None else np.array(found, np.float32)

    def _decoded(self, image_id: str, kind: str) -> np.ndarray | None:
        """A stored PNG, uint8 (H, W); `None` where the marker names none."""
        self._marker = self._marker or self._expected_marker()
        try:
            content = self._content(image_id, kind)
        except FileNotFoundError:  # another writer replaced the maps since the marker was read
            self._marker = self._expected_marker()
            try:
                content = self._content(image_id, kind)
            except FileNotFoundError:
                raise self._broken(image_id, "missing") from None
        if content is None:
            return None
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
        if found is None or found.ndim != 2:
            raise self._broken(image_id, "damaged")
        return found

    def _content(self, image_id: str, kind: str) -> bytes | None:
        place = (self._marker or {}).get(kind, {}).get(image_id)
        return None if place is None else self._intact(image_id, *place)

    def _intact(self, image_id: str, shard: str, start: int, length: int, digest: str) -> bytes:
        try:
            content = self.storage.read(self._key(shard), start, start + length)
        except StorageError:
            content = b""
        if _digest(content) != digest:
            raise self._broken(image_id, "damaged")
        return content

    def _read_marker(self) -> dict[str, Any] | None:
        return read_sealed(self.storage, self._key(MARKER), advice=f"compute the maps again with {REPAIR}")

    def _expected_marker(self) -> dict[str, Any] | None:
        """The marker; that of maps made otherwise than those that were read, or found `whole`, is an error."""
        marker = self._read_marker()
        if marker is not None:
            self._made_with = self._made_with or marker["made_with"]
            if marker["made_with"] != self._made_with:
                place = self.prefix or "the maps"
                raise RunError(
                    f"{place}: another process put maps that were made with other weights or views in the place of "
                    "these, which were still read: run again when it has ended"
                )
        return marker

    def _shards(self) -> set[str]:
        try:
            return self._named(self._read_marker())
        except RunError:  # a damaged marker is replaced, whatever it named
            return set()

    def _named(self, marker: dict[str, Any] | None) -> set[str]:
        return {shard for kind in ("maps", "inside") for shard, *_ in (marker or {}).get(kind, {}).values()}

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name

    def _broken(self, image_id: str, state: str) -> RunError:
        place = f"{self.prefix or 'the maps'}: the probability map of {image_id}"
        return RunError(f"{place} is {state}: compute it again with {REPAIR}")


class MapWriter:
    """Collects maps into shards of about `SHARD_BYTES`; `MapStore.replace` makes it."""

    def __init__(self, storage: Storage, prefix: str) -> None:
        self.storage, self.prefix = storage, prefix
        self.shards: list[str] = []
        self._channels = 0
        self._maps: dict[str, tuple[str, int, int, str]] = {}
        self._presence: dict[str, list[float]] = {}
        self._inside: dict[str, tuple[str, int, int, str]] = {}
        self._name = secrets.token_hex(6)
        self._waiting = bytearray()

    def write(
        self,
        image_id: str,
        probability: np.ndarray,
        presence: np.ndarray | None = None,
        inside: np.ndarray | None = None,
    ) -> None:
        """Store a float map (C, H, W) with values in [0, 1], C is the same for all.

        Where they are given, too: the presence (C,), and a further map (H, W), see `maskfold.inference.Prediction`.
        """
        if presence is not None:
            self._presence[image_id] = presence.tolist()
        self._channels = len(probability)
        self._maps[image_id] = self._added(probability.reshape(-1, probability.shape[-1]))
        if inside is not None:
            self._inside[image_id] = self._added(inside)
        if len(self._waiting) >= SHARD_BYTES:
            self.close()

    def _added(self, values: np.ndarray) -> tuple[str, int, int, str]:
        """Where values (H, W) in [0, 1] now are in the shard that is being filled, and the digest of their PNG."""
        # Level 1 is 4x faster than the default and 10 % larger on probability maps.
        _, content = cv2.imencode(".png", quantise(values), [cv2.IMWRITE_PNG_COMPRESSION, 1])
        png = content.tobytes()
        place = (self._shard(), len(self._waiting), len(png), _digest(png))
        self._waiting += png
        return place

    def close(self) -> None:
        """Publish the shard that is being filled."""
        if self._waiting:
            name = self._shard()
            self.shards.append(name)
            self.storage.publish(f"{self.prefix}/{name}" if self.prefix else name, bytes(self._waiting))
            self._waiting.clear()

    def index(self) -> dict[str, Any]:
        """What the marker holds about the maps."""
        presence = {"presence": self._presence} if self._presence else {}
        inside = {"inside": self._inside} if self._inside else {}
        return {"channels": self._channels, "maps": self._maps, **presence, **inside}

    def _shard(self) -> str:
        return f"{self._name}-{len(self.shards):04d}{SHARD}"


def dequantise(levels: np.ndarray, labels: LabelSpec) -> np.ndarray:
    """Probabilities (C, H, W), float32, of a stored map; those of exclusive classes sum to 1 in spite of rounding."""
    values = levels.astype(np.float32)
    return values / (values.sum(0) if labels.exclusive else np.float32(255))


def _digest(content: bytes) -> str:
    """The first 64 bits of its SHA-256: enough to tell damage, and short, since a marker may hold many."""
    return hashlib.sha256(content).hexdigest()[:16]


def quantise(probability: np.ndarray) -> np.ndarray:
    """8-bit form of probabilities in [0, 1]: ``round(255 p)``."""
    return np.rint(np.asarray(probability) * 255.0).astype(np.uint8)
