"""Running a study: what is missing is trained, in the order in which variants need each other."""

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from maskfold.errors import MaskfoldError
from maskfold.runs import Run
from maskfold.runs.pseudo import PseudoFolder
from maskfold.steps.competition import open_competition, with_root
from maskfold.steps.parallel import worker_pool
from maskfold.steps.pseudo import pseudo_label
from maskfold.steps.train import train
from maskfold.studies.plan import Job, Plan
from maskfold.studies.results import Results, gather
from maskfold.studies.scores import known, score
from maskfold.studies.write import write_results
from maskfold.training.forecast import duration


def run_study(plan: Plan, *, parallel: int = 1) -> Results:
    """Train what is missing, score all variants, and write ``results.md`` and ``results.html``.

    Args:
        plan: the study, its folder, and options for all variants.
        parallel: trainings at a time, each in a process of its own; they share the cores, and the GPU where there is
            one only.

    Returns:
        The results, without the variants that something kept from their end (`Results.missing`): that was printed. What
        was done stays, and the same call goes on.

    Raises:
        MaskfoldError: see its message: options that do not fit, or not one variant whose trainings came to their end.
    """
    prepare(plan)
    with worker_pool(parallel) if parallel > 1 else nullcontext(_one_by_one) as workers:
        for stage in plan.stages():
            workers(_do, [(plan, job) for job in stage if not done(plan, job) and ready(plan, job)])
        names = [name for name in plan.study.variants if trained(plan, name)]
        asked = [(plan, name, seed) for name in names for seed in plan.study.seeds]
        workers(_score, [task for task in asked if known(*task) is None])
    results = gather(plan, names)
    write_results(plan, results)
    return results


def prepare(plan: Plan) -> None:
    """Write down the config and the folds of every run; the competition's files are looked at once.

    Raises:
        MaskfoldError: no such competition, or a run that was trained with another config.
    """
    root = with_root(plan.common, open_competition(plan.common)).competition
    for name in plan.trained:
        for seed in plan.study.seeds:
            run = plan.run(name, seed)
            run.adopt(plan.config(name, seed).model_copy(update={"competition": root}))
            run.folds()


def done(plan: Plan, job: Job) -> bool:
    """Whether nothing is left to do of a job."""
    run = plan.run(job.variant, job.seed)
    if job.fold is not None:
        return run.fold(job.fold).finished()
    folder = PseudoFolder(plan.pseudo_path(job.variant, job.seed))
    return folder.exists() and set(map(str, plan.study.folds)) <= set(folder.manifest().folds)


def ready(plan: Plan, job: Job) -> bool:
    """Whether everything is done that a job needs."""
    variant = plan.study.variants[job.variant]
    labels = [Job(job.variant, job.seed, None)] if job.fold is not None and variant.pseudo is not None else []
    needed = [Job(name, job.seed, fold) for name in variant.needs() for fold in plan.study.folds]
    return all(done(plan, other) for other in [*labels, *needed])


def trained(plan: Plan, name: str) -> bool:
    """Whether every training of a variant came to its end."""
    own = plan.study.variants[name].run or name
    return all(done(plan, Job(own, seed, fold)) for seed in plan.study.seeds for fold in plan.study.folds)


def forecast(plan: Plan) -> str:
    """What there is to do, and how long it takes as far as finished trainings of the study tell."""
    lines, missing, seconds = [], 0, []
    for number, stage in enumerate(plan.stages(), start=1):
        for job in stage:
            state = "done" if done(plan, job) else "to do"
            what = "pseudo-labels" if job.fold is None else f"fold {job.fold}"
            lines.append(f"{number}. {job.variant}, seed {job.seed}, {what}: {state}")
            if job.fold is not None and state == "done":
                seconds.append(plan.run(job.variant, job.seed).fold(job.fold).summary()["seconds"])
            missing += job.fold is not None and state == "to do"
    if not missing:
        return "\n".join([*lines, "Everything is trained."])
    if not seconds:
        return "\n".join([*lines, f"{missing} trainings; how long they take is known once one is done."])
    mean = sum(seconds) / len(seconds)
    total = f"{missing} trainings, some {duration(mean * missing)} one after the other"
    return "\n".join([*lines, f"{total} ({duration(mean)} each, the mean of {len(seconds)} that are done)."])


def _one_by_one(work: Callable[..., None], tasks: Iterable[tuple[Any, ...]]) -> None:
    for task in tasks:
        work(*task)


def _do(plan: Plan, job: Job) -> None:
    """One job, in whatever process; what keeps it from its end is said, and leaves the other variants alone."""
    try:
        if job.fold is None:
            _label(plan, job)
        else:
            train(Run.open(plan.run(job.variant, job.seed).path), job.fold)
    except MaskfoldError as error:
        print(f"error: {job.variant}, seed {job.seed}: {error}", file=sys.stderr, flush=True)


def _label(plan: Plan, job: Job) -> None:
    """The pseudo-labels of a variant."""
    asked = plan.study.variants[job.variant].pseudo
    assert asked is not None
    runs = [Run.open(plan.run(name, job.seed).path) for name in asked.runs]
    rules = asked.model_dump(exclude={"runs"})
    pseudo_label(runs, plan.pseudo_path(job.variant, job.seed), **rules, overwrite=True)


def _score(plan: Plan, name: str, seed: int) -> None:
    """Statistics of a variant; they stay on the disk."""
    score(plan, name, seed)
