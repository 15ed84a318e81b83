import base64
import io

import numpy as np
import pytest
from PIL import Image

from maskfold.drawing import CLASSES, fitting_size
from maskfold.labels import Label, LabelSpec
from maskfold.report.card_pictures import make_pictures
from maskfold.report.pictures import picture_side
from maskfold.report.pixels import Seen

BINARY = LabelSpec("binary", ("roof",))


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.fixture
def scene():
    """12 x 20 with one pixel of each kind: right, too much, missed, not scored; the rest background."""
    truth, mask = np.zeros((12, 20), np.uint8), np.zeros((12, 20), np.uint8)
    truth[1, 2] = mask[1, 2] = 1
    mask[3, 4] = 1
    truth[5, 6] = 1
    truth[7, 8], mask[7, 8] = 255, 1
    return truth, mask


def draw(truth, mask, labels=BINARY, count=1, image=None, probability=None):
    image = np.full((*truth.shape, 3), (200, 100, 50), np.uint8) if image is None else image
    label = Label(np.where(truth == 255, 0, truth), truth != 255)
    return make_pictures(image, seen(label, mask, labels, probability), labels=labels, count=count)


def seen(label, mask, labels, probability=None):
    """What is known of an image whose probabilities are those of its mask, unless others are given."""
    certain = labels.layers(mask).astype(np.float32)
    return Seen(certain if probability is None else probability, label, mask, None, None)


def test_masks_and_errors_of_a_binary_image(scene):
    pictures = draw(*scene)
    truth, prediction = (
        np.array(decoded(uri).convert("RGBA").convert("L")) for uri in (pictures.truth, pictures.prediction)
    )
    assert np.argwhere(truth > 200).tolist() == [[1, 2], [5, 6]]
    assert np.argwhere(prediction > 200).tolist() == [[1, 2], [3, 4], [7, 8]]
    assert truth[7, 8] not in (truth[0, 0], truth[1, 2])
    errors = np.array(decoded(pictures.errors).convert("RGBA"))
    red, green, blue, opacity = errors[3, 4]
    assert (red > green > blue, opacity > 150) == (True, True)
    red, green, blue, opacity = errors[5, 6]
    assert (red < green < blue, opacity > 150) == (True, True)
    opaque = set(zip(*np.nonzero(errors[..., 3]), strict=True))
    assert opaque == {(1, 2), (3, 4), (5, 6), (7, 8)}
    photograph = np.array(decoded(pictures.image)).astype(int)
    assert photograph.shape == (12, 20, 3)
    assert np.abs(photograph - (200, 100, 50)).max() < 12


def test_every_mistake_counts_with_several_classes():
    truth = np.array([[0, 1, 2, 3, 255]], np.uint8).repeat(4, 0)
    mask = np.array([[0, 0, 2, 1, 1]], np.uint8).repeat(4, 0)
    pictures = draw(truth, mask, LabelSpec("multiclass", tuple("abcd")))
    shown = np.array(decoded(pictures.truth).convert("RGBA"))
    assert len(np.unique(shown.reshape(-1, 4), axis=0)) == 5
    opacity = np.array(decoded(pictures.errors).convert("RGBA"))[0, :, 3]
    assert (opacity > 0).tolist() == [False, True, False, True, True]


def test_of_classes_that_overlap_the_last_is_seen_and_any_mistake_counts():
    clouds = LabelSpec("multilabel", ("fish", "flower"))
    truth = np.array([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], np.uint8).repeat(3, 1)
    mask = np.array([[[1, 0, 0, 0]], [[0, 1, 0, 0]]], np.uint8).repeat(3, 1)
    image = np.full((3, 4, 3), 90, np.uint8)
    pictures = make_pictures(image, seen(Label.whole(truth), mask, clouds), labels=clouds, count=1)
    shown = np.array(decoded(pictures.truth).convert("RGB"))[0]
    assert [tuple(pixel) for pixel in shown] == [CLASSES[1], CLASSES[2], CLASSES[2], CLASSES[0]]
    wrong = np.array(decoded(pictures.errors).convert("RGBA"))[0, :, 3] > 0
    assert wrong.tolist() == [False, True, True, False]


def test_sizes():
    assert fitting_size((101, 101), 256) == (101, 101)
    assert fitting_size((500, 1000), 256) == (256, 128)
    assert fitting_size((3000, 1), 256) == (1, 256)
    assert [picture_side(count) for count in (60, 61, 180, 181, 500)] == [512, 384, 384, 256, 256]


def test_a_gallery_of_noise_fits(monkeypatch):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (256, 200, 3), np.uint8)
    truth, noise = np.zeros((256, 200), np.uint8), rng.random((1, 256, 200), np.float32)
    encoded = []
    for total in (12e6, 14e6, 17e6, 20e6, 24e6):
        monkeypatch.setattr("maskfold.report.card_pictures.GALLERY_BYTES", total)
        pictures = draw(truth, truth, count=500, image=image, probability=noise)
        uris = (pictures.image, pictures.truth, pictures.prediction, pictures.errors, pictures.evidence)
        encoded.append(500 * sum(map(len, uris)))
        assert encoded[-1] < 1.01 * total
    assert len(set(encoded)) > 2


def test_objects_and_shares_of_annotators_are_shown():
    instances = np.zeros((10, 16), np.int32)
    instances[2:5, 1:4], instances[2:5, 4:8], instances[7:9, 9:12] = 1, 2, 15
    found = np.where(instances == 2, 1, instances)
    mask = (instances > 0).astype(np.uint8)
    known = Seen(mask[None].astype(np.float32), Label(mask, np.ones(mask.shape, bool), instances), mask, found, None)
    shares = np.zeros((10, 16), np.float32)
    shares[:, 8:] = 2 / 3
    pictures = make_pictures(np.zeros((10, 16, 3), np.uint8), known, labels=BINARY, count=1, shares=shares)
    assert list(pictures.further) == ["objects labelled", "objects predicted", "annotators"]
    labelled, predicted, people = (np.array(decoded(uri).convert("RGB")) for uri in pictures.further.values())
    assert len(np.unique(labelled.reshape(-1, 3), axis=0)) == 4
    assert len(np.unique(predicted.reshape(-1, 3), axis=0)) == 3
    assert (labelled[3, 2] != labelled[3, 5]).any()
    assert people[5, 3].tolist() == [0, 0, 0]
    assert people[5, 12].tolist() == [170, 170, 170]
