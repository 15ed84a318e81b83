"""The command, from a file to a table: chains of variants, interrupted and continued."""

import re
import shutil

import pytest
import yaml
from tests.conftest import TINY

from maskfold.runs import Run
from maskfold.steps.train import train
from maskfold.training import Callback, fit

PLACE = "runs/studies/chain"
OPTIONS = {key: value for key, value in TINY.items() if key != "tune.tried"}
VARIANTS = {
    "plain <b>": {},
    "student": {"options": {"optim.lr": 0.005, "targets.teacher": {"runs": [{"run": "plain <b>"}], "weight": 1.0}}},
    "second round": {
        "pseudo": {"runs": ["plain <b>"], "confidence": 0.5, "confident_share": 0.0},
        "against": "student",
    },
    "no views": {"run": "plain <b>", "predict": {"tta.views": "none", "post.threshold": 0.3}},
}


@pytest.fixture
def study(here):
    """Writes chain.yaml, with changes."""

    def write(variants=VARIANTS, **more):
        tree = {"about": "A & B?", "config": "tiny.yaml", "options": OPTIONS, "columns": ["ece"], "variants": variants}
        (here / "chain.yaml").write_text(yaml.safe_dump({**tree, **more}, sort_keys=False))
        return "chain.yaml"

    return write


def scores(table):
    """variant -> score, of the printed table."""
    return dict(re.findall(r"^\| ([^|]+) \| (\d\.\d{4}) \|", table, re.MULTILINE))


def states(here):
    return {path: path.stat().st_mtime_ns for path in (here / PLACE).glob("*/fold_*/summary.json")}


class Interrupt(Callback):
    def on_epoch(self, session):
        if session.epoch == 1:
            raise KeyboardInterrupt


def interrupted_student(run, fold):
    """`train`, but for the student, which is interrupted after an epoch."""
    if run.name.startswith("student"):
        fit(run, fold, callbacks=[Interrupt()])
    train(run, fold)


@pytest.mark.slow
def test_a_chain_of_variants_is_trained_once_and_goes_on(study, script, here, monkeypatch):
    file = study()
    told = script("study", file, "--dry-run")
    assert told.code == 0
    assert "1. plain <b>, seed 0, fold 0: to do" in told.out
    assert "2. second round, seed 0, pseudo-labels: to do" in told.out
    assert not (here / PLACE).exists()

    # Ended in the middle of the student, as by Ctrl-C.
    with monkeypatch.context() as patch:
        patch.setattr("maskfold.studies.run.train", interrupted_student)
        ended = script("study", file)
    assert (ended.code, "the same command goes on" in ended.err) == (130, True)
    before = states(here)
    assert len(before) >= 1

    done = script("study", file)
    assert done.code == 0, done.err
    assert list(scores(done.out)) == list(VARIANTS)
    assert {path: states(here)[path] for path in before} == before, "what was trained is trained again"
    assert (here / PLACE / "results.md").read_text() in done.out
    page = (here / PLACE / "results.html").read_text()
    assert "plain &lt;b&gt;" in page
    assert "<b>" not in page
    # The student learned from the run that the placeholder names, and the second round from its labels.
    runs = {name: Run.open(here / PLACE / f"{name}_seed0") for name in ("plain_b", "student", "second_round")}
    assert [str(path) for path in runs["student"].config.targets.teacher.runs] == [f"{PLACE}/plain_b_seed0"]
    assert runs["second_round"].fold(0).summary()["train_images"] > runs["plain_b"].fold(0).summary()["train_images"]

    # Nothing is left to do; one more fold trains only that one.
    after = states(here)
    again = script("study", file)
    assert scores(again.out) == scores(done.out)
    more = script("study", file, "--folds", "0", "1", "--variants", "no views")
    assert list(scores(more.out)) == ["plain <b>", "no views"]
    assert {path: states(here)[path] for path in after} == after
    assert set(states(here)) - set(after) == {here / PLACE / "plain_b_seed0/fold_1/summary.json"}

    # Figures of labels that were made otherwise are no answer.
    changed = {**VARIANTS, "second round": {"pseudo": {**VARIANTS["second round"]["pseudo"], "confidence": 0.6}}}
    refused = script("study", study(changed))
    assert refused.code == 1
    assert "pseudo-labels of other rules than the study asks for variant second round" in refused.err
    assert "confidence 0.5, now 0.6" in refused.err


@pytest.mark.slow
def test_scores_are_those_of_evaluate(study, script, here):
    file = study({"plain": {}, "tuned by hand": {"run": "plain", "predict": {"post.threshold": 0.3}}})
    done = script("study", file, "--folds", "2", "--seeds", "3")
    assert done.code == 0, done.err
    options = {"plain": [], "tuned by hand": ["--post.threshold", "0.3"]}
    for name, words in options.items():
        told = script("evaluate", "--runs", f"{PLACE}/plain_seed3", *words)
        assert f"not tuned: dice {scores(done.out)[name]}" in told.out
        assert (here / f"{PLACE}/plain_seed3/fold_2").exists()


@pytest.mark.slow
def test_what_fails_leaves_the_others_alone_and_side_by_side_is_the_same(study, script, here):
    """Pseudo-labels that nothing is sure enough for: the variant is missing, the others are there, the code is 1."""
    strict = {"runs": ["plain"], "confidence": 1.0, "confident_share": 1.0}
    file = study({"plain": {}, "faster": {"options": {"optim.lr": 0.02}}, "unsure": {"pseudo": strict}})
    alone = script("study", file)
    assert alone.code == 1
    assert list(scores(alone.out)) == ["plain", "faster"]
    assert "Not trained to the end: unsure." in alone.out
    assert "error: unsure, seed 0: none of 5 images is sure enough" in alone.err
    shutil.rmtree(here / PLACE)
    beside = script("study", file, "--parallel", "2")
    assert (beside.code, scores(beside.out)) == (1, scores(alone.out))


def test_usage_errors(study, script):
    file = study()
    assert script("study").code == 2
    assert "no variant plainn: did you mean plain <b>?" in script("study", file, "--variants", "plainn").err
    assert "folds" in script("study", file, "--folds", "0", "0").err
    wrong = script("study", file, "--train.epohcs", "3")
    assert (wrong.code, "did you mean train.epochs" in wrong.err) == (1, True)


@pytest.mark.slow
def test_on_test_images_it_is_the_submissions_score_that_counts(study, script, here):
    """All folds of each variant, other folds in each; the document keeps what else it says."""
    variants = {"three folds": {}, "hold-out": {"options": {"folds.kind": "holdout"}}}
    file = study(variants, folds="all", truth="test_a_truth.csv", options={**OPTIONS, "folds.count": 2})
    (here / "notes.md").write_text("# Mine\n\n## chain\n\nold\n\n## other\n\nstays\n")
    done = script("study", file, "--document", "notes.md")
    assert done.code == 0, done.err
    found = re.findall(r"^\| ([^|]+) \| (\d\.\d{4}) \| (\d\.\d{4}) \(", done.out, re.MULTILINE)
    assert [name for name, *_ in found] == list(variants)
    for name, on_tests, out_of_fold in found:
        run = f"{PLACE}/{name.replace(' ', '_').replace('-', '_')}_seed0"
        folds = len(list((here / run).glob("fold_*")))
        assert folds == (2 if name == "three folds" else 1)
        assert f"not tuned: dice {out_of_fold} (" in script("evaluate", "--runs", run).out
        assert script("predict", "--runs", run, "--out", f"{name}.csv").code == 0
        scored = script("evaluate", "--submission", f"{name}.csv", "--truth", "data/mine/test_a_truth.csv")
        assert f"{name}.csv: dice {on_tests} (" in scored.out
    text = (here / "notes.md").read_text()
    assert text.startswith("# Mine\n\n## chain\n\nA & B?\n")
    assert text.endswith("## other\n\nstays\n")
    assert "\nold\n" not in text
    truth = here / "data/mine/test_a_truth.csv"
    rows = [row.split("\t") for row in truth.read_text().splitlines()]
    truth.write_text("".join(f"{name}\t{'' if mask else '1 9'}\n" for name, mask in rows))
    again = re.findall(r"^\| ([^|]+) \| (\d\.\d{4}) \|", script("study", file).out, re.MULTILINE)
    assert [name for name, _ in again] == list(variants)
    assert all(on_tests != now for (_, on_tests, _), (_, now) in zip(found, again, strict=True))
