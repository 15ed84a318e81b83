"""Pseudo-labels: what a run's networks see on images without masks becomes a folder to train on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfold.competitions import Competition, Sample, Samples
from maskfold.competitions.images import is_image
from maskfold.competitions.samples import paths_of
from maskfold.ensembling.pseudo import Unlabelled, write_pseudo_labels
from maskfold.ensembling.submit import default_choice, test_samples
from maskfold.errors import CompetitionError, InferenceError, RunError
from maskfold.locks import exclusive
from maskfold.runs import Run
from maskfold.runs.pseudo import PseudoFolder, PseudoManifest
from maskfold.runs.pseudo_rules import Rules
from maskfold.scoring.calibration import fold_temperatures
from maskfold.steps.places import PSEUDO, as_runs, joined_name
from maskfold.steps.together import open_together


def pseudo_label(
    runs: Run | Sequence[Run],
    out: Path | None = None,
    *,
    images: Path | None = None,
    rules: Rules | None = None,
    calibrated: bool = False,
    all_folds: bool = False,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Label images without masks, and write those that are sure enough as a folder for ``data.extra``.

    Args:
        runs: one run, or several with the same folds, whose networks are averaged with equal weights, as their configs
            predict: what was tuned was chosen on the validation images, and is left aside.
        out: folder to write; None: ``data/pseudo/RUN``.
        images: folder of the images; None: the competition's test images.
        rules: which pixels count, and which images are kept; None: those of ``Rules()``.
        calibrated: probabilities of each fold at the temperature that suits the out-of-fold images of the other folds,
            where temperatures help (`maskfold.scoring.calibration`).
        all_folds: labels by the networks of all folds, which saw the validation images of each fold: scores of
            whatever learns from them are marked as optimistic.
        overrides: dotted keys of the first run's config, such as ``{"tta.views": "d4"}``.
        overwrite: replace ``out`` if it is a folder of pseudo-labels.

    Returns:
        The folder.

    Raises:
        MaskfoldError: see its message: nothing trained, no images, none that is sure enough, ``out`` exists or is
            being written, both ``calibrated`` and ``all_folds``.
    """
    if calibrated and all_folds:
        raise InferenceError(
            "temperatures are fitted to the networks of one fold, and all folds are to label together: leave out "
            "--calibrated or --all-folds"
        )
    folder = PseudoFolder(out or PSEUDO / joined_name(as_runs(runs)))
    lock = folder.path.with_name(f".{folder.path.name}.lock")
    with exclusive(lock, folder.path, advice="wait for it, or choose another --out"):
        _refuse_to_replace(folder, as_runs(runs), overwrite=overwrite)
        runs, config, competition = open_together(runs, overrides)
        found = _images_in(images, competition) if images else Unlabelled(competition, test_samples(competition))
        found.competition.refuse_cut_off(found.samples)
        choice = default_choice(runs, config)
        size = config.inference.batch_size
        print(f"{len(found.samples)} images of {images or competition.root}", flush=True)
        temperatures = fold_temperatures(choice, competition, batch_size=size) if calibrated else {}
        manifest = write_pseudo_labels(
            choice,
            runs,
            found,
            folder,
            rules or Rules(),
            all_folds=all_folds,
            temperatures=temperatures,
            batch_size=size,
        )
    print(f"{describe(folder, manifest)}\nPseudo-labels: {folder.path}")
    return folder.path


def describe(folder: PseudoFolder, manifest: PseudoManifest) -> str:
    """How many images each fold keeps, and what the labels may be used for."""
    table = folder.table()
    lines = []
    for name, rows in table.groupby("fold", sort=False):
        kept = rows[rows["kept"]]
        counted = f", {kept['share'].mean():.0%} of their pixels count" if len(kept) else ""
        tempered = f" at temperature {manifest.temperatures[name]:.2f}" if name in manifest.temperatures else ""
        lines.append(f"fold {name}: {len(kept)} of {len(rows)} images kept{counted}{tempered}")
    if manifest.optimistic:
        lines.append("Labels by networks that saw validation images: out-of-fold scores will be marked as optimistic.")
    return "\n".join([*lines, f"Round {manifest.round}."])


def _refuse_to_replace(folder: PseudoFolder, runs: Sequence[Run], *, overwrite: bool) -> None:
    if strangers := folder.strangers():
        raise RunError(f"{folder.path} holds other files ({strangers[0]}): choose another --out")
    if folder.exists() and not overwrite:
        raise RunError(f"{folder.path} exists: choose another --out, or give --overwrite")
    for run in runs:
        if folder.path.resolve() in {path.resolve() for path in run.config.data.extra}:
            raise RunError(f"{run.path} was trained on {folder.path}: choose another --out for the next round")


def _images_in(root: Path, competition: Competition) -> Unlabelled:
    """The images directly in a folder, their names as ids.

    Raises:
        CompetitionError: none, training images among them, or a profile that asks for the size of their pixels.
    """
    if (sizes := competition.profile.pixel_size) is not None:
        raise CompetitionError(
            f"the profile has a pixel_size, and how large the pixels in {root} are stands in no table: leave out "
            f"--images, so that the competition's test images are labelled, whose sizes are in {sizes.test}"
        )
    reader = competition.reading_from(root)
    names = [name for name in reader.files.names(".") if is_image(name)]
    if not names:
        raise CompetitionError(
            f"there are no images in {root}: give --images a folder that holds some, not a folder of folders"
        )
    labelled = {
        (competition.root / path).resolve()
        for sample in competition.samples("train")
        for path in paths_of(sample.image)
    }
    if known := [name for name in names if (root / name).resolve() in labelled]:
        raise CompetitionError(
            f"{len(known)} of {len(names)} images in {root} are training images, such as {known[0]}: pseudo-labels are "
            "for images without masks"
        )
    return Unlabelled(reader, Samples(Sample(name, name) for name in names), str(root))
