"""The catalogue: for each competition the genuine names and forms of its files, from which a tiny twin is drawn.

A new competition is one `Form`. It says what the competition's data page says, not what the profile does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tests.catalogue import drawing
from tests.catalogue.drawing import draw_scene, joined, run_lengths, write_lines


@dataclass(frozen=True)
class Form:
    """A competition's files.

    Attributes:
        profile: by which maskfold reads them.
        images: path of a training and of a test image (or of its folder), of an id.
        ids: of the training images and of the test images, in the order of the tables.
        store: writes a scene there, returns what reading it must give.
        train: name, header (empty: none) and row of the training table; None: masks are files.
        sample: name, header and row of the sample submission.
        size: (H, W) of training and test images.
        classes: as tables write them; none for one class.
        order, relative, empty: the dialect.
        objects: whether the training table, and whether a submission, has a row for each object.
        listed: whether images without an object have rows in the training table.
        never_empty: whether every image shows something.
        scale: of the submitted masks to the images.
        mask: writes a training mask as a file.
        beside: a further table of the test images, whose pixels are of several sizes.
        seen: what an image shows, from all images of its split as they are stored; None: itself.
    """

    profile: str
    images: tuple[Callable[[str], str], Callable[[str], str]]
    ids: tuple[tuple[str, ...], tuple[str, ...]]
    store: Callable
    train: tuple[str, str, str] | None
    sample: tuple[str, str, str]
    size: tuple[tuple[int, int], tuple[int, int]] = ((40, 48), (36, 52))
    classes: tuple[str, ...] = ("",)
    order: str = "F"
    relative: bool = False
    empty: str = ""
    objects: tuple[bool, bool] = (False, False)
    listed: bool = True
    never_empty: bool = False
    scale: int = 1
    mask: Callable | None = None
    beside: tuple[str, str, str] | None = None
    seen: Callable | None = None


@dataclass
class Twin:
    """A drawn competition: images by id as they must be read, and for each class the objects, of both splits."""

    form: Form
    root: Path
    truth: Path
    images: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)

    def layers(self, name):
        """bool (C, H, W)."""
        size = self.size(name)
        return np.stack([joined(objects, size) for objects in self.objects[name]])

    def size(self, name):
        """(H, W) of the masks of an id."""
        test = name in self.form.ids[1]
        height, width = self.form.size[test]
        factor = self.form.scale if test else 1
        return height * factor, width * factor

    def rows(self, name, test):
        """(class value, mask) of the rows that a table has of an id."""
        per_object = self.form.objects[test]
        for value, objects in zip(self.form.classes, self.objects[name], strict=True):
            if per_object and objects:
                yield from ((value, mask) for mask in objects)
            else:
                yield value, joined(objects, self.size(name))

    def text(self, mask):
        """Run lengths, written by the test."""
        return run_lengths(mask, order=self.form.order, relative=self.form.relative) or self.form.empty


def draw_twin(form: Form, root: Path) -> Twin:
    """Write all files of a competition, and a table of the truth of its test images beside them."""
    twin = Twin(form, root, root.parent / "truth.csv")
    for test, ids in enumerate(form.ids):
        for place, name in enumerate(ids):
            counts = [max(place and (place + index) % 3, form.never_empty) for index in range(len(form.classes))]
            scene, objects = draw_scene(100 * test + place, form.size[test], counts)
            twin.images[name] = form.store(root, form.images[test](name), scene)
            twin.objects[name] = [
                [np.kron(mask, np.ones((form.scale, form.scale), bool)) if test else mask for mask in of_class]
                for of_class in objects
            ]
            if form.mask is not None and not test:
                form.mask(root, name, twin.layers(name)[0])
        if form.seen is not None:
            twin.images |= {name: form.seen(name, {other: twin.images[other] for other in ids}) for name in ids}
    _write_tables(twin)
    return twin


def _write_tables(twin):
    form = twin.form
    if form.train is not None:
        name, _, row = form.train
        header = header_of(form.train)
        lines = [
            row.format(id=image, cls=value, rle=twin.text(mask))
            for image in form.ids[0]
            for value, mask in twin.rows(image, test=False)
            if form.listed or mask.any()
        ]
        write_lines(twin.root / name, [*header, *lines])
    name, _, row = form.sample
    header = header_of(form.sample)
    sample = [row.format(id=image, cls=value, rle="1 1") for image in form.ids[1] for value in form.classes]
    write_lines(twin.root / name, [*header, *sample])
    if form.beside is not None:
        name, columns, row = form.beside
        sizes = zip(form.ids[1], (0.8, 0.229), strict=True)
        write_lines(twin.root / name, [columns, *(row.format(id=image, pixel=size) for image, size in sizes)])
    write_lines(twin.truth, [*header, *submitted(twin, twin.layers)])


def header_of(table):
    """The lines before a table's rows: one, or none."""
    return [table[1]] if table[1] else []


def submitted(twin, layers_of):
    """The rows of a submission of layers, bool (C, H, W) by id, in the order of the sample submission."""
    row = twin.form.sample[2]
    for image in twin.form.ids[1]:
        for value, layer in zip(twin.form.classes, layers_of(image), strict=True):
            for mask in _parts(layer) if twin.form.objects[1] else [layer]:
                yield row.format(id=image, cls=value, rle=twin.text(mask))


def _parts(layer):
    count, numbers = cv2.connectedComponents(layer.astype(np.uint8), connectivity=8)
    return [numbers == place for place in range(1, count)] or [layer]


def _gi_path(name, split):
    case, day, _, number = name.split("_")
    height, width = GI_SIZES[split == "test"]
    # The first number of a file's name is its width.
    return f"{split}/{case}/{case}_{day}/scans/slice_{number}_{width}_{height}_1.50_1.50.png"


def _gi_neighbours(name, stored):
    """The slices two before and two behind; at the ends the nearest to it that there is on that side."""
    volume, number = name.rsplit("_", 1)
    found = []
    for offset in (-2, 0, 2):
        step = -1 if offset < 0 else 1
        there = [stored.get(f"{volume}_{int(number) + step * away:04}") for away in range(abs(offset) + 1)]
        found.append([image for image in there if image is not None][-1])
    return np.concatenate(found, axis=2)


def _png_mask(root, name, mask):
    drawing.picture(root / f"train/{name}/inklabels.png", mask.astype(np.uint8) * 255)


def _npy_mask(root, name, mask):
    np.save(root / f"{_record_split(name)}/{name}/human_pixel_masks.npy", mask[..., None].astype(np.int32))


def _record_split(name):
    return "validation" if name == "7301" else "train"


def _study(name):
    return f"{'dicom-images-test' if name.endswith('4') else 'dicom-images-train'}/1.2.{name}/1.3.{name}/{name}.dcm"


GI_SIZES = ((40, 48), (36, 52))
IDS = ("b2", "a1", "d4", "c3"), ("t1", "s0", "u2")
JPG = tuple(f"{name}.jpg" for name in IDS[0]), tuple(f"{name}.jpg" for name in IDS[1])
SLICES = (
    tuple(f"case{case}_day20_slice_{number:04}" for case in (7, 123) for number in (1, 2, 4)),
    tuple(f"case9_day{day}_slice_{number:04}" for day in (0, 14) for number in (1, 2)),
)
CARS = tuple(f"{car}_{view:02}.jpg" for car in ("0ab", "1cd") for view in (1, 2)), ("9ef_01.jpg", "9ef_02.jpg")

CATALOGUE = [
    Form(
        "tianchi-buildings",
        (lambda i: f"train/{i}", lambda i: f"test_a/{i}"),
        JPG,
        drawing.rgb,
        ("train_mask.csv", "", "{id}\t{rle}"),
        ("test_a_samplesubmit.csv", "", "{id}\t{rle}"),
    ),
    Form(
        "tgs-salt",
        (lambda i: f"train/images/{i}.png", lambda i: f"test/images/{i}.png"),
        IDS,
        drawing.grey_as_rgb,
        ("train.csv", "id,rle_mask", "{id},{rle}"),
        ("sample_submission.csv", "id,rle_mask", "{id},{rle}"),
        size=((101, 101), (101, 101)),
    ),
    Form(
        "airbus-ships",
        (lambda i: f"train_v2/{i}", lambda i: f"test_v2/{i}"),
        JPG,
        drawing.rgb,
        ("train_ship_segmentations_v2.csv", "ImageId,EncodedPixels", "{id},{rle}"),
        ("sample_submission_v2.csv", "ImageId,EncodedPixels", "{id},{rle}"),
        objects=(True, True),
    ),
    Form(
        "severstal-steel",
        (lambda i: f"train_images/{i}", lambda i: f"test_images/{i}"),
        JPG,
        drawing.rgb,
        ("train.csv", "ImageId,ClassId,EncodedPixels", "{id},{cls},{rle}"),
        ("sample_submission.csv", "ImageId_ClassId,EncodedPixels", "{id}_{cls},{rle}"),
        classes=("1", "2", "3", "4"),
        listed=False,
    ),
    Form(
        "understanding-clouds",
        (lambda i: f"train_images/{i}", lambda i: f"test_images/{i}"),
        JPG,
        drawing.rgb,
        ("train.csv", "Image_Label,EncodedPixels", "{id}_{cls},{rle}"),
        ("sample_submission.csv", "Image_Label,EncodedPixels", "{id}_{cls},{rle}"),
        size=((70, 105), (70, 105)),
        classes=("Fish", "Flower", "Gravel", "Sugar"),
        scale=5,
    ),
    Form(
        "siim-pneumothorax",
        (_study, lambda i: f"stage_2_images/{i}.dcm"),
        IDS,
        drawing.dicom,
        ("stage_2_train.csv", "ImageId, EncodedPixels", "{id}, {rle}"),
        ("stage_2_sample_submission.csv", "ImageId,EncodedPixels", "{id},{rle}"),
        relative=True,
        empty="-1",
        objects=(True, False),
    ),
    Form(
        "hubmap-kidney",
        (lambda i: f"train/{i}.tiff", lambda i: f"test/{i}.tiff"),
        IDS,
        drawing.rgb,
        ("train.csv", "id,encoding", "{id},{rle}"),
        ("sample_submission.csv", "id,predicted", "{id},{rle}"),
    ),
    Form(
        "hubmap-hpa",
        (lambda i: f"train_images/{i}.tiff", lambda i: f"test_images/{i}.tiff"),
        (("62", "10044", "10274", "9777"), ("10078", "11")),
        drawing.rgb,
        (
            "train.csv",
            "id,organ,data_source,img_height,img_width,pixel_size,tissue_thickness,rle,age,sex",
            "{id},prostate,HPA,40,48,0.4,4,{rle},37.0,Male",
        ),
        ("sample_submission.csv", "id,rle", "{id},{rle}"),
        beside=(
            "test.csv",
            "id,organ,data_source,img_height,img_width,pixel_size,tissue_thickness",
            "{id},spleen,Hubmap,36,52,{pixel},10",
        ),
    ),
    Form(
        "gi-tract",
        (lambda i: _gi_path(i, "train"), lambda i: _gi_path(i, "test")),
        SLICES,
        drawing.grey_16_bits,
        ("train.csv", "id,class,segmentation", "{id},{cls},{rle}"),
        ("sample_submission.csv", "id,class,predicted", "{id},{cls},{rle}"),
        size=GI_SIZES,
        classes=("large_bowel", "small_bowel", "stomach"),
        order="C",
        seen=_gi_neighbours,
    ),
    Form(
        "contrails",
        (lambda i: f"{_record_split(i)}/{i}", lambda i: f"test/{i}"),
        (("1000", "2222", "7301", "3456"), ("1653", "1002")),
        drawing.bands,
        None,
        ("sample_submission.csv", "record_id,encoded_pixels", "{id},{rle}"),
        empty="-",
        mask=_npy_mask,
    ),
    Form(
        "vesuvius-ink",
        (lambda i: f"train/{i}/surface_volume", lambda i: f"test/{i}/surface_volume"),
        (("1", "2", "3"), ("a", "b")),
        drawing.layers,
        None,
        ("sample_submission.csv", "Id,Predicted", "{id},{rle}"),
        order="C",
        never_empty=True,
        mask=_png_mask,
    ),
    Form(
        "dacon-236092",
        (lambda i: f"train_img/{i}.png", lambda i: f"test_img/{i}.png"),
        (tuple(f"TRAIN_{n:04}" for n in range(4)), tuple(f"TEST_{n:05}" for n in range(3))),
        drawing.rgb,
        ("train.csv", "img_id,img_path,mask_rle", "{id},./train_img/{id}.png,{rle}"),
        ("sample_submission.csv", "img_id,mask_rle", "{id},{rle}"),
        size=((96, 96), (36, 36)),
        order="C",
        empty="-1",
    ),
    Form(
        "carvana",
        (lambda i: f"train/{i}", lambda i: f"test/{i}"),
        CARS,
        drawing.rgb,
        ("train_masks.csv", "img,rle_mask", "{id},{rle}"),
        ("sample_submission.csv", "img,rle_mask", "{id},{rle}"),
        order="C",
    ),
    Form(
        "dsb2018-nuclei",
        (lambda i: f"stage1_train/{i}/images/{i}.png", lambda i: f"stage1_test/{i}/images/{i}.png"),
        IDS,
        drawing.rgba,
        ("stage1_train_labels.csv", "ImageId,EncodedPixels", "{id},{rle}"),
        ("stage1_sample_submission.csv", "ImageId,EncodedPixels", "{id},{rle}"),
        objects=(True, True),
    ),
    Form(
        "sartorius-cells",
        (lambda i: f"train/{i}.png", lambda i: f"test/{i}.png"),
        IDS,
        drawing.grey_as_rgb,
        ("train.csv", "id,annotation,width,height,cell_type", "{id},{rle},48,40,shsy5y"),
        ("sample_submission.csv", "id,predicted", "{id},{rle}"),
        order="C",
        objects=(True, True),
    ),
]
