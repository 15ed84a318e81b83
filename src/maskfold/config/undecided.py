"""What a config leaves to be measured on the device that trains."""

from maskfold.config import Config
from maskfold.config.section import AUTO


def open_keys(config: Config) -> list[str]:
    """Dotted keys of what is still to be measured."""
    sizes = {"train.batch_size": config.train.batch_size, "inference.batch_size": config.inference.batch_size}
    ways = {"train.channels_last": config.train.channels_last, "train.compile": config.train.compile}
    keys = [key for key, size in sizes.items() if size == AUTO] + [key for key, way in ways.items() if way == "auto"]
    return keys + (["train.hours"] if config.train.hours is not None and config.train.iterations is None else [])


def value_of(config: Config, key: str) -> object:
    """The value of a dotted key."""
    section, _, name = key.partition(".")
    return getattr(getattr(config, section), name)
