"""``python src/check_data.py``: what it prints, the page, the exit code."""

import cv2

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
    assert last.startswith("Next: repair the train split: ")
    assert "T003.jpg" in last
    assert last.endswith("; then python src/check_data.py --config tiny.yaml")


def test_a_page_needs_the_name_of_a_page(here, script):
    done = script("check_data", *CONFIG, "--html", "look.pdf")
    assert done.code == 1
    assert "look.pdf: choose a name that ends in .html" in done.err
    assert not (here / "look.pdf").exists()
