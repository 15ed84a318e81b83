"""The model card of a pack: what it is, how good, on which data, how to predict; the licence is left to fill in."""

import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from maskfold import __version__
from maskfold.competitions import Competition
from maskfold.ensembling.choice import EnsembleChoice
from maskfold.metrics import Evaluation
from maskfold.packing.layout import RUNS
from maskfold.packing.write import texts
from maskfold.runs import Run

OWN_MODULE = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*")


def model_card(
    choice: EnsembleChoice,
    runs: Sequence[Run],
    folds: Sequence[Sequence[int | str]],
    competition: Competition,
    evaluation: Evaluation | None,
) -> str:
    """The text of ``README.md``, with the front matter that model hubs read.

    Args:
        choice: what predicts.
        runs: of the choice.
        folds: of each run.
        competition: theirs.
        evaluation: out of fold; `None` where no image was held out.
    """
    name = "+".join(run.name for run in runs)
    parts = [
        _front_matter(runs),
        f"# {name}\n\n{_sentence(runs, folds, competition)}",
        f"## Scores\n\n{_scores(choice, evaluation)}",
        f"## Data\n\n{_data(runs[0], folds, competition)}",
        f"## Predict\n\n{_predict(choice, runs, competition)}",
        f"## A network alone\n\n{_alone(runs[0], folds[0], choice, competition)}",
        "## Licence\n\nTo fill in: of these weights (`license` at the top of this file), and what the data's and the "
        "encoder's own licences ask for.",
    ]
    return "\n\n".join(parts) + "\n"


def own_modules(runs: Sequence[Run], competition: Competition) -> list[str]:
    """Modules of the user's own that the configs and the profile name: they are not in the pack."""
    in_configs = (text for run in runs for text in texts(run.config.model_dump(mode="json")))
    named = [competition.profile.metric.name, *in_configs]
    return sorted({found[1] for text in named if (found := OWN_MODULE.fullmatch(text))})


def _front_matter(runs: Sequence[Run]) -> str:
    models = [run.config.model for run in runs]
    tags = ["maskfold", "semantic-segmentation", *(text for m in models for text in (m.architecture, m.encoder))]
    tree = {
        "license": "other",
        "license_name": "to-fill-in",
        "library_name": "maskfold",
        "pipeline_tag": "image-segmentation",
        "tags": list(dict.fromkeys(tags)),
    }
    return f"---\n{yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)}---"


def _sentence(runs: Sequence[Run], folds: Sequence[Sequence[int | str]], competition: Competition) -> str:
    nets = [
        f"{run.config.model.architecture} with encoder {run.config.model.encoder}, folds {', '.join(map(str, numbers))}"
        for run, numbers in zip(runs, folds, strict=True)
    ]
    labels = competition.labels
    return f"Makes masks of {', '.join(labels.class_names)} ({labels.task}): the mean of {' and of '.join(nets)}."


def _scores(choice: EnsembleChoice, evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "Trained on every image: none was held out, so nothing is known of how good it is."
    lines = [f"Out of fold, {len(evaluation.ids)} images, each by the networks that did not see it in training:", ""]
    lines += [f"- {line.strip()}" for line in (evaluation.line() + evaluation.class_lines()).splitlines()]
    if choice.helped:
        lines += [f"- {choice.scored}; the score above is that of settings which were chosen on the same images"]
    return "\n".join(lines)


def _data(run: Run, folds: Sequence[Sequence[int | str]], competition: Competition) -> str:
    profile, images = competition.profile, competition.images
    lines = [
        f"- {profile.title or profile.name}, {len(competition.samples('train'))} training images; metric "
        f"{competition.metric.name}",
        f"- images: {images.channels} channels of {images.dtype}, {images.scale:g} means 1.0",
        f"- classes: {', '.join(competition.labels.class_names)}",
        f"- folds: {run.config.folds.kind}, {run.config.folds.count}; of them predict: "
        f"{'; '.join(', '.join(map(str, numbers)) for numbers in folds)}",
    ]
    return "\n".join(lines)


def _predict(choice: EnsembleChoice, runs: Sequence[Run], competition: Competition) -> str:
    text = (
        "The competition's images come from its own folder, everything else from this one:\n\n"
        f"```bash\npip install maskfold=={__version__}\n"
        "maskfold predict --pack PACK --competition.root COMPETITION\n```\n\n"
        f"Views {choice.tta.views}, at scales {', '.join(map(str, choice.tta.scales))}; the rest of what was chosen is "
        "in `ensemble.yaml`. Every file is compared with `pack.json` before it is used; this card may be changed."
    )
    if modules := own_modules(runs, competition):
        text += f"\n\nNeeds modules that are not in this pack: {', '.join(modules)}."
    return text


def _alone(run: Run, folds: Sequence[int | str], choice: EnsembleChoice, competition: Competition) -> str:
    checkpoint = run.fold(folds[0]).weights_of(choice.runs[0].checkpoint)[0]
    place = Path(RUNS, run.name, f"fold_{folds[0]}", checkpoint).as_posix()
    last = run.config.model.instances
    further = "" if last is None else f", of which the last channel is the output {last} and not the mask's"
    return (
        f"Each `{RUNS}/NAME/fold_K/CHECKPOINT/` holds one network. Where a `config.json` is in it, "
        "segmentation_models_pytorch loads it:\n\n"
        f"```python\nimport segmentation_models_pytorch as smp\nfrom safetensors.torch import load_file\n\n"
        f'network = smp.from_pretrained("{place}").eval()\n'
        f'beside = load_file("{place}/beside.safetensors")\n'
        'logits = network((images - beside["mean"]) / beside["std"])\n```\n\n'
        "Normalisation and padding are not part of that network: it takes (value - mean) / std, float "
        f"(N, {competition.images.channels}, H, W), with H and W multiples of its stride, and gives logits{further}."
    )
