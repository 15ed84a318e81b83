"""How good a network is, in the same number of steps: in units of the score, only differences mean something."""

from maskfold.planning.decoders import REFERENCE as NARROW
from maskfold.planning.decoders import Decoder
from maskfold.planning.encoders import REFERENCE, Encoder
from maskfold.planning.networks import Network, table


def quality(network: Network) -> float:
    """What encoder and decoder gain over the reference, each by itself."""
    return encoder_gain(network.encoder) + decoder_gain(network.decoder)


def encoder_gain(encoder: Encoder) -> float:
    """What its ImageNet weights promise, by their accuracy.

    Few encoders were measured, so the line through them speaks for all; of single trainings it says more than the
    difference of two does.

    Source: the studies ``networks`` and ``weights`` (docs/encoders.md).
    """
    return slope() * (encoder.top1 - REFERENCE.top1)


def slope() -> float:
    """Score for each percent of accuracy on ImageNet: the line through the reference that is nearest to the gains."""
    rows = [row for row in table() if row.gain is not None and row.decoder == NARROW]
    more = [row.encoder.top1 - REFERENCE.top1 for row in rows]
    gains = [row.gain.gain for row in rows if row.gain is not None]
    return sum(x * y for x, y in zip(more, gains, strict=True)) / sum(x**2 for x in more)


def decoder_gain(decoder: Decoder) -> float:
    """What it gains over a narrow U-Net with the reference's encoder; 0 where it is not known.

    A gain has to be more than chance: its interval leaves out 0. A loss counts as it was measured, or whatever is a
    little cheaper than the reference would take its place.

    Source: the study ``networks`` (docs/encoders.md).
    """
    gains = [row.gain for row in table() if (row.encoder, row.decoder) == (REFERENCE, decoder) and row.gain is not None]
    return sum(found.gain for found in gains if found.gain < 0 or found.low > 0)
