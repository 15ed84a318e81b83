"""What a config needs of this machine, as a table, and what to change where it does not fit."""

from maskfold.config import Config
from maskfold.steps.settle import settle, trial_run
from maskfold.training.capacity import Capacity, Load, measure_capacity
from maskfold.training.forecast import duration


def measure_fit(config: Config, folds: int | None = None) -> Capacity:
    """Measure training and prediction of a config on this device; nothing is left in ``runs/``.

    Args:
        config: the experiment's; what it leaves open is settled first.
        folds: that are trained within ``train.hours``; None: as many as the config says.

    Raises:
        MaskfoldError: see its message: what keeps a training from starting.
    """
    with trial_run(settle(config, folds=config.folds.to_train if folds is None else folds)) as run:
        return measure_capacity(run)


def describe_fit(found: Capacity) -> str:
    """The figures with their units, as a table, and the times."""
    config = found.work.config
    free = "" if found.free is None else f", {_size(found.free)} free"
    views = f"prediction, {found.work.views} view{'s' * (found.work.views > 1)}"
    train = None if found.train.pace is None else config.train.batch_size / found.train.pace.batch
    predict = None if found.predict.pace is None else 1 / found.predict.pace.image
    rows = [
        ("", "training", views),
        ("batch", *(f"{load.batch} images" for load in (found.train, found.predict))),
        ("memory", *(_memory(load) for load in (found.train, found.predict))),
        ("speed", *(_speed(value) for value in (train, predict))),
        ("largest batch", *(_largest(load) for load in (found.train, found.predict))),
    ]
    lines = [f"Fit on {found.device}{free}: {config.model.architecture} of {config.model.encoder}"]
    lines += [f"{name:15}{first:24}{second}".rstrip() for name, first, second in rows]
    return "\n".join([*lines, *_times(found)])


def advice(found: Capacity) -> list[str]:
    """Settings to change, one for each that does not fit."""
    texts = []
    train, predict = found.train, found.predict
    if too_large(train):
        if train.largest:
            more = -(-train.batch * found.work.config.train.accumulate // train.largest)
            texts.append(f"set train.batch_size to {train.largest} and train.accumulate to {more}")
        else:
            texts.append("lower data.crop or data.scale, or choose a smaller model.encoder")
    if too_large(predict):
        texts.append(f"set inference.batch_size to {predict.largest}" if predict.largest else "set tta.window")
    return texts


def too_large(load: Load) -> bool:
    """Whether the configured batch is known not to fit."""
    return load.memory is None and load.largest is not None and load.largest < load.batch


def _times(found: Capacity) -> list[str]:
    forecast, work = found.forecast, found.work
    rows = []
    if forecast is not None:
        rows += [
            ("an epoch", forecast.epoch, "with its validation"),
            ("a fold", forecast.fold, f"{work.epochs} epochs, scores, out-of-fold maps"),
        ]
        if forecast.folds > 1:
            rows.append(("all folds", forecast.fold * forecast.folds, f"{forecast.folds} folds"))
    if found.predict.pace is not None:
        rows.append(("out-of-fold", work.out_of_fold(found.predict.pace), "maps of a fold"))
        if work.test_images:
            words = f"{work.networks} network{'s' * (work.networks > 1)}"
            rows.append(("test images", work.prediction(found.predict.pace), words))
    return [f"{name:15}{duration(seconds):24}{what}" for name, seconds, what in rows]


def _memory(load: Load) -> str:
    if load.memory is not None:
        return _size(load.memory)
    return "does not fit" if too_large(load) else "not measured" + (": too slow" if load.stopped == "time" else "")


def _speed(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g} images/s"


def _largest(load: Load) -> str:
    if load.largest is None:
        return "not measured"
    if load.largest >= load.most:
        return f"all {load.most} images"
    return f"{load.largest} images" if load.largest else "none"


def _size(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
