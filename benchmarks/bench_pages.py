"""Seconds until the report of 500 images and the board of 200 runs are written, and until a browser shows them.

    python benchmarks/bench_pages.py [--images 500] [--runs 200] [--repeats 5]

The run is a small network's, two folds of tiles of the demo's kind; the board's runs are copies of it. Writing is
told in processor time. Opening is told on the clock: a file in headless Chromium, which must be installed, until all
rows of the board, or the report's cards in another order, are there.
"""

import argparse
import contextlib
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import maskfold
from bench_tune import quiet
from maskfold.board import make_board
from maskfold.demo import make_demo
from maskfold.report import make_report, read_choice
from maskfold.report.board_page import write_board_page
from maskfold.runs import Run
from timing import machine, print_row

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LIMIT = 2.0  # seconds, for 500 images and for 200 runs
SMALL = {
    "competition.root": Path("data"),
    "model.encoder": "mobilenet_v2",
    "model.encoder_weights": None,
    "model.options": {"encoder_depth": 3, "decoder_channels": [16, 8, 8]},
    "folds.count": 2,
    "train.epochs": 1,
    "train.epoch_images": 16,
    "train.trackers": [],
    "tta.views": "none",
}


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500, help="images of the report, at most 500 (default)")
    parser.add_argument("--runs", type=int, default=200, help="runs of the board (default 200)")
    parser.add_argument("--repeats", type=int, default=5, help="times that each page is opened (default 5)")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    print(machine("numpy", "playwright"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), sync_playwright() as playwright:
        run = small_run(options.images)
        opened = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        print(f"\n{opened.browser_type.name} {opened.version}; limit of each: {LIMIT:g} s for 500 images, 200 runs\n")
        print_row("page", "MB", "written, s", "opened, s", head=True)
        for name, path, seconds, use in (report(run, options.images), board(run, options.runs)):
            took = open_page(opened, path, use, options.repeats)
            print_row(name, f"{path.stat().st_size / 1e6:.1f}", f"{seconds:.2f}", f"{took:.2f}")
        opened.close()


def small_run(images: int) -> Run:
    """Two trained folds of so many tiles, 256 pixels a side."""
    make_demo(Path("data"), train_tiles=images, test_tiles=4, tile=256)
    run = Run.create(maskfold.load_config("demo", SMALL), Path("runs"))
    quiet(lambda: maskfold.train(run))
    return run


def report(run: Run, images: int):
    """(what, its file, seconds of writing it, use of it)."""
    choice, path = read_choice([run], run.ensemble_path), Path("report.html")
    seconds = spent(lambda: make_report([run], run.competition(), choice, path, count=images))

    def turn(page: Page) -> None:
        page.select_option("#order", "-1")
        page.wait_for_selector(".card:not([hidden])")

    return f"report, {images} images", path, seconds, turn


def board(run: Run, count: int):
    """(what, its file, seconds of gathering and writing it, use of it); runs are copies of one, each with its name."""
    text = run.config_path.read_text()
    runs = []
    for number in range(count):
        copy = Run(Path("runs") / f"run{number:03d}")
        shutil.copytree(run.path, copy.path, ignore=shutil.ignore_patterns("oof*"))
        copy.config_path.write_text(text.replace(f"name: {run.name}", f"name: {copy.name}"))
        runs.append(copy)
    path = Path("board.html")
    seconds = spent(lambda: write_board_page(make_board(runs, Path("log.csv")), path))

    def look(page: Page) -> None:
        assert page.locator("#board tbody tr:not([hidden])").count() == count

    return f"board, {count} runs", path, seconds, look


def spent(call) -> float:
    """Seconds of processor time of a quiet call."""
    started = time.process_time()
    quiet(call)
    return time.process_time() - started


def open_page(browser: Browser, path: Path, use, repeats: int) -> float:
    """Median seconds until a file is opened and used, each time by a browser without a cache."""
    seconds = []
    for _ in range(repeats):
        context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
        started = time.perf_counter()
        page = context.new_page()
        page.goto(path.resolve().as_uri())
        use(page)
        seconds.append(time.perf_counter() - started)
        context.close()
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
