"""Where runs would have stood on the closed boards of their competitions."""

from collections import defaultdict
from collections.abc import Sequence

from maskfold.board.entry import Entry
from maskfold.competitions import load_profile
from maskfold.errors import CompetitionError
from maskfold.scoring.medals import WORTH, medal_lines, placed


def medal_card(entries: Sequence[Entry]) -> list[str]:
    """For each competition with known medals its lines, and where each scored run would have stood, the best first."""
    by_profile: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.config is not None and entry.score is not None:
            by_profile[entry.config.competition.profile].append(entry)
    lines = []
    for profile, runs in by_profile.items():
        try:
            medals = load_profile(profile).medals
        except CompetitionError:
            continue  # a profile of one's own that is no longer there
        if medals is None:
            continue
        lines.append(f"{profile}, {medal_lines(medals)}")
        for entry in sorted(runs, key=lambda entry: -(entry.score or 0)):
            lines.append(f"  {entry.name}: {placed(medals, entry.score or 0, entry.low, entry.high)}{entry.note}")
    return [*lines, f"  {WORTH}"] if lines else []
