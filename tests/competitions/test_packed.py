import gc
import multiprocessing
import os
import pickle
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfold.competitions import Sample, Samples
from maskfold.competitions.packed import PackedTexts, pack

TEXT = st.text(max_size=5)
ITEMS = st.lists(st.none() | TEXT | st.lists(TEXT, max_size=3).map(tuple))


@given(values=ITEMS)
def test_packed_texts_are_the_texts(values):
    packed = pack(values)
    assert isinstance(packed, PackedTexts)
    assert list(packed) == values
    assert [packed[place] for place in range(len(values))] == values
    assert [packed[place - len(values)] for place in range(len(values))] == values
    assert packed[1:3] == tuple(values[1:3])
    assert pickle.loads(pickle.dumps(packed)) == packed == PackedTexts(values)
    with pytest.raises(IndexError):
        packed[len(values)]


def test_what_looks_alike_differs():
    different = [None, "", (), ("",), ("", ""), "ab", ("ab",), ("a", "b"), "é", "\udc80"]
    packed = [PackedTexts([value]) for value in different]
    assert [[one == other for other in packed] for one in packed] == [
        [place == row for place in range(len(different))] for row in range(len(different))
    ]
    assert [one[0] for one in packed] == different


def test_other_things_stay_what_they_are():
    boxes = [{"a": 1}, {"b": 2}]
    assert pack(boxes) == tuple(boxes)
    assert pack([("a", 1)]) == (("a", 1),)
    samples = Samples([Sample("a", "a.png", boxes[0]), Sample("b", "b.png", None)])
    assert samples[0].masks is boxes[0]
    assert samples[1].masks is None


def look(samples, places, answers):
    column = samples._columns[2]
    answers.put(([samples[place] for place in places], type(column._data.base).__name__, len(samples)))


def passed_on(samples, places, method):
    """What another process sees in samples, and how it holds their masks."""
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    process = context.Process(target=look, args=(samples, places, answers))
    process.start()
    answer = answers.get(timeout=60)
    process.join()
    return answer


def shared_files():
    return set(Path(tempfile.gettempdir()).glob("maskfold-*.texts"))


@pytest.mark.slow
def test_spawned_workers_map_one_file_that_goes_with_its_owner():
    before = shared_files()
    runs = "12 34 " * 40
    samples = Samples(Sample(f"{place:05}", f"{place}.png", (f"{place} {runs}", "")) for place in range(9000))
    expected = [samples[0], samples[8999]]
    for _ in range(2):
        seen, kind, count = passed_on(samples, (0, -1), "spawn")
        assert (seen, kind, count) == (expected, "memmap", 9000)
        assert len(shared_files() - before) == 1
    del samples
    gc.collect()
    assert shared_files() == before


@pytest.mark.slow
def test_few_texts_and_forked_workers_need_no_file():
    before = shared_files()
    samples = Samples([Sample("a", "a.png", ("1 2", "3 4"))])
    seen, kind, _ = passed_on(samples, (0,), "spawn")
    assert seen == [samples[0]]
    assert kind != "memmap"
    if hasattr(os, "fork"):
        assert passed_on(samples, (0,), "fork")[0] == [samples[0]]
    assert shared_files() == before
