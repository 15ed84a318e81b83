"""The differences of a study and their intervals as a picture."""

from matplotlib.axes import Axes

from maskfold.metrics import PairedResult
from maskfold.report.figures import COLOURS, Chart, draw
from maskfold.studies.results import Results


def difference_chart(results: Results) -> Chart | None:
    """Each variant's paired difference from its baseline, with its interval; None where there is none."""
    compared = [(row.name, found) for row in results.rows if (found := row.figures[0].difference) is not None]
    if not compared:
        return None
    score = results.columns[0]
    names = [name for name, _ in compared]

    def plot(axes: Axes) -> None:
        axes.axvline(0, color="#667788", linewidth=0.8)
        for place, (_, found) in enumerate(compared):
            axes.plot([found.low, found.high], [place, place], color=_colour(found), linewidth=2)
            axes.plot([found.difference], [place], marker="o", markersize=4, color=_colour(found))
        axes.set_yticks(range(len(names)), names, fontsize=6)
        axes.invert_yaxis()
        axes.set(xlabel=f"difference of {score}")

    told = "; ".join(f"{name} {found.difference:+.4f}" for name, found in compared)
    return draw("Differences from the baselines", f"difference of {score} and its 95 % interval: {told}", plot)


def _colour(found: PairedResult) -> str:
    """Blue where the interval leaves out 0 above, orange below, grey where it does not."""
    return COLOURS[0] if found.low > 0 else COLOURS[1] if found.high < 0 else "#8895a5"
