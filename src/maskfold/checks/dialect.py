"""Which way of writing run lengths do the strings show, and is it the profile's?

Every reading is tried on a sample of masks. A wrong layout or first number makes numbers that are not runs, or runs
past the image. A wrong order makes stripes, unless images are square: then it turns every mask over its diagonal,
which only the images can tell, by whether the masks' edges lie where the images have edges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from maskfold.checks.images import Images
from maskfold.checks.notes import Notes
from maskfold.checks.readings import DrawnMask, Reading, all_dialects, draw_sample, read_sample
from maskfold.competitions import Competition, Samples

# Masks that are tried.
SAMPLE = 150
# Below this number of masks, chance could decide.
FEWEST = 10
# A damaged string or two is not a reason to change the dialect.
DAMAGED = 0.02
# Stripes have many times the outline of the shapes they are made of.
ROUGHER = 1.5
# Runs that were drawn on masks so many times smaller than the images end in the first of their pixels, and make shapes
# with so much less outline at that size. Shapes that are all in the first columns or rows of large images have more.
SMALLER, SMOOTHER = (2, 3, 4), 1.2
# Standard errors by which the masks' edges must fit the images better in one reading: chance once in 30,000.
SURE = 4.0


@dataclass(frozen=True)
class DialectGuess:
    """What the sample shows.

    Attributes:
        sample: ids of the masks tried.
        profile: the profile's reading.
        chosen: the same, unless another is clearly better.
        readings: all that were tried, the most plausible first.
        reason: why, as the end of a sentence.
    """

    sample: tuple[str, ...]
    profile: Reading
    chosen: Reading
    readings: tuple[Reading, ...]
    reason: str


def check_dialect(competition: Competition, train: Samples, images: Images, notes: Notes) -> DialectGuess | None:
    """Try all readings; None where masks are files or too few hold runs. A problem where the profile's is wrong."""
    if competition.profile.layout != "csv" or competition.profile.train.table is None:
        return None
    dialect = competition.profile.dialect
    sample = draw_sample(train, images, dialect, SAMPLE)
    if len(sample) < FEWEST:
        notes.facts["dialect"] = f"not guessed: {len(sample)} masks that are not empty, needs {FEWEST}"
        return None
    readings = [read_sample(sample, other) for other in all_dialects(dialect)]
    guess = choose_reading(tuple(item.id for item in sample), readings)
    notes.facts["dialect"] = f"{guess.chosen.name}; {guess.reason}"
    if guess.chosen is not guess.profile:
        keys = ", ".join(f"{key}: {getattr(guess.chosen.dialect, key)}" for key in guess.chosen.changes(guess.profile))
        notes.problems.append(
            f"the profile reads run lengths as {guess.profile.name}, but they are written as {guess.chosen.name} "
            f"({guess.reason}): set dialect: {{{keys}}} in a copy of the profile, and competition.profile to its path"
        )
    elif times := _times_smaller(sample, guess.chosen):
        notes.warnings.append(
            f"run lengths seem to be of masks {times} times smaller than the images, in height and in width: all of "
            f"them end within the first {1 / times**2:.0%} of the pixels, and make smoother shapes at that size. If "
            "so, draw them at the size of the images, or make the images as small"
        )
    return guess


def _times_smaller(sample: Sequence[DrawnMask], chosen: Reading) -> int | None:
    """How many times smaller than the images the masks are drawn; None where they are as large."""
    outlines = {}
    for times in SMALLER:
        small = [replace(item, shape=(item.shape[0] // times, item.shape[1] // times)) for item in sample]
        reading = read_sample(small, chosen.dialect)
        if not reading.failed and reading.roughness * SMOOTHER <= chosen.roughness:
            outlines[times] = reading.roughness
    return min(outlines, key=lambda times: outlines[times], default=None)


def choose_reading(sample: tuple[str, ...], readings: Sequence[Reading]) -> DialectGuess:
    """The profile's reading, the first of ``readings``, unless another one is clearly better."""
    own = readings[0]
    fewest = min(reading.failed for reading in readings)
    readable = [reading for reading in readings if reading.failed <= fewest + DAMAGED * len(sample)]
    readable.sort(key=lambda reading: len(reading.changes(own)))
    chosen = readable[0]
    reasons = [_about_reading(chosen, own, readable, len(sample))]
    proof = _about_order(chosen, readable)
    for reading in readable:
        better = evidence(reading, chosen)
        if better:
            chosen, proof = reading, better
    reasons.append(proof)
    reasons.append(_about_start(chosen, readable))
    ordered = sorted(readings, key=lambda reading: (reading.failed, -np.nan_to_num(reading.fit, nan=-2.0)))
    return DialectGuess(sample, own, chosen, tuple(ordered), "; ".join(filter(None, reasons)))


def _about_reading(chosen: Reading, own: Reading, readable: Sequence[Reading], count: int) -> str:
    if chosen is not own:
        return f"{count - chosen.failed} of {count} masks can be read so, {count - own.failed} as in the profile"
    layouts = {reading.dialect.layout for reading in readable}
    alone = ", as by no other layout" if len(layouts) == 1 and own.dialect.layout != "counts" else ""
    return f"{count - own.failed} of {count} masks can be read{alone}"


def _about_order(chosen: Reading, readable: Sequence[Reading]) -> str:
    other = [reading for reading in readable if reading.changes(chosen) == ["order"]]
    if not other:
        return ""
    return evidence(chosen, other[0]) or f"the order {other[0].dialect.order} would fit as well"


def _about_start(chosen: Reading, readable: Sequence[Reading]) -> str:
    if chosen.dialect.layout in ("relative", "counts"):
        return ""
    other = replace(chosen.dialect, start=1 - chosen.dialect.start)
    if any(reading.dialect == other and reading.failed <= chosen.failed for reading in readable):
        return (
            "whether pixels count from 0 or 1 does not show (no run touches the image's ends): "
            f"{chosen.dialect.start} is the profile's"
        )
    return f"runs at the image's ends show that pixels count from {chosen.dialect.start}"


def evidence(reading: Reading, against: Reading) -> str:
    """Why ``reading`` is clearly the better one; empty where it is not, or where only the first number differs.

    A shift by one pixel is less than the care with which edges are drawn.
    """
    if reading.changes(against) in ([], ["start"]):
        return ""
    if against.roughness >= ROUGHER * reading.roughness:
        return f"{against.name} makes stripes, with outlines {against.roughness / reading.roughness:.1f} times as long"
    sure = _sureness(reading, against)
    if sure >= SURE and reading.roughness < ROUGHER * against.roughness:
        return (
            f"its masks' edges fit the images' edges better than by {against.name}, correlation {reading.fit:.2f} "
            f"against {against.fit:.2f}, {sure:.0f} standard errors apart"
        )
    return ""


def _sureness(reading: Reading, against: Reading) -> float:
    """Standard errors by which the edges of the same masks fit better in ``reading``."""
    gain = reading.fits - against.fits
    gain = gain[np.isfinite(gain)]
    spread = gain.std() if len(gain) >= FEWEST else 0.0
    return float(gain.mean() / spread * np.sqrt(len(gain))) if spread > 0 else 0.0
