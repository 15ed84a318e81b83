"""Which ensemble predicts: the tuned one or the config's, with the command line's changes."""

from collections.abc import Sequence
from typing import Any

from maskfold.config import Config
from maskfold.config.section import Section
from maskfold.ensembling.choice import EnsembleChoice, has_ensemble, read_ensemble
from maskfold.ensembling.finished import optimism
from maskfold.ensembling.submit import check_hashes, default_choice
from maskfold.errors import RunError
from maskfold.program import command_line
from maskfold.runs import Run
from maskfold.steps.places import ensemble_run

# Sections of the config that a tuned choice holds too, and that the command line may change.
CHOICE_SECTIONS = ("tta", "post")


def choose(runs: Sequence[Run], config: Config, changed: set[str], *, untuned: bool) -> EnsembleChoice:
    """The tuned ensemble, or the config's plain one, with the command line's changes; prints which.

    Raises:
        RunError: several runs without a tuned ensemble, or a damaged one.
        InferenceError: weights that changed since tuning.
    """
    path = ensemble_run(runs).ensemble_path
    if has_ensemble(path) and not untuned:
        choice = read_ensemble(path, [run.path for run in runs])
        print(f"Ensemble: {path}{known_score(choice, runs)}")
        if added := check_hashes(choice, runs):
            again = f"{command_line('tune')} tunes on all"
            print(f"Note: trained since tuning and used as well: {', '.join(added)}; {again}.")
    elif len(runs) > 1:
        paths = [str(run.path) for run in runs]
        raise RunError(f"there is no {path}: run {command_line('tune', '--runs', *paths)} first")
    else:
        choice = default_choice(runs)
        print(
            f"Not tuned: equal mean of checkpoint '{choice.checkpoints[0]}', threshold {choice.post.threshold}, "
            f"views {choice.tta.views} ({command_line('tune')} chooses them)."
        )
    return changed_choice(choice, config, changed)


def known_score(choice: EnsembleChoice, runs: Sequence[Run]) -> str:
    """What stands behind the name of an ensemble of ``runs``: its score, where one is written down."""
    return "" if choice.score is None else f" (out-of-fold {choice.metric} {choice.score:.4f}){optimism(runs)}"


def describe_folds(runs: Sequence[Run], folds: Sequence[int | str]) -> str:
    """Which folds predict, and which do not."""
    rest = [str(number) for number in runs[0].fold_numbers() if str(number) not in set(map(str, folds))]
    missing = f"; without {', '.join(rest)}" if rest and list(folds) != ["all"] else ""
    trained = "" if not missing else " (not trained to the end, or not asked for)"
    return f"Folds: {', '.join(map(str, folds))}{missing}{trained}"


def changed_choice(choice: EnsembleChoice, config: Config, changed: set[str]) -> EnsembleChoice:
    """The choice with the ``changed`` keys of a config; prints which differ. Its score is known no more then."""
    values: dict[str, Any] = {}
    for section in CHOICE_SECTIONS:
        asked = sorted(key.partition(".")[2] for key in changed if key.startswith(f"{section}."))
        old = getattr(choice, section)
        new = _with_values(old, getattr(config, section), asked)
        for name in dict.fromkeys(key.partition(".")[0] for key in asked):
            before, after = getattr(old, name), getattr(new, name)
            if before != after:
                source = "tuned." if choice.scores else "in the run's config."
                print(f"Note: {section}.{name} is {after}, not {before} as {source}")
                values[section] = new
    if "inference.checkpoint" in changed:
        checkpoint = {"checkpoint": config.inference.checkpoint}
        values["runs"] = [run.model_copy(update=checkpoint) for run in choice.runs]
    # A changed choice is not the one whose score is known.
    return choice.model_copy(update={**values, "scores": {}}) if values else choice


def _with_values(old: Section, config: Section, dotted: Sequence[str]) -> Section:
    """The section ``old`` with the values that ``config`` has of dotted keys; what is beside them stays."""
    tree, asked = old.model_dump(), config.model_dump()
    for key in dotted:
        *sections, last = key.split(".")
        into, source = tree, asked
        for section in sections:
            if not isinstance(into.get(section), dict):  # absent there, or one value for all classes
                last = section
                break
            into, source = into[section], source[section]
        into[last] = source[last]
    return type(old).model_validate(tree)
