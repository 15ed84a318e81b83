"""Numbers as text, of every length and with every kind of blank, against Python's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.rle import RLEError
from maskfold.rle.tokens import format_numbers, parse_text

EDGES = sorted({max(0, 10**k + step) for k in range(18) for step in (-1, 0, 1)} | {10**18 - 1})
NUMBERS = st.lists(st.one_of(st.integers(0, 10**18 - 1), st.integers(0, 10**7), st.sampled_from(EDGES)), max_size=40)
BLANKS = st.text(" \t\n\r\f\v", min_size=1, max_size=3)


@settings(max_examples=300, deadline=None)
@given(NUMBERS)
def test_written_as_python_writes_them(numbers):
    assert format_numbers(np.array(numbers, np.int64)) == " ".join(map(str, numbers))


@settings(max_examples=300, deadline=None)
@given(NUMBERS, st.data())
def test_read_as_python_reads_them(numbers, data):
    text = data.draw(st.sampled_from(["", " ", "\n\t"]))
    for number in numbers:
        zeros = "0" * data.draw(st.integers(0, 18 - len(str(number))))
        text += zeros + str(number) + data.draw(BLANKS)
    found = parse_text(text if data.draw(st.booleans()) else text.rstrip())
    assert found.tolist() == [int(token) for token in text.split()]


@pytest.mark.parametrize("number", EDGES)
@pytest.mark.parametrize("before", range(9))
def test_any_place_in_a_word(number, before):
    text = "7" * before + " " * bool(before) + str(number)
    assert parse_text(text).tolist() == [int(token) for token in text.split()]


@settings(max_examples=300, deadline=None)
@given(NUMBERS, st.integers(0, 50), st.characters(codec="utf-8").filter(lambda c: c not in " \t\n\r\f\v0123456789"))
def test_one_wrong_character_is_found_in_its_token(numbers, place, wrong):
    text = " ".join(map(str, numbers))
    place = min(place, len(text))
    text = text[:place] + wrong + text[place:]
    index = len(text[:place].split()) - (place > 0 and text[place - 1] != " ")
    with pytest.raises(RLEError, match=rf"RLE token {index + 1} "):
        parse_text(text)
