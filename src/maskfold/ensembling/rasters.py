"""An ensemble's prediction of rasters by windows: networks, folds and views as for other images."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from maskfold.competitions import Competition, Sample
from maskfold.competitions.windows import MaskWindows
from maskfold.datasets.loader import window_loader
from maskfold.ensembling.checkpoints import Predictor, with_batch_size
from maskfold.ensembling.ensemble import Ensemble
from maskfold.errors import CompetitionError, ConfigError
from maskfold.files import scratch_folder
from maskfold.inference.decoding import build_chain
from maskfold.inference.merge import mean_of_known
from maskfold.inference.predict import Prediction
from maskfold.inference.stitch import WindowGrid, stitch
from maskfold.progress import progress
from maskfold.rasters.predicted import RasterPrediction, decode_raster
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Size
from maskfold.rasters.scratch import DiskArray
from maskfold.rasters.windows import RasterWindows
from maskfold.resizing import Shift, moved, scaled_size

logger = logging.getLogger(__name__)

# Side of the windows, in pixels, where neither tta.window nor training tiles say one; and the most that tiles can say.
WINDOW = 1024
MOST_WINDOW = 2048


class RasterEnsemble:
    """The networks of an ensemble, and how rasters become masks with them.

    A raster goes through the networks in windows of ``tta.window`` pixels or, without, of the size of the training
    tiles. What the networks and views say of each is merged as ever; the merged windows are averaged with the weights
    of `maskfold.inference.window`. Probabilities are kept in files while they are worked on.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        """See the class.

        Raises:
            ConfigError: the decoding has a step that looks at a whole image; batch norms are to be adapted.
        """
        if ensemble.choice.stack is not None:
            raise ConfigError(
                "tuning chose a stack of the runs, and rasters, which are read by windows, are predicted with weighted "
                "means: tune with --tune.stacking false, or predict with --untuned"
            )
        if ensemble.choice.tta.batch_norm_prior is not None:
            raise ConfigError(
                f"tta.batch_norm_prior is {ensemble.choice.tta.batch_norm_prior}, and batch norms are not adapted to "
                "rasters, which are read by windows: set it to null"
            )
        self.ensemble, self.competition = ensemble, ensemble.competition
        self.chain = build_chain(ensemble.choice.post, self.competition.labels, self.competition.images)
        if self.chain.sees_all:
            raise ConfigError(
                f"post.{self.chain.sees_all[0]} looks at a whole image, and rasters are decoded in parts: set it to "
                "null"
            )

    @contextmanager
    def predicted(
        self, raster: Raster, name: str, *, scale: float, beside: Path, size: Size | None = None, factor: float = 1
    ) -> Iterator[RasterPrediction]:
        """What the networks say of a raster; its files are there inside the ``with`` block.

        Args:
            raster: the raster.
            name: its id, of which the noise of dropout is a function.
            scale: by which it is resized to be like the training tiles.
            beside: the files are on the disk that this path is on.
            size: (H, W) at which it will be decoded; `None`: the raster's, scaled.
            factor: what `Competition.resampling` has of it in ``scale``; ``data.label_shift`` is in pixels before that.
        """
        tiles = scaled_size(raster.size, scale)
        with scratch_folder(beside) as folder:
            found = [
                (weight, *self._map(predictor, raster, name, tiles, factor, folder / f"map_{place}"))
                for place, (weight, predictor) in enumerate(self.ensemble.parts)
            ]
            total = sum(weight for weight, *_ in found)
            presence = mean_of_known((weight, presence) for weight, _, presence in found)
            maps = [(weight / total, held) for weight, held, _ in found]
            yield RasterPrediction(raster, size or tiles, maps, presence)

    @contextmanager
    def mask(
        self, raster: Raster, name: str, *, scale: float, beside: Path, size: Size | None = None, factor: float = 1
    ) -> Iterator[MaskWindows]:
        """The decoded mask of a raster, of ``size`` or else the raster's own. Arguments as of `predicted`."""
        with (
            self.predicted(raster, name, scale=scale, beside=beside, size=size, factor=factor) as prediction,
            scratch_folder(beside) as folder,
        ):
            yield decode_raster(prediction, self.chain, folder, size or raster.size)

    def masks(self, samples: Sequence[Sample], beside: Path) -> Iterator[tuple[str, MaskWindows]]:
        """Id and mask of test images as they are submitted, which can be read until the next one is asked for."""
        for sample in samples:
            raster = Raster.of_sample(self.competition, sample)
            factor, asked = self.competition.resampling(sample), self.competition.scored_size(sample)
            scale = self.competition.profile.raster_scale * factor
            size = None if asked == raster.size and factor == 1 else asked  # areas mean the same as in whole images
            with self.mask(raster, sample.id, scale=scale, beside=beside, size=size, factor=factor) as mask:
                yield sample.id, mask

    def _map(
        self, predictor: Predictor, raster: Raster, name: str, size: Size, factor: float, path: Path
    ) -> tuple[DiskArray, np.ndarray | None]:
        """The map of a run, and its presence."""
        config = with_batch_size(predictor.run.config, self.ensemble.batch_size)
        tta = self.ensemble.choice.tta
        own = scaled_size(size, config.data.scale)
        window = tta.window or usual_window(self._tile_side, config.data.scale)
        grid = WindowGrid(own, window, tta.overlap)
        parts = grid.parts()
        loader = window_loader(RasterWindows(raster, own, parts, name), len(parts), config)
        whole = tta.model_copy(update={"window": None})
        predictions = progress(predictor(loader, whole), name, total=len(parts), unit="window")
        held = DiskArray(path, self.competition.labels.channels, own, np.float32)
        presences: list[np.ndarray] = []
        down, right = (distance * factor * config.data.scale for distance in config.data.label_shift)
        for row, band in stitch(_probabilities(predictions, presences, (down, right)), grid):
            held.write((slice(row, row + band.shape[1]), slice(0, own[1])), band)
        return held, np.max(presences, axis=0) if presences else None

    @cached_property
    def _tile_side(self) -> int:
        return tile_side(self.competition)


def usual_window(side: int, scale: float) -> int:
    """Side, in pixels, of the windows of rasters resized by ``scale``, where none is asked for: that of `tile_side`."""
    return min(MOST_WINDOW, round(side * scale))


def tile_side(competition: Competition) -> int:
    """The larger side of the training images, which validation saw whole; of large ones a usual side."""
    if competition.profile.tile_side is not None:
        return min(competition.profile.tile_side, MOST_WINDOW)
    try:
        side = max(competition.size(competition.samples("train")[0].image))
    except (CompetitionError, IndexError):  # where predictions are made there need not be training images
        logger.warning(
            "windows have %d pixels, not the side of the training images, which are not here: masks may be others "
            "than where they are; set tta.window",
            WINDOW,
        )
        return WINDOW
    return side if side <= MOST_WINDOW else WINDOW


def _probabilities(
    predictions: Iterator[Prediction], presences: list[np.ndarray], shift: Shift
) -> Iterator[np.ndarray]:
    """The maps alone, moved to where masks are asked for; what is said of the presence is put aside."""
    for prediction in predictions:
        if prediction.presence is not None:
            presences.append(prediction.presence)
        yield moved(prediction.probability, shift)
