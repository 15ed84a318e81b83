"""Running a study: what is missing is trained, in the order in which variants need each other."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskfold.cluster import Cluster, workers_of
from maskfold.config import changed_keys, override
from maskfold.device import OUT_OF_MEMORY
from maskfold.errors import MaskfoldError, StudyError
from maskfold.parallel import Task, Work
from maskfold.runs import Run
from maskfold.runs.pseudo import PseudoFolder
from maskfold.steps.competition import open_competition, with_root
from maskfold.steps.pseudo import pseudo_label
from maskfold.steps.train import train
from maskfold.studies.plan import Job, Plan
from maskfold.studies.results import Results, gather
from maskfold.studies.scores import known, score
from maskfold.studies.search import search, trials_ended
from maskfold.studies.write import write_results
from maskfold.training.forecast import duration


def run_study(plan: Plan, *, parallel: int = 1, cluster: Cluster | None = None) -> Results:
    """Train what is missing, score all variants, and write ``results.md`` and ``results.html``.

    Args:
        plan: the study, its folder, and options for all variants.
        parallel: trainings at a time, each in a process of its own; they share the cores, and the GPU where there is
            one only.
        cluster: train on a Ray cluster instead, as many at a time as it has room for.

    Returns:
        The results, without the variants that something kept from their end (`Results.missing`): that was printed. What
        was done stays, and the same call goes on.

    Raises:
        MaskfoldError: see its message: options that do not fit, or not one variant whose trainings came to their end.
    """
    chosen: dict[str, Any] = {}
    several = cluster is not None or parallel > 1
    with workers_of(cluster, parallel) if several else nullcontext(_one_by_one) as workers:
        if plan.study.search is not None:
            chosen = search(plan, workers)
            plan = _with_winner(plan, chosen)
        prepare(plan)
        for stage in plan.stages():
            workers(_do, [(plan, job) for job in stage if not done(plan, job) and ready(plan, job)])
        names = [name for name in plan.study.variants if trained(plan, name)]
        workers(_score, _unscored(plan, names))
    results = replace(gather(plan, names), chosen=chosen)
    write_results(plan, results)
    return results


def _with_winner(plan: Plan, options: dict[str, Any]) -> Plan:
    """The plan with the search's winner as one more variant, unless it is what all variants have in common."""
    changes = changed_keys(plan.common, override(plan.common, options))
    return Plan(plan.study.with_winner(options), plan.folder, plan.overrides) if changes else plan


def prepare(plan: Plan) -> None:
    """Write down the config and the folds of every run; the competition's files are looked at once.

    Raises:
        MaskfoldError: no such competition, a run that was trained with another config, pseudo-labels of other rules.
    """
    for name in plan.trained:
        for seed in plan.study.seeds:
            _refuse_other_labels(plan, name, seed)
    root = with_root(plan.common, open_competition(plan.common)).competition
    for name in plan.trained:
        for seed in plan.study.seeds:
            run = plan.run(name, seed)
            run.adopt(plan.config(name, seed).model_copy(update={"competition": root}))
            run.folds()


def _refuse_other_labels(plan: Plan, name: str, seed: int) -> None:
    """Refuse pseudo-labels of a variant that were made by other rules than the study asks for now."""
    asked, folder = plan.study.variants[name].pseudo, PseudoFolder(plan.pseudo_path(name, seed))
    if asked is None or not folder.exists():
        return
    made, now = folder.manifest(), asked.model_dump(mode="json", exclude={"runs"})
    then = {**made.rules.model_dump(), "images": made.images}
    if changed := [f"{key} {then[key]}, now {now[key]}" for key in now if now[key] != then[key]]:
        raise StudyError(
            f"{folder.path} holds pseudo-labels of other rules than the study asks for variant {name} "
            f"({', '.join(changed)}): give another --name, or undo the change"
        )


def done(plan: Plan, job: Job) -> bool:
    """Whether nothing is left to do of a job."""
    run = plan.run(job.variant, job.seed)
    if job.fold is not None:
        return run.fold(job.fold).finished()
    folder = PseudoFolder(plan.pseudo_path(job.variant, job.seed))
    return folder.exists() and set(map(str, plan.folds(job.variant))) <= set(folder.manifest().folds)


def ready(plan: Plan, job: Job) -> bool:
    """Whether everything is done that a job needs."""
    variant = plan.study.variants[job.variant]
    labels = [Job(job.variant, job.seed, None)] if job.fold is not None and variant.pseudo is not None else []
    needed = [Job(name, job.seed, fold) for name in variant.needs() for fold in plan.folds(name)]
    return all(done(plan, other) for other in [*labels, *needed])


def trained(plan: Plan, name: str) -> bool:
    """Whether every training of a variant came to its end."""
    own = plan.trainer(name)
    return all(done(plan, Job(own, seed, fold)) for seed in plan.study.seeds for fold in plan.folds(name))


def forecast(plan: Plan) -> str:
    """What there is to do, and how long it takes as far as finished trainings of the study tell."""
    lines, missing, seconds = [], 0, []
    if plan.study.search is not None:
        lines.append(f"0. search: {trials_ended(plan)} of {plan.study.search.trials} trials done")
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


def _one_by_one(work: Work, tasks: Iterable[Task]) -> None:
    for task in tasks:
        work(*task)


def _do(plan: Plan, job: Job) -> None:
    """One job, in whatever process; what keeps it from its end is said, and leaves the other variants alone."""
    try:
        if job.fold is None:
            _label(plan, job)
        else:
            train(Run.open(plan.run(job.variant, job.seed).path), job.fold)
    except (MaskfoldError, *OUT_OF_MEMORY) as error:
        print(f"error: {job.variant}, seed {job.seed}: {error}", file=sys.stderr, flush=True)


def _label(plan: Plan, job: Job) -> None:
    """The pseudo-labels of a variant."""
    asked = plan.study.variants[job.variant].pseudo
    assert asked is not None
    runs = [Run.open(plan.run(name, job.seed).path) for name in asked.runs]
    folder = plan.pseudo_path(job.variant, job.seed)
    pseudo_label(runs, folder, images=asked.images, rules=asked.rules, overwrite=True)


def _unscored(plan: Plan, names: Sequence[str]) -> list[tuple[Plan, list[str], int]]:
    """What `_score` has to do: those that share a run in one task, since a run keeps maps of one way to predict."""
    tasks: dict[tuple[Path, int], list[str]] = {}
    for name in names:
        for seed in plan.study.seeds:
            if known(plan, name, seed) is None:
                tasks.setdefault((plan.run(name, seed).path, seed), []).append(name)
    return [(plan, found, seed) for (_, seed), found in tasks.items()]


def _score(plan: Plan, names: Sequence[str], seed: int) -> None:
    """Statistics of variants; they stay on the disk."""
    for name in names:
        score(plan, name, seed)
