"""Scales at which the objects keep enough pixels."""

from maskfold.planning.fingerprint import Fingerprint

OBJECT = 6.0  # pixels of a median object's side that must be left
SIDE = 96  # pixels of an image's shorter side that must be left: three cells of stride 32


def allowed_scales(data: Fingerprint) -> list[float]:
    """Those of the measured scales at which a median object keeps six pixels and the image 96, and all from 1 on.

    Where classes exclude each other, objects set no limit: the parts of classes are specks in great number (CamVid's
    median has 5 pixels), and what a scale costs each class is in the ceilings.

    Small images may grow, to sides that encoders of stride 32 like (TGS salt's first places: 101 pixels to 202, padded
    to 256).
    """
    limited = data.object_side > 0 and data.task != "multiclass"
    least = max(SIDE / data.side, OBJECT / data.object_side if limited else 0.0)
    return [scale for scale in sorted(data.ceilings) if scale >= min(1.0, least)]


def why_scale(data: Fingerprint, scale: float) -> str:
    """The reason of a scale."""
    side = f"images of {data.height:.0f} x {data.width:.0f} become {data.height * scale:.0f} x {data.width * scale:.0f}"
    objects = f", a median object has {data.object_side * scale:.0f} px" if data.object_side else ""
    ceiling = f"true masks that went through this scale, half a pixel beside, score {data.ceilings[scale]:.3f}"
    return f"{side}{objects}; {ceiling}: worth most within the hours"
