"""Where a score would have stood on a competition's private board, and what that is worth."""

from maskfold.competitions.profile_base import Medals

MEDALS = ("gold", "silver", "bronze")
WORTH = (
    "a hint, no place: the private board scored other images than these, and the better networks and pictures of later "
    "years; differences between runs are worth more"
)


def standing(medals: Medals, score: float) -> str:
    """The line that a score reaches, in words; the winner's is a line of its own."""
    reached = next((name for name, line in medals.lines() if score >= line), None)
    if reached is not None:
        return {"median": "above the median", "winner": "at or above the winner's score"}.get(reached, reached)
    lowest = medals.lines()[-1][0]
    return "below the median" if lowest == "median" else f"below {'the winner' if lowest == 'winner' else lowest}"


def medal_lines(medals: Medals) -> str:
    """The board's lines with their source."""
    figures = ", ".join(f"{name} {line:.4f}" for name, line in medals.lines())
    return f"{medals.board}: {figures} ({medals.source})"


def placed(medals: Medals, score: float, low: float | None = None, high: float | None = None) -> str:
    """Where a score, and the ends of its interval where there is one (NaN: none), would have stood."""
    reached = standing(medals, score)
    text = f"{score:.4f} would have been {'in ' * (reached in MEDALS)}{reached}"
    if low is None or high is None or low != low or high != high:
        return text
    ends = standing(medals, low), standing(medals, high)
    spread = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
    return f"{text}, its interval: {spread}"
