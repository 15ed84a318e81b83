"""Several submissions merged into one: each pixel, or each object, is what most of them say."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfold.competitions import Competition, SubmissionWriter
from maskfold.config import Config
from maskfold.errors import SubmissionError, first_few, repeated
from maskfold.instances import drawn
from maskfold.progress import progress
from maskfold.rle import objects, ops
from maskfold.scoring.evaluate import refuse_other_images
from maskfold.scoring.run_lengths import Layers, runs_agreement
from maskfold.steps.competition import open_competition
from maskfold.steps.submissions import reserved


def vote(
    submissions: Sequence[Path | str],
    config: Config,
    out: Path | None = None,
    *,
    weights: Sequence[float] | None = None,
    least: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Merge submissions by vote, write the validated result and note it in ``submissions/log.csv``.

    A class is at a pixel where more than half of all votes are for it. Of classes that exclude each other the one with
    the most votes wins, of equals the first one. No score and no probability is looked at.

    Where rows are instances, votes are for objects, which are the same where their IoU is greater than 0.5, see
    `maskfold.rle.objects`: those that more than half of all votes are for, each where most of those votes are.

    Args:
        submissions: two or more files (or folders of masks) for the same images.
        config: of the competition.
        out: file to write; None: ``submissions/vote.csv`` (label files: ``.zip``), with a number if that exists.
        weights: of each submission, above 0; None: 1 each.
        least: votes (of weighted submissions: weight) for a pixel or an object that are enough instead of more than
            half of all.
        overwrite: replace ``out`` if it exists.

    Returns:
        The result's path.

    Raises:
        MaskfoldError: see its message: fewer than two submissions, one of them twice, other images, weights that
            do not fit, ``least`` where classes exclude each other, ``out`` exists.
    """
    paths = [Path(path) for path in submissions]
    if len(paths) < 2:
        raise SubmissionError(f"{len(paths)} submissions were given: a vote needs two or more, better three")
    if twice := repeated([path.resolve() for path in paths]):
        named = first_few(str(path) for path in paths if path.resolve() in twice)
        raise SubmissionError(f"one submission is named more than once ({named}): weights give it more votes")
    competition = open_competition(config, predicting=True)
    if least is not None and competition.labels.exclusive:
        raise SubmissionError("the classes exclude each other, so the one with the most votes wins: leave least out")
    masks = [competition.read_masks(path) for path in paths]
    for other, path in zip(masks[1:], paths[1:], strict=True):
        refuse_other_images(masks[0], other, paths[0], path)
    made_of = {"files": [str(path) for path in paths], "weights": weights, "least": least}
    agreement = []
    row: dict[str, object] = {"runs": "vote: " + " ".join(map(str, paths))}
    where = reserved("vote", competition, out, overwrite=overwrite, made_of=made_of, row=lambda: row)
    # Quick enough to be done again where a killed command had written it.
    with where as place, SubmissionWriter(competition, place.path, masks[0]) as writer:
        elected = _elected(competition, masks, weights, least)
        for image_id, mask, agreed in progress(elected, "images", total=len(masks[0])):
            writer.write(image_id, mask)
            agreement.append(agreed)
    measure = "F1 of objects (IoU > 0.5)" if competition.instances else "Dice"
    for source, mean in zip(paths, np.mean(agreement, axis=0), strict=True):
        print(f"{source}: {measure} with the result {mean:.4f}")
    print(f"{len(agreement)} images. Valid submission: {place.path}")
    return place.path


def _elected(
    competition: Competition, masks: Sequence[dict[str, Any]], weights: Sequence[float] | None, least: float | None
) -> Iterator[tuple[str, np.ndarray, list[float]]]:
    """(id, mask of what most are for, how far each submission agrees with it) of every image.

    Where rows are instances the masks are of them (`maskfold.instances`).
    """
    labels, instances = competition.labels, competition.instances
    read = competition.objects if instances else competition.runs
    for sample in competition.samples("test").select(masks[0]):
        size = competition.mask_size(sample)
        voters = [read(part[sample.id], size, id=sample.id) for part in masks]
        if instances:
            found = objects.vote(voters, weights, least=least)
            mask = drawn((runs.mask() for runs in found), size)
            yield sample.id, mask, [objects.agreement(own, found) for own in voters]
        else:
            layers = _layers(voters, weights, least, exclusive=labels.exclusive)
            mask = labels.mask(np.stack([runs.mask() for runs in layers]))
            yield sample.id, mask, [runs_agreement(own, layers) for own in voters]


def _layers(
    voters: Sequence[Layers], weights: Sequence[float] | None, least: float | None, *, exclusive: bool
) -> Layers:
    """What most are for, pixel by pixel."""
    if not exclusive:
        return [ops.vote(channel, weights, least=least) for channel in zip(*voters, strict=True)]
    classes = ops.plurality([layers[1:] for layers in voters], weights)
    return (ops.complement(ops.union(*classes)), *classes)
