"""The competition of a config: found, drawn, written down."""

import pytest
from tests.conftest import write_tianchi

from maskfold.config import Config, override
from maskfold.errors import CompetitionError
from maskfold.steps.competition import check_competition, open_competition, with_root


def test_the_competitions_folder_is_written_into_the_config(here, drawn):
    config = override(Config(name="a"), {"competition.root": drawn})
    assert with_root(Config(name="a"), open_competition(config)) == config
    write_tianchi(here / "data" / "one", train=2, test=1)
    free = Config(name="a")
    check_competition(free)
    assert str(with_root(free, open_competition(free)).competition.root) == "data/one"


def test_the_check_draws_nothing_and_finds_what_is_missing(here):
    check_competition(override(Config(), {"competition.root": "data/demo"}))
    assert list(here.iterdir()) == []
    with pytest.raises(CompetitionError, match="there is no competition below data"):
        check_competition(Config())
    (here / "data" / "demo").mkdir(parents=True)
    with pytest.raises(CompetitionError, match="data/demo does not fit the profile tianchi-buildings: it lacks train_"):
        check_competition(override(Config(), {"competition.root": "data/demo"}))


def test_the_demo_is_drawn_with_the_annotators_that_a_config_names(here, monkeypatch):
    asked = []
    monkeypatch.setattr("maskfold.demo.make_demo", lambda folder, **options: asked.append(options))
    named = {"targets.annotators.masks": ["train_mask_1.csv", "train_mask_2.csv"]}
    for changes in ({}, named):
        with pytest.raises(CompetitionError, match="there is no such folder"):
            open_competition(override(Config(), {"competition.root": "data/demo", **changes}))
    assert asked == [{"annotators": 0}, {"annotators": 2}]
