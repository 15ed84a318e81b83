"""What people otherwise use for run lengths: the functions of Kaggle's tutorials, and pycocotools."""

import numpy as np


def usual_decode(rle: str, shape: tuple[int, int]) -> np.ndarray:
    """The decoder of Kaggle's tutorials, made contiguous."""
    s = rle.split()
    starts, lengths = (np.asarray(x, dtype=int) for x in (s[0:][::2], s[1:][::2]))
    starts -= 1
    ends = starts + lengths
    img = np.zeros(shape[0] * shape[1], dtype=np.uint8)
    for lo, hi in zip(starts, ends, strict=True):
        img[lo:hi] = 1
    return np.ascontiguousarray(img.reshape(shape[1], shape[0]).T)


def usual_encode(mask: np.ndarray) -> str:
    """The encoder of Kaggle's tutorials."""
    pixels = mask.T.flatten()
    pixels = np.concatenate([[0], pixels, [0]])
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 1
    runs[1::2] -= runs[::2]
    return " ".join(str(x) for x in runs)


class Peers:
    """pycocotools and rlemasklib on "start length" text, which both have to be given as counts.

    Raises:
        ImportError: they are not installed.
    """

    def __init__(self) -> None:
        import rlemasklib
        from pycocotools import mask as coco

        self.coco, self.masks, self.decompress = coco, rlemasklib.RLEMask, rlemasklib.decompress

    def coco_decode(self, rle: str, shape: tuple[int, int]) -> np.ndarray:
        """Text to a contiguous mask."""
        counts = self._counts(rle, shape).tolist()
        packed = self.coco.frPyObjects({"counts": counts, "size": list(shape)}, *shape)
        return np.ascontiguousarray(self.coco.decode(packed))

    def coco_encode(self, mask: np.ndarray) -> str:
        """A mask to text; pycocotools gives its compressed string only, rlemasklib the counts in it."""
        packed = self.coco.encode(np.asfortranarray(mask))
        return self._text(self.decompress(packed)["ucounts"])

    def runs(self, rle: str, shape: tuple[int, int]):
        """Text to rlemasklib's mask."""
        return self.masks.from_counts(self._counts(rle, shape), shape)

    def text(self, runs) -> str:
        """The text of rlemasklib's mask."""
        return self._text(runs.counts)

    @staticmethod
    def _counts(rle: str, shape: tuple[int, int]) -> np.ndarray:
        numbers = np.array(rle.split(), np.int64)
        starts, lengths = numbers[0::2] - 1, numbers[1::2]
        ends = starts + lengths
        counts = np.empty(numbers.size + 1, np.int64)
        counts[0:-1:2] = starts - np.concatenate([[0], ends[:-1]])
        counts[1::2] = lengths
        counts[-1] = shape[0] * shape[1] - (ends[-1] if ends.size else 0)
        return counts

    @staticmethod
    def _text(counts: np.ndarray) -> str:
        counts = np.asarray(counts, np.int64)
        starts = np.cumsum(counts)[0 : 2 * (counts.size // 2) : 2] + 1
        return " ".join(map(str, np.stack([starts, counts[1::2]], axis=1).ravel().tolist()))


def peers() -> Peers | None:
    """`Peers`, or None and a line that says how to get them."""
    try:
        return Peers()
    except ImportError as error:
        print(f"({error}: without pycocotools and rlemasklib; pip install pycocotools rlemasklib)")
        return None
