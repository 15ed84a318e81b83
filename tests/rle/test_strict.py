"""Whatever is not a run-length code is refused, naming the token, before memory is asked for."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.rle import RLEDialect, RLEError, rle_decode

SHAPE = (4, 5)  # 20 pixels
SIIM = RLEDialect(layout="relative", start=0)
COCO = RLEDialect(layout="counts", start=0)
START_END = RLEDialect(layout="start-end")

FAULTS = [
    # dialect, code, position of the token, its text, what is said about it
    (RLEDialect(), "3", 1, "3", "no partner"),
    (RLEDialect(), "3 2 7", 3, "7", "no partner"),
    (RLEDialect(), "3 2 x 4", 3, "x", "not an unsigned integer"),
    (RLEDialect(), "3 2.0", 2, "2.0", "not an unsigned integer"),
    (RLEDialect(), "1,3,10,5", 1, "1,3,10,5", "not an unsigned integer"),
    (RLEDialect(), "[3 2]", 1, "[3", "not an unsigned integer"),
    (RLEDialect(), "3 2 1e1 2", 3, "1e1", "not an unsigned integer"),
    (RLEDialect(), "3 +2", 2, "+2", "not an unsigned integer"),
    (RLEDialect(), "3 2 -7 1", 3, "-7", "not an unsigned integer"),
    (RLEDialect(), "1_0 2", 1, "1_0", "not an unsigned integer"),
    (RLEDialect(), "3 ٣", 2, "٣", "not an unsigned integer"),  # a digit to Python's int()
    (RLEDialect(), "3 2\xa07 1", 2, "2\xa07", "not an unsigned integer"),  # no ASCII whitespace
    (RLEDialect(), "3\x0e2 7 1", 1, "3\x0e2", "not an unsigned integer"),
    (RLEDialect(), "3\x1c2 7 1", 1, "3\x1c2", "not an unsigned integer"),  # whitespace to str.split()
    (RLEDialect(), "nan", 1, "nan", "not an unsigned integer"),
    (RLEDialect(), "3 2 \x00 1", 3, "\x00", "not an unsigned integer"),
    (RLEDialect(), "0 3", 1, "0", "before the first pixel, which is number 1"),
    (RLEDialect(), "3 0", 2, "0", "shorter than one pixel"),
    (RLEDialect(), "3 2 8 0", 4, "0", "shorter than one pixel"),
    (RLEDialect(), "21 1", 1, "21", "start at pixel 21; the last pixel is 20"),
    (RLEDialect(), "20 2", 2, "2", "end at pixel 21; the last pixel is 20"),
    (RLEDialect(start=0), "20 1", 1, "20", "start at pixel 20; the last pixel is 19"),
    (RLEDialect(start=0), "19 2", 2, "2", "end at pixel 20; the last pixel is 19"),
    (RLEDialect(), "9 2 3 1", 3, "3", "start at pixel 3, but the previous run ends at pixel 10"),
    (RLEDialect(), "3 4 6 2", 3, "6", "start at pixel 6, but the previous run ends at pixel 6"),
    (RLEDialect(), "3 2 3 2", 3, "3", "sorted and must not overlap"),
    (RLEDialect(), "3 999999999999999999", 2, "999999999999999999", "end at pixel 1000000000000000001"),
    (RLEDialect(), "3 9223372036854775807", 2, "9223372036854775807", "more than 18 digits"),
    (RLEDialect(), "18446744073709551619 1", 1, "18446744073709551619", "more than 18 digits"),  # 2**64 + 3
    (RLEDialect(), "3 " + "7" * 10**6, 2, "7" * 20 + "…", "more than 18 digits"),
    (START_END, "3 2", 2, "2", "shorter than one pixel"),
    (START_END, "3 21", 2, "21", "end at pixel 21; the last pixel is 20"),
    (START_END, "3 5 5 6", 3, "5", "start at pixel 5, but the previous run ends at pixel 5"),
    (START_END, "0 4", 1, "0", "before the first pixel"),
    (START_END, "3 5 8", 3, "8", "no partner"),
    (SIIM, "3 2 0 0", 4, "0", "shorter than one pixel"),
    (SIIM, "20 1", 1, "20", "start at pixel 20; the last pixel is 19"),
    (SIIM, "10 5 5 1", 3, "5", "start at pixel 20; the last pixel is 19"),
    (SIIM, "10 5 4 2", 4, "2", "end at pixel 20; the last pixel is 19"),
    (SIIM, "10 5 4", 3, "4", "no partner"),
    (SIIM, "-1", 1, "-1", "declare it"),
    (COCO, "5 0 15", 2, "0", "shorter than one pixel"),
    (COCO, "5 16", 2, "16", "end at pixel 20"),
    (COCO, [5, -1, 16], 2, "-1", "not a pixel or a length"),
    (COCO, [5, -3, 18], 2, "-3", "not an unsigned integer"),
    (COCO, [5, 2.0, 13], 2, "2.0", "not an integer"),
    (COCO, ["5", 15], 1, "5", "not an integer"),
    (COCO, [True, 19], 1, "True", "not an integer"),
    (COCO, [5, 10**30], 2, "1" + "0" * 19 + "…", "more than 18 digits"),
]
faults = pytest.mark.parametrize(
    ("dialect", "code", "position", "token", "complaint"),
    FAULTS,
    ids=[f"{dialect.layout}-{dialect.start}-{str(code)[:24]!a}" for dialect, code, *_ in FAULTS],
)


@faults
@pytest.mark.parametrize("read", ["decode", "area"])
def test_the_token_at_fault_is_named(dialect, code, position, token, complaint, read):
    with pytest.raises(RLEError) as caught:
        getattr(dialect, read)(code, SHAPE)
    message = str(caught.value)
    assert message.startswith(f"RLE token {position} ('{token}') ")
    assert complaint in message
    assert len(message) < 200


@pytest.mark.parametrize("code", ["19", "21", "5 6 8", "5 6 10", [5, 6, 8], "0 19", "999999999999999999"])
def test_counts_must_cover_the_mask_exactly(code):
    with pytest.raises(RLEError, match=r"add up to \d+, but the mask has 20 pixels"):
        COCO.decode(code, SHAPE)


@pytest.mark.parametrize("dialect", [RLEDialect(), SIIM, START_END])
@pytest.mark.parametrize(
    "code", [3.5, 0, 1, [3, 2], (3, 2), np.array([3, 2]), b"3 2", {"counts": [20]}, True, float("inf")]
)
def test_other_types_are_refused(dialect, code):
    with pytest.raises(RLEError, match=r"expected text in layout"):
        dialect.decode(code, SHAPE)


@pytest.mark.parametrize("code", [3.5, 20, b"20", {"counts": [20], "size": [4, 5]}])
def test_other_types_are_refused_by_counts(code):
    with pytest.raises(RLEError, match=r"expected text in layout 'counts'"):
        COCO.decode(code, SHAPE)


@pytest.mark.parametrize(
    "shape",
    [(0, 5), (4, 0), (-4, 5), (4,), (4, 5, 1), (4.0, 5), ("4", 5), 20, None, "45", (10**9,) * 2, (2**70, 1)],
)
@pytest.mark.parametrize("code", ["", "3 2", None])
def test_shapes_are_two_positive_ints(shape, code):
    with pytest.raises(RLEError, match="shape is"):
        rle_decode(code, shape)


def test_a_long_list_gives_a_short_message():
    with pytest.raises(RLEError) as caught:
        rle_decode(list(range(10**5)), SHAPE)
    assert len(str(caught.value)) < 200


def test_numpy_shapes_are_fine():
    assert rle_decode("3 2", np.array([4, 5])).shape == SHAPE
    assert rle_decode("3 2", [np.int32(4), np.uint8(5)]).shape == SHAPE


@pytest.mark.parametrize(
    "code", ["3 2 x 1", "3", "3 2 3 2", "3 0", "0 1", "1000000000001 1", "1000000000000 2", "-1", "9" * 30]
)
def test_nothing_is_allocated_for_a_bad_code(code, monkeypatch):
    def no_memory(shape, *rest):
        raise AssertionError(f"asked for {shape}")

    monkeypatch.setattr(np, "zeros", no_memory)
    began = time.perf_counter()
    with pytest.raises(RLEError, match="token"):
        rle_decode(code, (10**6, 10**6))
    assert time.perf_counter() - began < 1


def test_area_of_a_huge_mask_needs_no_mask():
    assert RLEDialect().area("1 5 1000000000000 1", (10**6, 10**6)) == 6
    assert COCO.area([0, 10**12], (10**6, 10**6)) == 10**12


def test_a_good_code_does_reach_the_allocation(monkeypatch):
    monkeypatch.setattr(np, "zeros", lambda *_: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        rle_decode("3 2", SHAPE)


def accepts(tokens, pixels):
    """Whether `tokens` are "start length" pairs of a mask with `pixels` pixels: the rules, one by one."""
    if len(tokens) % 2 or not all(token.isascii() and token.isdigit() for token in tokens):
        return False
    previous = 0
    for start, length in zip(map(int, tokens[0::2]), map(int, tokens[1::2]), strict=True):
        if start <= previous or length < 1 or start + length - 1 > pixels:
            return False
        previous = start + length - 1
    return True


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(["1", "2", "3", "5", "8", "13", "0", "x", "-1", "20", "21"]), max_size=6))
def test_accepts_exactly_the_valid_codes(tokens):
    text = " ".join(tokens)
    if accepts(tokens, 20):
        assert rle_decode(text, SHAPE).sum() == sum(map(int, tokens[1::2]))
    else:
        with pytest.raises(RLEError, match="token"):
            rle_decode(text, SHAPE)


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="0123456789 -+.x\n\u0663\ud800", max_size=12))
def test_any_text_is_a_mask_or_an_rle_error(text):
    try:
        mask = rle_decode(text, SHAPE)
    except RLEError:
        return
    tokens = text.split()
    assert accepts(tokens, 20)
    assert mask.sum() == sum(map(int, tokens[1::2]))
