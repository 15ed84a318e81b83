"""The table of networks that plans choose from: seconds, memory, and what they gain where weights are at hand.

    python benchmarks/bench_networks.py [--again] [--study runs/studies/networks --root DATA/satellite_buildings]

measures every encoder with every decoder, decoder by decoder, on one thread, writes the package's file
src/maskfold/planning/networks.csv, and puts tables into docs/encoders.md. Rows that are there are not measured again,
so what was interrupted goes on. Seconds are of the processor, so that other work on the machine disturbs them little;
memory is what a training step keeps for its backward pass. Gains are those of the study `networks`, trained before;
without --study the table's own stay.
"""

import argparse
import time
from itertools import product
from pathlib import Path

import torch

from maskfold.errors import ModelError
from maskfold.images import PLAIN
from maskfold.labels import LabelSpec
from maskfold.planning import MeasuredSpeed
from maskfold.planning.decoders import DECODERS, Decoder
from maskfold.planning.encoders import ENCODERS, Encoder
from maskfold.planning.networks import TABLE, Cost, Gain, Network, table
from maskfold.studies import Plan, load_study
from maskfold.studies.results import gather
from maskfold.studies.run import trained
from maskfold.studies.write import document
from network_table import DOCUMENT, Key, kept, key_of, sections, write
from timing import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, help="folder of the study's trainings, such as runs/studies/networks")
    parser.add_argument("--root", type=Path, help="folder of satellite_buildings, for --study")
    parser.add_argument("--again", action="store_true", help="measure rows again that the table has")
    options = parser.parse_args()
    torch.set_num_threads(1)
    old = list(table()) if TABLE.exists() else []
    gains = {key_of(row): row.gain for row in old if row.gain is not None}
    if options.study is not None:
        gains |= gains_of(options.study, options.root)
    known = {} if options.again else {key_of(row): row for row in old}
    rows: list[Network] = []
    for decoder, encoder in product(DECODERS.values(), ENCODERS.values()):
        row = known.get((encoder.name, decoder.name)) or measured(encoder, decoder)
        if row is not None:
            rows.append(row)
            done = {key_of(each) for each in rows}
            write([*rows, *(each for key, each in known.items() if key not in done)], gains)
    table.cache_clear()
    for name, text in sections(table(), machine("torch", "timm", "segmentation-models-pytorch")).items():
        document(DOCUMENT, name, text)


def measured(encoder: Encoder, decoder: Decoder) -> Network | None:
    """A network timed and weighed; None where it cannot be built."""
    speed = MeasuredSpeed(LabelSpec("binary", ("foreground",)), PLAIN, torch.device("cpu"), time.process_time)
    row = Network(encoder, decoder, 0.0, Cost(0.0, 0.0))
    try:
        network = speed.build(row)
    except ModelError as error:
        print(f"left out: {row.name}: {error}", flush=True)
        return None
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    cost, memory = speed.cost(row), kept(network)
    print(f"{row.name}: {cost.train:.3g} and {cost.predict:.3g} s, {memory:.3g} bytes", flush=True)
    return Network(encoder, decoder, parameters, Cost(cost.train, cost.predict, memory))


def gains_of(folder: Path, root: Path | None) -> dict[Key, Gain]:
    """Encoder and decoder -> what the study found of them, as far as it is trained."""
    plan = Plan(load_study("networks"), folder, {"competition.root": root} if root else {})
    decoders = {(each.architecture, str(dict(each.options))): each.name for each in DECODERS.values()}
    found = {}
    names = [name for name in plan.study.variants if trained(plan, name)]
    for row in gather(plan, names).rows:
        model, gain = plan.config(row.name, plan.study.seeds[0]).model, row.figures[0].difference
        options = {name: list(value) for name, value in model.options.items()}
        if gain is not None:
            key = model.encoder, decoders[model.architecture, str(options)]
            found[key] = Gain(gain.difference, gain.low, gain.high)
    return found


if __name__ == "__main__":
    main()
