"""Sections about prediction: test-time augmentation, decoding, what tuning tries."""

from typing import Annotated, Any, Literal

from pydantic import Field

from maskfold.config.section import Areas, Batch, Count, Section, Share, Shares


class TTAConfig(Section):
    """Test-time augmentation: how one probability map comes from several looks at an image."""

    views: str = Field(default="flips", description="test-time views: none, hflip (2, left-right), flips (4), d4 (8)")
    scales: tuple[Annotated[float, Field(gt=0, le=8)], ...] = Field(
        default=(1.0,), description="test-time scales, each with every view"
    )
    view_weights: tuple[Annotated[float, Field(ge=0)], ...] | None = Field(
        default=None,
        description="weight of each view, scale by scale; for flips: as it is, left to right, top to bottom, both; "
        "null: all the same",
    )
    merge: Literal["probabilities", "logits", "vote"] = Field(
        default="probabilities", description="what is averaged over checkpoints and views"
    )
    window: Annotated[int, Field(ge=32)] | None = Field(
        default=None, description="side of the sliding window in pixels after scale; null: whole images"
    )
    overlap: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.25, description="overlap of neighbouring windows, share of the side"
    )
    dropout_passes: int = Field(
        default=0,
        ge=0,
        description="passes of each network and view with its dropout on (Monte Carlo), all averaged; 0: one pass, no "
        "dropout",
    )
    batch_norm_prior: Count | None = Field(
        default=None,
        description="batch norms work with the statistics of the images that are predicted, beside which those of "
        "training count as so many images; null: with those of training alone",
    )


class InferenceConfig(Section):
    """What predicts whole images, and how many at a time."""

    checkpoint: str = Field(
        default="best", description="weights used without a tuned ensemble: best, ema, swa, snapshots …"
    )
    batch_size: Batch = Field(default=8, description="images per batch; auto: as many as fit the device")


class CRFConfig(Section):
    """A fully connected CRF (Krähenbühl & Koltun, NIPS 2011), which draws probabilities to the image's edges.

    Pixels of another class cost ``w1`` where they are near and of similar colour, and ``w2`` where they are near; how
    near and how similar say the standard deviations of Gaussians. DeepLab's ranges: w1 3 to 6, theta_alpha 30 to 100,
    theta_beta 3 to 6, w2 and theta_gamma 3.
    """

    w1: float = Field(default=4.0, ge=0, description="weight of the kernel of positions and colours")
    theta_alpha: float = Field(default=60.0, ge=1, description="its standard deviation of positions in pixels")
    theta_beta: float = Field(default=4.0, ge=1, description="its standard deviation of colours, of 255 levels")
    w2: float = Field(default=3.0, ge=0, description="weight of the kernel of positions alone")
    theta_gamma: float = Field(default=3.0, gt=0, description="its standard deviation in pixels")
    steps: Count = Field(default=5, description="mean-field steps; usual are 5 to 10")


class CertainConfig(Section):
    """A class is in an image only if enough of its pixels are certain; the threshold then decides which pixels."""

    threshold: Shares = Field(default=0.75, description="probability from which a pixel is certain; 0: off")
    area: Areas = Field(
        default=1, description="how many pixels have to be certain; 1: a rule on the largest probability; 0: off"
    )


class TopMeanConfig(Section):
    """A class is in an image only if the mean of its largest probabilities reaches a threshold."""

    threshold: Shares = Field(default=0.5, description="least mean; 0: off")
    pixels: Areas = Field(default=400, description="how many probabilities the mean is of; 0: off")


class SmallConfig(Section):
    """Another threshold for a class of which little is predicted."""

    threshold: Shares = Field(default=0.5, description="probability from which a pixel is of the class then")
    area: Areas = Field(
        default=400, description="pixels at the chain's threshold from which it is no longer little; 0: off"
    )


class WatershedConfig(Section):
    """Objects that touch are told apart: each grows from a marker, a place that is certainly inside of it.

    How far inside a pixel is says the further output of the network (``model.instances``), else the distance to the
    mask's edge, relative to the largest in its component.
    """

    marker: Share = Field(default=0.5, description="how far inside a marker is, 0 to 1")
    marker_area: int = Field(default=0, ge=0, description="markers of fewer pixels are left out")


class PostConfig(Section):
    """The decoding chain: how probabilities become masks, where nothing was tuned.

    Each value is one number for all classes, a list with a number for each class, or a mapping from each class's
    name to its number; ``crf`` and ``watershed`` are one section for all. The steps are applied in this order: ``crf``,
    those of ``steps`` that change the probability, ``presence``, ``certain``, ``top_mean``, the threshold, ``small``,
    ``fill_holes``, ``min_area``, those of ``steps`` that change the mask, ``watershed``.
    """

    crf: CRFConfig | None = Field(
        default=None,
        description="a CRF that sees the image: {} for the default w1, theta_alpha, theta_beta, w2, theta_gamma and "
        "steps; null: none",
    )
    presence: Shares = Field(
        default=0.0,
        description="a class is nowhere in an image whose presence of it is below this (needs model.presence); 0: off",
    )
    certain: CertainConfig | None = Field(
        default=None,
        description="a class is nowhere in an image unless enough of its pixels are certain: {} for the default "
        "threshold and area; null: no such rule",
    )
    top_mean: TopMeanConfig | None = Field(
        default=None,
        description="a class is nowhere in an image unless the mean of its largest probabilities is high enough: {} "
        "for the default threshold and pixels; null: no such rule",
    )
    threshold: Shares = Field(default=0.5, description="probability from which a pixel is of the class")
    small: SmallConfig | None = Field(
        default=None,
        description="another threshold for a class of which little is predicted: {} for the default threshold and "
        "area; null: the same",
    )
    fill_holes: Areas = Field(default=0, description="holes of at most this many pixels are filled")
    min_area: Areas = Field(default=0, description="components with fewer pixels are removed")
    watershed: WatershedConfig | None = Field(
        default=None,
        description="objects that touch are told apart, for rows: instance: {} for the default marker and marker_area; "
        "null: objects are components (needs scikit-image)",
    )
    steps: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="further steps, package.module:Name, and the options of each"
    )


class TuneConfig(Section):
    """What tuning tries."""

    checkpoints: Count = Field(
        default=2, description="checkpoints compared with the configured one: the best by mean validation score"
    )
    views: bool = Field(
        default=False,
        description="find a weight for each view out of fold, too; the maps of every view are made and kept apart",
    )
    stacking: bool = Field(
        default=False,
        description="try a fitted 3 x 3 layer instead of the weighted mean of runs, on their out-of-fold maps",
    )
    tried: dict[str, tuple[Any, ...] | dict[str, tuple[Any, ...]]] = Field(
        default_factory=dict,
        description="values tried instead of a decoding step's own: {threshold: [0.4, 0.5]}; for a step of "
        "post.steps: {package.module:Name: {option: [1, 2]}}",
    )
