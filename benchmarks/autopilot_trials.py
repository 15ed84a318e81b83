"""Does the autopilot end in time, with a valid submission, also killed, also where the machine slows down?

    python benchmarks/autopilot_trials.py [--trials 20] [--hours 0.05 0.5] [--killed 2] [--slow 0] [--parallel 1]
        [--folder PLACE]

Trials on the demo, their hours spread evenly between two. Some are killed (SIGKILL, the autopilot alone) at a moment
drawn from the seed, and started again with the same command; the time of both counts. In slow ones every command is
stopped half of the time from the first training on, so that the machine is half as fast as it was measured to be. A
trial passes if it took 2 % more than its hours at most and its submission is valid. With `--parallel`, several run
beside each other, the longest first. Trials that are done are not made again: interrupted, the same command goes on.
Prints a Markdown table.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from maskfold.competitions import Competition, open_competition
from maskfold.competitions.validate import submission_problems
from maskfold.config import load_config
from maskfold.demo import make_demo
from maskfold.errors import SubmissionError
from maskfold.scoring.evaluate import evaluate_submission
from timing import machine

PROGRAM = Path(__file__).parents[1] / "src" / "autopilot.py"
MOST = 1.02  # of the hours
KILLED_WITHIN = (0.1, 0.8)  # of the hours
BEAT = 0.1  # seconds that a slowed command works, and is stopped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20, help="how many (20)")
    parser.add_argument(
        "--hours", type=float, nargs=2, default=(0.05, 0.5), help="of the first and the last (0.05 0.5)"
    )
    parser.add_argument("--killed", type=int, default=2, help="how many are killed and started again (2)")
    parser.add_argument("--slow", type=int, default=0, help="how many run on a machine that slows down (0)")
    parser.add_argument("--parallel", type=int, default=1, help="how many run at once (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which trials are killed (0)")
    parser.add_argument(
        "--folder", type=Path, default=Path("autopilot_trials"), help="of everything (autopilot_trials)"
    )
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(PROGRAM.parent)
    options.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(options.folder)
    if not Path("data/demo").exists():
        make_demo(Path("data/demo"))
    competition = open_competition(load_config("demo").competition)
    print(f"{machine('torch')}\n\n| trial | hours | killed at, s | slow | took, % | steps | submission | Dice | |")
    print("| ---: | ---: | ---: | --- | ---: | --- | --- | ---: | --- |", flush=True)
    shortest, longest = options.hours
    spread = [round(float(hours), 4) for hours in np.linspace(shortest, longest, options.trials)]
    killed = evenly(options.trials, options.killed)
    slow = [options.trials - 1 - number for number in evenly(options.trials, options.slow)]
    with ThreadPoolExecutor(options.parallel) as pool:
        trials = []
        for number, hours in reversed(list(enumerate(spread))):
            rng = np.random.default_rng([options.seed, number])
            until = float(rng.uniform(*KILLED_WITHIN)) * hours * 3600 if number in killed else None
            trials.append(pool.submit(trial, number, hours, until, number in slow, competition))
        for number, found in enumerate(reversed(trials)):
            print(row(number, found.result()), flush=True)


def evenly(trials: int, count: int) -> list[int]:
    """``count`` of the trials, evenly spread, the first one among them."""
    return [number * trials // count for number in range(count)]


def trial(number: int, hours: float, killed: float | None, slow: bool, competition: Competition) -> dict[str, Any]:
    """One trial, or what was written down of it."""
    name, path = f"trial_{number}", Path(f"trial_{number}.json")
    if path.exists():
        return json.loads(path.read_text())
    for left in (Path("runs/autopilot") / name, *Path("runs").glob(f"{name}*"), Path(f"submissions/{name}.csv")):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    command = [sys.executable, str(PROGRAM), "--config", "demo", "--hours", f"{hours:g}", "--name", name]
    seconds = 0.0
    if killed is not None:
        seconds += run(command, name, slow, killed)
    seconds += run(command, name, slow, None)
    found = {"hours": hours, "killed": killed, "slow": slow, "seconds": seconds} | outcome(name, competition)
    path.write_text(json.dumps(found, indent=1))
    return found


def run(command: list[str], name: str, slow: bool, killed: float | None) -> float:
    """Run the autopilot to its end, or until it is killed; the seconds that it took."""
    started = time.monotonic()
    with open(f"{name}.log", "a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        brake = threading.Thread(target=slow_down, args=(process.pid, name), daemon=True)
        if slow:
            brake.start()
        try:
            process.wait(killed)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return time.monotonic() - started


def slow_down(pid: int, name: str) -> None:
    """From the first training on, stop the commands of the autopilot half of the time."""
    state = Path("runs/autopilot") / name / "state.json"
    while psutil.pid_exists(pid) and not (state.exists() and "train fold" in state.read_text()):
        time.sleep(BEAT)
    with suppress(psutil.NoSuchProcess):
        pilot = psutil.Process(pid)
        while pilot.is_running() and pilot.status() != psutil.STATUS_ZOMBIE:
            children = pilot.children(recursive=True)
            for action in ("suspend", "resume"):
                for child in children:
                    with suppress(psutil.NoSuchProcess):
                        getattr(child, action)()
                time.sleep(BEAT)


def outcome(name: str, competition: Competition) -> dict[str, Any]:
    """What the trial left."""
    submission, state = Path(f"submissions/{name}.csv"), Path("runs/autopilot") / name / "state.json"
    steps = json.loads(state.read_text())["steps"] if state.exists() else []
    told = [step["name"] for step in steps if step["ended"] in ("done", "kept")]
    problems = submission_problems(submission, competition) if submission.exists() else ["none"]
    if problems:
        return {"steps": told, "problems": problems}
    full = sum(bool(line.partition("\t")[2].strip()) for line in submission.read_text().splitlines())
    try:
        score = evaluate_submission(submission, competition.root / "test_a_truth.csv", competition).score
    except SubmissionError as error:
        return {"steps": told, "problems": [str(error)]}
    return {"steps": told, "problems": [], "masks": full, "score": score}


def row(number: int, found: dict[str, Any]) -> str:
    """A line of the table."""
    share = found["seconds"] / (found["hours"] * 3600)
    valid = not found["problems"]
    masks = f"{found['masks']} masks" if valid else "; ".join(found["problems"])
    trained = sum("train fold" in step for step in found["steps"])
    others = [step.partition(": ")[2] or step for step in found["steps"] if "train fold" not in step]
    score = f"{found['score']:.3f}" if valid else ""
    cells = [
        *(str(number), f"{found['hours']:g}", "" if found["killed"] is None else f"{found['killed']:.0f}"),
        *("yes" if found["slow"] else "", f"{100 * share:.1f}", f"{trained} folds, {', '.join(others)}", masks, score),
        "passed" if valid and share <= MOST else "failed",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
