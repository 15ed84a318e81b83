"""vote.py as a user runs it, and the step on tasks of several classes."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.conftest import reference_rle
from tests.drawn_runs import truth_of

from maskfold.competitions import open_competition
from maskfold.config import CompetitionConfig, Config
from maskfold.errors import SubmissionError
from maskfold.scoring.submission_log import read_log
from maskfold.steps.vote import vote


@pytest.fixture
def three(here):
    """Three submissions, and their masks by image."""
    truth = truth_of(here / "data/mine", "test")
    masks = {name: [np.roll(mask, step, axis=step % 2) for step in (0, 3, 5)] for name, mask in truth.items()}
    (here / "submissions").mkdir()
    paths = [Path(f"submissions/{name}.csv") for name in "abc"]
    for k, path in enumerate(paths):
        path.write_text("".join(f"{image}\t{reference_rle(drawn[k])}\n" for image, drawn in masks.items()))
    return paths, masks


def written(path):
    return dict(line.split("\t") for line in Path(path).read_text().splitlines())


def rle_of(masks, rule):
    return {name: reference_rle(rule(np.stack(drawn).astype(int)).astype(np.uint8)) for name, drawn in masks.items()}


def test_the_majority_of_three(here, three, script):
    paths, masks = three
    done = script("vote", *paths)
    assert done.code == 0, done.err
    assert written("submissions/vote.csv") == rle_of(masks, lambda drawn: drawn.sum(0) >= 2)
    sample = [line.split("\t")[0] for line in (here / "data/mine/test_a_samplesubmit.csv").read_text().splitlines()]
    assert list(written("submissions/vote.csv")) == sample
    assert f"{len(masks)} images. Valid submission: submissions/vote.csv" in done.out
    assert done.out.splitlines()[-1] == "Next: python src/compare.py submissions/a.csv submissions/vote.csv"
    row = read_log(Path("submissions/log.csv")).iloc[-1]
    assert (row["file"], row["runs"]) == (
        "submissions/vote.csv",
        "vote: submissions/a.csv submissions/b.csv submissions/c.csv",
    )
    again = script("vote", *paths)
    assert "Valid submission: submissions/vote-2.csv" in again.out
    assert "the same file, byte for byte, as submissions/vote.csv" in again.out


def test_weights_and_votes_that_are_enough(three, script):
    paths, masks = three
    done = script("vote", *paths, "--weights", 2, 0.7, 0.7, "--out", "w.csv")
    assert done.code == 0, done.err
    assert written("w.csv") == rle_of(masks, lambda drawn: drawn[0] == 1)
    assert "submissions/a.csv: Dice with the result 1.0000" in done.out
    assert script("vote", *paths, "--least", 1, "--out", "any.csv").code == 0
    assert written("any.csv") == rle_of(masks, lambda drawn: drawn.any(0))
    assert script("vote", *paths[:2], "--out", "tie.csv").code == 0
    assert written("tie.csv") == rle_of(masks, lambda drawn: drawn[:2].sum(0) == 2)


def test_refusals_are_one_message(here, three, script):
    paths, _ = three
    assert script("vote", paths[0]).code == 2
    done = script("vote", *paths, "--weights", 1, 2)
    assert (done.code, "--weights has 2 numbers, there are 3 submissions" in done.err) == (2, True)
    done = script("vote", *paths, "--weights", 1, 0, 2)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "the weights are 1, 0, 2: expected 3 numbers" in done.err
    assert "least is 4: expected more than 0" in script("vote", *paths, "--least", 4).err
    assert not Path("submissions/vote.csv").exists()
    done = script("vote", *paths, here / paths[0])
    assert f"named more than once (submissions/a.csv, {here / paths[0]}): weights give it more votes" in done.err
    done = script("vote", *paths, "--out", paths[1])
    assert "submissions/b.csv exists: choose another --out, or give --overwrite" in done.err
    assert "both must name the same images" in script("vote", paths[0], "data/mine/train_mask.csv").err
    assert script("vote", paths[0], "none.csv").err.startswith("error: there is no file none.csv: ")


PROFILE = {
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}.png"},
    "test": {"table": "sample.csv", "image": "test/{id}.png"},
    "columns": {"id": "id", "class": "class", "mask": "rle"},
    "rows": "class",
}


def drawn_classes(folder, task):
    """A competition of three images of 7 x 5 pixels, its config, and three submissions as (image, class, H, W)."""
    import cv2

    names = ["background", "cat", "dog"] if task == "multiclass" else ["cat", "dog"]
    (folder / "test").mkdir(parents=True)
    (folder / "train").mkdir()
    profile = folder / "pets.yaml"
    profile.write_text(yaml.safe_dump({**PROFILE, "task": task, "class_names": names}, sort_keys=False))
    for image in "pqr":
        for split in ("train", "test"):
            cv2.imwrite(str(folder / split / f"{image}.png"), np.zeros((7, 5, 3), np.uint8))
    rows = "".join(f"{image},{name},\n" for image in "pqr" for name in ("cat", "dog"))
    for table in ("train.csv", "sample.csv"):
        (folder / table).write_text("id,class,rle\n" + rows)
    rng = np.random.default_rng(3)
    values = rng.integers(0, 3, (3, 3, 7, 5))  # submission, image, H, W
    cats_and_dogs = np.stack([values == 1, values == 2], axis=2)
    if task == "multilabel":
        cats_and_dogs |= rng.random(cats_and_dogs.shape) < 0.3
    for number, images in enumerate(cats_and_dogs):
        lines = [
            f"{image},{name},{reference_rle(mask.astype(np.uint8))}\n"
            for image, masks in zip("pqr", images, strict=True)
            for name, mask in zip(("cat", "dog"), masks, strict=True)
        ]
        (folder / f"s{number}.csv").write_text("id,class,rle\n" + "".join(lines))
    return Config(competition=CompetitionConfig(profile=str(profile), root=folder)), cats_and_dogs


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_several_classes(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, masks = drawn_classes(tmp_path / "pets", task)
    path = vote([tmp_path / f"pets/s{k}.csv" for k in range(3)], config)
    votes = masks.astype(int).sum(0)
    if task == "multiclass":
        nobody = 3 - votes.sum(1, keepdims=True)
        winner = np.concatenate([nobody, votes], axis=1).argmax(1)  # the first of equals
        expected = np.stack([winner == 1, winner == 2], axis=1)
    else:
        expected = votes >= 2
    competition = open_competition(config.competition)
    for image, layers in zip("pqr", expected, strict=True):
        found = competition.labels.layers(competition.label(competition.read_masks(path)[image], (7, 5)).values)
        np.testing.assert_array_equal(found[-2:], layers)
    if task == "multiclass":
        with pytest.raises(SubmissionError, match="the classes exclude each other"):
            vote([path, tmp_path / "pets/s0.csv"], config, least=1)


def test_label_files(tmp_path, monkeypatch):
    import cv2

    monkeypatch.chdir(tmp_path)
    masks = np.random.default_rng(5).integers(0, 2, (3, 6, 9), np.uint8)
    for folder in ("data/images", "data/masks", "s0", "s1", "s2"):
        Path(folder).mkdir(parents=True)
    for stem in ("train", "test"):
        cv2.imwrite(f"data/images/{stem}.png", np.zeros((6, 9, 3), np.uint8))
    cv2.imwrite("data/masks/train.png", masks[0])
    for k, mask in enumerate(masks):
        cv2.imwrite(f"s{k}/test.png", mask * 255)
    config = Config(competition=CompetitionConfig(profile="png-masks", root=Path("data")))
    vote(["s0", "s1", "s2"], config, Path("out"))
    np.testing.assert_array_equal(cv2.imread("out/test.png", 0), 255 * (masks.sum(0) >= 2))


def test_one_submission_is_no_vote(tmp_path):
    with pytest.raises(SubmissionError, match="1 submissions were given"):
        vote(["a.csv"], Config())


SHIPS = {"left": (2, 1, 6, 5), "right": (2, 6, 6, 7), "far": (9, 15, 3, 4), "ghost": (0, 14, 2, 3)}  # y, x, h, w


@pytest.fixture
def ships(tmp_path, monkeypatch):
    """Airbus's form: two images of 13 x 21 pixels, on one two ships touch; ``write(name, {image: [ship, …]})``."""
    import cv2

    monkeypatch.chdir(tmp_path)
    root = tmp_path / "data/ships"
    (root / "images").mkdir(parents=True)
    for image in "pq":
        cv2.imwrite(str(root / f"images/{image}.png"), np.zeros((13, 21, 3), np.uint8))
    rows = {**PROFILE, "metric": "airbus_f2", "rows": "instance", "columns": {"id": "id", "mask": "rle"}}
    for split in ("train", "test"):
        rows[split] = {**PROFILE[split], "image": "images/{id}.png"}
    Path("ships.yaml").write_text(yaml.safe_dump(rows, sort_keys=False))

    def write(name, drawn):
        lines = [f"{image},{rle}\n" for image, found in drawn.items() for rle in map(rle_of_box, found or [None])]
        Path(name).write_text("id,rle\n" + "".join(lines))
        return Path(name)

    for table in ("train.csv", "sample.csv"):
        write(root / table, {"p": [], "q": []})
    Path("config.yaml").write_text("competition: {profile: ships.yaml, root: data/ships}\n")
    return write, ["--config", "config.yaml"]


def rle_of_box(place):
    if place is None:
        return ""
    top, left, height, width = place
    mask = np.zeros((13, 21), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return reference_rle(mask)


def test_ships_that_touch_stay_apart(ships, script):
    write, competition = ships
    mine = {"p": [SHIPS["right"], SHIPS["far"], SHIPS["left"]], "q": []}
    paths = [write(f"{name}.csv", mine) for name in "abc"]
    done = script("vote", *paths, "--out", "v.csv", *competition)
    assert done.code == 0, done.err
    assert Path("v.csv").read_bytes() == paths[0].read_bytes()
    assert "a.csv: F1 of objects (IoU > 0.5) with the result 1.0000" in done.out
    write("other.csv", {"p": [(2, 1, 6, 12)], "q": []})
    done = script("compare", "other.csv", "v.csv", "--truth", "a.csv", *competition)
    assert "v.csv: airbus_f2 1.0000" in done.out
    assert "Rows are objects: those of an image were compared as one mask" in done.out


def test_ships_are_kept_by_votes(ships, script):
    write, competition = ships
    left, right, far, ghost = SHIPS.values()
    joined = (2, 1, 6, 12)
    paths = [
        write("a.csv", {"p": [left, right], "q": [far]}),
        write("b.csv", {"p": [joined, far], "q": []}),
        write("c.csv", {"p": [ghost, left, far, right], "q": []}),
    ]
    script("vote", *paths, "--out", "v.csv", *competition)
    write("expected.csv", {"p": [left, right, far], "q": []})
    assert Path("v.csv").read_text() == Path("expected.csv").read_text()
    done = script("vote", *paths, "--least", 1, "--out", "one.csv", *competition)
    assert done.code == 0, done.err
    write("expected.csv", {"p": [left, right, far, ghost], "q": [far]})
    assert Path("one.csv").read_text() == Path("expected.csv").read_text(), "right and the joined ones are the same"
    done = script("vote", *paths, "--weights", 1, 3, 1, "--out", "w.csv", *competition)
    assert Path("w.csv").read_text() == paths[1].read_text()
    assert "b.csv: F1 of objects (IoU > 0.5) with the result 1.0000" in done.out
    assert "a.csv: F1 of objects (IoU > 0.5) with the result 0.2500" in done.out, "IoU 42 / 72 on p, none on q"
