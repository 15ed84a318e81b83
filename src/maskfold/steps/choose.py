"""Which ensemble predicts: the tuned one or the config's, with the command line's changes."""

from collections.abc import Sequence

from maskfold.config import Config
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
        print(f"Ensemble: {path} (out-of-fold {choice.metric} {choice.score:.4f}){optimism(runs)}")
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


def describe_folds(runs: Sequence[Run], folds: Sequence[int | str]) -> str:
    """Which folds predict, and which do not."""
    rest = [str(number) for number in runs[0].fold_numbers() if str(number) not in set(map(str, folds))]
    missing = f"; without {', '.join(rest)}" if rest and list(folds) != ["all"] else ""
    trained = "" if not missing else " (not trained to the end, or not asked for)"
    return f"Folds: {', '.join(map(str, folds))}{missing}{trained}"


def changed_choice(choice: EnsembleChoice, config: Config, changed: set[str]) -> EnsembleChoice:
    """The choice with the ``changed`` keys of a config; prints which differ. Its score is known no more then."""
    values = {}
    for section in CHOICE_SECTIONS:
        asked = sorted({key.split(".")[1] for key in changed if key.startswith(f"{section}.")})
        old, new = getattr(choice, section), getattr(config, section)
        different = {name: getattr(new, name) for name in asked if getattr(new, name) != getattr(old, name)}
        for name, value in different.items():
            source = "tuned." if choice.scores else "in the run's config."
            print(f"Note: {section}.{name} is {value}, not {getattr(old, name)} as {source}")
        if different:
            values[section] = old.model_copy(update=different)
    if "inference.checkpoint" in changed:
        checkpoint = {"checkpoint": config.inference.checkpoint}
        values["runs"] = [run.model_copy(update=checkpoint) for run in choice.runs]
    # A changed choice is not the one whose score is known.
    return choice.model_copy(update={**values, "scores": {}}) if values else choice
