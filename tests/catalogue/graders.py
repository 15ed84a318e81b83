"""Graders of seven competitions, written again from their published rules; nothing here knows maskfold.

Each takes a submission and the truth as tables of texts, as a grader's pandas reads them (an empty field is None), and
the (H, W) of each id; it returns the score, or raises `Refused` as the competition does.

Sources: the evaluation pages of the competitions, whose texts the notes quote; and for tgs-salt, hubmap-kidney,
gi-tract, contrails and vesuvius-ink what MLE-bench (Chan et al., arXiv 2410.07095, mlebench/competitions/*/grade.py)
makes of them where the pages are silent. dacon-236092: the score's code on the competition's page, which leaves images
that are empty in both out of the mean.
"""

import csv

import numpy as np
from scipy.spatial.distance import directed_hausdorff

csv.field_size_limit(1 << 30)
THRESHOLDS = np.arange(0.5, 1.0, 0.05).round(2)


class Refused(Exception):
    """The competition does not score this file."""


def read(path):
    """Header and rows; an empty field is None, which is how pandas' nan reads here."""
    with open(path, newline="") as stream:
        header, *rows = list(csv.reader(stream))
    return header, [[field or None for field in row] for row in rows]


def decode(text, size, order):
    """ "The metric checks that the pairs are sorted, positive, and the decoded pixel values are not duplicated." """
    flat = np.zeros(size[0] * size[1], bool)
    try:
        numbers = [int(word) for word in (text or "").split()]
    except ValueError:
        raise Refused(f"not numbers: {text}") from None
    if len(numbers) % 2:
        raise Refused("a start without a length")
    starts, lengths = numbers[::2], numbers[1::2]
    if starts != sorted(starts):
        raise Refused("not sorted")
    if min(numbers, default=1) < 1:
        raise Refused("not positive")
    for start, length in zip(starts, lengths, strict=True):
        if flat[start - 1 : start - 1 + length].any():
            raise Refused("duplicated pixels")
        flat[start - 1 : start - 1 + length] = True
    return flat.reshape(size, order=order)


def dice(found, true, empty):
    total = found.sum() + true.sum()
    return empty if total == 0 else 2 * (found & true).sum() / total


def same_rows(header, found, true, columns, *, ordered=False):
    """The submission's rows with the truth's, by id."""
    if not set(columns) <= set(header):
        raise Refused(f"columns {header}")
    if len(found) != len(true):
        raise Refused(f"{len(found)} rows instead of {len(true)}")
    place = header.index(columns[0])
    if not ordered:
        found, true = sorted(found, key=lambda row: row[place] or ""), sorted(true, key=lambda row: row[0])
    if [row[place] for row in found] != [row[0] for row in true]:
        raise Refused("other ids")
    return [(row[0], row[header.index(columns[-1])], expected[-1]) for row, expected in zip(found, true, strict=True)]


def tgs_salt(path, truth, sizes):
    """Mean over the thresholds of "IoU above the threshold"; both empty 1. Columns must be these two."""
    header, found = read(path)
    if set(header) != {"id", "rle_mask"}:
        raise Refused(f"columns {header}")
    scores = []
    for name, rle, expected in same_rows(header, found, read(truth)[1], ("id", "rle_mask")):
        mask, true = decode(rle, sizes[name], "F"), decode(expected, sizes[name], "F")
        union = (mask | true).sum()
        iou = (mask & true).sum() / union if union else 1.0
        scores.append(1.0 if not union else np.mean(iou > THRESHOLDS))
    return float(np.mean(scores))


def hubmap_kidney(path, truth, sizes):
    """ "The Dice coefficient is defined to be 1 when both X and Y are empty." """
    header, found = read(path)
    rows = same_rows(header, found, read(truth)[1], ("id", "predicted"))
    return float(np.mean([dice(*(decode(rle, sizes[name], "F") for rle in pair), 1.0) for name, *pair in rows]))


def contrails(path, truth, sizes):
    """Global Dice; "empty predictions must be marked with '-'": an empty field is no text."""
    header, found = read(path)
    rows = same_rows(header, found, read(truth)[1], ("record_id", "encoded_pixels"))
    if any(rle is None for _, rle, _ in rows):
        raise Refused("an empty field")
    pairs = [
        [decode("" if rle == "-" else rle, sizes[name], "F").ravel() for rle in (found, expected)]
        for name, found, expected in rows
    ]
    return float(dice(*(np.concatenate(flat) for flat in zip(*pairs, strict=True)), 0.0))


def vesuvius_ink(path, truth, sizes):
    """F0.5 of each fragment, then the mean; exactly two columns, the truth's order, a text in each row."""
    header, found = read(path)
    if len(header) != 2:
        raise Refused(f"columns {header}")
    scores = []
    for name, rle, expected in same_rows(header, found, read(truth)[1], ("Id", "Predicted"), ordered=True):
        if rle is None:
            raise Refused("an empty field")
        mask, true = decode(rle, sizes[name], "C"), decode(expected, sizes[name], "C")
        hits = (mask & true).sum()
        if not hits:
            scores.append(0.0)
            continue
        precision, recall = hits / mask.sum(), hits / true.sum()
        scores.append(1.25 * precision * recall / (0.25 * precision + recall))
    return float(np.mean(scores))


def gi_tract(path, truth, sizes, order="C"):
    """0.4 mean Dice + 0.6 (1 - mean 3D Hausdorff distance) of the days' scans, organs joined; both empty leaves."""
    header, found = read(path)
    if not {"id", "class", "predicted"} <= set(header):
        raise Refused(f"columns {header}")
    expected = read(truth)[1]
    if [row[:2] for row in found] != [row[:2] for row in expected]:
        raise Refused("other rows")
    days, dices = {}, []
    for (name, _, rle), (_, _, true) in zip(found, expected, strict=True):
        pair = [decode(text, sizes[name], order) for text in (rle, true)]
        dices.append(dice(*pair, np.nan))
        slices = days.setdefault(name.split("_slice_")[0], {})
        slices[name] = [one | other for one, other in zip(slices.get(name, pair), pair, strict=True)]
    volumes = [
        [np.stack([slices[name][side] for name in sorted(slices)]) for side in (0, 1)] for slices in days.values()
    ]
    return float(0.4 * np.nanmean(dices) + 0.6 * (1 - np.nanmean([_hausdorff(*pair) for pair in volumes])))


def _hausdorff(found, true):
    if not found.any() and not true.any():
        return np.nan
    if not found.any() or not true.any() or found.sum() > 10 * true.sum():
        return 1.0
    points = [np.argwhere(volume) / true.shape for volume in (found, true)]
    return max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]) / np.sqrt(3)


def airbus(path, truth, sizes):
    """Mean over images of the mean over thresholds of 5 TP / (5 TP + 4 FN + FP); no two masks of an image overlap."""
    header, found = read(path)
    if header != ["ImageId", "EncodedPixels"]:
        raise Refused(f"columns {header}")
    expected = read(truth)[1]
    if {row[0] for row in found} != {row[0] for row in expected}:
        raise Refused("other ids")
    scores = []
    for name in {row[0] for row in expected}:
        ships, true = (
            [decode(row[1], sizes[name], "F") for row in rows if row[0] == name] for rows in (found, expected)
        )
        if np.sum(ships, axis=0).max() > 1:
            raise Refused(f"masks of {name} overlap")
        ships, true = ([mask for mask in masks if mask.any()] for masks in (ships, true))
        if not ships and not true:
            scores.append(1.0)
            continue
        ious = np.array([[(a & b).sum() / (a | b).sum() for b in true] for a in ships]).reshape(len(ships), len(true))
        of_image = []
        for threshold in THRESHOLDS:
            hits = int((ious > threshold).any(1).sum())
            of_image.append(5 * hits / (5 * hits + 4 * (len(true) - hits) + len(ships) - hits))
        scores.append(np.mean(of_image))
    return float(np.mean(scores))


def dacon(path, truth, sizes):
    """Dice of each image; -1 is empty, and what is empty in both is not counted."""
    header, found = read(path)
    rows = same_rows(header, found, read(truth)[1], ("img_id", "mask_rle"))
    scores = []
    for name, *pair in rows:
        if None in pair:
            raise Refused("an empty field")
        scores.append(dice(*(decode("" if rle == "-1" else rle, sizes[name], "C") for rle in pair), np.nan))
    return float(np.nanmean(scores))


GRADERS = {
    "tgs-salt": tgs_salt,
    "hubmap-kidney": hubmap_kidney,
    "gi-tract": gi_tract,
    "contrails": contrails,
    "vesuvius-ink": vesuvius_ink,
    "airbus-ships": airbus,
    "dacon-236092": dacon,
}
