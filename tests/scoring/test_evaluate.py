"""Scores against Dice counted from decoded run lengths; what cannot be compared is refused."""

import shutil

import numpy as np
import pytest
from tests.conftest import reference_rle
from tests.drawn_runs import constant_run, decode, dice, make_run, read_table, truth_of

from maskfold.competitions import open_competition
from maskfold.config import PostConfig, override
from maskfold.ensembling.choice import EnsembleChoice, RunChoice
from maskfold.ensembling.finished import OPTIMISTIC
from maskfold.ensembling.submit import default_choice
from maskfold.errors import InferenceError, MaskfoldError
from maskfold.labels import LabelSpec
from maskfold.metrics import build_metric
from maskfold.scoring.evaluate import Evaluation, better, evaluate_oof, evaluate_submission, verdict

BINARY = LabelSpec("binary", ("roof",))


def write_masks(path, masks):
    path.write_text("".join(f"{name}\t{reference_rle(mask)}\n" for name, mask in masks.items()))
    return path


def shifted(masks, by):
    return {name: np.roll(mask, by, axis=1) for name, mask in masks.items()}


@pytest.fixture
def submissions(drawn, tmp_path):
    """Two submissions, the second of masks further off."""
    truth = truth_of(drawn, "test")
    near = {**shifted(truth, 2), min(truth): np.zeros_like(truth[min(truth)])}
    paths = [write_masks(tmp_path / "near.csv", near), write_masks(tmp_path / "far.csv", shifted(truth, 7))]
    return [*paths, drawn / "test_a_truth.csv"]


def by_hand(path, drawn):
    truth = truth_of(drawn, "test")
    return {name: dice(decode(rle, truth[name].shape), truth[name]) for name, rle in read_table(path).items()}


def test_a_submission_is_scored_per_image(submissions, competition, drawn):
    near, _, truth = submissions
    expected = by_hand(near, drawn)
    found = evaluate_submission(near, truth, competition)
    assert len(set(expected.values())) > 3
    assert found.score == pytest.approx(np.mean(list(expected.values())))
    table = found.per_image()
    assert dict(zip(table["id"], table["score"], strict=True)) == pytest.approx(expected)
    assert table["score"].tolist() == sorted(table["score"])
    low, high = found.interval()
    assert low < found.score < high
    assert min(expected.values()) <= low <= high <= max(expected.values())
    assert found.line().startswith(f"dice {found.score:.4f} (95 % of bootstraps over images: {low:.4f} to ")
    assert evaluate_submission(truth, truth, competition).score == 1.0


def test_the_order_of_rows_does_not_matter(submissions, competition, drawn):
    near, _, truth = submissions
    table = read_table(near)
    near.write_text("".join(f"{name}\t{table[name]}\n" for name in reversed(table)))
    expected = by_hand(near, drawn)
    assert evaluate_submission(near, truth, competition).score == pytest.approx(np.mean(list(expected.values())))


def test_two_submissions_are_compared_image_by_image(submissions, competition, drawn):
    near, far, truth = submissions
    a, b = (evaluate_submission(path, truth, competition) for path in (near, far))
    difference = np.mean(list(by_hand(near, drawn).values())) - np.mean(list(by_hand(far, drawn).values()))
    assert difference != 0
    assert a.against(b).startswith(f"difference {difference:+.4f} (95 % of paired bootstraps: ")
    assert b.against(a).startswith(f"difference {-difference:+.4f}")
    assert "better in 50% of them" in a.against(a)


def test_other_images_are_refused(submissions, competition, tmp_path):
    near, _, truth = submissions
    rows = near.read_text().splitlines()
    near.write_text("\n".join([*rows[:-2], "Z1.jpg\t", "Z0.jpg\t1 2"]) + "\n")
    lacking = r"near\.csv lacks 2 images of .* \(T003\.jpg, T004\.jpg\) and has 2 others \(Z0\.jpg, Z1\.jpg\): both"
    with pytest.raises(InferenceError, match=lacking):
        evaluate_submission(near, truth, competition)
    for path in (strange := [tmp_path / "p.csv", tmp_path / "t.csv"]):
        path.write_text("X1.jpg\t1 2\n")
    with pytest.raises(InferenceError, match=r"are not images of one split of .*, such as X1\.jpg"):
        evaluate_submission(*strange, competition)


def test_training_images_can_be_scored_too(competition, drawn, tmp_path):
    truth = dict(list(truth_of(drawn).items())[5:9])
    assert all(mask.any() for name, mask in truth.items() if name != "T007.jpg")
    found = evaluate_submission(
        write_masks(tmp_path / "p.csv", shifted(truth, 3)), write_masks(tmp_path / "t.csv", truth), competition
    )
    expected = [dice(np.roll(mask, 3, axis=1), mask) for mask in truth.values()]
    assert found.score == pytest.approx(np.mean(expected))


def made_up(scores, groups=None):
    """Images of 100 pixels of truth, of which a share is found."""
    stats = np.array([[score, 1 - score, 1 - score] for score in scores]) * 100
    return Evaluation(build_metric("dice", BINARY), [f"i{k}" for k in range(len(scores))], stats, groups)


def test_evaluations_of_other_images_are_not_compared():
    a, b = made_up([0.2, 0.7, 0.4]), made_up([0.2, 0.7])
    with pytest.raises(MaskfoldError, match="cover different images"):
        a.against(b)


def test_a_verdict_needs_a_difference_that_the_images_show():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.3, 0.7, 30)
    plain, clear = made_up(scores), made_up(scores + 0.02 + rng.normal(0, 0.01, 30))
    unclear = made_up(scores + 0.002 + rng.normal(0, 0.1, 30))
    assert (better(clear, plain), better(plain, clear), better(unclear, plain)) == (True, False, None)
    assert verdict(clear, plain, ("a", "b")) == "Verdict: a is better than b"
    assert verdict(plain, clear, ("a", "b")) == "Verdict: b is better than a"
    assert verdict(unclear, plain, ("a", "b")) == "Verdict: no difference between a and b that 30 images can show"
    # A gain in one scene, however many images it has, is a gain in one scene.
    gains = np.repeat([0.2, -0.01, -0.02, -0.01], [27, 1, 1, 1])
    scenes = np.repeat(["a", "b", "c", "d"], [27, 1, 1, 1]).tolist()
    assert better(made_up(scores + gains), plain) is True
    grouped = made_up(scores + gains, scenes)
    assert better(grouped, made_up(scores, scenes)) is None
    assert verdict(grouped, made_up(scores, scenes), ("a", "b")).endswith("that 4 groups of images can show")
    # Better in each of five groups: in one of sixteen times so by chance. In each of six, one of 32.
    for groups, found in ((1, None), (5, None), (6, True)):
        of_image = [f"scene {image % groups}" for image in range(30)]
        assert better(made_up(scores + 0.2, of_image), made_up(scores, of_image)) is found


def test_groups_widen_the_interval():
    """Images of a group are all alike: forty of them tell no more than the four groups do."""
    rng = np.random.default_rng(0)
    of_group = np.array([0.2, 0.5, 0.6, 0.9])
    groups = [f"scene{k % 4}" for k in range(40)]
    scores = [of_group[k % 4] + rng.normal(0, 0.01) for k in range(40)]
    alone, together = made_up(scores), made_up(scores, groups)
    width = {name: np.diff(e.interval())[0] for name, e in (("alone", alone), ("together", together))}
    assert width["together"] > 2 * width["alone"]
    assert alone.score == together.score
    assert "bootstraps over groups" in together.line()


def test_one_group_has_no_interval():
    one, other = made_up([0.2, 0.5, 0.9], ["scene"] * 3), made_up([0.2, 0.5, 0.6], ["scene"] * 3)
    assert one.line() == "dice 0.5333 (no interval: there is one of the groups only)"
    assert one.against(other) == "difference +0.1000 (no interval: one image or group tells nothing about others)"


def write_groups(competition_copy, names):
    rows = [f"{name},scene{number % 2 + 2 * (number // 8)}" for number, name in enumerate(names)]
    (competition_copy / "groups.csv").write_text("\n".join(["name,scene", *rows]) + "\n")


def oof_run(config, truth, root, name="a"):
    """A run whose maps are the truth with noise, and the maps by id."""
    names = sorted(truth)
    valid = {0: names[::2], 1: names[1::2]}
    rng = np.random.default_rng(len(name))
    maps = {
        fold: {n: np.clip(0.2 + 0.5 * truth[n] + rng.normal(0, 0.25, truth[n].shape), 0, 1)[None] for n in ids}
        for fold, ids in valid.items()
    }
    by_id = {image_id: found for fold in maps.values() for image_id, found in fold.items()}
    return make_run(root, name, config, {"best": maps}, valid), by_id


def test_out_of_fold_scores_of_a_choice(config, competition, truth, tmp_path):
    (a, maps_a), (b, maps_b) = oof_run(config, truth, tmp_path, "a"), oof_run(config, truth, tmp_path, "bb")
    parts = [RunChoice(run=str(r.path), checkpoint="best", weight=w) for r, w in ((a, 3.0), (b, 1.0))]
    choice = EnsembleChoice(runs=parts, tta=config.tta, post=PostConfig(threshold=0.4))
    found = evaluate_oof(choice, competition)
    expected = []
    for name in sorted(truth):
        probability = 0.75 * np.rint(maps_a[name] * 255) / 255 + 0.25 * np.rint(maps_b[name] * 255) / 255
        expected.append(dice((probability[0] >= 0.4).astype(np.uint8), truth[name]))
    assert found.ids == sorted(truth)
    assert found.score == pytest.approx(np.mean(expected), abs=2e-3)
    assert found.per_image()["score"].min() == pytest.approx(min(expected), abs=1e-2)
    assert found.groups is None
    areas = PostConfig(threshold=0.4, min_area=10)
    assert evaluate_oof(choice.model_copy(update={"post": areas}), competition).score > found.score
    second = evaluate_oof(choice, competition, folds=[1])
    assert second.ids == sorted(truth)[1::2], "the images that fold 1 validates"
    assert second.score == pytest.approx(np.mean(expected[1::2]), abs=2e-3)


def test_a_score_of_networks_that_saw_its_images_says_so(config, competition, tmp_path):
    for name, facts, said in (("a", {}, False), ("b", {"optimistic": True}, True)):
        run = constant_run(tmp_path, name, config, {0: 1.0}, **facts)
        assert (OPTIMISTIC in evaluate_oof(default_choice([run]), competition).line()) is said


def test_groups_come_from_the_runs_division(config, truth, tmp_path):
    shutil.copytree(config.competition.root, tmp_path / "grouped")
    names = sorted(truth)
    write_groups(tmp_path / "grouped", names)
    keys = {
        "competition.root": tmp_path / "grouped",
        "folds.kind": "grouped",
        "folds.group": {"file": "groups.csv", "id": "name", "column": "scene"},
    }
    config = override(config, keys)
    run, _ = oof_run(config, truth, tmp_path, "a")
    parts = [RunChoice(run=str(run.path), checkpoint="best", weight=1.0)]
    competition = open_competition(config.competition)
    found = evaluate_oof(EnsembleChoice(runs=parts, tta=config.tta), competition)
    assert found.groups == [f"scene{number % 2 + 2 * (number // 8)}" for number in range(18)]
    assert "bootstraps over groups" in found.line()
