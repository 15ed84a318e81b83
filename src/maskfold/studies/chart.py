"""The differences of a study and their intervals as a picture."""

import math
from collections.abc import Mapping

from maskfold.metrics import PairedResult
from maskfold.report.chart import GREY, Chart, Series, around, named, vertical


def difference_charts(score: str, differences: Mapping[str, PairedResult]) -> list[Chart]:
    """A chart of each variant's paired difference from its baseline, with its interval; none of no differences.

    Args:
        score: what differs.
        differences: by the name of the variant.
    """
    if not differences:
        return []
    lines = [*differences.items()][::-1]  # the first one on top
    y = named([name for name, _ in lines])
    ends = [value for found in differences.values() for value in (found.low, found.difference, found.high)]
    x = around(ends, f"difference of {score}", zero=True)
    series = [vertical(0.0, y, colour=GREY, dash=0)]
    for place, (name, found) in enumerate(lines):
        colour, said = _colour(found), f"{name}: {difference_text(found)}"
        series += [
            Series("", [found.high], [float(place)], "spans", base=[found.low], colour=colour, read=False),
            Series("", [found.difference], [float(place)], "points", colour=colour, notes=[said]),
        ]
    told = "; ".join(f"{name} {found.difference:+.4f}" for name, found in differences.items())
    text = f"difference of {score} and its 95 % interval: {told}"
    return [Chart("Differences from the baselines", text, x, y, tuple(series), nearest=True)]


def difference_text(found: PairedResult) -> str:
    """A difference and, where it has one, its interval."""
    if math.isnan(found.low):
        return f"{found.difference:+.4f} (no interval)"
    return f"{found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def _colour(found: PairedResult) -> int | str:
    """Blue where the interval leaves out 0 above, orange below, grey where it does not."""
    return 0 if found.low > 0 else 1 if found.high < 0 else GREY
