"""The table of ``check_data --fit``, and what it advises."""

from maskfold.config import Config
from maskfold.steps.fit import advice, describe_fit
from maskfold.training.capacity import Capacity, Load
from maskfold.training.forecast import Pace, Work

CONFIG = Config(train={"batch_size": 8, "epochs": 10}, tta={"views": "flips"}, inference={"batch_size": 4})


def capacity(train, predict, config=CONFIG, free=12_300_000_000):
    """Five folds of 100 training batches and 40 validation images of 1000 pixels; 80 test images of 500."""
    work = Work(
        config, epochs=10, batches_per_epoch=100, batches=1000, valid_images=40, folds=5, networks=5, test_images=40
    )
    return Capacity("cpu", free, work, train, predict)


def test_what_fits_and_how_long_it_takes():
    found = capacity(
        Load(8, 800, memory=2_345_000_000, largest=70, pace=Pace(batch=0.5)),
        Load(4, 80, memory=456_000_000, largest=80, pace=Pace(image=2, plain=0.5)),
    )
    # An image of 1000 pixels takes 2 s in its four views, 0.5 s without. An epoch is 100 * 0.5 + 40 * 0.5 s, a fold
    # ten of these after eight images with views and without (20 s), one candidate's scores (20 s) and its maps (80 s).
    assert describe_fit(found).splitlines() == [
        "Fit on cpu, 12.3 GB free: unet of resnet34",
        "               training                prediction, 4 views",
        "batch          8 images                4 images",
        "memory         2.35 GB                 0.456 GB",
        "speed          16 images/s             0.5 images/s",
        "largest batch  70 images               all 80 images",
        "an epoch       70 s                    with its validation",
        "a fold         14 min                  10 epochs, scores, out-of-fold maps",
        "all folds      68 min                  5 folds",
        "out-of-fold    80 s                    maps of a fold",
        "test images    7 min                   5 networks",
    ]
    assert advice(found) == []


def test_what_does_not_fit_and_what_to_change():
    small = Config(train={"batch_size": 8, "accumulate": 2})
    found = capacity(Load(8, 800, largest=3, stopped="memory"), Load(4, 80, largest=1, stopped="memory"), small)
    assert describe_fit(found).splitlines()[2:] == [
        "batch          8 images                4 images",
        "memory         does not fit            does not fit",
        "speed          not measured            not measured",
        "largest batch  3 images                1 images",
    ]
    # Batches of 3 make up for 2 x 8 images in six steps.
    assert advice(found) == [
        "set train.batch_size to 3 and train.accumulate to 6",
        "set inference.batch_size to 1",
    ]


def test_where_not_one_image_fits():
    found = capacity(Load(8, 800, largest=0, stopped="memory"), Load(4, 80, largest=0, stopped="memory"))
    assert "largest batch  none                    none" in describe_fit(found)
    assert advice(found) == ["lower data.crop or data.scale, or choose a smaller model.encoder", "set tta.window"]


def test_what_was_not_measured_is_not_advised_about():
    found = capacity(Load(8, 800, pace=Pace(batch=0.5)), Load(4, 80, stopped="time"), free=None)
    lines = describe_fit(found).splitlines()
    assert lines[0] == "Fit on cpu: unet of resnet34"
    assert lines[3:] == [
        "memory         not measured            not measured: too slow",
        "speed          16 images/s             not measured",
        "largest batch  not measured            not measured",
    ]
    assert advice(found) == []
