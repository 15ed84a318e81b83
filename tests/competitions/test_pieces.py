"""Submissions are written and validated some rows at a time: the same as a whole, with a piece's memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskfold.competitions import Sample, Samples, SubmissionWriter, table, validate_submission
from maskfold.competitions.samples import Survey
from maskfold.competitions.spool import Spool
from maskfold.errors import CompetitionError, SubmissionError

LONG = "1 " * 40_000  # longer than what is read at once
TEXTS = [
    "id,rle_mask\nt2,1 3\nt1,\nt3,5 5\nt4,7 1",
    'id,rle_mask\r\nt2,"1 3"\r\nt1,\r\n"t3",5 5\r\n',
    f"id,rle_mask\nt2,{LONG}\nt1,1 2\nt3,{LONG}\n",
    "id,rle_mask\nt2,1 3\nt1,2 2\n\nt3,ä 4\n",
    "id,rle_mask\nt2,\ufeff1 3\nt1,2 2\n",
]
WRONG = [
    "",
    "id,rle_mask\n",
    "\ufeffid,rle_mask\nt2,1 3\n",
    "id,mask\nt2,1 3\n",
    "id,rle_mask\nt2,1 3\nt1,2 2\nt3,1 1,4\n",
    'id,rle_mask\nt2,1 3\nt1,2 2\nt3,"1 1\nt4,\n',
    "id,rle_mask\nt2,1 3\nt1,2 2\nt3,1\0 1\n",
    "id,rle_mask\nt2,1 3\nt1,2 2\nt3",
    'id,rle_mask\nt2,1 3\nt1,2 2\n"t3\n",1 1\n',
    "id\trle_mask\nt2\t1 3\n",
    b"id,rle_mask\nt2,1 3\nt1,2 2\nt3,\xff\n",
]


@pytest.fixture
def form(tgs, monkeypatch):
    monkeypatch.setattr(table, "PIECE", 2)
    return tgs.open().layout.profile.form("test")


def stored(tmp_path, text):
    path = tmp_path / "s.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_whole(form, tmp_path, text):
    path = stored(tmp_path, text)
    pieces = list(table.read_pieces(form, path))
    whole = table.read_table(form, path.read_bytes(), path.name, exact=True)
    assert len(pieces) > 1
    pd.testing.assert_frame_equal(pd.concat(pieces), whole)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_of_the_whole(form, tmp_path, text):
    path = stored(tmp_path, text)
    with pytest.raises(CompetitionError) as whole:
        table.read_table(form, path.read_bytes(), path.name, exact=True)
    with pytest.raises(CompetitionError) as pieces:
        list(table.read_pieces(form, path))
    assert str(pieces.value) == str(whole.value)


def test_ids_without_a_class_are_counted_in_all_pieces(clouds, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "PIECE", 2)
    rows = [f"a{number}.jpg,1 1\n" for number in range(5)]
    path = stored(tmp_path, "Image_Label,EncodedPixels\na.jpg_Fish,\nb.jpg_Fish,\n" + "".join(rows))
    with pytest.raises(CompetitionError, match="5 ids are not of the form"):
        list(table.read_pieces(clouds.open().layout.profile.form("test"), path))


def test_rows_of_an_image_that_overlap_far_from_each_other(airbus, tmp_path, monkeypatch):
    """Of three rows of t1.jpg the first and the last share a pixel; one that cannot be read is no part of it."""
    monkeypatch.setattr(table, "PIECE", 1)
    with Path(airbus.profile).open("a") as profile:
        profile.write("submission: {overlap: false}\n")
    text = "ImageId,EncodedPixels\nt1.jpg,1 5\nt0.jpg,\nt1.jpg,30 2\nt1.jpg,99999 1\nt1.jpg,{} 2\n"
    with pytest.raises(SubmissionError) as caught:
        validate_submission(stored(tmp_path, text.format(5)), airbus.open())
    assert "1 images with a pixel in two masks, which must not overlap: t1.jpg" in str(caught.value)
    assert "1 masks that cannot be read: t1.jpg" in str(caught.value)
    with pytest.raises(SubmissionError) as caught:
        validate_submission(stored(tmp_path, text.format(6)), airbus.open())
    assert "overlap" not in str(caught.value)


def test_a_large_submission_takes_a_piece_of_its_size(tianchi, tmp_path):
    """Written and validated: some 9 MB of run lengths, of which no more than 3 MB are held, names and all."""
    names = [f"i{number:05d}.jpg" for number in range(3000)]
    (tianchi.root / "test_a_samplesubmit.csv").write_text("".join(f"{name}\t\n" for name in reversed(names)))
    competition = tianchi.open()
    samples = Samples(Sample(name, name) for name in names)
    competition._surveys["test"] = Survey(samples)
    competition.remember_sizes(samples, [(40, 50)] * len(names))
    mask = np.indices((40, 50)).sum(0) % 3 == 0
    path = tmp_path / "out" / "s.csv"
    tracemalloc.start()
    try:
        with SubmissionWriter(competition, path, names) as writer:
            for name in names:
                writer.write(name, mask)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 8_000_000
    assert held < 4_000_000
    assert [line[:10] for line in path.read_text().splitlines()] == names[::-1]


def test_texts_wait_on_the_disk(tmp_path):
    with Spool(tmp_path / "new" / "s.csv") as spool:
        spool.add(("a", ""), ["1 2", "", "3 4"])
        spool.add(("b", "x"), [""])
        assert ("a", "") in spool
        assert ("a", "x") not in spool
        assert spool.texts(("b", "x")) == [""]
        assert spool.texts(("a", "")) == ["1 2", "", "3 4"]
    assert list((tmp_path / "new").iterdir()) == []
