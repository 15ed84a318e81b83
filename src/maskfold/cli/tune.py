"""What tune.py prints of its result."""

from maskfold.ensembling.choice import EnsembleChoice


def describe(choice: EnsembleChoice) -> str:
    """The choice, what it scores, and whether tuning helped."""
    lines = [f"{run.run}: {run.checkpoint}, weight {run.weight:.2f}" for run in choice.runs]
    values = ", ".join(f"{name} {value}" for name, value in choice.post.model_dump(mode="json").items() if value != {})
    before, after = choice.scores["before"], choice.scores["after"]
    lines += [
        f"{values}, views {choice.tta.views}",
        f"Out-of-fold {choice.metric} {before:.4f} before tuning, {after:.4f} after (cross-fitted)",
    ]
    if not choice.helped:
        lines.append("Tuning did not help: what the config says is kept, and stands above.")
    return "\n".join(lines)
