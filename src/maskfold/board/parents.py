"""Which config a run came from, and what it changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfold.config import Config, changed_keys, load_config, shipped_configs
from maskfold.config.load import flatten
from maskfold.errors import MaskfoldError
from maskfold.runs.run import FREE_KEYS

DEFAULTS = "the defaults"


@dataclass(frozen=True)
class Parent:
    """What a run is compared with: a config or a run, and what differs, as ``key: old -> new``."""

    name: str
    changes: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Only the keys."""
        return tuple(change.partition(":")[0] for change in self.changes)


def known_configs() -> dict[str, Config]:
    """The configs that a run may have come from: the defaults, maskfold's own, those here or in configs/ here.

    Files that are no configs are left out.
    """
    found = {DEFAULTS: load_config(None)}
    own = [*Path().glob("*.y*ml"), *Path("configs").glob("*.y*ml")]
    files = {path.resolve(): str(path) for path in sorted(own)}
    files |= {path.resolve(): name for name, path in shipped_configs().items() if path.resolve() not in files}
    for path, name in files.items():
        try:
            found[name] = load_config(path)
        except MaskfoldError:
            continue
    return found


def find_parents(runs: Mapping[str, Config], configs: Mapping[str, Config]) -> dict[str, Parent]:
    """For each run the config from which it differs in the fewest keys, or a run that is nearer.

    A run has only such a run as its parent that is itself nearer to a config, so that no two are each other's. Of equal
    ones a config wins, first that of the run's own name.
    """
    everything = {**{("config", name): config for name, config in configs.items()}}
    everything |= {("run", name): config for name, config in runs.items()}
    codes = _codes(list(everything.values()))
    count = len(configs)
    to_configs = _distances(codes[count:], codes[:count])
    to_runs = _distances(codes[count:], codes[count:])
    nearest = to_configs.min(1) if count else np.full(len(runs), np.iinfo(int).max)
    names, files = list(runs), list(configs)
    found = {}
    for place, name in enumerate(names):
        order = sorted(range(count), key=lambda c: (to_configs[place, c], Path(files[c]).stem != name, files[c]))
        closer = [other for other in range(len(names)) if nearest[other] < nearest[place]]
        run = min(closer, key=lambda other: (to_runs[place, other], names[other]), default=None)
        if run is not None and to_runs[place, run] < nearest[place]:
            parent, config = names[run], runs[names[run]]
        elif order:
            parent, config = files[order[0]], configs[files[order[0]]]
        else:
            continue
        changes = changed_keys(config, runs[name])
        found[name] = Parent(parent, tuple(c for c in changes if c.partition(":")[0] not in FREE_KEYS))
    return found


def _codes(configs: list[Config]) -> np.ndarray:
    """(configs, keys): equal numbers in a column mean equal values of that key."""
    leaves = [dict(flatten(config.model_dump(mode="json"))) for config in configs]
    keys = dict.fromkeys(key for leaf in leaves for key in leaf if key not in FREE_KEYS)
    numbers: dict[str, int] = {}
    return np.array(
        [[numbers.setdefault(json.dumps(leaf.get(key)), len(numbers)) for key in keys] for leaf in leaves], int
    ).reshape(len(configs), len(keys))


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([(row != b).sum(1) for row in a], int).reshape(len(a), len(b))
