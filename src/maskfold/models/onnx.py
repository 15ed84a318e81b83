"""Networks as ONNX graphs, and ONNX graphs as networks: the only user of the packages of the extra ``export``."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from maskfold.errors import ExportError
from maskfold.models.outputs import Outputs
from maskfold.models.pooling import adaptive_average

# A file in protobuf's form ends here; the graph itself takes little of it.
LARGEST = 2**31 - 2**24
# Height and width that the exporter traces with: no axis is 1 or equal to another, which it would take for a rule.
TRACED = (101, 77)
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def check_onnx() -> None:
    """Refuse to go on where a package of the extra ``export`` is missing; none of them is imported.

    Raises:
        ExportError: names what is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"ONNX needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: "
            "pip install 'maskfold[export]', or use torch (--engine torch, --format torchscript)"
        )


def onnx_bytes(
    network: nn.Module, images: Tensor, outputs: Sequence[str], facts: Mapping[str, Any] | None = None
) -> bytes:
    """``network`` as one ONNX file with its weights, for batches and images of any size.

    torch.export traces the network once, with symbols for N, H and W, and `torch.onnx.export` (``dynamo=True``)
    translates what it found; nothing of the example's size is kept.

    Args:
        network: in evaluation mode, on the CPU; called with one tensor, returns a tensor or a tuple of them. What pads
            as timm's "same" does must be in a `SegmentationModel`.
        images: (N, K, H, W), of which the number of channels and the dtype are the file's.
        outputs: names of what the network returns.
        facts: written into the file's metadata; what is not a text as JSON.

    Raises:
        ExportError: a package is missing, or the network cannot be written so.
    """
    check_onnx()
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST:
        raise ExportError(
            f"the networks hold {size / 1e9:.1f} GB of weights and one ONNX file at most 2 GB: export fewer folds, or "
            "--format torchscript"
        )
    free = torch.export.Dim.DYNAMIC
    with _quiet(), _quick_to_trace(network), torch.no_grad():
        try:
            program = torch.onnx.export(
                network,
                (images.new_zeros(2, images.shape[1], *TRACED),),
                dynamo=True,
                dynamic_shapes=({0: free, 2: free, 3: free},),
                input_names=["images"],
                output_names=list(outputs),
                custom_translation_table={torch.ops.aten.adaptive_avg_pool2d.default: adaptive_average},
                verbose=False,
            )
        except Exception as error:  # the exporter raises whatever its many parts raise
            raise ExportError(
                f"torch.onnx.export cannot write this network ({_reason(error)}): try --format torchscript, or predict "
                "with --engine torch"
            ) from error
    assert program is not None
    model = program.model_proto
    for name, value in (facts or {}).items():
        model.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    return model.SerializeToString()


class Named(nn.Module):
    """A network's outputs as a tuple, the logits first: exporters know nothing of `Outputs`.

    Args:
        network: float images (N, K, H, W) -> `Outputs`.
        names: of the outputs that are wanted, ``mask`` for the logits.
    """

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.network, self.names = network, tuple(names)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = self.network(images).named()
        return tuple(found[name] for name in self.names)


class OnnxNetwork(nn.Module):
    """An ONNX graph that is called as a network is: images (N, K, H, W) of any type -> `Outputs`.

    It computes in float32 with onnxruntime, on a GPU where the images are there and onnxruntime can use it.

    Args:
        content: an ONNX file as `onnx_bytes` writes it, with a float32 input and outputs ``mask`` and others.
        source: what it is, for messages.
    """

    def __init__(self, content: bytes, source: object) -> None:
        super().__init__()
        self.content, self.source = content, source
        self._sessions: dict[str, Any] = {}

    def forward(self, images: Tensor) -> Outputs:
        session = self._session(images.device.type)
        names = [output.name for output in session.get_outputs()]
        found = session.run(names, {"images": images.float().contiguous().cpu().numpy()})
        outputs = {name: torch.from_numpy(values).to(images.device) for name, values in zip(names, found, strict=True)}
        return Outputs(outputs.pop("mask"), outputs)

    def _session(self, device: str) -> Any:
        if device not in self._sessions:
            self._sessions[device] = open_session(self.content, self.source, gpu=device == "cuda")
        return self._sessions[device]


def open_session(content: bytes, source: object, *, gpu: bool = False) -> Any:
    """An onnxruntime session of an ONNX file's content, with as many threads as torch uses.

    Raises:
        ExportError: a package is missing, or this is not an ONNX file.
    """
    check_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    usable = onnxruntime.get_available_providers()
    providers = [name for name in ("CUDAExecutionProvider",) if gpu and name in usable] + ["CPUExecutionProvider"]
    try:
        return onnxruntime.InferenceSession(content, options, providers=providers)
    except Exception as error:  # onnxruntime's errors have no common class
        raise ExportError(f"onnxruntime cannot read {source} ({_reason(error)}): remove it, and export again") from None


def _reason(error: Exception) -> str:
    """The innermost cause, in a line."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextmanager
def _quick_to_trace(network: nn.Module) -> Iterator[None]:
    """Of what takes the exporter's algebra about sizes minutes, what comes to the same.

    Activations in place take it twice as long. timm's "same" padding is computed from the size, layer upon layer, and
    an EfficientNet of TensorFlow's was not done in seven minutes; `SegmentationModel` has padded images to multiples of
    all strides of their encoder, so that the padding is the same for all of them.
    """
    from timm.layers import padding

    in_place: Any = [module for module in network.modules() if getattr(module, "inplace", None) is True]
    of_any_size = padding.get_same_padding
    padding.get_same_padding = _same_padding
    for module in in_place:
        module.inplace = False
    try:
        yield
    finally:
        padding.get_same_padding = of_any_size
        for module in in_place:
            module.inplace = True


def _same_padding(size: object, kernel: int, stride: int, dilation: int) -> int:
    """Pixels on both sides together, of a size that the stride divides."""
    return max(dilation * (kernel - 1) + 1 - stride, 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own notes, which are about its insides."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
