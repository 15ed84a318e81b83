"""Adaptive average pooling for ONNX, which has no operator for it."""

from collections.abc import Sequence
from typing import Any


def adaptive_average(images: Any, output_size: Sequence[Any]) -> Any:
    """`torch.nn.functional.adaptive_avg_pool2d` as two products of matrices, for images of any size.

    Part i of ``parts`` is the mean over the places ``floor(i size / parts)`` to ``ceil((i + 1) size / parts)`` of an
    axis, as in torch. The exporter's own translation gathers the places of one size only.

    Args:
        images: ONNX value (N, C, H, W), float.
        output_size: rows and columns of the result, numbers or, where they depend on the images, ONNX values.
    """
    from onnxscript import opset18

    op: Any = opset18  # its types are those of functions that onnxscript compiles
    shape = op.Shape(images)
    rows, columns = (
        _shares(op, op.Gather(shape, op.Constant(value_int=axis)), parts)
        for axis, parts in zip((2, 3), output_size, strict=True)
    )
    return op.MatMul(op.MatMul(rows, images), op.Transpose(columns, perm=[1, 0]))


def _shares(op: Any, size: Any, parts: Any) -> Any:
    """Float32 (parts, size): the weight of each place in each part."""
    none, one = op.Constant(value_int=0), op.Constant(value_int=1)
    count = op.Constant(value_int=parts) if isinstance(parts, int) else parts
    number = op.Range(none, count, one)
    first = op.Div(op.Mul(number, size), count)
    last = op.Div(op.Add(op.Mul(op.Add(number, one), size), op.Sub(count, one)), count)
    place = op.Unsqueeze(op.Range(none, size, one), op.Constant(value_ints=[0]))
    axis = op.Constant(value_ints=[1])
    inside = op.And(op.GreaterOrEqual(place, op.Unsqueeze(first, axis)), op.Less(place, op.Unsqueeze(last, axis)))
    weights = op.Cast(inside, to=1)
    return op.Div(weights, op.ReduceSum(weights, axis, keepdims=1))
