"""Targets that losses must survive, and the comparison with a float64 formula that selects valid pixels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import Tensor

IGNORE = 255


@dataclass
class Case:
    logits: Tensor  # float32
    target: Tensor  # 255 where nothing counts
    task: str = "binary"


def _binary_cases() -> dict[str, Callable[[torch.Generator], Case]]:
    def logits(g, *shape):
        return 3 * torch.randn(shape, generator=g)

    def hard(g, *shape):
        return (torch.rand(shape, generator=g) < 0.3).float()

    def ignored(g):
        target, x = hard(g, 3, 1, 7, 5), logits(g, 3, 1, 7, 5)
        target[0, 0, 2:5, 1:] = IGNORE
        target[2, 0, 0] = IGNORE
        # What the network says of an ignored pixel must not matter, whatever it is.
        x[0, 0, 3, 2], x[2, 0, 0, 1] = float("nan"), float("inf")
        return Case(x, target)

    def mixed_images(g):
        """A usual image, an empty, a full and an ignored one."""
        target = hard(g, 4, 1, 6, 5)
        target[1], target[2], target[3] = 0, 1, IGNORE
        return Case(logits(g, 4, 1, 6, 5), target)

    def noncontiguous(g):
        x = logits(g, 5, 7, 2, 1).permute(2, 3, 1, 0)
        target = hard(g, 2, 1, 5, 14)[..., ::2].transpose(2, 3)
        return Case(x, target)

    def soft_ignored(g):
        target = torch.rand(2, 1, 6, 5, generator=g)
        target[0, 0, 1:4] = IGNORE
        return Case(logits(g, 2, 1, 6, 5), target)

    return {
        "random": lambda g: Case(logits(g, 3, 1, 7, 5), hard(g, 3, 1, 7, 5)),
        "uint8": lambda g: Case(logits(g, 2, 1, 4, 9), hard(g, 2, 1, 4, 9).to(torch.uint8)),
        "bool": lambda g: Case(logits(g, 2, 1, 4, 9), hard(g, 2, 1, 4, 9).bool()),
        "int64": lambda g: Case(logits(g, 2, 1, 4, 9), hard(g, 2, 1, 4, 9).long()),
        "soft": lambda g: Case(logits(g, 2, 1, 6, 5), torch.rand(2, 1, 6, 5, generator=g)),
        "soft_ignored": soft_ignored,
        "empty": lambda g: Case(logits(g, 2, 1, 6, 5), torch.zeros(2, 1, 6, 5)),
        "full": lambda g: Case(logits(g, 2, 1, 6, 5), torch.ones(2, 1, 6, 5)),
        "void": lambda g: Case(logits(g, 2, 1, 6, 5), torch.full((2, 1, 6, 5), IGNORE)),
        "mixed_images": mixed_images,
        "ignored": ignored,
        "single_pixel": lambda g: Case(logits(g, 1, 1, 1, 1), torch.ones(1, 1, 1, 1)),
        "noncontiguous": noncontiguous,
    }


def _multiclass_cases() -> dict[str, Callable[[torch.Generator], Case]]:
    classes = 4

    def logits(g, n, h, w):
        return 3 * torch.randn(n, classes, h, w, generator=g)

    def hard(g, *shape):
        """Class 2 is rare and class 3 in the last image only."""
        target = torch.randint(0, 2, shape, generator=g)
        target[0, 0, 0] = 2
        target[-1, -1, 1:] = 3
        return target

    def soft(g, n, h, w):
        target = torch.rand(n, classes, h, w, generator=g) ** 3
        target[0, 1] = 0
        return target / target.sum(1, keepdim=True)

    def ignored(g):
        target, x = hard(g, 3, 7, 5), logits(g, 3, 7, 5)
        target[0, 2:5, 1:], target[2] = IGNORE, IGNORE
        x[0, :, 3, 2], x[2, 1, 0, 1] = float("nan"), float("inf")
        return Case(x, target)

    def soft_ignored(g):
        target = soft(g, 2, 6, 5)
        target[0, :, 1:4] = IGNORE
        return Case(logits(g, 2, 6, 5), target)

    return {
        "random": lambda g: Case(logits(g, 3, 7, 5), hard(g, 3, 7, 5)),
        "uint8": lambda g: Case(logits(g, 2, 4, 9), hard(g, 2, 4, 9).to(torch.uint8)),
        "float_labels": lambda g: Case(logits(g, 2, 4, 9), hard(g, 2, 4, 9).float()),
        "one_class": lambda g: Case(logits(g, 2, 4, 9), torch.full((2, 4, 9), 3)),
        "ignored": ignored,
        "void": lambda g: Case(logits(g, 2, 4, 9), torch.full((2, 4, 9), IGNORE)),
        "single_pixel": lambda g: Case(logits(g, 1, 1, 1), torch.full((1, 1, 1), 1)),
        "noncontiguous": lambda g: Case(
            torch.randn(5, 7, classes, 2, generator=g).permute(3, 2, 1, 0),
            hard(g, 2, 5, 14)[..., ::2].transpose(1, 2),
        ),
        "soft": lambda g: Case(logits(g, 2, 6, 5), soft(g, 2, 6, 5)),
        "soft_ignored": soft_ignored,
    }


def _multilabel_cases() -> dict[str, Callable[[torch.Generator], Case]]:
    """Three classes that overlap; the last one is in the first image only."""

    def logits(g, n, h, w):
        return 3 * torch.randn(n, 3, h, w, generator=g)

    def hard(g, n, h, w):
        target = (torch.rand(n, 3, h, w, generator=g) < torch.tensor([0.6, 0.3, 0.1])[:, None, None]).float()
        target[1:, 2] = 0
        return target

    def ignored(g):
        target, x = hard(g, 3, 7, 5), logits(g, 3, 7, 5)
        target[0, :, 2:5, 1:], target[2] = IGNORE, IGNORE
        x[0, :, 3, 2], x[2, 1, 0, 1] = float("nan"), float("inf")
        return Case(x, target)

    return {
        "random": lambda g: Case(logits(g, 3, 7, 5), hard(g, 3, 7, 5)),
        "uint8": lambda g: Case(logits(g, 2, 4, 9), hard(g, 2, 4, 9).to(torch.uint8)),
        "empty": lambda g: Case(logits(g, 2, 4, 9), torch.zeros(2, 3, 4, 9)),
        "ignored": ignored,
        "void": lambda g: Case(logits(g, 2, 4, 9), torch.full((2, 3, 4, 9), IGNORE)),
        "soft": lambda g: Case(logits(g, 2, 6, 5), torch.rand(2, 3, 6, 5, generator=g)),
    }


CASES = {"binary": _binary_cases(), "multiclass": _multiclass_cases(), "multilabel": _multilabel_cases()}
EVERY = [(task, name) for task, cases in CASES.items() for name in cases]


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Threads cost more than they give on images of 30 pixels, above all where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def valid_of(target: Tensor) -> Tensor:
    """Where a target that holds 255 counts, bool (N, H, W)."""
    return (target != IGNORE).all(1) if target.ndim == 4 else target != IGNORE


def marked(loss):
    """The loss, told what counts by 255 in the target. What else stands there must not matter: it stays."""
    return lambda logits, target, **targets: loss(logits, target, valid_of(target), **targets)


def _of_tasks(*tasks: str) -> dict:
    chosen = [pair for pair in EVERY if pair[0] in tasks]
    return {"params": chosen, "ids": "-".join}


def _case(request) -> Case:
    task, name = request.param
    return replace(CASES[task][name](torch.Generator().manual_seed(7)), task=task)


@pytest.fixture(**_of_tasks(*CASES))
def any_case(request) -> Case:
    return _case(request)


@pytest.fixture(**_of_tasks("multiclass"))
def multiclass(request) -> Case:
    return _case(request)


@pytest.fixture(**_of_tasks("binary", "multilabel"))
def independent(request) -> Case:
    return _case(request)


def select(logits: Tensor, target: Tensor, n: int, *, task: str) -> tuple[Tensor, Tensor]:
    """Image ``n``: probabilities (C, M) and labels (C, M) of its valid pixels in float64."""
    x, t = logits[n].double(), target[n].double()
    if t.ndim == 2:
        keep = t != IGNORE
        y = torch.stack([t[keep] == c for c in range(len(x))]).double()
    else:
        keep = (t != IGNORE).all(0)
        y = t[:, keep]
    x = x[:, keep]
    if task != "multiclass":
        return 1 / (1 + torch.exp(-x)), y
    e = torch.exp(x - x.max(0).values.detach())
    return e / e.sum(0), y


@pytest.fixture
def image_pixels(request):
    """`select` for the task of the case that the test has."""
    name = next(name for name in ("any_case", "multiclass", "independent") if name in request.fixturenames)
    return partial(select, task=request.getfixturevalue(name).task)


def _value_and_gradient(function, logits, target):
    leaf = logits.detach().clone().requires_grad_()  # clone keeps the strides
    value = function(leaf, target)
    value.backward()
    return value.detach(), leaf.grad


def _close(found: Tensor, wanted: Tensor, relative: float) -> bool:
    return torch.linalg.vector_norm(found.double() - wanted) <= relative * torch.linalg.vector_norm(wanted) + 1e-9


@pytest.fixture
def agree():
    """Check ``loss(task)`` against ``reference(logits float64, target) -> scalar`` in every precision."""

    def check(loss, reference, case: Case) -> None:
        for dtype, of_value, of_gradient in [
            (torch.float64, 1e-9, 1e-9),
            (torch.float32, 1e-5, 1e-4),
            (torch.bfloat16, 1e-5, 2**-8),
            (torch.float16, 1e-5, 2**-10),
        ]:
            logits, target = case.logits.to(dtype), case.target
            before = logits.clone(), target.clone()
            value, gradient = _value_and_gradient(marked(loss(task=case.task)), logits, target)
            wanted_value, wanted_gradient = _value_and_gradient(reference, logits.double(), target)
            assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            assert value.shape == ()
            assert gradient.isfinite().all()
            assert _close(value, wanted_value, of_value), (dtype, value, wanted_value)
            # Gradients below half precision's smallest step vanish there; that is rounding too.
            if dtype != torch.float16 or wanted_gradient.nan_to_num().abs().max() > 1e-3:
                assert _close(gradient, wanted_gradient.nan_to_num(), of_gradient), (dtype, gradient, wanted_gradient)
            assert torch.equal(before[0].nan_to_num(7), logits.nan_to_num(7))
            assert torch.equal(before[1], target)

    return check
