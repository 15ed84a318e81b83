"""From the drawn files to a score: samples, two steps of training, a validated submission, the withheld truth."""

import pytest
from tests.catalogue.graders import GRADERS
from tests.catalogue.test_graders import sizes
from tests.catalogue.twins import CATALOGUE
from tests.conftest import TINY

import maskfold
from maskfold.config import load_config


@pytest.mark.slow
@pytest.mark.parametrize("profile", [form.profile for form in CATALOGUE])
def test_from_the_files_to_a_score(twin, profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = {
        "competition.profile": profile,
        "competition.root": twin(profile).root,
        "folds.count": 2,
        "train.batch_size": 2,
        "train.epochs": None,
        "train.iterations": 2,
        "tta.views": "none",
    }
    config = load_config(None, {**TINY, **keys}, name="twin")
    run = maskfold.train(config, 0)
    path = maskfold.predict(run, tmp_path / "s.csv", untuned=True)
    score = maskfold.evaluate(path, twin(profile).truth, config=config).score
    assert 0 <= score <= 1
    if profile in GRADERS:
        assert score == pytest.approx(GRADERS[profile](path, twin(profile).truth, sizes(twin(profile))), abs=5e-6)
