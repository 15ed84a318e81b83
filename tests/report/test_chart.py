"""Charts: places and readings against numbers worked out by hand."""

import json
import re

import numpy as np
import pytest
from tests.report.html import Page

from maskfold.report.chart import (
    Axis,
    Chart,
    Series,
    around,
    between,
    histogram,
    named,
    powers,
    vertical,
    whole_numbers,
)
from maskfold.report.figures import score_chart
from maskfold.report.page import render_page

Y = Axis(0, 4, ((0.0, "0"), (4.0, "4")))


def points_of(path):
    return [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path)]


def readings(chart):
    return json.loads(chart.readings)


def test_lines_break_where_nothing_is_known():
    line = Series("fold <0>", [1, 2, 3, 5], [0, 1, float("nan"), 4])
    chart = Chart("t", "s", whole_numbers(1, 5, "epoch"), Y, (line,))
    ((_, path),) = chart.paths
    assert points_of(path) == [(0, 1000), (250, 750), (1000, 0)]
    assert path.count("M") == 2
    assert readings(chart) == {
        "x": "epoch",
        "nearest": False,
        "series": [{"key": 0, "points": [[0, 1000, "1", "0"], [250, 750, "2", "1"], [1000, 0, "5", "4"]]}],
    }


def test_bars_spans_ticks_and_points():
    x = Axis(0, 10, ())
    bars = Series("", [2.0], [3.0], "bars", base=[1.0], widths=[2.0])
    spans = Series("", [8.0], [2.0], "spans", base=[5.0])
    across = Series("", [5.0], [1.0], "ticks", widths=[4.0])
    dots = Series("", [5.0], [1.0], "points")
    paths = [path for _, path in Chart("", "", x, Y, (bars, spans, across, dots)).paths]
    assert paths == ["M100 250H300V750H100Z", "M500 500H800", "M300 750H700", "M500 750h.01"]


def test_an_interval_that_is_not_known_is_not_drawn():
    nothing = float("nan")
    spans = Series("", [nothing, 8.0], [1.0, 2.0], "spans", base=[nothing, 5.0])
    ((_, path),) = Chart("", "", Axis(0, 10, ()), Y, (spans,)).paths
    assert path == "M500 500H800"


def test_scores_of_which_none_is_known_have_no_mean():
    chart = score_chart(np.array([np.nan, np.nan]), "IoU")
    assert [series.name for series in chart.series] == [""]
    assert chart.text == "histogram of 0 scores"


def test_histograms_count_as_numpy_does():
    values = np.array([0.0, 0.1, 0.25, 0.5, 0.5, 1.0])
    bars = histogram("all", values, np.array([0, 0.25, 0.5, 1]), unit=" masks")
    assert bars.y == [2, 1, 3]
    assert bars.widths == [0.25, 0.25, 0.5]
    assert bars.notes == ["0 to 0.25: 2 masks", "0.25 to 0.5: 1 masks", "0.5 to 1: 3 masks"]


def test_axes():
    assert [label for _, label in around([0.61, 0.78]).marks] == ["0.60", "0.65", "0.70", "0.75", "0.80"]
    assert around([0.5, float("nan")]).low <= 0.5 <= around([0.5, float("nan")]).high
    assert around([3, 5], zero=True).low == 0
    axis = between(0.05, 0.95)
    assert (axis.low, axis.high) == (0.05, 0.95)
    assert [mark for mark, _ in axis.marks] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert [mark for mark, _ in whole_numbers(1, 30).marks] == [1, 11, 21]
    log = powers(1, 1000)
    assert log.place(10) == pytest.approx(333.3)
    assert [label for _, label in powers(1, 1e5).marks] == ["1", "10", "100", "1000", "10000", "100000"]
    assert named(["a", "b"]).place(0) == 250


def test_names_in_a_chart_are_text():
    line = Series("<b>'fold\"</b>", [1, 2], [1, 2], notes=["<i>", "&"])
    chart = Chart("a <b>", 'a "sentence"', whole_numbers(1, 2), Y, (line, vertical(1.5, Y, "chosen")))
    page = render_page(
        "study.html", title="t", about="a", setting="s", head=[], rows=[], charts=[chart], kept=[], notes=[]
    )
    figure = Page(page).root.one("figure")
    assert figure.one("figcaption").text == "a <b>"
    assert not list(figure.all("i"))
    assert json.loads(figure.attributes["data-chart"])["series"][0]["points"][0][3] == "<i>"
    key = figure.one("div", class_="key")
    assert [span.text for span in key.all("span")] == ["<b>'fold\"</b>", "chosen"]
    assert figure.one("svg", role="img").attributes["aria-label"] == 'a "sentence"'
