"""``python src/check_data.py``: what it prints, the page, the exit code."""

import cv2
import pytest
from tests.drawn_folders import encode, picture, save, shapes, write_csv
from tests.steps.test_fit import capacity

from maskfold.steps import fit
from maskfold.training.capacity import Load
from maskfold.training.forecast import Pace

CONFIG = ("--config", "tiny.yaml")


def test_sound_data(here, script):
    done = script("check_data", *CONFIG)
    assert done.code == 0
    lines = done.out.splitlines()
    assert "train images      18" in lines
    assert lines[-2].startswith("Problems: 0. Warnings: ")
    assert lines[-1] == "Next: python src/make_folds.py --config tiny.yaml"
    assert not (here / "runs").exists()


def test_the_page_goes_into_the_run_folder(here, script):
    done = script("check_data", *CONFIG, "--name", "mine", "--html", "--folds.count", 2)
    assert done.code == 0, done.err
    page = here / "runs/mine/data.html"
    assert f"Page: runs/mine/data.html ({page.stat().st_size / 1e6:.1f} MB)" in done.out
    assert "<!doctype html>" in page.read_text()
    assert done.out.rstrip().endswith("make_folds.py --config tiny.yaml --name mine --folds.count 2")
    # The folder is not yet a run: training makes it one.
    assert script("make_folds", *CONFIG, "--name", "mine").code == 0


def test_the_page_is_written_though_there_are_problems(here, script):
    (here / "data/mine/train/T003.jpg").unlink()
    cv2.imwrite(str(here / "data/mine/train/T002.jpg"), cv2.imread(str(here / "data/mine/train/T002.jpg"))[:20])
    done = script("check_data", *CONFIG, "--html", "look.html")
    assert done.code == 1
    assert done.err == ""
    assert "T003.jpg" in done.out
    assert "T002.jpg: RLE token" in " ".join(done.out.split())
    assert "T002.jpg" in (here / "look.html").read_text()
    last = done.out.splitlines()[-1]
    assert last == "Next: repair the 2 problems above; then python src/check_data.py --config tiny.yaml"


def test_a_page_needs_the_name_of_a_page(here, script):
    done = script("check_data", *CONFIG, "--html", "look.pdf")
    assert (done.code, done.out) == (2, "")  # before images are read
    assert "'look.pdf': expected a name ending in .html or .htm" in done.err


@pytest.mark.slow
def test_what_fits_is_measured_and_leaves_nothing(here, script):
    done = script("check_data", *CONFIG, "--fit")
    assert done.code == 0, done.err
    table = done.out[done.out.index("Fit on cpu") :].splitlines()
    assert table[0].endswith("GB free: unet of mobilenet_v2")
    found = {line[:15].strip(): line[15:].split() for line in table[2:-1]}
    assert found["batch"] == ["4", "images", "8", "images"]
    assert all(0.1 < float(found["memory"][place]) < 4 for place in (0, 2))
    assert all(float(found["speed"][place]) > 0 for place in (0, 2))
    # A tiny network on tiny images: more than there are would fit, 12 to train on and 5 to predict.
    assert found["largest batch"] == ["all", "12", "images", "all", "5", "images"]
    assert found["all folds"][-2:] == ["3", "folds"]
    assert found["test images"][-2:] == ["3", "networks"]
    assert table[-1] == "Next: python src/make_folds.py --config tiny.yaml"
    assert not (here / "runs").exists()


def test_what_does_not_fit_is_to_be_changed(here, script, monkeypatch):
    found = capacity(
        Load(4, 12, largest=3, stopped="memory"), Load(8, 5, memory=10**9, largest=8, pace=Pace(image=1e-6))
    )
    monkeypatch.setattr(fit, "measure_fit", lambda *_, **__: found)
    done = script("check_data", *CONFIG, "--fit")
    assert done.code == 1
    again = "python src/check_data.py --config tiny.yaml --fit"
    assert done.out.splitlines()[-1] == f"Next: set train.batch_size to 3 and train.accumulate to 2; then {again}"


def test_broken_data_is_not_measured(here, script):
    (here / "data/mine/train/T003.jpg").unlink()
    done = script("check_data", *CONFIG, "--fit")
    assert done.code == 1
    assert "Measuring" not in done.out


def strange(root):
    """A competition of column-major run lengths that no profile describes."""
    truth = {}
    for seed in range(12):
        mask = shapes(seed, (44, 62))
        save(root / "tiles" / f"k{seed:02d}.png", picture(mask, seed))
        truth[f"k{seed:02d}"] = mask
    write_csv(root / "marks.csv", [(name, encode(mask)) for name, mask in truth.items()], ";", ("tile", "runs"))
    save(root / "quiz" / "z1.png", picture(mask, 1))
    write_csv(root / "example_submission.csv", [("z1", "")], ";", ("tile", "runs"))


def test_a_draft_of_the_one_folder_that_fits_no_profile(here, script):
    strange(here / "data/odd")
    done = script("check_data", "--draft", "odd.yaml")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "Looking at data/odd …"
    assert "12 training and 1 test images; 12 masks drawn without an error" in lines
    again = "python src/check_data.py --competition.profile odd.yaml --competition.root data/odd"
    assert lines[-2:] == ["Draft: odd.yaml", f"Next: fill in metric in odd.yaml; then {again}"]
    refused = script("check_data", "--competition.profile", "odd.yaml", "--competition.root", "data/odd")
    assert refused.code == 1
    assert "profile odd.yaml is a draft: metric still to be filled in" in refused.err
    text = (here / "odd.yaml").read_text()
    (here / "odd.yaml").write_text(text.replace("metric: FILL-IN", "metric: dice"))
    assert script("check_data", "--competition.profile", "odd.yaml", "--competition.root", "data/odd").code == 0


def test_a_draft_replaces_nothing_and_takes_nothing_but_a_folder(here, script):
    strange(here / "data/odd")
    (here / "odd.yaml").write_text("mine")
    done = script("check_data", "--draft", "odd.yaml")
    assert done.code == 1
    assert "odd.yaml exists: choose another name, or replace it with --overwrite" in done.err
    assert (here / "odd.yaml").read_text() == "mine"
    assert script("check_data", "--draft", "odd.yaml", "--overwrite").code == 0
    assert (here / "odd.yaml").read_text().startswith("# Draft of a profile for odd")
    for words, message in (
        (("x.yml", "--folds.count", 3), "--draft takes --competition.root alone, not --folds.count"),
        (("x.csv",), "--draft is x.csv: a profile's name ends in .yaml"),
        (("x.yaml", "--competition.root", "data/none"), "data/none is not a folder"),
    ):
        done = script("check_data", "--draft", *words)
        assert (done.code, message in done.err) == (1, True), done.err
    strange(here / "data/odder")
    assert "data/odd, data/odder fit no profile: name the folder" in script("check_data", "--draft", "x.yaml").err


def test_a_draft_whose_files_are_broken_is_written_and_says_what_is_wrong(here, script):
    strange(here / "data/odd")
    (here / "data/odd/tiles/k03.png").unlink()
    done = script("check_data", "--draft", "odd.yaml", "--competition.root", "data/odd")
    assert done.code == 1
    assert "Problem: the train split: marks.csv names 1 images" in " ".join(done.out.split())
    assert done.out.splitlines()[-1].startswith("Next: correct odd.yaml; then fill in metric in odd.yaml; then ")
    assert (here / "odd.yaml").exists()


def test_a_strange_folder_is_told_how_to_be_described(here, script):
    strange(here / "data/odd")
    done = script("check_data", "--competition.root", "data/odd")
    assert done.code == 1
    assert "python src/check_data.py --draft profile.yaml --competition.root data/odd drafts a profile" in done.err
