"""The table of networks as a file of the package and as sections of docs/encoders.md, see `bench_networks.py`."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from maskfold.files import atomic_path
from maskfold.planning.decoders import REFERENCE as NARROW
from maskfold.planning.encoders import REFERENCE
from maskfold.planning.networks import TABLE, Gain, Network

DOCUMENT = Path(__file__).parents[1] / "docs" / "encoders.md"
COLUMNS = ("encoder", "decoder", "parameters", "train", "predict", "memory", *Gain._fields)
IMAGE = 512**2 / 1e6  # millions of pixels of the image that the document speaks of
MEMORY_OF = (2, 3, 192, 192)

Key = tuple[str, str]


def key_of(row: Network) -> Key:
    return row.encoder.name, row.decoder.name


def kept(network: torch.nn.Module) -> float:
    """Bytes that autograd keeps for the backward pass of a million pixels, in bf16; the weights are not among them."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        output = network(torch.rand(MEMORY_OF).mul(255)).logits.float().square().mean()
    del output
    count, _, height, width = MEMORY_OF
    return sum(size for place, size in found.items() if place not in own) / (count * height * width / 1e6)


def write(rows: Sequence[Network], gains: Mapping[Key, Gain]) -> None:
    """Write the file of the package."""
    with atomic_path(TABLE) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            gain, cost = gains.get(key_of(row)), row.cost
            figures = [f"{row.parameters:.2f}", f"{cost.train:.4g}", f"{cost.predict:.4g}", f"{cost.memory:.4g}"]
            found = ["" if math.isnan(value) else f"{value:.4f}" for value in gain or [math.nan] * 3]
            writer.writerow([*key_of(row), *figures, *found])


def sections(rows: Sequence[Network], said: str) -> dict[str, str]:
    """The sections of the document that are made from the table."""
    encoders = [row for row in rows if row.decoder == NARROW]
    decoders = [row for row in rows if row.encoder == REFERENCE]
    head = "million parameters | training, s | prediction, s | memory, MB"
    return {
        "Encoders": "\n".join(
            [
                "## Encoders",
                "",
                f"Each in a {NARROW.name}; the cheapest first.",
                "",
                f"| encoder | {head} | ImageNet, % | gain in Dice, 95 % |",
                "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
                *(
                    f"| `{row.encoder.name}` | {costs(row)} | {row.encoder.top1:.1f} | {gain_of(row)} |"
                    for row in sorted(encoders, key=lambda row: row.cost.train)
                ),
            ]
        ),
        "Decoders": "\n".join(
            [
                "## Decoders",
                "",
                f"Each behind `{REFERENCE.name}`.",
                "",
                f"| decoder | {head} | gain in Dice, 95 % |",
                "| --- | ---: | ---: | ---: | ---: | --- |",
                *(f"| {row.decoder.name} | {costs(row)} | {gain_of(row)} |" for row in decoders),
            ]
        ),
        "Machine": f"## Machine\n\n{said}",
    }


def costs(row: Network) -> str:
    """Of an image of the document."""
    memory = (row.cost.memory or 0) * IMAGE / 1e6
    return f"{row.parameters:.1f} | {row.cost.train * IMAGE:.2f} | {row.cost.predict * IMAGE:.2f} | {memory:.0f}"


def gain_of(row: Network) -> str:
    if row.encoder == REFERENCE and row.decoder == NARROW:
        return "the reference"
    if row.gain is None:
        return ""
    gain = row.gain
    return f"{gain.gain:+.3f}" + ("" if math.isnan(gain.low) else f" ({gain.low:+.3f} to {gain.high:+.3f})")
