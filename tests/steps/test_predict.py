"""What prediction settles before the first image: which ensemble, which folds, which file."""

from pathlib import Path

import numpy as np
import pytest
from tests.children import die, killed
from tests.drawn_runs import dice, make_run

from maskfold.competitions import open_competition
from maskfold.config import PostConfig, TTAConfig, load_config, override
from maskfold.ensembling.choice import EnsembleChoice, RunChoice, write_ensemble
from maskfold.ensembling.submit import default_choice
from maskfold.errors import BusyError, ConfigError, InferenceError, RunError, StorageError, SubmissionError
from maskfold.files import file_digest
from maskfold.runs import Run
from maskfold.scoring.submission_log import read_log
from maskfold.steps import predict
from maskfold.steps.choose import choose, describe_folds
from maskfold.steps.places import LOCAL, ensemble_run, joined_name
from maskfold.steps.predict import compute_oof, submission_row
from maskfold.steps.submissions import log_file, reserved
from maskfold.steps.together import with_batch


@pytest.fixture
def run(here, drawn):
    keys = {"competition.root": drawn, "tta.views": "none", "post.threshold": 0.45}
    return Run.create(load_config(None, keys, name="mine"), LOCAL)


def tuned(*runs):
    weight = 1 / len(runs)
    return EnsembleChoice(
        runs=[RunChoice(run=str(run.path), checkpoint="ema", weight=weight) for run in runs],
        tta=TTAConfig(views="d4"),
        post=PostConfig(threshold=0.35, min_area=20),
        metric="dice",
        scores={"before": 0.7, "after": 0.75},
    )


def config_with(run, **changes):
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return override(run.config, overrides), set(overrides)


def test_the_tuned_ensemble_is_taken_unless_asked_otherwise(run, capsys):
    plain = choose([run], run.config, set(), untuned=False)
    assert (plain.tta.views, plain.post.threshold, plain.score) == ("none", 0.45, None)
    assert "Not tuned: equal mean of checkpoint 'best', threshold 0.45, views none" in capsys.readouterr().out
    write_ensemble(tuned(run), run.ensemble_path)
    assert choose([run], run.config, set(), untuned=False) == tuned(run)
    assert "Ensemble: runs/mine/ensemble.yaml (out-of-fold dice 0.7500)" in capsys.readouterr().out
    assert choose([run], run.config, set(), untuned=True) == plain


def test_the_command_line_changes_the_tuned_choice_and_forgets_its_score(run, capsys):
    write_ensemble(tuned(run), run.ensemble_path)
    config, changed = config_with(run, post__threshold=0.6, tta__views="flips", inference__batch_size=3)
    choice = choose([run], config, changed, untuned=False)
    assert (choice.post.threshold, choice.tta.views, choice.post.min_area) == (0.6, "flips", 20)
    assert choice.score is None
    out = capsys.readouterr().out
    assert "Note: post.threshold is 0.6, not 0.35 as tuned." in out
    assert "Note: tta.views is flips, not d4 as tuned." in out
    # What is given as it was tuned is no change; nor is the batch size.
    config, changed = config_with(run, post__threshold=0.35, inference__batch_size=3)
    assert choose([run], config, changed, untuned=False) == tuned(run)
    config, changed = config_with(run, inference__checkpoint="swa")
    assert choose([run], config, changed, untuned=False).checkpoints == ["swa"]
    config, changed = config_with(run, **{"post__min_area.building": 7})
    assert choose([run], config, changed, untuned=False).post == PostConfig(threshold=0.35, min_area={"building": 7})


def test_what_is_tuned_beside_a_changed_value_stays(run, capsys):
    """A step's other value, and what other classes have; a step that is not tuned comes from the config as it is."""
    post = {"certain": {"threshold": 0.85, "area": 400}, "min_area": {"road": 30, "roof": 12}}
    choice = tuned(run).model_copy(update={"post": PostConfig(**post)})
    write_ensemble(choice, run.ensemble_path)
    given = {"post.certain.area": 100, "post.min_area.roof": 7, "post.top_mean": {"pixels": 9, "threshold": 0.2}}
    config = override(override(run.config, {"post.top_mean": given.pop("post.top_mean")}), given)
    changed = choose([run], config, {*given, "post.top_mean.threshold"}, untuned=False)
    assert changed.post == PostConfig(
        certain={"threshold": 0.85, "area": 100},
        min_area={"road": 30, "roof": 7},
        top_mean={"pixels": 9, "threshold": 0.2},
    )
    assert changed.score is None
    out = capsys.readouterr().out
    assert "Note: post.certain is threshold=0.85 area=100, not threshold=0.85 area=400 as tuned." in out
    assert choose([run], run.config, {"tta.scales"}, untuned=False).post == choice.post


def test_several_runs_need_tuning(run, drawn):
    other = Run.create(load_config(None, {"competition.root": drawn}, name="other"), LOCAL)
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

    monkeypatch.setattr(
        predict, "evaluate_oof", lambda choice, _, batch_size, cluster: seen.append((choice, batch_size)) or Answer()
    )
    compute_oof(tuned(run), None, override(run.config, {"inference.batch_size": 5}))
    assert seen == [(tuned(run), 5)]
    assert capsys.readouterr().out == "dice 0.8\n"


def test_folds_that_do_not_predict_are_named(run):
    run.folds()
    assert describe_folds([run], range(5)) == "Folds: 0, 1, 2, 3, 4"
    assert (
        describe_folds([run], ["2", "4", "0"])
        == "Folds: 2, 4, 0; without 1, 3 (not trained to the end, or not asked for)"
    )
    assert describe_folds([run], ["all"]) == "Folds: all"


def reserve(name, competition, out=None, *, overwrite=False, made_of="x"):
    return reserved(
        name, competition, out, overwrite=overwrite, made_of={"choice": made_of}, row=lambda: {"runs": made_of}
    )


def test_submissions_get_a_name_of_their_own(run, here, drawn):
    competition = open_competition(run.config.competition)
    for name in ("mine.csv", "mine-2.csv", "mine-3.csv"):
        with reserve("mine", competition) as place:
            assert place.path == Path("submissions") / name
            place.path.write_text(name)
    both = joined_name([run, Run(Path("runs/other"))])
    with reserve(both, competition) as place, reserve(both, competition) as second:
        assert [each.path.name for each in (place, second)] == ["mine+other.csv", "mine+other-2.csv"], "at once"
        place.path.write_text("one")
        second.path.write_text("two")
    given = Path("submissions/mine.csv")
    with (
        pytest.raises(SubmissionError, match=r"mine\.csv exists: choose another --out, or give --overwrite"),
        reserve("mine", competition, given),
    ):
        pass
    with reserve("mine", competition, given, overwrite=True) as place:
        assert place.path == given
        with pytest.raises(BusyError, match=r"process \d+ on "), reserve("mine", competition, given, overwrite=True):
            pass
    assert sorted(path.name for path in Path("submissions").iterdir()) == [
        "log.csv", "mine+other-2.csv", "mine+other.csv", "mine-2.csv", "mine-3.csv", "mine.csv"
    ]  # fmt: skip


@pytest.mark.parametrize("written", [False, True])
def test_a_kill_between_submission_and_log_loses_nothing(run, here, drawn, written):
    competition, out = open_competition(run.config.competition), Path("mine.csv")

    def write():
        with reserve("mine", competition, out) as place:
            place.path.with_name(".mine.tmp-abc123.csv").write_text("half of it")
            if written:
                place.path.write_text("masks")
            die()

    assert killed(write)
    with reserve("mine", competition, out) as place:
        assert place.complete == written
        place.path.write_text("masks")
    table = read_log(Path("submissions/log.csv"))
    assert table[["file", "sha256"]].to_numpy().tolist() == [["mine.csv", file_digest(out)]]
    assert sorted(path.name for path in here.iterdir() if path.name.startswith((".", "mine."))) == ["mine.csv"]
    if written:  # another command is told so, and the line is there for it, too
        with pytest.raises(SubmissionError, match="exists"), reserve("mine", competition, out, made_of="y"):
            pass


def test_what_would_fail_in_the_end_fails_before_the_work(run, here, drawn):
    competition = open_competition(run.config.competition)
    (here / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written"), reserve("m", competition, Path("file/mine.csv")):
        pytest.fail("the work began")
    with pytest.raises(SubmissionError, match="is a folder"), reserve("m", competition, here / "runs"):
        pytest.fail("the work began")
    for text, reason in (("", "No columns"), ("time,file\n", "no column sha256")):
        (here / "submissions").mkdir(exist_ok=True)
        (here / "submissions/log.csv").write_text(text)
        with (
            pytest.raises(InferenceError, match=rf"log\.csv is damaged .*{reason}.*restore it"),
            reserve("m", competition),
        ):
            pytest.fail("the work began")


def test_the_log_says_what_made_a_submission(run, here):
    path = Path("submissions/mine.csv")
    path.parent.mkdir()
    path.write_text("masks")
    write_ensemble(tuned(run), run.ensemble_path)
    log_file(path, **submission_row(tuned(run), None, [run], [0, 2]))
    log_file(path, **submission_row(tuned(run).model_copy(update={"scores": {}}), None, [run], ["all"]))
    table = read_log(here / "submissions/log.csv")
    assert table["file"].tolist() == ["submissions/mine.csv"] * 2
    assert table["folds"].tolist() == ["0 2", "all"]
    assert table["sha256"].tolist() == [file_digest(path)] * 2
    assert table["oof_score"].tolist() == ["0.750000", ""]
    # A choice that the command line changed is not the one in the file.
    assert table["ensemble_sha256"].tolist() == [file_digest(run.ensemble_path), ""]


def test_the_log_has_a_score_where_maps_are_stored(config, competition, truth, here, capsys):
    """Untuned: of the folds that predicted, if their maps were made as the submission was."""
    names = sorted(truth)
    valid = {0: names[:9], 1: names[9:]}
    maps = {fold: {name: (0.3 + 0.4 * truth[name] * (fold == 0))[None] for name in ids} for fold, ids in valid.items()}
    run = make_run(Path("runs"), "mine", config, {"best": maps}, valid)
    path = Path("submissions/mine.csv")
    path.parent.mkdir()
    for text, choice, folds in (
        ("a", default_choice([run]), ["0"]),
        ("b", default_choice([run]), [0, 1]),
        ("b", default_choice([run], override(config, {"post.threshold": 0.2})), [0]),
        ("c", default_choice([run], override(config, {"tta.views": "d4"})), [0, 1]),
    ):
        path.write_text(text)
        log_file(path, **submission_row(choice, competition, [run], folds))
    expected = [dice(np.zeros_like(truth[n]), truth[n]) if n in valid[1] else 1.0 for n in names]
    full = np.mean([dice(np.ones_like(truth[n]), truth[n]) for n in valid[0]])
    found = read_log(here / "submissions/log.csv")["oof_score"].tolist()
    assert found == ["1.000000", f"{np.mean(expected):.6f}", f"{full:.6f}", ""]
    out = capsys.readouterr().out
    assert out.count("is the same file, byte for byte, as submissions/mine.csv of ") == 1
    assert "python src/predict.py --runs runs/mine --oof, with the same options" in out


def test_a_batch_cannot_be_found_without_training_images(run, here, drawn):
    for folder in ("test_a", "test_a_samplesubmit.csv"):
        (here / "input").mkdir(exist_ok=True)
        (here / "input" / folder).symlink_to(drawn / folder)
    config = override(run.config, {"inference.batch_size": "auto", "competition.root": here / "input"})
    with pytest.raises(ConfigError, match=r"auto is found with training images, and .* lacks train.*: give a number"):
        with_batch(config)
