"""The next command of a dry run repeats the options that it was given."""

from argparse import Namespace

from maskfold.cli.commands.train_all import _own_flags

USUAL = {"folds": None, "parallel": 1, "engine": "local", "workers_per_fold": 1, "overwrite": False}


def test_options_are_repeated():
    assert _own_flags(Namespace(**USUAL)) == []
    given = {"folds": [0, 3], "parallel": 2, "overwrite": True}
    assert _own_flags(Namespace(**{**USUAL, **given})) == ["--folds", "0", "3", "--parallel", "2", "--overwrite"]
    ray = {"engine": "ray", "address": "a:1", "gpus": 0.5, "workers_per_fold": 2}
    found = _own_flags(Namespace(**{**USUAL, **ray}))
    assert found == ["--engine", "ray", "--address", "a:1", "--gpus-per-fold", "0.5", "--workers-per-fold", "2"]
