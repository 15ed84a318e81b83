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
    """What it gains over a narrow U-Net with the reference's encoder, at least; 0 where it is not known.

    It counts at the low end of its interval: what is not known to be better must not take the reference's place because
    it is a little cheaper, for what a decoder loses shows in longer trainings than those that it was compared in.

    Source: the study ``networks`` (docs/encoders.md); benchmarks/RESULTS.md, plans.
    """
    gains = [row.gain for row in table() if (row.encoder, row.decoder) == (REFERENCE, decoder) and row.gain is not None]
    return sum(found.low for found in gains)
