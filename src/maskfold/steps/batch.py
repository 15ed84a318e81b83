"""The number of images that prediction works on at once, where the command line asks for one to be found."""

from maskfold.config import Config
from maskfold.config.section import AUTO


def with_batch(config: Config) -> Config:
    """``config`` with a number in the place of ``inference.batch_size auto``, found on this device.

    Raises:
        MaskfoldError: what keeps a training of the config from starting.
    """
    if config.inference.batch_size != AUTO:
        return config
    from maskfold.steps.settle import settle  # imports what training needs

    return settle(config)
