"""CPU seconds until a command has explained itself, refused, or done very little: what a user waits for at each start.

    python benchmarks/bench_startup.py [--repo FOLDER] [--repeat N]

Each case is a fresh process; the lowest of its runs counts. "no bytecode" is a first start, or a place where compiled
files cannot be kept. ``--repo`` measures another checkout with the same Python.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "make_demo",
    "check_data",
    "plan",
    "autopilot",
    "tile",
    "make_folds",
    "train_fold",
    "train_all",
    "study",
    "tune",
    "predict",
    "vote",
    "pseudo_label",
    "evaluate",
    "compare",
    "report",
    "board",
    "export",
    "pack",
)
NEEDED = {
    "train_fold": ("--fold", "0"),
    "study": ("good_study.yaml",),
    "vote": ("a.csv", "b.csv"),
    "compare": ("a.csv", "b.csv"),
    "tile": ("cut",),
    "plan": ("--hours", "1"),
    "autopilot": ("--hours", "1"),
}
CONFIGURED = ("check_data", "plan", "autopilot", "tile", "make_folds", "train_fold", "train_all")
RUNS = ("tune", "predict", "pseudo_label", "evaluate", "report", "export", "pack")


def cases() -> list[tuple[str, str, tuple[str, ...]]]:
    """(command, what happens, arguments); the current folder has an empty ``data/`` and an untrained ``runs/bare``."""
    found = []
    for name in COMMANDS:
        needed = NEEDED.get(name, ())
        found += [(name, "help", ("--help",)), (name, "usage error", (*needed, "--quxx", "1"))]
        if name in CONFIGURED:
            found.append((name, "config error", (*needed, "--config", "good.yaml", "--train.epochs", "x")))
            found.append((name, "no data", (*needed, "--config", "good.yaml")))
        if name == "study":
            found.append((name, "config error", (*needed, "--train.epochs", "x")))
            found.append((name, "no data", needed))
        if name in RUNS:
            found.append((name, "no run", ()))
            found.append((name, "not trained", ("--runs", "runs/bare")))
        if name == "predict":
            found.append((name, "no pack", ("--pack", "none")))
        if name == "board":
            found.append((name, "no reference", ("--reference", "none")))
        if name in ("compare", "vote"):
            found.append((name, "missing file", needed))
    return found


def prepare(folder: Path) -> Path:
    """The folder that the cases run in."""
    (folder / "data").mkdir()
    (folder / "good.yaml").write_text("train: {epochs: 2}\n")
    (folder / "good_study.yaml").write_text("about: x\nconfig: good.yaml\nvariants: {a: {}}\n")
    (folder / "runs" / "bare").mkdir(parents=True)
    (folder / "runs" / "bare" / "config.yaml").write_text("name: bare\ntrain: {epochs: 2}\n")
    return folder


def cpu_seconds(
    script: Path, words: tuple[str, ...], folder: Path, *, bytecode: bool, paths: tuple[str, ...] = ()
) -> float:
    """User and system seconds of one process and its children."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(script.parent), *paths]), "OMP_NUM_THREADS": "1"}
    if not bytecode:
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder / "never")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, script, *words], cwd=folder, env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


FIRST_BATCH = """
from pathlib import Path
from maskfold.config import load_config
from maskfold.runs import Run
from maskfold.training.data import fold_data

config = load_config("demo", {"competition.root": "drawn", "data.workers": 0, "folds.count": 2})
next(iter(fold_data(Run.create(config, Path("runs")), 0, needs=frozenset()).train))
"""

SMALL = ("--competition.root", "drawn", "--data.workers", "0", "--folds.count", "2", "--train.epochs", "1")
TRAIN = ("--config", "demo", "--fold", "0", *SMALL)
PREDICT = ("--runs", "runs/demo", "--folds", "0", "--untuned", "--overwrite")


def draw(folder: Path) -> Path:
    """A folder with a few drawn tiles and a script that makes a batch of them, as training does."""
    (folder / "batch").mkdir()
    (folder / "batch" / "first_batch.py").write_text(FIRST_BATCH)
    words = ("--out", "drawn", "--tiles", "24", "--test-tiles", "2", "--size", "128")
    cpu_seconds(ROOT / "src" / "make_demo.py", words, folder, bytecode=True)
    return folder / "batch" / "first_batch.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, default=ROOT, help="checkout to measure; default: this one")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each case; default 2")
    arguments = parser.parse_args()
    source = arguments.repo.resolve() / "src"
    print(f"CPU seconds, {source.parent}, Python {sys.version.split()[0]}")
    print("| command | what happens | bytecode kept | no bytecode |\n| --- | --- | ---: | ---: |")
    for name, what, words in cases():
        seconds = []
        for bytecode in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                place = prepare(Path(folder))
                script = source / f"{name}.py"
                runs = [cpu_seconds(script, words, place, bytecode=bytecode) for _ in range(arguments.repeat)]
                seconds.append(min(runs))
        print(f"| {name} | {what} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first_batch = draw(place)
        cpu_seconds(source / "train_fold.py", TRAIN, place, bytecode=True)
        for name, what, script, words in (
            ("train_fold", "first batch", first_batch, ()),
            ("predict", "two images", source / "predict.py", PREDICT),
        ):
            seconds = [
                min(
                    cpu_seconds(script, words, place, bytecode=bytecode, paths=(str(source),))
                    for _ in range(arguments.repeat)
                )
                for bytecode in (True, False)
            ]
            print(f"| {name} | {what} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)
        assert list(place.glob("submissions/*.csv")), "nothing was predicted"


if __name__ == "__main__":
    main()
