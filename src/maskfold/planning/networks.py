"""The table of networks, an encoder and a decoder each, that ``benchmarks/bench_networks.py`` measured."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from maskfold.errors import ModelError
from maskfold.models.resolve import resolve_local
from maskfold.planning.decoders import DECODERS, Decoder
from maskfold.planning.encoders import ENCODERS, SCRATCH, Encoder

TABLE = Path(__file__).with_name("networks.csv")


@dataclass(frozen=True)
class Cost:
    """Of a million pixels.

    Attributes:
        train: seconds of a training step.
        predict: seconds of prediction.
        memory: bytes that a training step takes on a GPU; None: not measured.
    """

    train: float
    predict: float
    memory: float | None = None


class Gain(NamedTuple):
    """What a network scored more than the reference, lite0 in a narrow U-Net, in the same number of steps.

    Attributes:
        gain: in units of the score.
        low, high: its paired 95 % interval; nan: not known.
    """

    gain: float
    low: float
    high: float


@dataclass(frozen=True)
class Network:
    """A row of the table.

    Attributes:
        encoder, decoder: what it is made of.
        parameters: in millions.
        cost: one thread of the machine that measured; ``memory`` is what a step keeps for its backward pass.
        gain: None: its weights were not at hand.
    """

    encoder: Encoder
    decoder: Decoder
    parameters: float
    cost: Cost
    gain: Gain | None = None

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.encoder.name} with {self.decoder.name}"


@cache
def table(path: Path = TABLE) -> tuple[Network, ...]:
    """All rows, in the file's order."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(map(_network, csv.DictReader(file)))


def _network(row: dict[str, str]) -> Network:
    cost = Cost(float(row["train"]), float(row["predict"]), float(row["memory"]))
    gain = Gain(*(float(row[key] or "nan") for key in Gain._fields)) if row["gain"] else None
    return Network(ENCODERS[row["encoder"]], DECODERS[row["decoder"]], float(row["parameters"]), cost, gain)


def of_encoders(encoders: Iterable[Encoder]) -> list[Network]:
    """The table's networks with one of these encoders."""
    names = {encoder.name for encoder in encoders}
    return [network for network in table() if network.encoder.name in names]


def at_hand() -> list[Encoder]:
    """The encoders whose ImageNet weights are on this machine, but for the one that is for none; nothing is fetched."""
    return [encoder for encoder in ENCODERS.values() if encoder != SCRATCH and _is_here(encoder)]


def _is_here(encoder: Encoder) -> bool:
    try:
        return resolve_local("imagenet", encoder.name) is not None
    except ModelError:
        return False  # several files fit
