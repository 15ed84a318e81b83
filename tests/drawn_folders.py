"""Folders of competitions that no profile describes, drawn with masks that are known as arrays."""

import cv2
import numpy as np


def encode(mask, order="F", start=1, layout="start-length"):
    """Run lengths by looking at every pixel, independent of maskfold.rle."""
    flat = [0, *mask.ravel(order=order).tolist(), 0]
    begins = [i for i in range(len(flat) - 1) if flat[i] < flat[i + 1]]
    ends = [i for i in range(len(flat) - 1) if flat[i] > flat[i + 1]]
    runs = list(zip(begins, ends, strict=True))
    if layout == "start-length":
        numbers = [(begin + start, end - begin) for begin, end in runs]
    elif layout == "start-end":
        numbers = [(begin + start, end - 1 + start) for begin, end in runs]
    else:
        numbers = [(b - p, e - b) for (b, e), p in zip(runs, [0, *ends[:-1]], strict=True)]
    flat_numbers = [number for pair in numbers for number in pair]
    if layout == "counts" and sum(flat_numbers) < mask.size:
        flat_numbers.append(mask.size - sum(flat_numbers))
    return " ".join(map(str, flat_numbers))


def shapes(seed, size, count=4):
    """uint8 0/1: ellipses and bars, some of them cut by the image's edges."""
    rng = np.random.default_rng(seed)
    height, width = size
    mask = np.zeros(size, np.uint8)
    for _ in range(count):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        axes = (int(rng.integers(4, width // 5)), int(rng.integers(3, height // 6)))
        cv2.ellipse(mask, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask


def picture(mask, seed, dtype=np.uint8, channels=3):
    """An image (H, W, C) in which the mask is brighter than noise around it."""
    rng = np.random.default_rng(seed + 1000)
    high = {np.uint8: 255, np.uint16: 4000, np.float32: 1}[dtype]
    values = (0.25 + 0.4 * mask[..., None] + rng.uniform(0, 0.15, (*mask.shape, channels))) * high
    return values.astype(dtype)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, image)
    else:
        assert cv2.imwrite(str(path), image)


def write_csv(path, rows, separator=",", header=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [separator.join(row) for row in ([header] if header else []) + list(rows)]
    path.write_text("\n".join(lines) + "\n")


def decoded(competition, split="train"):
    """Id -> values of the mask of every sample."""
    samples = competition.samples(split)
    return {sample.id: competition.label(sample.masks, competition.size(sample.image)).values for sample in samples}


def same(found, truth):
    assert sorted(found) == sorted(truth)
    for name, mask in truth.items():
        np.testing.assert_array_equal(found[name], mask, err_msg=name)
