"""Plans against the plain recipe: the same hours, weights, machine and fold, scored out of fold with a paired interval.

    MASKFOLD_WEIGHTS=FOLDER python benchmarks/bench_plan.py DATA [--hours 0.2] [--only satellite …] [--folder PLACE]

DATA holds satellite_buildings, tgs_salt and camvid (those that --only names are enough). Of each, fold 0 is trained on
three sides one after the other, the first side in turn: by the plan, by the plain recipe as a config
(`plain_recipe.py`), and by the plain recipe in the loop that one writes first (`usual_training.py`). Planning counts,
and so do scores and out-of-fold maps. Prints a Markdown table with the paired differences, plan minus the other.

Interrupted, the same command goes on in PLACE: what is trained stays, and a fold that was begun is trained to the
length that was measured for it; the usual loop begins again. Runs of other hours have other names. MASKFOLD_WEIGHTS
names the folder of the weights that all sides may use; use the machine for nothing else meanwhile, for all sides are
given seconds.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from maskfold.competitions import open_competition
from maskfold.config import Config, load_config, override
from maskfold.datasets import fold_splits
from maskfold.ensembling.submit import default_choice
from maskfold.metrics import Evaluation, gathered_stats, paired_bootstrap
from maskfold.planning import MeasuredSpeed, make_plan, take_fingerprint
from maskfold.planning.plan import describe
from maskfold.runs import Run
from maskfold.scoring.evaluate import evaluate_oof
from maskfold.steps.train import train
from plain_recipe import plain_recipe
from timing import machine
from usual_training import usual_training

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
STATS = "stats.npy"
SIDES = ("plan", "plain", "usual")


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
        for side in SIDES[turn % 3 :] + SIDES[: turn % 3]:
            started = time.monotonic()
            if side == "usual":
                usual_side(name, base, options.hours)
            else:
                one_side(side, name, base, options.hours)
            print(f"{name}, {side}: {time.monotonic() - started:.0f} s", flush=True)
        rows.append(row(name, options.hours))
    print(f"\n{machine('torch', 'segmentation-models-pytorch')}\n")
    print(
        f"| data, {options.hours:g} hours, one fold | usual loop | plain recipe | plan | over the usual loop, 95 % ",
        end="",
    )
    print("| over the recipe, 95 % | what was planned |\n| --- | ---: | ---: | ---: | --- | --- | --- |")
    print("\n".join(rows))


def base_config(name: str, data: Path) -> Config:
    """The competition and its folds, the same for both sides."""
    folder, profile, group = DATA[name]
    folds = {"kind": KINDS[name], "count": 1 if name == "camvid" else 5, "group": group}
    tree = {"competition.profile": profile, "competition.root": data / folder}
    return load_config(None, {**tree, **{f"folds.{key}": value for key, value in folds.items()}}, name=name)


def one_side(side: str, name: str, base: Config, hours: float) -> None:
    """A config, planned where that is the side, with which fold 0 is trained; go on where that was begun."""
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


def usual_side(name: str, base: Config, hours: float) -> None:
    """The usual loop, whose masks' statistics are kept in its run's folder."""
    run = Run(run_path(name, "usual", hours))
    if (run.path / STATS).exists():
        return
    run.adopt(override(base, {"name": run.path.name}))
    competition = run.competition()
    train, valid = (competition.samples("train").select(rows["id"]) for rows in fold_splits(run.folds(), 0))
    masks = usual_training(competition, train, valid, hours * 3600)
    labels = map(competition.scored_label, valid)
    rows = [competition.metric.stats_of(mask, label) for mask, label in zip(masks, labels, strict=True)]
    np.save(run.path / STATS, gathered_stats(competition.metric, valid.ids, rows))


def run_path(name: str, side: str, hours: float) -> Path:
    return Path("runs") / f"{name}_{side}_{hours:g}h"


def row(name: str, hours: float) -> str:
    """One line of the table."""
    plan, plain = (out_of_fold(Run.open(run_path(name, side, hours))) for side in SIDES[:2])
    usual = of_usual(Run.open(run_path(name, "usual", hours)), plan)
    config = Run.open(run_path(name, "plan", hours)).config
    network = f"{config.model.encoder}, {config.model.architecture}"
    what = f"{network}, scale {config.data.scale:g}, crop {config.data.crop}, {config.train.iterations} steps"
    scores = f"{usual.score:.3f} | {plain.score:.3f} | {plan.score:.3f}"
    return f"| {name}, {plan.metric.name} | {scores} | {gain(plan, usual)} | {gain(plan, plain)} | {what} |"


def gain(plan: Evaluation, other: Evaluation) -> str:
    found = paired_bootstrap(plan.stats, other.stats, plan.metric.score, groups=plan.groups)
    return f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def out_of_fold(run: Run) -> Evaluation:
    """As the run predicts, not tuned: its best checkpoint by the config, its own views, threshold 0.5."""
    return evaluate_oof(default_choice([run]), run.competition(), folds=[0])


def of_usual(run: Run, like: Evaluation) -> Evaluation:
    """The usual loop's masks, of the same images in the same order as another side's."""
    assert list(like.ids) == list(fold_splits(run.folds(), 0)[1]["id"])
    return Evaluation(like.metric, like.ids, np.load(run.path / STATS), like.groups)


if __name__ == "__main__":
    main()
