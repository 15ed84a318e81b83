"""Which images keep their labels, where training is to do with a share of them."""

import numpy as np


def labelled_part(coverage: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(n,) bool: ``share`` of the images, rounded and at least one, with every coverage as frequent as in all.

    The images are sorted by coverage, in random order where it is equal, and divided into as many runs of neighbours,
    equally long to within one, as there are images to choose; a random one of each run is chosen.

    Args:
        coverage: (n,) foreground share of each image's mask.
        share: in (0, 1].
        seed: of the choice.
    """
    rng = np.random.default_rng(seed)
    mixed = rng.permutation(len(coverage))
    order = mixed[np.argsort(np.asarray(coverage)[mixed], kind="stable")]
    runs = np.array_split(order, max(1, round(share * len(order))))
    chosen = np.zeros(len(order), bool)
    chosen[[rng.choice(run) for run in runs if len(run)]] = True
    return chosen
