"""Scales at which the objects keep enough pixels."""

from maskfold.planning.fingerprint import Fingerprint

OBJECT = 6.0  # pixels of a median object's side that must be left
SIDE = 96  # pixels of an image's shorter side that must be left: three cells of stride 32


def allowed_scales(data: Fingerprint) -> list[float]:
    """Those of the measured scales at which a median object keeps six pixels and the image 96, and all from 1 on.

    Small images may grow, to sides that encoders of stride 32 like (TGS salt's first places: 101 pixels to 202, padded
    to 256).
    """
    return [
        scale
        for scale in sorted(data.ceilings)
        if scale >= 1 or (data.side * scale >= SIDE and (not data.object_side or data.object_side * scale >= OBJECT))
    ]


def why_scale(data: Fingerprint, scale: float) -> str:
    """The reason of a scale."""
    side = f"images of {data.height:.0f} x {data.width:.0f} become {data.height * scale:.0f} x {data.width * scale:.0f}"
    objects = f", a median object has {data.object_side * scale:.0f} px" if data.object_side else ""
    ceiling = f"true masks that went through this scale, half a pixel beside, score {data.ceilings[scale]:.3f}"
    return f"{side}{objects}; {ceiling}: worth most within the hours"
