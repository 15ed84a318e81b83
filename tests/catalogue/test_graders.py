"""The local score is the grader's, and what a grader refuses is refused before."""

from dataclasses import replace

import numpy as np
import pytest
from tests.catalogue.conftest import BY_PROFILE
from tests.catalogue.graders import GRADERS, Refused, gi_tract
from tests.catalogue.test_files import written
from tests.catalogue.twins import draw_twin, submitted

from maskfold.competitions import open_competition, validate_submission
from maskfold.config import CompetitionConfig
from maskfold.errors import SubmissionError
from maskfold.scoring.evaluate import evaluate_submission


def sizes(twin):
    return {name: twin.size(name) for name in twin.form.ids[1]}


def guesses(twin, seed):
    """Layers that are wrong in several ways, by id: objects too small, one that is not there, an image without any."""
    found = {}
    for place, name in enumerate(twin.form.ids[1]):
        layers = twin.layers(name)
        layers &= np.roll(layers, 1 + seed % 2, axis=2)
        if place == seed % 3:
            layers[seed % len(layers), -3:, -9:-2] = True
        if place == 2 and seed == 1 and not twin.form.never_empty:
            layers[:] = False
        found[name] = layers
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", GRADERS)
def test_the_local_score_is_the_graders(opened, profile, seed, tmp_path):
    twin, competition = opened(profile)
    path = written(competition, tmp_path / "s.csv", guesses(twin, seed).__getitem__)
    graded = GRADERS[profile](path, twin.truth, sizes(twin))
    assert 0 < graded < 1
    assert evaluate_submission(path, twin.truth, competition).score == pytest.approx(graded, abs=5e-6)


@pytest.mark.parametrize("seed", range(3))
def test_scans_that_are_square_are_graded_alike_along_rows_and_columns(tmp_path, seed):
    """MLE-bench's grader of gi-tract reads masks down the columns, though they are drawn along the rows."""
    form = replace(BY_PROFILE["gi-tract"], size=((40, 40), (44, 44)))
    twin = draw_twin(form, tmp_path / "data")
    competition = open_competition(CompetitionConfig(profile="gi-tract", root=twin.root))
    path = written(competition, tmp_path / "s.csv", guesses(twin, seed).__getitem__)
    graded = gi_tract(path, twin.truth, sizes(twin), order="F")
    assert 0 < graded < 1
    assert evaluate_submission(path, twin.truth, competition).score == pytest.approx(graded, abs=5e-6)


@pytest.mark.parametrize("profile", GRADERS)
def test_the_truth_is_perfect(twin, profile):
    assert GRADERS[profile](twin(profile).truth, twin(profile).truth, sizes(twin(profile))) == 1


def _edited(change):
    """A change of one field: the run lengths of the first row that has two runs or more."""

    def edit(header, rows):
        place = next(place for place, row in enumerate(rows) if len(row[-1].split()) >= 4)
        rows[place] = [*rows[place][:-1], change(rows[place][-1].split())]
        return header, rows

    return edit


WRONG = {
    "another column": lambda header, rows: ([*header[:-1], "mask"], rows),
    "a row too few": lambda header, rows: (header, rows[1:]),
    "another id": lambda header, rows: (header, [["zz", *rows[0][1:]], *rows[1:]]),
    "runs that are not sorted": _edited(lambda words: " ".join([*words[2:4], *words[:2], *words[4:]])),
    "a run of no pixel": _edited(lambda words: " ".join([words[0], "0", *words[2:]])),
    "a start of 0": _edited(lambda words: " ".join(["0", *words[1:]])),
    "a pixel twice": _edited(lambda words: " ".join([*words[:2], words[0], *words[1:]])),
    "a start without a length": _edited(lambda words: " ".join(words[:-1])),
    "no numbers": _edited(lambda words: " ".join(["a", *words[1:]])),
}
# What only some refuse.
OWN = {
    "an empty field": (
        ("contrails", "vesuvius-ink", "dacon-236092"),
        lambda header, rows: (header, [[*rows[0][:-1], ""], *rows[1:]]),
    ),
    "a further column": (
        ("tgs-salt", "vesuvius-ink", "airbus-ships"),
        lambda header, rows: ([*header, "more"], [[*row, "1"] for row in rows]),
    ),
    "another order": (("vesuvius-ink", "gi-tract"), lambda header, rows: (header, rows[::-1])),
    "masks that overlap": (
        ("airbus-ships",),
        lambda header, rows: (header, [*rows, [rows[-1][0], " ".join(rows[-1][1].split()[:2])]]),
    ),
    "a class too few": (
        ("gi-tract",),
        lambda header, rows: (header, [row for row in rows if row[1] != "stomach"]),
    ),
}
CASES = [(profile, kind, change) for kind, change in WRONG.items() for profile in GRADERS]
CASES += [(profile, kind, change) for kind, (profiles, change) in OWN.items() for profile in profiles]


@pytest.mark.parametrize(("profile", "kind", "change"), CASES, ids=[f"{profile}-{kind}" for profile, kind, _ in CASES])
def test_what_the_grader_refuses_is_refused_before(opened, profile, kind, change, tmp_path):
    twin, competition = opened(profile)
    header = twin.form.sample[1].split(",")
    rows = [line.split(",") for line in submitted(twin, twin.layers)]
    header, rows = change(header, rows)
    path = tmp_path / "s.csv"
    path.write_text("".join(f"{','.join(row)}\n" for row in [header, *rows]))
    with pytest.raises(Refused):
        GRADERS[profile](path, twin.truth, sizes(twin))
    with pytest.raises(SubmissionError, match=r"s\.csv is not a valid submission"):
        validate_submission(path, competition)
