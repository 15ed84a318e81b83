"""Which images a fold is trained on without labels."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from maskfold.competitions import Competition, ImagePath, Sample, Samples
from maskfold.competitions.files import safe_path
from maskfold.competitions.images import is_image
from maskfold.competitions.samples import paths_of
from maskfold.config import SemiConfig
from maskfold.errors import ConfigError, first_few

TEST = "test"  # what stands for the competition's test images


def unlabelled_samples(competition: Competition, config: SemiConfig, rest: Samples) -> Samples:
    """The images of ``semi.images``, and ``rest``; each once, in this order, its id is where it is.

    Images of the competition's training split are left out, wherever they were found, unless they are in ``rest``:
    those of the fold's validation split must not be seen at all, and the others have labels.

    Args:
        competition: whose folder holds the images.
        config: which.
        rest: training images of the fold whose labels are not used.

    Raises:
        ConfigError: a folder that is not there or has no images, none at all.
        CompetitionError: a path that leaves the competition's folder.
    """
    known = {sample.image for sample in competition.samples("train")}
    files = {path for image in known for path in paths_of(image)}
    found: list[ImagePath] = [image for name in config.images for image in _images(competition, name)]
    others = [image for image in found if files.isdisjoint(paths_of(image))]
    images = dict.fromkeys([*others, *(sample.image for sample in rest)])
    if not images:
        raise ConfigError(
            f"semi has no images without labels in {competition.root}: name folders of images in semi.images, lower "
            "data.labelled_share, or set semi to null"
        )
    return Samples(Sample("+".join(paths_of(image)), image) for image in images)


def unlabelled_factors(competition: Competition, samples: Samples) -> list[float]:
    """`Competition.resampling` of each of the `unlabelled_samples`.

    Raises:
        CompetitionError: pixels differ in size, and nothing tells those of an image that is none of the competition's.
    """
    if competition.profile.pixel_size is None:
        return [1.0] * len(samples)
    own = {sample.image: sample for split in ("train", "test") for sample in competition.samples(split)}
    return [competition.resampling(own.get(sample.image, sample)) for sample in samples]


def _images(competition: Competition, name: str) -> Iterator[ImagePath]:
    if name == TEST:
        samples = competition.samples("test")
        if large := [sample.id for sample in samples if competition.by_windows(sample)]:
            raise ConfigError(
                f"semi.images names the test images, of which {len(large)} are rasters that are read by windows only: "
                f"{first_few(large)}; name a folder of tiles"
            )
        yield from (sample.image for sample in samples)
        return
    folder = safe_path(name)
    names = [file for file in competition.files.names(folder) if is_image(file)]
    if not names:
        raise ConfigError(
            f"semi.images names the folder {name}, and there is no image in {competition.root / folder}: name a folder "
            f"inside the competition's, or {TEST} for its test images"
        )
    if any(not isinstance(sample.image, str) for sample in competition.samples("train")):
        raise ConfigError(
            f"semi.images names the folder {name}, but an image of this competition is several files: only {TEST} can "
            "be used"
        )
    yield from (str(PurePosixPath(folder) / file) for file in names)
