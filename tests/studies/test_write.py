"""Tables for people."""

import math
import re
from dataclasses import replace
from pathlib import Path

from maskfold.metrics import PairedResult
from maskfold.report.chart import GREY
from maskfold.studies.chart import difference_charts
from maskfold.studies.plan import Plan
from maskfold.studies.results import Figure, Results, Row
from maskfold.studies.study import Study
from maskfold.studies.write import document, markdown, page

BETTER = PairedResult(0.0212, 0.0011, 0.0401, 0.97)
WORSE = PairedResult(-0.003, -0.01, math.nan, 0.2)
ROWS = (
    Row("plain", None, (Figure(0.81234), Figure(0.05)), "", None, 100.0, False),
    Row("a | <i>b</i>", "plain", (Figure(0.83354, BETTER), Figure(0.04, WORSE)), "keep", None, 20.0, True),
)


def parts(rows=ROWS, seeds=(0, 1)):
    variants = {row.name: {"options": {"optim.lr": 0.1 + place}} for place, row in enumerate(rows)}
    about = "Is <b>this</b> & that better?"
    study = Study.model_validate({"about": about, "config": "demo", "seeds": seeds, "variants": variants})
    results = Results(("dice", "ece"), ("ece",), rows, 40, 7, ("cpu",), ("lost",))
    return Plan(study, Path("runs/studies/mine"), {"train.epochs": 5}), results


def test_markdown_has_the_figures_and_what_must_be_known():
    text = markdown(*parts())
    assert text.startswith("## mine\n\nIs <b>this</b> & that better?\n\nConfig `demo` (train.epochs 17 -> 5); folds 0,")
    assert "| plain | 0.8123 |  |  |  | 0.0500 | 2 min |" in text
    assert "| a \\| <i>b</i> | 0.8335 | plain | +0.0212 (+0.0011 to +0.0401) | keep | 0.0400 [" in text
    assert "bootstraps over 7 groups of images and seeds." in text
    assert "Of ece less is better." in text
    assert "a | <i>b</i> (optimistic: learned from networks that saw the validation images)" in text
    assert "Not trained to the end: lost." in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_one_seed_is_said_to_be_one():
    assert "One seed" in markdown(*parts(seeds=(3,)))


def test_the_page_escapes_and_asks_nothing_of_the_network():
    text = page(*parts())
    assert "Is &lt;b&gt;this&lt;/b&gt; &amp; that better?" in text
    assert "a | &lt;i&gt;b&lt;/i&gt;" in text
    assert "<i>" not in text
    assert not re.search("https?:", text)
    assert text.count('class="chosen"') == 1
    assert 'aria-label="difference of dice and its 95 % interval: a | &lt;i&gt;b&lt;/i&gt; +0.0212"' in text


def test_a_difference_without_an_interval_is_a_point_of_the_chart():
    rows = (ROWS[0], replace(ROWS[1], figures=(Figure(0.8, WORSE._replace(low=math.nan)), ROWS[1].figures[1])))
    text = page(*parts(rows))
    assert "a | &lt;i&gt;b&lt;/i&gt;: -0.0030 (no interval)" in text
    assert "nan" not in text[text.index("<figure") : text.index("</figure>")]


def test_intervals_above_0_are_blue_below_0_orange_and_around_it_grey():
    found = {"up": BETTER, "down": PairedResult(-0.02, -0.03, -0.01, 0.0), "both": PairedResult(0.01, -0.01, 0.03, 0.8)}
    (chart,) = difference_charts("dice", found)
    points = [series for series in chart.series if series.kind == "points"]
    assert {series.notes[0].partition(":")[0]: series.colour for series in points} == {"up": 0, "down": 1, "both": GREY}


def test_a_document_is_made_where_there_is_none_and_sections_follow_each_other(tmp_path):
    path = tmp_path / "new.md"
    document(path, "b", "## b\n\nfirst\n")
    document(path, "a", "## a\n\nsecond\n")
    document(path, "b", "## b\n\nthird\n")
    assert path.read_text() == "# Experiments\n\n## b\n\nthird\n\n## a\n\nsecond\n"
