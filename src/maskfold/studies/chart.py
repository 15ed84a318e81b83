"""The differences of a study and their intervals as a picture."""

from maskfold.metrics import PairedResult
from maskfold.report.chart import GREY, Chart, Series, around, named, vertical
from maskfold.studies.results import Results


def difference_chart(results: Results) -> Chart | None:
    """Each variant's paired difference from its baseline, with its interval; None where there is none."""
    compared = [(row.name, found) for row in results.rows if (found := row.figures[0].difference) is not None]
    if not compared:
        return None
    score = results.columns[0]
    lines = compared[::-1]  # the first one on top
    y = named([name for name, _ in lines])
    x = around([value for _, found in compared for value in (found.low, found.difference, found.high)],
               f"difference of {score}", zero=True)  # fmt: skip
    series = [vertical(0.0, y, colour=GREY, dash=0)]
    for place, (name, found) in enumerate(lines):
        colour, said = _colour(found), f"{name}: {found.difference:+.4f}, {found.low:+.4f} to {found.high:+.4f}"
        series += [
            Series("", [found.high], [float(place)], "spans", base=[found.low], colour=colour, read=False),
            Series("", [found.difference], [float(place)], "points", colour=colour, notes=[said]),
        ]
    told = "; ".join(f"{name} {found.difference:+.4f}" for name, found in compared)
    text = f"difference of {score} and its 95 % interval: {told}"
    return Chart("Differences from the baselines", text, x, y, tuple(series), nearest=True)


def _colour(found: PairedResult) -> int | str:
    """Blue where the interval leaves out 0 above, orange below, grey where it does not."""
    return 0 if found.low > 0 else 1 if found.high < 0 else GREY
