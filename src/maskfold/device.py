"""Where tensors live and how wide their numbers are."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from maskfold.errors import ConfigError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # glibc's malloc.h
# What ends one training, and says nothing of the next.
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device() -> torch.device:
    """The accelerator that is there, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def wait_for(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def device_name(device: torch.device) -> str:
    """A GPU's name, else the device's kind."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def give_back_memory() -> None:
    """Give memory that nothing refers to any more, also what refers to itself, back to the GPU."""
    gc.collect()
    torch.cuda.empty_cache()


def choose_precision(name: str, device: torch.device) -> torch.dtype | None:
    """The type that autocast computes in, None for plain float32.

    ``auto`` is bf16 on GPUs that have it (compute capability 8 and later), fp16 on older ones, bf16 on CPUs
    with AMX or AVX-512 instructions for it, and float32 elsewhere.

    Raises:
        ConfigError: a name that is none of auto, fp32, bf16, fp16.
    """
    if name == "auto":
        return _fast_precision(device)
    if name not in PRECISIONS:
        raise ConfigError(f"precision is {name}, it must be auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def _fast_precision(device: torch.device) -> torch.dtype | None:
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if device.type == "cpu":
        # Private names, but torch has no public question for it.
        questions = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        # Where the environment forbids AVX-512 (ATEN_CPU_CAPABILITY), bf16 would be emulated, several times slower.
        allowed = "AVX512" in torch.backends.cpu.get_cpu_capability()
        return torch.bfloat16 if allowed and any(getattr(torch.cpu, name, bool)() for name in questions) else None
    return None


@contextmanager
def steady_shapes() -> Iterator[None]:
    """Inside, work whose shapes stay the same, step after step; nothing that is computed changes.

    cuDNN times its kernels for each new shape and keeps the fastest. On a CPU the memory of tensors that were freed
    stays with the process: glibc would give it back to the system at each step, which has to clear its pages anew,
    one by one: up to a tenth of a step.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    allocator = _allocator()
    if allocator is not None:
        allocator.mallopt(M_MMAP_MAX, 0)
        allocator.mallopt(M_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
        if allocator is not None:  # where glibc's own rules end up once large tensors were freed
            allocator.mallopt(M_MMAP_MAX, 65536)
            allocator.mallopt(M_MMAP_THRESHOLD, 32 << 20)
            allocator.mallopt(M_TRIM_THRESHOLD, 64 << 20)
            allocator.malloc_trim(0)


def _allocator() -> ctypes.CDLL | None:
    """glibc where tensors are in its memory, and nobody has set how it is to deal with it."""
    if sys.platform != "linux" or choose_device().type != "cpu":
        return None
    if any(name.startswith("MALLOC_") for name in os.environ) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
