"""Lists of albumentations as they stand in a YAML file, turned into transforms.

An item is a name, or a name with its arguments; what groups transforms takes a list or ``transforms``::

    - HorizontalFlip
    - RandomGamma: {gamma_limit: [80, 120], p: 0.5}
    - OneOf: [GaussianBlur, MotionBlur]
    - SomeOf: {transforms: [CLAHE, {RandomFog: {p: 1.0}}], n: 1, p: 0.3}

The names and arguments are those of albumentations 2.0.8. Transforms that move pixels fill what they uncover with
0, in the mask too; ``border_mode: 4`` reflects instead, and ``fill_mask: 255`` leaves it out of loss and metrics.
"""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import albumentations as A
import cv2

from maskfold.errors import AugmentationError, nearest

GROUPS = {group.__name__: group for group in (A.OneOf, A.SomeOf, A.RandomOrder, A.OneOrOther, A.Sequential)}
# Not for image files and their masks: callables, tensors, and what replaces the loop's own work.
EXCLUDED = {"BasicTransform", "DualTransform", "ImageOnlyTransform", "Lambda", "Normalize", "ToFloat", "ToTensorV2"}
# They need boxes of objects, and do not say so in ``targets_as_params``.
BOXED = {"AtLeastOneBBoxRandomCrop", "BBoxSafeRandomCrop", "RandomSizedBBoxSafeCrop"}
NEAREST = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)


def build_transforms(items: Sequence[Any], where: str = "data.augment") -> list[A.BasicTransform | A.BaseCompose]:
    """Build the transforms of a list from YAML; ``where`` names the list in errors.

    Raises:
        AugmentationError: unknown transform (the nearest is named), arguments that it does not take or
            whose values it refuses, transforms that need more than an image and its mask.
    """
    if not isinstance(items, list | tuple) or not items:
        raise AugmentationError(f"{where} is {items!r}: expected a list of albumentations with at least one item")
    return [_build(item, where) for item in items]


def _build(item: Any, where: str) -> A.BasicTransform | A.BaseCompose:
    name, arguments = _name_and_arguments(item, where)
    if name in GROUPS:
        return _group(name, arguments, where)
    if name not in known_transforms():
        hint = nearest(name, sorted({*known_transforms(), *GROUPS})) if name else "it is empty"
        raise AugmentationError(f"{where} has the unknown transform {name}: {_short(hint)}")
    if not isinstance(arguments, dict):
        raise AugmentationError(f"{name} in {where} has {arguments!r}: expected arguments such as {{p: 0.5}}")
    transform = _construct(name, known_transforms()[name], arguments, where)
    if getattr(transform, "mask_interpolation", cv2.INTER_NEAREST) not in NEAREST:
        raise AugmentationError(f"{name} in {where} mixes the mask's labels: leave mask_interpolation out")
    needed = set(transform.targets_as_params) - {"image", "mask"} | ({"bboxes"} if name in BOXED else set())
    if needed:
        raise AugmentationError(f"{name} in {where} needs {', '.join(sorted(needed))} beside the image: choose another")
    return transform


def _group(name: str, arguments: Any, where: str) -> A.BaseCompose:
    arguments = {"transforms": arguments} if isinstance(arguments, list) else arguments
    if not isinstance(arguments, dict) or "transforms" not in arguments:
        raise AugmentationError(f"{name} in {where} has no list of transforms: write {name}: [A, B]")
    transforms = build_transforms(arguments["transforms"], f"{name} in {where}")
    return _construct(name, GROUPS[name], {**arguments, "transforms": transforms}, where)


def _construct(name: str, kind: type, arguments: dict[str, Any], where: str) -> Any:
    try:
        with warnings.catch_warnings():
            # albumentations warns about arguments that it does not know or cannot use, and goes on without.
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=".*is a special case of.*")
            return kind(**arguments)
    except (ValueError, TypeError, AttributeError, Warning) as error:
        known = [key for key in inspect.signature(kind).parameters if key != "self"]
        raise AugmentationError(
            f"{name} in {where} refuses its arguments ({_one_line(error)}): it takes {', '.join(known)}"
        ) from None


def known_transforms() -> dict[str, type[A.BasicTransform]]:
    """Name -> class of every albumentations transform that takes an image."""
    classes = {name: value for name, value in vars(A).items() if inspect.isclass(value)}
    return {
        name: value
        for name, value in classes.items()
        if issubclass(value, A.BasicTransform) and not issubclass(value, A.Transform3D) and name not in EXCLUDED
    }


def _name_and_arguments(item: Any, where: str) -> tuple[str, Any]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        name, arguments = next(iter(item.items()))
        return str(name), {} if arguments is None else arguments
    raise AugmentationError(f"{where} has the item {item!r}: expected a name, or one name with its arguments")


def _one_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if not line.lstrip().startswith("For further information")]
    return " ".join(" ".join(lines).split())


def _short(hint: str) -> str:
    return hint if hint.startswith("did you mean") else "the names are those of albumentations 2.0.8"
