"""Two submissions compared with each other: where do they differ, and by how much?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from maskfold.competitions import Competition, Sample
from maskfold.progress import progress
from maskfold.scoring.evaluate import refuse_other_images, samples_of
from maskfold.scoring.run_lengths import differing_pixels, foreground_pixels, runs_agreement


@dataclass(frozen=True)
class Agreement:
    """What two submissions have in common.

    Attributes:
        names: what the two are called.
        masks: of each, id -> what `Competition.label` takes.
        samples: id -> sample of the competition.
        table: one row per image, those that differ most first: ``id``; ``dice`` between the two masks (1 where both
            are empty; several classes: mean over those that either has); ``pixels``; ``differing`` of them, in any
            class; ``a``, ``b``: pixels that are foreground (not class 0).
    """

    names: tuple[str, str]
    masks: tuple[dict[str, Any], dict[str, Any]]
    samples: dict[str, Sample]
    table: pd.DataFrame

    def text(self) -> str:
        """The comparison in a few lines."""
        table, pixels = self.table, self.table["pixels"].sum()
        lines = [
            f"{part} = {name}: foreground {table[part].sum() / pixels:.2%}, {(table[part] == 0).sum()} empty masks"
            for name, part in zip(self.names, ("a", "b"), strict=True)
        ]
        same = (table["differing"] == 0).sum()
        alone = ((table["a"] == 0) != (table["b"] == 0)).sum()
        lines += [
            f"{len(table)} images: {same} with the same mask, {alone} empty in one of the two only; "
            f"{1 - table['differing'].sum() / pixels:.2%} of all pixels agree",
            f"Dice between a and b: mean {table['dice'].mean():.4f}, median {table['dice'].median():.4f}",
        ]
        if same < len(table):
            worst = table[table["differing"] > 0].head(5)
            lines.append("lowest: " + ", ".join(f"{row.id} {row.dice:.3f}" for row in worst.itertuples()))
        return "\n".join(lines)


def compare_masks(a: Path, b: Path, competition: Competition) -> Agreement:
    """Compare two submissions image by image.

    Raises:
        CompetitionError: one of them is not in the competition's form.
        InferenceError: they do not name the same images, or ids that are not images of the competition.
    """
    masks = competition.read_masks(a), competition.read_masks(b)
    refuse_other_images(*masks, a, b)
    samples = samples_of(competition, list(masks[0]))
    rows = [_row(competition, masks, samples[id_]) for id_ in progress(samples, "images", total=len(samples))]
    table = pd.DataFrame(rows).sort_values(["dice", "differing"], ascending=[True, False], ignore_index=True)
    return Agreement((str(a), str(b)), masks, samples, table)


def _row(competition: Competition, masks: Sequence[dict[str, Any]], sample: Sample) -> dict[str, Any]:
    shape = competition.mask_size(sample)
    a, b = (competition.runs(part[sample.id], shape, id=sample.id) for part in masks)
    return {
        "id": sample.id,
        "dice": runs_agreement(a, b),
        "pixels": shape[0] * shape[1],
        "differing": differing_pixels(a, b),
        "a": foreground_pixels(competition.labels, a),
        "b": foreground_pixels(competition.labels, b),
    }
