"""The process that measures what batches take on a CPU, under the eyes of `maskfold.training.memory.run_watched`.

``python -m maskfold.training.probe RUN train|predict BATCH MOST`` prints a line of JSON for each size of batch,
``{"images": n, "memory": bytes}``, and last what was timed of the config's own: ``{"pace": {…}, "workers": bytes}``.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskfold.device import steady_shapes
from maskfold.errors import MaskfoldError
from maskfold.runs import Run
from maskfold.training.memory import forget_peak, peak_memory, workers_memory
from maskfold.training.trial import Trial

NOTICED = 64 * 2**20  # bytes: what a process needs for itself varies by some megabytes


def main() -> None:
    """Run the command."""
    with suppress(OSError):  # should the memory run out after all, this process is the one to end
        Path("/proc/self/oom_score_adj").write_text("1000")
    folder, kind, batch, most = sys.argv[1:]
    trial = Trial(Run.open(Path(folder)))
    attempt, pace = {
        "train": (steady_shapes()(trial.train), trial.training_pace),
        "predict": (trial.predict, trial.prediction_pace),
    }[kind]
    forget_peak()
    first = 0
    for images in sizes(int(batch), int(most), least=2 if kind == "train" else 1):
        attempt(images)
        memory = peak_memory()
        _say(images=images, memory=memory)
        if first and images >= int(batch) and memory - first >= NOTICED:
            break
        first = first or memory
    _say(pace=asdict(pace()), workers=workers_memory())


def sizes(batch: int, most: int, *, least: int) -> Iterator[int]:
    """Sizes of batches that are measured: few images, the config's own, and more until ``most``.

    ``least`` images are the fewest that every network can be trained with.
    """
    few = min(least, batch)
    yield few
    images = max(batch, 2 * few)
    yield images
    while images < most:
        images = min(4 * images, most)
        yield images


def _say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    try:
        main()
    except MaskfoldError as error:
        sys.exit(str(error))
