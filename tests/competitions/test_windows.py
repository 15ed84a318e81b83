import numpy as np
import pytest
from tests.competitions.conftest import slow_rle

from maskfold.competitions import open_competition
from maskfold.competitions import windows as module
from maskfold.competitions.competition import Competition
from maskfold.competitions.encoded import MaskEncoder
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.windows import MaskWindows
from maskfold.errors import SubmissionError


def layout(tmp_path, order, **changed):
    tree = {
        "name": "own",
        "layout": "csv",
        "metric": "dice",
        "train": {"table": "train.csv", "image": "{id}.png"},
        "test": {"table": "test.csv", "image": "{id}.png"},
        "columns": {"id": "id", "mask": "rle"},
        "dialect": {"order": order},
    }
    return Competition(CsvProfile.model_validate(tree | changed), tmp_path).layout


def mask_of(shape, highest):
    return np.random.default_rng(9).integers(0, highest + 1, shape).astype(np.uint8)


def windows(mask):
    return MaskWindows(lambda rows, columns: mask[..., rows, columns], mask.shape[-2:])


@pytest.mark.parametrize("order", ["F", "C"])
def test_windows_are_encoded_as_the_whole_mask(tmp_path, monkeypatch, order):
    monkeypatch.setattr(module, "PIXELS", 100)  # strips of a few columns or rows
    mask = mask_of((23, 41), 1)
    assert layout(tmp_path, order).encode_windows(windows(mask)) == {"": [slow_rle(mask, order=order)]}


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_classes_have_a_row_each(tmp_path, monkeypatch, task):
    monkeypatch.setattr(module, "PIXELS", 100)
    columns = {"id": "id", "class": "class", "mask": "rle"}
    names = ["background", "a", "b"] if task == "multiclass" else ["a", "b"]
    metric = "miou" if task == "multiclass" else "dice"
    own = layout(tmp_path, "F", rows="class", task=task, columns=columns, class_names=names, metric=metric)
    mask = mask_of((23, 41), 2) if task == "multiclass" else mask_of((2, 23, 41), 1)
    layers = [mask == 1, mask == 2] if task == "multiclass" else mask
    assert own.encode_windows(windows(mask)) == {
        name: [slow_rle(layer)] for name, layer in zip("ab", layers, strict=True)
    }


def test_rows_of_instances_are_refused(airbus):
    mask = mask_of((18, 18), 1)
    with pytest.raises(SubmissionError, match=r"rows: instance, and the components .* are not known"):
        MaskEncoder(airbus.open())("t0.jpg", windows(mask))


def test_large_image_files_are_refused(png_masks):
    competition = open_competition(png_masks.config().model_copy(update={"max_pixels": 300}))
    name, size = next(iter(png_masks.test.items()))
    with pytest.raises(SubmissionError, match=rf"{size[0]}x{size[1]} pixels is too large for a mask file: write tifs"):
        MaskEncoder(competition)(name, windows(mask_of(size, 1)))
