"""Tuning of an ensemble on out-of-fold predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

from maskfold.cluster import Cluster
from maskfold.config import PostConfig
from maskfold.ensembling.choice import EnsembleChoice, write_ensemble
from maskfold.ensembling.finished import optimism
from maskfold.ensembling.tune import tune as choose_ensemble
from maskfold.inference.decoding import tunable_values
from maskfold.labels import LabelSpec
from maskfold.runs import Run
from maskfold.steps.places import ensemble_run
from maskfold.steps.together import open_together


def tune(
    runs: Run | Sequence[Run], *, overrides: Mapping[str, Any] | None = None, cluster: Cluster | None = None
) -> EnsembleChoice:
    """Choose the ensemble of one or several runs, print it, and write ``ensemble.yaml`` where `predict` finds it.

    Args:
        runs: one run, or several that will predict together.
        overrides: dotted keys of the first run's config that tuning reads, such as ``{"tta.views": "d4"}``.
        cluster: compute out-of-fold maps that are missing on a Ray cluster.

    Raises:
        InferenceError: no finished folds, or runs whose finished folds do not validate the same images.
        RunError: damaged files.
    """
    runs, config, competition = open_together(runs, overrides)
    choice = choose_ensemble(runs, competition, config, cluster=cluster)
    path = ensemble_run(runs).ensemble_path
    write_ensemble(choice, path)
    print(f"{describe(choice, competition.labels, config.post, optimism(runs))}\nEnsemble: {path}")
    return choice


def describe(choice: EnsembleChoice, labels: LabelSpec, post: PostConfig, note: str = "") -> str:
    """The choice, what it scores, and whether tuning helped.

    Args:
        post: what the config asked for.
        note: what must stand behind the score.
    """
    values = [f"{value.name} {value.value(choice.post)}" for value in tunable_values(choice.post, labels, {})]
    lines = [f"{run.run}: {run.checkpoint}, weight {run.weight:.2f}" for run in choice.runs]
    views = f"views {choice.tta.views}"
    if choice.tta.view_weights:
        views += f" (weights {', '.join(f'{weight:.2f}' for weight in choice.tta.view_weights)})"
    passes = [f"{choice.tta.dropout_passes} passes with dropout"] if choice.tta.dropout_passes else []
    prior = choice.tta.batch_norm_prior
    adapted = [] if prior is None else [f"adapted batch norms (training counts as {prior} images)"]
    lines += [] if choice.stack is None else [choice.stack.line()]
    lines += [
        ", ".join([*(values or ["the most probable class"]), views, *passes, *adapted]),
        f"Out-of-fold {choice.scored}{note}",
    ]
    if choice.refused:
        lines.append("Refused, as the gain may be chance or one fold's alone:")
        lines += [f"  {refused.line()}" for refused in choice.refused]
    if left_out := [key for key, held in post if held is not None and getattr(choice.post, key) is None]:
        lines.append(f"Left out, as nothing scores higher with it: post.{', post.'.join(left_out)}.")
    elif not choice.helped:
        lines.append("Tuning did not help: the config's own settings, shown above, are kept.")
    return "\n".join(lines)
