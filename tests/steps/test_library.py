"""The package as a library: the documented names, from a config to a score, without the command line."""

import ast
import re

import pytest
from tests.documents import ROOT

import maskfold

STUB = ROOT / "src" / "maskfold" / "__init__.pyi"
INTERFACE = {
    *(
        "load_config",
        "open_competition",
        "train",
        "tune",
        "predict",
        "predict_pack",
        "evaluate",
        "export",
        "pack",
        "pseudo_label",
        "vote",
        "Run",
    ),
    *("losses", "metrics", "rle", "labels"),
}


def test_the_public_names_are_there_and_documented():
    assert set(maskfold.__all__) == set(dir(maskfold)) == INTERFACE
    for name in INTERFACE:
        assert getattr(maskfold, name).__doc__
        assert re.search(rf"maskfold\.{name}\b", maskfold.__doc__), name
    with pytest.raises(AttributeError):
        maskfold.tarin  # noqa: B018


@pytest.mark.parametrize("stub", sorted((ROOT / "src").rglob("__init__.pyi")), ids=lambda path: path.parent.name)
def test_lazy_packages_offer_what_their_stubs_say(stub):
    package = ".".join(stub.parent.relative_to(ROOT / "src").parts)
    names = [
        alias.name
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert names
    exec(f"from {package} import {', '.join(names)}", {})


@pytest.mark.slow
def test_from_a_config_to_a_score(tiny, drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    competition = maskfold.open_competition(tiny)
    assert competition.root == drawn
    run = maskfold.train(tiny, 0)
    assert maskfold.train(run, [0, 1]).path == run.path
    assert "fold 0 of runs/tiny is trained" in capsys.readouterr().out
    assert run.finished_folds() == [0, 1]
    plain = maskfold.evaluate(run)
    choice = maskfold.tune(run, overrides={"tta.views": "none", "tune.tried.min_area": "[0, 9]"})
    assert choice.tta.views == "none"
    tuned = maskfold.evaluate(run)
    assert tuned.ids == plain.ids
    path = maskfold.predict(run, tmp_path / "mine.csv", folds=[1], overrides={"inference.batch_size": 2})
    assert path == tmp_path / "mine.csv"
    truth = drawn / "test_a_truth.csv"
    assert 0 <= maskfold.evaluate(path, truth, config=tiny).score <= 1
    with pytest.raises(ValueError, match="give truth and config"):
        maskfold.evaluate(path)
    untuned = maskfold.predict(maskfold.Run.open("runs/tiny"), untuned=True)
    assert str(untuned) == "submissions/tiny.csv"
    assert (tmp_path / "submissions/log.csv").read_text().count("\n") == 3
