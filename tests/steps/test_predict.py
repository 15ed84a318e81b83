"""What prediction settles before the first image: which ensemble, which folds, which file."""

from pathlib import Path

import pytest

from maskfold.competitions import open_competition
from maskfold.config import load_config, override
from maskfold.ensembling.choice import CheckpointChoice, EnsembleChoice, write_ensemble
from maskfold.errors import RunError, SubmissionError
from maskfold.runs import Run
from maskfold.runs.checkpoint import file_digest
from maskfold.scoring.submission_log import read_log
from maskfold.steps import predict
from maskfold.steps.places import ensemble_run
from maskfold.steps.predict import choose, compute_oof, describe_folds, log_submission, submission_path


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here, drawn):
    keys = {"competition.root": drawn, "inference.views": "none", "post.threshold": 0.45}
    return Run.create(load_config(None, keys, name="mine"))


def tuned(*runs):
    weight = 1 / len(runs)
    return EnsembleChoice(
        checkpoints=[CheckpointChoice(run=str(run.path), checkpoint="ema", weight=weight) for run in runs],
        views="d4",
        threshold=0.35,
        min_area=20,
        metric="dice",
        scores={"before": 0.7, "after": 0.75},
    )


def config_with(run, **changes):
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return override(run.config, overrides), set(overrides)


def test_the_tuned_ensemble_is_taken_unless_asked_otherwise(run, capsys):
    plain = choose([run], run.config, set(), untuned=False)
    assert (plain.views, plain.threshold, plain.score) == ("none", 0.45, None)
    assert "Not tuned: equal mean of checkpoint 'best', threshold 0.45, views none" in capsys.readouterr().out
    write_ensemble(tuned(run), run.ensemble_path)
    assert choose([run], run.config, set(), untuned=False) == tuned(run)
    assert "Ensemble: runs/mine/ensemble.yaml (out-of-fold dice 0.7500)" in capsys.readouterr().out
    assert choose([run], run.config, set(), untuned=True) == plain


def test_the_command_line_changes_the_tuned_choice_and_forgets_its_score(run, capsys):
    write_ensemble(tuned(run), run.ensemble_path)
    config, changed = config_with(run, post__threshold=0.6, inference__views="flips", inference__batch_size=3)
    choice = choose([run], config, changed, untuned=False)
    assert (choice.threshold, choice.views, choice.min_area) == (0.6, "flips", 20)
    assert choice.score is None
    out = capsys.readouterr().out
    assert "Note: post.threshold is 0.6, not 0.35 as tuned." in out
    assert "Note: inference.views is flips, not d4 as tuned." in out
    # What is given as it was tuned is no change; nor is the batch size.
    config, changed = config_with(run, post__threshold=0.35, inference__batch_size=3)
    assert choose([run], config, changed, untuned=False) == tuned(run)
    config, changed = config_with(run, inference__checkpoint="swa")
    assert choose([run], config, changed, untuned=False).checkpoints[0].checkpoint == "swa"


def test_several_runs_need_tuning(run, drawn):
    other = Run.create(load_config(None, {"competition.root": drawn}, name="other"))
    with pytest.raises(RunError, match=r"there is no runs/mine\+other/ensemble\.yaml: run python src/tune\.py --runs"):
        choose([run, other], run.config, set(), untuned=False)
    path = ensemble_run([run, other]).ensemble_path
    assert path == Path("runs/mine+other/ensemble.yaml")
    write_ensemble(tuned(run, other), path)
    assert choose([run, other], run.config, set(), untuned=False) == tuned(run, other)


def test_out_of_fold_maps_are_made_as_the_choice_predicts(run, monkeypatch, capsys):
    """A tuned ensemble's views may differ from the config's: the maps follow the ensemble."""
    seen = []

    class Answer:
        def line(self):
            return "dice 0.8"

    monkeypatch.setattr(predict, "evaluate_oof", lambda choice, competition, options: seen.append(options) or Answer())
    compute_oof(tuned(run), None, run.config)
    assert (seen[0].views, seen[0].batch_size) == ("d4", run.config.inference.batch_size)
    assert capsys.readouterr().out == "dice 0.8\n"


def test_folds_that_do_not_predict_are_named(run):
    rows = [f"{fold},{name},{part},1" for fold in range(3) for name, part in (("a", "train"), ("b", "valid"))]
    run.folds_path.write_text("\n".join(["fold,id,split,times", *rows]) + "\n")
    assert describe_folds([run], [0, 1, 2]) == "Folds: 0, 1, 2"
    assert describe_folds([run], ["2", "0"]) == "Folds: 2, 0; without 1 (not trained to the end, or not asked for)"
    assert describe_folds([run], ["all"]) == "Folds: all"


def test_submissions_get_a_name_of_their_own(run, here, drawn):
    competition = open_competition(run.config.competition)
    (here / "submissions").mkdir()
    for name in ("mine.csv", "mine-2.csv", "mine-3.csv"):
        path = submission_path([run], competition, None, overwrite=False)
        assert path == Path("submissions") / name
        path.write_text("")
    other = Run(Path("runs/other"))
    assert submission_path([run, other], competition, None, overwrite=False) == Path("submissions/mine+other.csv")
    with pytest.raises(SubmissionError, match=r"mine\.csv exists: choose another --out, or give --overwrite"):
        submission_path([run], competition, Path("submissions/mine.csv"), overwrite=False)
    given = Path("submissions/mine.csv")
    assert submission_path([run], competition, given, overwrite=True) == given


def test_the_log_says_what_made_a_submission(run, here):
    path = Path("submissions/mine.csv")
    path.parent.mkdir()
    path.write_text("masks")
    write_ensemble(tuned(run), run.ensemble_path)
    log_submission(path, tuned(run), [run], [0, 2])
    log_submission(path, tuned(run).model_copy(update={"scores": {}}), [run], ["all"])
    table = read_log(here / "submissions/log.csv")
    assert table["file"].tolist() == ["submissions/mine.csv"] * 2
    assert table["folds"].tolist() == ["0 2", "all"]
    assert table["sha256"].tolist() == [file_digest(path)] * 2
    assert table["oof_score"].tolist() == ["0.750000", ""]
    # A choice that the command line changed is not the one in the file.
    assert table["ensemble_sha256"].tolist() == [file_digest(run.ensemble_path), ""]
