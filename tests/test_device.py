from types import SimpleNamespace

import pytest
import torch

from maskfold import device
from maskfold.device import choose_device, choose_precision, steady_shapes

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_device_exists():
    assert torch.zeros(2, device=choose_device()).sum() == 0
    assert choose_device().type == "cuda" or not torch.cuda.is_available()


@pytest.mark.parametrize(("name", "dtype"), [("fp32", None), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_named_precision_is_taken_as_it_is(name, dtype):
    assert choose_precision(name, CPU) == choose_precision(name, GPU) == dtype


@pytest.mark.parametrize(
    ("capability", "dtype"), [((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16)]
)
def test_auto_on_a_gpu_follows_its_generation(capability, dtype, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", GPU) == dtype


@pytest.mark.parametrize(
    ("amx", "avx", "allowed", "dtype"),
    [
        (True, False, "AVX512", torch.bfloat16),
        (False, True, "AVX512", torch.bfloat16),
        (True, True, "AVX2", None),
        (False, False, "AVX512", None),
    ],
)
def test_auto_on_a_cpu_is_bf16_where_it_has_instructions_for_it_and_may_use_them(amx, avx, allowed, dtype, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: allowed)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    assert choose_precision("auto", CPU) == dtype


def test_auto_on_a_cpu_survives_a_torch_that_does_not_tell(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert choose_precision("auto", CPU) is None


def test_auto_elsewhere_is_float32():
    assert choose_precision("auto", torch.device("mps")) is None


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="precision is half, it must be auto, fp32, bf16, fp16"):
        choose_precision("half", CPU)


@pytest.mark.parametrize("before", [False, True])
def test_kernels_are_timed_inside_only(before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", before)
    with pytest.raises(KeyError), steady_shapes():
        assert torch.backends.cudnn.benchmark
        raise KeyError
    assert torch.backends.cudnn.benchmark is before


def test_memory_is_kept_inside_only(monkeypatch):
    """glibc's numbers are those of its malloc.h: -4 how many mappings, -1 from where on memory is given back."""
    told: list[tuple[int, ...]] = []
    allocator = SimpleNamespace(mallopt=lambda *words: told.append(words), malloc_trim=lambda pad: told.append((pad,)))
    monkeypatch.setattr(device, "_allocator", lambda: allocator)
    with pytest.raises(KeyError), steady_shapes():
        assert dict(told) == {-4: 0, -1: -1}
        raise KeyError
    assert dict(told[2:-1]) == {-4: 65536, -3: 2**25, -1: 2**26}
    assert told[-1] == (0,)
