"""The page as a whole: what it holds, that it stands alone, and that its figures are right."""

import base64
import json
import re

import cv2
import numpy as np
import pytest
from tests.report.conftest import BAD_NAME, fake_run, truths
from tests.report.html import Page, rows, tables

from maskfold.board import make_board
from maskfold.competitions import open_competition
from maskfold.ensembling.choice import write_ensemble
from maskfold.ensembling.tune import tune
from maskfold.errors import ReportError, RunError
from maskfold.report import make_report, read_choice
from maskfold.report.figures import reliability_chart
from maskfold.report.gather import gather
from maskfold.report.score_tables import calibration_table
from maskfold.runs.history import read_epochs, write_epochs
from maskfold.scoring import note_leaderboard, note_submission


def write(runs, path, count=9, ensemble=None):
    choice = read_choice(runs, ensemble or path.with_name("none.yaml"))
    report = make_report(runs, open_competition(runs[0].config.competition), choice, path, count=count)
    return report, Page(path.read_text()).root


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return write([run], tmp_path_factory.mktemp("page") / "report.html")[1]


@pytest.fixture(scope="module")
def pair(run, weaker, tmp_path_factory):
    return write([run, weaker], tmp_path_factory.mktemp("pair") / "report.html", count=72)[1]


@pytest.fixture(scope="module")
def classes(street, tmp_path_factory):
    return write([street], tmp_path_factory.mktemp("classes") / "report.html", count=30)[1]


@pytest.fixture(scope="module")
def predictions(run, tiles):
    """id -> (stored map, truth), read without maskfold."""
    found, truth = {}, truths(tiles)
    for folder in run.path.glob("fold_*/oof/best"):
        for name, (shard, start, length, *_) in json.loads((folder / "maps.json").read_text())["maps"].items():
            content = (folder / shard).read_bytes()[start : start + length]
            found[name] = (cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED), truth[name])
    return {name: found[name] for name in truth}


def dice(mask, truth):
    total = mask.sum() + truth.sum()
    return 1.0 if total == 0 else 2 * (mask & truth).sum() / total


def scores(predictions, threshold=0.5):
    return {
        name: dice((levels >= threshold * 255).astype(np.uint8), truth) for name, (levels, truth) in predictions.items()
    }


@pytest.mark.parametrize("name", ["page", "pair", "classes"])
def test_nothing_is_asked_of_the_network(name, request):
    root = request.getfixturevalue(name)
    policy = next(e for e in root.all("meta") if "http-equiv" in e.attributes).attributes["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for element in every(root):
        for attribute in ("src", "href", "srcset", "poster", "action", "data", "background"):
            value = element.attributes.get(attribute)
            assert value is None or value.startswith(("data:", "#")), (element.tag, value[:80])
        assert not any(key.startswith("on") and key != "onsubmit" for key in element.attributes)
    style = "".join(e.text for e in root.all("style")) + "".join(e.attributes.get("style") or "" for e in every(root))
    assert "url(" not in style
    assert "@import" not in style


def every(element):
    for child in element.children:
        yield child
        yield from every(child)


@pytest.mark.parametrize("name", ["page", "pair", "classes"])
def test_every_picture_is_there_and_is_one(name, request):
    images = list(request.getfixturevalue(name).all("img"))
    assert len(images) > 20
    for image in images:
        assert image.attributes["alt"]
        kind, content = re.fullmatch(r"data:image/([a-z+]+);base64,(.+)", image.attributes["src"]).groups()
        content = base64.b64decode(content, validate=True)
        assert kind in ("webp", "png")
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        size = tuple(int(image.attributes[side]) for side in ("height", "width"))
        assert decoded.shape[:2] == size


def test_names_with_html_in_them_are_text(page, pair, classes):
    card = next(e for e in pair.all("article") if e.attributes["data-id"] == BAD_NAME)
    assert card.one("h3").text == BAD_NAME
    assert page.one("h1").text == "Report: tiny<1>"
    assert [row[0] for row in tables(classes.one("section", id="fine"))[1]] == [
        "sky",
        "road",
        "<b>$car$</b>",
        "tree",
    ]
    # The key of the charts and what they say, in which the same must hold.
    assert not [b for figure in classes.all("figure") for b in figure.all("b") if b.text]


def test_the_score_and_the_scores_of_the_images(page, predictions, run):
    expected = scores(predictions)
    tile = page.one("div", class_="tile main")
    assert float(tile.one("strong").text) == pytest.approx(np.mean(list(expected.values())), abs=5e-5)
    low, high = (float(word) for word in re.search(r"interval (0\.\d+) to (0\.\d+)", tile.text).groups())
    assert low < np.mean(list(expected.values())) < high
    # The normal approximation of the interval, from the spread of the images' scores.
    error = np.std(list(expected.values())) / np.sqrt(len(expected))
    assert (low, high) == pytest.approx(
        np.mean(list(expected.values())) + np.array([-1.96, 1.96]) * error, abs=0.5 * error
    )
    for card in page.all("article"):
        assert float(card.attributes["data-score"]) == pytest.approx(expected[card.attributes["data-id"]])


def test_images_of_one_group_have_no_interval(run, weaker, tmp_path, monkeypatch):
    monkeypatch.setattr("maskfold.report.gather.groups_of", lambda competition, ids, folds: ["scene"] * len(ids))
    _, root = write([run, weaker], tmp_path / "report.html", count=3)
    text = " ".join(root.one("div", class_="tile main").text.split())
    assert "no interval: one image or group tells nothing about others; not tuned" in text
    assert "nan" not in "".join(table.text for table in root.all("table"))


def test_the_threshold_curve(page, predictions):
    (curve, areas) = page.one("section", id="settings").all("table")
    values = [float(cell.text) for cell in list(curve.one("thead").all("th"))[1:]]
    assert {0.05, 0.5, 0.95} <= set(values)
    for value, score in zip(values, rows(curve)[0][1:], strict=True):
        # A threshold on the grid of the stored levels is decided by float rounding: leave it out.
        if (value * 255) % 1 > 0.01:
            assert float(score) == pytest.approx(np.mean(list(scores(predictions, value).values())), abs=5e-5)
    assert [cell.text for cell in list(areas.one("thead").all("th"))[1:]] == ["0", "9"]


def test_coverage_bins(page, predictions):
    table = tables(page.one("section", id="images"))[0]
    expected = scores(predictions)
    empty = [name for name, (_, truth) in predictions.items() if not truth.any()]
    assert table[0][:3] == ["empty", str(len(empty)), f"{np.mean([expected[n] for n in empty]):.4f}"]
    filled = sorted((truth.mean(), expected[name]) for name, (_, truth) in predictions.items() if truth.any())
    assert [int(row[1]) for row in table[1:]] == [5, 5, 5, 5]
    for part, row in enumerate(table[1:]):
        values = [score for _, score in filled[5 * part : 5 * part + 5]]
        found = [float(word) for word in row[2:]]
        assert found == pytest.approx([np.mean(values), np.median(values), np.min(values)], abs=5e-5)


def test_calibration(page, predictions):
    levels = np.concatenate([levels.ravel() for levels, _ in predictions.values()])
    labels = np.concatenate([truth.ravel() for _, truth in predictions.values()])
    table, errors = tables(page.one("section", id="calibration"))
    error = 0
    for number, row in enumerate(table):
        inside = (levels.astype(int) * 15 // 255).clip(max=14) == number
        assert row[1] == f"{inside.sum():,}"
        mean, observed = levels[inside].mean() / 255, labels[inside].mean()
        assert [float(word) for word in row[2:]] == pytest.approx([mean, observed], abs=5e-5)
        error += inside.mean() * abs(mean - observed)
    decided = levels >= 127.5
    brier = ((levels / 255 - labels) ** 2).mean()
    assert errors == [["chosen", errors[0][1], f"{error:.4f}", f"{brier:.4f}"]]
    confidence, right = np.where(decided, levels, 255 - levels.astype(int)), decided == labels
    bins = (confidence.astype(int) * 15 // 255).clip(max=14)
    gaps = [(bins == n).mean() * abs(confidence[bins == n].mean() / 255 - right[bins == n].mean()) for n in set(bins)]
    assert float(errors[0][1]) == pytest.approx(sum(gaps), abs=5e-5)


def test_fine_grained(page, predictions):
    table = tables(page.one("section", id="fine"))
    ious = []
    for levels, truth in predictions.values():
        pairs = [((levels >= 127.5) == value, truth == value) for value in (0, 1)]
        ious.append([(p & t).sum() / (p | t).sum() if t.any() else np.nan for p, t in pairs])
    per_image = np.sort(np.nanmean(ious, axis=1))
    found = {row[0]: [float(w) if w != "–" else None for w in row[2:]] for row in table[0]}
    # Of 24 images the worst 5 % is one image.
    assert found["I"][:2] == pytest.approx([per_image.mean(), per_image[0]], abs=5e-5)
    assert found["C"][0] == pytest.approx(np.nanmean(ious, axis=0).mean(), abs=5e-5)
    assert [row[:2] for row in table[1]] == [
        ["background", "24"],
        ["building", str(sum(truth.any() for _, truth in predictions.values()))],
    ]


def test_checkpoints_and_learning(page):
    learning = page.one("section", id="learning")
    assert [c.one("figcaption").text for c in learning.all("figure")] == [
        "Loss",
        "Dice, no views",
        "Training loss: bce",
        "Training loss: dice",
        "Learning rate",
    ]
    assert tables(learning)[0][1] == ["1", "6", "0.8100", "6", "0.8100", "12 / 8", "1.5", "cpu, float32"]
    checkpoints = tables(page.one("section", id="checkpoints"))
    assert checkpoints[0][0] == ["ema", "none", "0.8200", "0.8300", "0.8400", "0.8300"]
    assert checkpoints[0][2] == ["best", "flips", "0.8050", "0.8150", "0.8250", "0.8150"]


def test_the_gallery_can_be_sorted_and_filtered(page, predictions):
    cards = list(page.all("article"))
    keys = {option.attributes["value"] for option in page.one("select", id="sort").all("option")}
    assert keys == {"score", "uncertainty", "coverage", "suspect", "id"}
    for card in cards:
        assert all(float(card.attributes[f"data-{key}"]) >= 0 for key in keys - {"id"})
        assert [panel.attributes["class"] for panel in card.all("span") if "class" in panel.attributes] == [
            "panel image",
            "panel truth",
            "panel prediction",
            "panel errors",
        ]
    reasons = {card.attributes["data-id"]: card.attributes["data-reasons"].split(",") for card in cards}
    ranked = sorted(scores(predictions).items(), key=lambda item: item[1])
    assert {name for name, why in reasons.items() if "worst" in why} == {name for name, _ in ranked[:3]}
    assert [c.attributes["data-score"] for c in cards] == sorted((c.attributes["data-score"] for c in cards), key=float)
    options = {option.text for option in page.one("select", id="reason").all("option")} - {"all"}
    assert {why for card in reasons.values() for why in card} <= options


def test_config_and_choice_are_shown(page, run):
    shown = [element.text for element in page.one("section", id="config").all("pre")]
    assert shown[0] == " ".join(run.config_text().split())
    assert "views: flips" in shown[1]


def test_several_runs(pair, run, weaker):
    checkpoints = tables(pair.one("section", id="checkpoints"))
    alone = checkpoints[-1]
    assert [row[0] for row in alone] == ["tiny<1>", "weaker"]
    assert float(alone[1][4]) == pytest.approx(float(alone[1][2]) - float(alone[0][2]), abs=1.5e-4)
    assert float(alone[1][4]) < 0
    changes = [code.text for code in pair.one("section", id="config").all("code")]
    assert changes == ["name: tiny<1> -> weaker", "tta.views: flips -> none"]
    assert "all fail" in pair.one("select", id="reason").text
    failed = list(pair.one("section", id="suspects").one("ul").all("li"))
    shown = {c.attributes["data-id"]: c.attributes["data-reasons"] for c in pair.all("article")}
    assert failed
    assert all("all fail" in shown[li.one("button").attributes["data-show"]] for li in failed)


def test_runs_of_one_name_have_each_their_own_curves(run, tiles, tmp_path):
    twin = fake_run(tmp_path / "elsewhere", run.name, seed=2, **{"competition.root": tiles})
    for fold in twin.finished():
        write_epochs(fold, read_epochs(fold).assign(lr=0.25).to_dict("records"))
    _, page = write([run, twin], tmp_path / "report.html")
    drawn = [figure for figure in page.one("section", id="learning").all("figure") if "Learning rate" in figure.text]
    ends = [json.loads(figure.attributes["data-chart"])["series"][0]["points"][-1][-1] for figure in drawn]
    assert ends == ["0.001", "0.25"]


def test_several_classes(classes):
    assert not list(classes.all("section", id="settings"))
    assert "4 classes" in classes.one("section", class_="tiles").text
    legend = classes.one("p", class_="legend")
    assert [span.text for span in legend.all("span")] == [
        "sky", "road", "<b>$car$</b>", "tree", "wrong class", "not scored", "errors too small to see here",
    ]  # fmt: skip
    assert len(list(classes.all("article"))) == 6


def test_a_tuned_run_shows_the_cross_fitted_score(run, tiles, tmp_path):
    choice = tune([run], open_competition(run.config.competition), run.config)
    choice = choice.model_copy(update={"scores": {"before": 0.4321, "after": 0.5432}})
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    report, root = write([run], tmp_path / "tuned.html", ensemble=tmp_path / "ensemble.yaml")
    tile = root.one("div", class_="tile main")
    assert "cross-fitted" in tile.text
    assert tile.one("strong").text == "0.5432"
    assert f"chosen on: {report.findings.score:.4f}, 95 % interval" in tile.text
    assert report.findings.tuned
    assert "Tune the ensemble" not in root.one("section", id="next").text


def test_what_was_chosen_on_which_images(page, run, tiles, tmp_path):
    rows_of = {row[0]: row[1:] for row in tables(page.one("section", id="choice"))[0]}
    assert rows_of["threshold"] == ["0.5", "the config", "none"]
    assert rows_of["epoch of best, tiny<1>"][0] == "6 (fold 0), 6 (fold 1), 6 (fold 2)"
    choice = tune([run], open_competition(run.config.competition), run.config)
    write_ensemble(choice, tmp_path / "ensemble.yaml")
    assert choice.helped
    _, root = write([run], tmp_path / "tuned.html", ensemble=tmp_path / "ensemble.yaml", count=3)
    rows_of = {row[0]: row[1:] for row in tables(root.one("section", id="choice"))[0]}
    assert rows_of["minimum area in pixels"] == [
        str(choice.post.min_area),
        "tuning, cross-fitted of 0, 9",
        "24 out-of-fold images of folds 0, 1, 2; for the score, those of the other folds",
    ]
    assert rows_of["views and how they are merged"][1:] == ["the config", "none"]


def test_neighbours_on_the_board_and_the_leaderboard(run, weaker, tmp_path):
    log = tmp_path / "log.csv"
    note_submission(log, file="a.csv", runs=run.name, oof_score="0.7")
    note_submission(log, file="b.csv", runs=weaker.name, oof_score="0.6")
    note_leaderboard(log, 0.654, "a.csv")
    board = make_board([run, weaker], log, run)
    choice = read_choice([run], tmp_path / "none.yaml")
    competition = open_competition(run.config.competition)
    make_report([run], competition, choice, tmp_path / "report.html", count=3, board=board)
    root = Page((tmp_path / "report.html").read_text()).root
    beside, submissions = tables(root.one("section", id="beside"))
    assert [row[0] for row in beside] == ["tiny<1>", "weaker"]
    assert [row[1:] for row in submissions] == [["a.csv", "", "0.7000", "0.654"]]
    tiles = root.one("section", class_="tiles").text
    assert "0.654" in tiles
    assert "1 of 2" in tiles


def test_calibration_of_the_weights_chosen_beside_that_of_equal_ones(run, weaker, tmp_path):
    """The weaker run's noise makes its probabilities worse, so less weight on it makes the Brier score better."""
    choice = read_choice([run, weaker], tmp_path / "none.yaml")
    runs = [choice.runs[0].model_copy(update={"weight": 0.9}), choice.runs[1].model_copy(update={"weight": 0.1})]
    competition = open_competition(run.config.competition)
    found = gather([run, weaker], competition, choice.model_copy(update={"runs": runs})).survey.calibration
    assert list(found) == ["chosen", "plain"]
    equal = gather([run, weaker], competition, choice).survey.calibration
    assert list(equal) == ["chosen"]
    assert found["plain"].compute() == equal["chosen"].compute()
    assert found["chosen"].compute()["brier"] < found["plain"].compute()["brier"]
    chart = reliability_chart({name: calibration_table(each) for name, each in found.items()}, "a", "b")
    assert re.search(r"largest gaps: chosen 0\.\d+, plain 0\.\d+", chart.text)


def test_what_cannot_be_written(run, tmp_path):
    competition = open_competition(run.config.competition)
    choice = read_choice([run], tmp_path / "none.yaml")
    with pytest.raises(ReportError, match=r"expected one ending in \.html"):
        make_report([run], competition, choice, tmp_path / "train.csv")
    with pytest.raises(ReportError, match="expected 1 to 500"):
        make_report([run], competition, choice, tmp_path / "a.html", count=501)
    (tmp_path / "ensemble.yaml").write_text("checkpoints: 3")
    with pytest.raises(RunError, match="damaged"):
        read_choice([run], tmp_path / "ensemble.yaml")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ensemble.yaml"]
