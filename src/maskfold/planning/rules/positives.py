"""The share of images with a mask in what is trained on."""

from maskfold.planning.fingerprint import Fingerprint
from maskfold.planning.reason import Reason

EMPTY = 0.6  # share of empty masks from which on
SHARE = 0.6
FILLED = 2  # sets of images with a mask: where one of them validates, the other trains


def positive_share(data: Fingerprint) -> Reason:
    """Where most masks are empty, more than half of the images drawn have one; a training without any refuses a share.

    Source: SIIM-ACR's first place let the share of images with a mask slide from 0.8 to the natural one.
    """
    if data.empty <= EMPTY:
        return Reason(None, f"{data.empty:.0%} of the masks are empty: as they come")
    if data.filled * data.train < FILLED * data.read:
        found = f"{data.filled} of {data.read} images that were read have a mask (what stays together counts once)"
        return Reason(None, f"{found}: a fold may have none of them to draw")
    return Reason(SHARE, f"{data.empty:.0%} of the masks are empty: most batches would teach emptiness")
