"""docs/catalogue.md says of every competition what its profile says."""

import re
from pathlib import Path

import pytest

from maskfold.cli.found import default_config
from maskfold.competitions.profile import shipped_profiles

DOCS = Path(__file__).parents[2] / "docs/catalogue.md"
PROFILES = [profile for profile in shipped_profiles() if profile.layout == "csv"]


@pytest.fixture(scope="module")
def rows():
    text = DOCS.read_text(encoding="utf-8").partition("## Label images")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells}


def test_all_are_listed(rows):
    assert set(rows) == {profile.name for profile in PROFILES}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_what_a_row_says(rows, profile):
    _, dialect, images, task, metric, empty, _ = rows[profile.name]
    assert dialect[0] == profile.dialect.order
    assert ("relative" in dialect) == (profile.dialect.layout == "relative")
    assert profile.dialect.start == (0 if "relative" in dialect else 1)
    written = f"`{profile.dialect.empty}`" if profile.dialect.empty else "empty field"
    assert dialect.endswith(written if profile.submission.empty else "an empty mask is refused")
    assert task == (profile.task or "binary")
    assert metric == f"`{profile.metric.name}`"
    if profile.metric.name in ("dice", "f_beta"):
        stated = {"1": 1, "0": 0, "left out": None}[empty]
        assert profile.metric.options.get("empty", 1) == stated
    if profile.submission.size is not None:
        assert "{} x {}".format(*profile.submission.size) in images


def test_label_images_are_listed():
    text = DOCS.read_text(encoding="utf-8").partition("## Label images")[2]
    found = {cells[1].strip(" `"): cells for line in text.splitlines() if len(cells := line.split("|")) > 6}
    for profile in shipped_profiles():
        if profile.layout != "csv" and profile.name != profile.layout:
            classes = int(found[profile.name][3])
            assert (classes, found[profile.name][5].strip(" `")) == (len(profile.class_names), profile.metric.name)


def test_sources_are_named():
    for profile in PROFILES:
        text = (Path(__file__).parents[2] / f"src/maskfold/competitions/profiles/{profile.name}.yaml").read_text()
        assert re.match(r"# (Kaggle|Tianchi|DACON) ", text), profile.name


def test_runs_that_are_not_called_after_their_profile_are_told():
    text = DOCS.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)
    runs = {profile: default_config({"competition.profile": profile}).name for profile in listed}
    other = {profile: run for profile, run in runs.items() if run != profile}
    assert len(other) == 2
    assert {run for run in other.values() if f"`runs/{run}`" not in text} == set()
