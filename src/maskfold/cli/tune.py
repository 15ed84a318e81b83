"""What tune.py prints of its result."""

from maskfold.ensembling.choice import EnsembleChoice
from maskfold.inference.decoding import tunable_values
from maskfold.labels import LabelSpec


def describe(choice: EnsembleChoice, labels: LabelSpec) -> str:
    """The choice, what it scores, and whether tuning helped."""
    values = [f"{value.name} {value.value(choice.post)}" for value in tunable_values(choice.post, labels, {})]
    lines = [f"{run.run}: {run.checkpoint}, weight {run.weight:.2f}" for run in choice.runs]
    lines += [
        ", ".join([*(values or ["the most probable class"]), f"views {choice.tta.views}"]),
        f"Out-of-fold {choice.metric} {choice.scores['before']:.4f} before tuning, {choice.scores['after']:.4f} after "
        "(cross-fitted)",
    ]
    if not choice.helped:
        lines.append("Tuning did not help: what the config says is kept, and stands above.")
    return "\n".join(lines)
