"""Many texts as a few arrays: no object for each of them, so that data workers share them instead of copying them.

A forked worker that only looks at a Python string writes its reference count, and with it copies the page; a spawned
one gets everything pickled. A million strings of run lengths thus cost each worker what they cost the first process.
Arrays have one reference count each, and a large array travels to a spawned worker as the name of a file, which all
of them map.
"""

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any, overload

import numpy as np

Text = str | tuple[str, ...] | None
# Bytes from which arrays go to spawned processes as a file.
WORTH_A_FILE = 1 << 20

_NONE, _ONE, _SEVERAL = 0, 1, 2  # what an item is: None, a text, a tuple of texts
_ARRAYS = ("_ends", "_firsts", "_data", "_forms")  # the wide ones first, so that each begins at a multiple of its size


def pack(values: Sequence[Any]) -> Sequence[Any]:
    """``values`` as `PackedTexts` where they are texts, tuples of texts or None; anything else as a tuple."""
    fits = all(
        value is None or type(value) is str or (type(value) is tuple and all(type(text) is str for text in value))
        for value in values
    )
    return PackedTexts(values) if fits else tuple(values)


class PackedTexts(Sequence[Text]):
    """An immutable sequence of texts, tuples of texts and None, which are made when they are asked for.

    Held as arrays: uint8 (bytes,), all texts in UTF-8 one after the other; int64 (texts + 1,), where each begins; int64
    (n + 1,), the first text of each item; uint8 (n,), what each item is.
    """

    def __init__(self, values: Iterable[Text] = ()) -> None:
        values = list(values)
        forms = [_NONE if value is None else _ONE if isinstance(value, str) else _SEVERAL for value in values]
        counts = [0 if value is None else 1 if isinstance(value, str) else len(value) for value in values]
        texts: list[str] = []
        for value in values:
            if isinstance(value, str):
                texts.append(value)
            elif value is not None:
                texts.extend(value)
        joined = "".join(texts)
        data = joined.encode("utf-8", "surrogatepass")
        if len(data) == len(joined):  # ASCII, as nearly always: a character is a byte
            lengths = [len(text) for text in texts]
        else:
            lengths = [len(text.encode("utf-8", "surrogatepass")) for text in texts]
        self._data = np.frombuffer(data, np.uint8)
        self._ends = _sums(lengths)
        self._firsts = _sums(counts)
        self._forms = np.array(forms, np.uint8)
        self._file: Path | None = None

    def __len__(self) -> int:
        return len(self._forms)

    @overload
    def __getitem__(self, key: int) -> Text: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[Text, ...]: ...

    def __getitem__(self, key: int | slice) -> Text | tuple[Text, ...]:
        if isinstance(key, slice):
            return tuple(self[place] for place in range(*key.indices(len(self))))
        place = range(len(self))[key]
        form = self._forms[place]
        if form == _NONE:
            return None
        first = int(self._firsts[place])
        if form == _ONE:
            return self._text(first)
        return tuple(self._text(index) for index in range(first, int(self._firsts[place + 1])))

    def __iter__(self) -> Iterator[Text]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedTexts) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS
        )

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[Any, ...]:
        arrays = [getattr(self, name) for name in _ARRAYS]
        spawning = get_spawning_popen() is not None
        if not spawning or sum(array.nbytes for array in arrays) < WORTH_A_FILE:
            return _from_arrays, tuple(np.asarray(array) for array in arrays)
        if self._file is None:
            self._file = _written(arrays)
            weakref.finalize(self, _remove, self._file, os.getpid())
        return _from_file, (str(self._file), [(array.dtype.str, len(array)) for array in arrays])

    def _text(self, index: int) -> str:
        begin, end = self._ends[index], self._ends[index + 1]
        return self._data[begin:end].tobytes().decode("utf-8", "surrogatepass")


def _sums(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)


def _from_arrays(*arrays: np.ndarray) -> PackedTexts:
    texts = PackedTexts()
    for name, array in zip(_ARRAYS, arrays, strict=True):
        setattr(texts, name, array)
    return texts


def _from_file(path: str, parts: Sequence[tuple[str, int]]) -> PackedTexts:
    mapped = np.memmap(path, np.uint8, mode="r")
    arrays, begin = [], 0
    for dtype, length in parts:
        end = begin + np.dtype(dtype).itemsize * length
        arrays.append(mapped[begin:end].view(dtype))
        begin = end
    return _from_arrays(*arrays)


def _written(arrays: Sequence[np.ndarray]) -> Path:
    """A file of the arrays, one after the other."""
    handle, name = tempfile.mkstemp(prefix="maskfold-", suffix=".texts")
    with os.fdopen(handle, "wb") as stream:
        for array in arrays:
            array.tofile(stream)
    return Path(name)


def _remove(path: Path, process: int) -> None:
    """Remove a file of this process; Windows keeps it while a worker maps it."""
    if os.getpid() == process:
        with suppress(OSError):
            path.unlink()
