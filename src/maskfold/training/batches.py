"""How many images make a batch where the config says ``auto``."""

from collections.abc import Callable

from maskfold.errors import TrainingError
from maskfold.training.capacity import fits, largest_batch
from maskfold.training.forecast import pixels
from maskfold.training.trial import Trial

# Of the images of a batch on a CPU, where larger ones are no faster: eight crops of 256, the default.
CPU_PIXELS = 8 * 256**2
CPU_MOST = 32
GPU_MOST = 64  # a GPU is busy with that, and learning needs many steps more than large ones
LEAST = 4  # images: batch norm learns little of fewer
SMALL = 8  # images
# Steps that an epoch keeps with small batches, and with larger ones: 220 steps of 32 crops taught CamVid less than 900
# of 8 did, of the same images (docs/experiments.md, street_scenes).
FEW_STEPS, MANY_STEPS = 10, 40
FILLED = 0.9  # of what fits: validation in between, pieces of memory


def training_batch(trial: Trial) -> int:
    """Images of a training batch: on a GPU most of what fits, elsewhere by the crop's pixels.

    An epoch keeps its steps, where there are images for them.
    """
    config = trial.session.config
    most = most_images(trial.images, config.train.accumulate)
    if trial.device.type == "cuda":
        return _tried(trial, trial.train, least=LEAST, most=min(most, GPU_MOST))
    return on_cpu(config.data.crop, most)


def prediction_batch(trial: Trial) -> int:
    """Images of a batch of prediction: on a GPU most of what fits, elsewhere by the largest image's pixels."""
    config, competition = trial.session.config, trial.session.competition
    if trial.device.type == "cuda":
        return _tried(trial, trial.predict, least=1, most=GPU_MOST)
    largest = max(pixels(competition, [sample]) for sample in trial.samples)
    return by_pixels(config.tta.window**2 if config.tta.window else round(largest * config.data.scale**2))


def _tried(trial: Trial, attempt: Callable[[int], None], *, least: int, most: int) -> int:
    largest = largest_batch(fits(trial, attempt, least=least), LEAST, most)
    if not largest:
        raise TrainingError(
            "not even one image fits the GPU's memory: lower data.crop or data.scale, set tta.window, or choose a "
            "smaller model.encoder"
        )
    return filled(largest, most)


def on_cpu(crop: int, most: int) -> int:
    """Images of a training batch on a CPU, of crops of so many pixels a side; ``most`` keep the epoch its steps."""
    return min(most, max(LEAST, by_pixels(crop**2)))


def most_images(images: int, accumulate: int = 1) -> int:
    """Images of a training batch with which an epoch keeps ten steps, or forty if the batch is of more than eight."""
    images //= accumulate
    return max(LEAST, min(SMALL, images // FEW_STEPS), images // MANY_STEPS)


def by_pixels(image: int) -> int:
    """Images of so many pixels, after scale, that a CPU works on at once: a power of two, from 1 on."""
    count = min(CPU_MOST, max(1, CPU_PIXELS // image))
    return 1 << (count.bit_length() - 1)


def filled(largest: int, most: int) -> int:
    """What is used of the largest batch that fits: ``most``, else `FILLED` of it, in eights where it has some."""
    if largest >= most:
        return most
    used = int(largest * FILLED)
    return used - used % 8 if used >= 8 else max(1, used)
