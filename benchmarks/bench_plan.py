"""Plans against the plain recipe: the same hours, weights, machine and fold, scored out of fold with a paired interval.

    MASKFOLD_WEIGHTS=FOLDER python benchmarks/bench_plan.py DATA [--hours 0.2] [--only satellite …] [--folder PLACE]

DATA holds satellite_buildings, tgs_salt and camvid (those that --only names are enough). Of each, fold 0 is trained on
both sides one after the other, the first side in turn; planning counts, and so do scores and out-of-fold maps. Prints a
Markdown table with the paired difference, plan minus plain recipe.

Interrupted, the same command goes on in PLACE: what is trained stays, and a fold that was begun is trained to the
length that was measured for it. Runs of other hours have other names. MASKFOLD_WEIGHTS names the folder of the weights
that both sides may use; use the machine for nothing else meanwhile, for both sides are given seconds.
"""

import argparse
import os
import time
from pathlib import Path

from maskfold.competitions import open_competition
from maskfold.config import Config, load_config, override
from maskfold.ensembling.submit import default_choice
from maskfold.metrics import Evaluation, paired_bootstrap
from maskfold.planning import MeasuredSpeed, make_plan, take_fingerprint
from maskfold.planning.plan import describe
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.steps.train import train
from plain_recipe import plain_recipe
from timing import machine

DATA = {
    "satellite": (
        "satellite_buildings",
        "tianchi-buildings",
        {"file": "groups.csv", "id": "name", "column": "colour_group"},
    ),
    "salt": ("tgs_salt", "tgs-salt", None),
    "camvid": ("camvid", "camvid", None),
}
KINDS = {"satellite": "stratified-grouped", "salt": "stratified", "camvid": "given"}
SIDES = ("plan", "plain")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the three competitions")
    parser.add_argument("--hours", type=float, default=0.2, help="of each side (0.2)")
    parser.add_argument("--only", nargs="+", choices=DATA, default=list(DATA), help="competitions; default: all")
    parser.add_argument("--folder", type=Path, default=Path("bench_plan"), help="where runs are kept (bench_plan)")
    options = parser.parse_args()
    data = options.data.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(options.folder)
    rows = []
    for turn, name in enumerate(options.only):
        base = base_config(name, data)
        for side in SIDES if turn % 2 == 0 else SIDES[::-1]:
            one_side(side, name, base, options.hours)
        rows.append(row(name, options.hours))
    print(f"\n{machine('torch', 'segmentation-models-pytorch')}\n")
    print(f"| data, {options.hours:g} hours, one fold | plain recipe | plan | difference, 95 % | what was planned |")
    print("| --- | ---: | ---: | --- | --- |")
    print("\n".join(rows))


def base_config(name: str, data: Path) -> Config:
    """The competition and its folds, the same for both sides."""
    folder, profile, group = DATA[name]
    folds = {"kind": KINDS[name], "count": 1 if name == "camvid" else 5, "group": group}
    tree = {"competition.profile": profile, "competition.root": data / folder}
    return load_config(None, {**tree, **{f"folds.{key}": value for key, value in folds.items()}}, name=name)


def one_side(side: str, name: str, base: Config, hours: float) -> None:
    """Plan, where that is the side, and train fold 0 within the hours; go on where that was begun."""
    path = run_path(name, side, hours)
    if Run(path).fold(0).begun():
        train(Run.open(path), 0)
        return
    started = time.monotonic()
    competition = open_competition(base.competition)
    data = take_fingerprint(competition, base.folds)
    if side == "plan":
        plan = make_plan(base, data, MeasuredSpeed(competition.labels, competition.images), hours=hours)
        print(f"{name}: {describe(plan)}", flush=True)
        config, spent = plan.config(base), time.monotonic() - started
    else:
        config, spent = override(base, plain_recipe(data.side, exclusive=competition.labels.exclusive)), 0.0
    length = {"train.epochs": None, "train.hours": hours - spent / 3600, "train.trackers": []}
    train(override(config, {**length, "name": path.name}), 0)
    print(f"{name}, {side}: {time.monotonic() - started:.0f} s", flush=True)


def run_path(name: str, side: str, hours: float) -> Path:
    return Path("runs") / f"{name}_{side}_{hours:g}h"


def row(name: str, hours: float) -> str:
    """One line of the table."""
    found = {side: out_of_fold(Run.open(run_path(name, side, hours))) for side in SIDES}
    plan, plain = found["plan"], found["plain"]
    gain = paired_bootstrap(plan.stats, plain.stats, plan.metric.score, groups=plan.groups)
    config = Run.open(run_path(name, "plan", hours)).config
    network = f"{config.model.encoder}, {config.model.architecture}"
    what = f"{network}, scale {config.data.scale:g}, crop {config.data.crop}, {config.train.iterations} steps"
    interval = f"{gain.difference:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
    return f"| {name}, {plan.metric.name} | {plain.score:.3f} | {plan.score:.3f} | {interval} | {what} |"


def out_of_fold(run: Run) -> Evaluation:
    """As the run predicts, not tuned: its best checkpoint by the config, its own views, threshold 0.5."""
    return evaluate_oof(default_choice([run]), run.competition(), folds=[0])


if __name__ == "__main__":
    main()
