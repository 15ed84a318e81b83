"""A bounded part of the fuzzing: our own errors only, for each kind of input. The long form: ``make fuzz``."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.harness import fuzz
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged files
# (inputs of the mutating kind, of hypothesis')
COUNTS = {"rle": (2000, 100), "checkpoint": (300, 20), "picture": (300, 20)}


@pytest.mark.parametrize("name", TARGETS)
def test_our_own_errors_only(name):
    inputs, examples = COUNTS.get(name, (200, 20))
    outcome = fuzz(name, inputs, seed=20)
    assert outcome.sound, "\n".join(f"{data!r}\n{trace}" for data, trace in outcome.failures)
    assert 0 < outcome.accepted < inputs, "inputs of one kind only test little"

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: b"\0" + text.encode("utf-8", "replace")))
    def any_bytes(data):
        TARGETS[name].accepts(data)

    any_bytes()


def test_the_same_seed_draws_the_same_inputs():
    seeds = [b"one", b"another"]
    first, second = Random(3), Random(3)
    assert [mutated(first, seeds) for _ in range(50)] == [mutated(second, seeds) for _ in range(50)]


def test_what_is_raised_and_what_hangs_is_found(monkeypatch):
    def broken(data):
        if len(data) % 3 == 0:
            raise KeyError("unexpected")
        while len(data) % 3 == 1:
            pass

    monkeypatch.setattr("tests.fuzz.harness.PATIENCE", 0.05)
    monkeypatch.setitem(TARGETS, "broken", type(TARGETS["rle"])(lambda random: b"x" * random.randrange(3), broken))
    outcome = fuzz("broken", 12, seed=1)
    kinds = {trace.splitlines()[-1].partition(":")[0] for _, trace in outcome.failures}
    assert kinds == {"KeyError", "tests.fuzz.harness.Hang"}
    assert not outcome.sound
