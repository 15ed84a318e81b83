"""Weights that tuning tries, of runs and of views; none is negative, and they sum to 1."""

from itertools import product

# Few are compared on a grid, of more one weight is changed after the other.
MOST_ON_GRID = 3
SHARES = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)

Weights = tuple[float, ...]


def weightings(runs: int) -> list[Weights]:
    """Weights tried at once: for up to three runs all multiples of 1/4 that sum to 1, and equal ones always."""
    equal = (1 / runs,) * runs
    if runs == 1 or runs > MOST_ON_GRID:
        return [equal]
    steps = [w for w in product(range(5), repeat=runs) if sum(w) == 4]
    found = [tuple(step / 4 for step in w) for w in steps]
    return [equal, *(w for w in found if w != equal)]


def with_share(weights: Weights, place: int) -> list[Weights]:
    """Weights of which one is each of `SHARES`, while the others keep their proportions.

    So greedy blending goes on from what is there: Caruana et al., "Ensemble selection from libraries of models", ICML
    2004, with shares in the place of counts.
    """
    rest = sum(weight for at, weight in enumerate(weights) if at != place)
    if rest == 0:
        return [weights]
    return [
        tuple(share if at == place else weight * (1 - share) / rest for at, weight in enumerate(weights))
        for share in SHARES
    ]
