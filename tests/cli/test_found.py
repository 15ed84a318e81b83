"""What a command works on where nothing was said: never the demo while there is anything else."""

import shutil

import pytest
from tests.conftest import write_tianchi

from maskfold.cli.found import competition_of_submissions, default_config
from maskfold.config import Config, load_config
from maskfold.errors import CompetitionError
from maskfold.runs import Run
from maskfold.runs.run import LOCAL


@pytest.fixture
def one(here):
    return write_tianchi(here / "data" / "one", train=2, test=1)


@pytest.mark.parametrize("names", [[], ["README.md"], [".gitignore", "README.md"]])
def test_an_empty_folder_means_the_demo(here, capsys, names):
    for name in names:
        (here / "data").mkdir(exist_ok=True)
        (here / "data" / name).write_text("")
    assert default_config() == load_config("demo")
    assert capsys.readouterr().out == "data/ holds no competition: this is the demo (data/demo).\n"


def test_pseudo_labels_are_no_competition(here):
    (here / "data" / "pseudo" / "A").mkdir(parents=True)
    assert default_config() == load_config("demo")


def test_the_drawn_demo_is_the_demo(here):
    write_tianchi(here / "data" / "demo", train=2, test=1)
    wanted = load_config("demo", {"train.epochs": 3}, name="mine")
    assert default_config({"train.epochs": "3"}, name="mine") == wanted


def test_the_competition_found_decides_the_config(here, one, capsys):
    assert default_config() == load_config("tianchi_buildings")
    assert capsys.readouterr().out == "Competition: data/one (tianchi-buildings), config tianchi_buildings\n"
    shutil.copytree(one, here / "data" / "two")
    with pytest.raises(CompetitionError, match=r"data/one \(tianchi-buildings\), data/two \(tianchi-buildings\)"):
        default_config()


def test_anything_else_is_never_the_demo(here):
    (here / "data" / "salt" / "test" / "images").mkdir(parents=True)
    (here / "data" / "salt" / "sample_submission.csv").write_text("id,rle_mask\n")
    (here / "data" / "empty").mkdir()
    (here / "data" / "train.zip").write_text("")
    with pytest.raises(CompetitionError) as error:
        default_config()
    message = str(error.value)
    assert message.startswith("nothing under data/ fits a profile that comes with maskfold: data/empty has nothing of ")
    assert (
        "data/salt is nearest to the profile tgs-salt: it has sample_submission.csv, test/images/, "
        "it lacks train.csv, train/images/;"
    ) in message
    assert "data/train.zip is a file: put a competition's files into a folder of their own, data/NAME/" in message
    assert message.endswith("for the demo give --config demo")


def test_what_fits_no_profile_does_not_stop_what_does(here, one, capsys):
    (here / "data" / "strange").mkdir()
    assert default_config().name == "tianchi_buildings"
    told = "Competition: data/one (tianchi-buildings), config tianchi_buildings; data/strange fits no profile\n"
    assert capsys.readouterr().out == told


def test_a_profile_brings_its_own_config_not_the_demos(here):
    salt = default_config({"competition.profile": "tgs-salt"})
    assert salt == load_config("tgs_salt")
    (here / "mine.yaml").write_text("layout: png-masks\nmetric: dice\n")
    own = default_config({"competition.profile": "mine.yaml", "train.epochs": "4"})
    assert own == load_config(None, {"competition.profile": "mine.yaml", "train.epochs": 4}, name="mine")
    assert own.folds == Config().folds


def test_submissions_are_of_the_competition_under_data_else_of_the_runs(here, one, capsys):
    own = load_config("demo", {"competition.profile": "own.yaml", "competition.root": "data/own"}, name="a")
    for name in ("a", "b"):
        Run.create(own.model_copy(update={"name": name}), LOCAL)
    assert competition_of_submissions().name == "tianchi_buildings"
    (one / "train_mask.csv").unlink()
    found = competition_of_submissions({"tta.views": "d4"})
    assert (found.competition, found.tta.views) == (own.competition, "d4")
    assert capsys.readouterr().out.endswith("Competition: data/own (own.yaml), that of the runs\n")
    Run.create(load_config("tgs_salt", {"competition.root": "data/salt"}), LOCAL)
    with pytest.raises(CompetitionError, match="nothing under data/ fits"):
        competition_of_submissions()
    shutil.rmtree(here / "runs")
    with pytest.raises(CompetitionError, match="nothing under data/ fits"):
        competition_of_submissions()


def test_a_folder_brings_the_config_of_the_profile_that_fits(here, one, capsys):
    found = default_config({"competition.root": "data/one"}, name="mine")
    assert capsys.readouterr().out == "Competition: data/one (tianchi-buildings), config tianchi_buildings\n"
    assert found == load_config("tianchi_buildings", {"competition.root": "data/one"}, name="mine")
    assert default_config({"competition.root": "data/demo"}).name == "demo"
    with pytest.raises(CompetitionError, match=r"competition\.root is data/none: there is no such folder"):
        default_config({"competition.root": "data/none"})
    (one / "train_mask.csv").unlink()
    with pytest.raises(
        CompetitionError, match=r"data/one is nearest to the profile tianchi-buildings: .* it lacks train_"
    ):
        default_config({"competition.root": "data/one"})
