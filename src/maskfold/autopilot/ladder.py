"""The rungs above the first network: what each changes, and when it can gain anything (docs/ladder.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maskfold.config import Config
from maskfold.labels import LabelSpec
from maskfold.planning.choice import promise
from maskfold.planning.networks import Network
from maskfold.planning.rules.crop import STEP
from maskfold.planning.rules.learning_rate import learning_rate
from maskfold.training.batches import LEAST

LARGER = 1.5  # times the scale
MOST_SCALE = 2.0


@dataclass(frozen=True)
class Rung:
    """One rung.

    Attributes:
        name: of the rung, and behind the run's.
        why: what it may gain.
        changes: dotted keys of the first network's config.
        share: of the seconds of the first network's training that it trains.
        labels: whether pseudo-labels are made for it first.
    """

    name: str
    why: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    share: float = 1.0
    labels: bool = False


def rungs(
    config: Config,
    labels: LabelSpec,
    networks: Sequence[Network],
    costs: Mapping[str, float],
    first: str,
    *,
    test: int,
) -> list[Rung]:
    """The rungs, in their order.

    Args:
        config: the first network's.
        labels: the competition's.
        networks: to choose from, those whose costs are known.
        costs: name of a network -> seconds in which it learns from a million pixels.
        first: path of the first network's run.
        test: number of test images.
    """
    found = [_second(config, labels, networks, costs)]
    if config.data.scale < MOST_SCALE:
        found.append(_larger(config, first))
    if test:
        found.append(
            Rung("pseudo", "labels of the test images, each fold's own", _onwards(config, first, 3), 0.5, True)
        )
    found.append(_lovasz(config, labels, first))
    return found


def _second(config: Config, labels: LabelSpec, networks: Sequence[Network], costs: Mapping[str, float]) -> Rung:
    known = [network for network in networks if network.name in costs]
    others = [network for network in known if network.encoder.name != config.model.encoder]
    others = others or [network for network in known if network.decoder.architecture != config.model.architecture]
    if not others:
        return Rung("second", "the same network from another seed errs elsewhere", {"seed": config.seed + 1})
    best = max(others, key=lambda network: promise(network, costs[network.name], labels.task))
    batch = config.train.batch_size
    assert isinstance(batch, int)  # the first network's was measured
    changes = {
        "seed": config.seed + 1,
        "model.architecture": best.decoder.architecture,
        "model.encoder": best.encoder.name,
        "model.options": dict(best.decoder.options),
        "optim.lr": learning_rate(batch, best.encoder.rate).value,
    }
    return Rung("second", f"another network, {best.name}, errs elsewhere", changes)


def _larger(config: Config, first: str) -> Rung:
    scale = round(min(config.data.scale * LARGER, MOST_SCALE), 4)
    crop = max(STEP, round(config.data.crop * scale / config.data.scale / STEP) * STEP)
    batch = config.train.batch_size
    assert isinstance(batch, int)  # the first network's was measured
    fewer = min(batch, max(LEAST, batch * config.data.crop**2 // crop**2))  # as many pixels
    changes = {**_onwards(config, first, 2), "data.scale": scale, "data.crop": crop, "train.batch_size": fewer}
    return Rung("larger", f"scale {scale:g} from the weights of scale {config.data.scale:g}", changes, 0.5)


def _lovasz(config: Config, labels: LabelSpec, first: str) -> Rung:
    pixels, surrogate = ("cross_entropy", "lovasz_softmax") if labels.exclusive else ("bce", "lovasz_hinge")
    own = next((term for term in config.loss or () if term.get("name") == pixels), {"name": pixels})
    loss = [{**own, "weight": 0.5}, {"name": surrogate, "weight": 0.5}]
    changes = {**_onwards(config, first, 5), "loss": loss}
    return Rung("lovasz", "the surrogate of the IoU, once the network knows the masks", changes, 0.35)


def _onwards(config: Config, first: str, slower: float) -> dict[str, Any]:
    """From the first network's weights, at a lower rate."""
    return {"model.init_from": first, "optim.lr": float(f"{config.optim.lr / slower:.2g}")}
