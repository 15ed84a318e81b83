"""Tables that are wrong as a whole: one message with the file and, where there is one, the row; exit code 1."""

import pytest
from tests.bad_input import spoiled

from maskfold.cli.script import run_script
from maskfold.competitions import Competition
from maskfold.competitions.profile import CsvProfile

PROFILE = {
    "name": "own",
    "layout": "csv",
    "metric": "dice",
    "train": {"table": "train.csv", "image": "train/{id}"},
    "test": {"table": "sample.csv", "image": "test/{id}"},
    "columns": {"id": "id", "mask": "rle"},
}
CLASSES = {"rows": "class", "class_separator": "_", "class_names": ("nothing", "fish", "sugar")}
GROUPS = {"group": {"file": "groups.csv", "id": "id", "column": "place"}}
SOUND = b"id,rle\na.png,1 5\nb.png,\n"

# What is in train.csv, what the profile changes -> what is said.
TABLES = {
    "nothing": (b"", {}, "train.csv is not a CSV separated by ',': No columns to parse"),
    "blank lines": (b"\n\n\n", {}, "train.csv is not a CSV"),
    "header alone": (b"id,rle\n", {}, "train.csv holds nothing but its header"),
    "no header": (b"a.png,1 5\n", {}, "train.csv has the columns a.png,1 5, expected id,rle"),
    "column twice": (b"id,id,rle\na.png,b.png,1 5\n", {}, "train.csv has the columns id,id,rle"),
    "separator": (b"id;rle\na.png;1 5\n", {}, "train.csv has the columns id;rle, expected id,rle"),
    "fields too many": (b"id,rle\na.png,1 5,9\n", {}, "Expected 2 fields in line 2, saw 3"),
    "quote open": (b'id,rle\n"a.png,1 5\nb.png,\n', {}, "row 2 has a quote that is not closed"),
    "quote closed rows later": (b'id,rle\n"a.png,1 5\nb.png",3 4\n', {}, "row 2: id is 'a.png,1 5\\nb.png', with"),
    "NUL": (b"id,rle\na.png,1 5\nb\0.png,\n", {}, "train.csv, line 3, holds a NUL character"),
    "cut off": (b"id,rle\na.png,1 5\nb.p", {}, "train.csv ends within row 3, 'b.p': is the file cut off?"),
    "page": (b"<html><body>Sign in</body></html>", {}, "train.csv has the columns <html>"),
    "archive": (b"PK\x03\x04\x00\xff\xfe\xfd", {}, "train.csv is neither UTF-8 nor GB18030"),
    "half UTF-16": (b"\xff\xfei\x00d", {}, "train.csv is neither UTF-8 nor GB18030"),
    "class unknown": (b"id,rle\na.png_bird,1 5\n", CLASSES, "holds the classes bird, the profile knows fish, sugar"),
    "class missing": (b"id,rle\na.png,1 5\n", CLASSES, "train.csv: 1 ids are not of the form image_class: a.png"),
    "row twice": (b"id,rle\na.png,1 5\na.png,\n", {}, "train.csv: 1 duplicate ids: a.png"),
    "groups absent": (SOUND, GROUPS, "there is no file groups.csv"),
}  # fmt: skip
# The same table as SOUND, as programs write it.
SAME = {
    "byte order mark": b"\xef\xbb\xbf" + SOUND,
    "carriage returns": SOUND.replace(b"\n", b"\r\n"),
    "old Mac's line ends": SOUND.replace(b"\n", b"\r"),
    "quotes": b'"id","rle"\n"a.png","1 5"\n"b.png",""\n',
    "blanks": b"id , rle\n a.png ,1 5\nb.png, \n",
    "UTF-16": SOUND.decode().encode("utf-16"),
    "further columns": b"rle,note,id\n1 5,x,a.png\n,,b.png\n",
    "no last line end": SOUND[:-1],
    "an empty line": SOUND + b"\n\n",
}


@pytest.fixture
def competition(tmp_path):
    """``competition(train.csv, profile's changes)``; the images a.png and b.png are there."""
    for part, names in (("train", "ab"), ("test", "t")):
        (tmp_path / part).mkdir()
        for seed, name in enumerate(names):
            (tmp_path / part / f"{name}.png").write_bytes(spoiled.png(spoiled.pixels(seed)))
    (tmp_path / "sample.csv").write_bytes(b"id,rle\nt.png,\n")

    def opened(content, changes):
        (tmp_path / "train.csv").write_bytes(content)
        return Competition(CsvProfile.model_validate({**PROFILE, **changes}), tmp_path)

    return opened


@pytest.mark.parametrize("kind", TABLES)
def test_one_message_and_exit_code_1(competition, capsys, kind):
    content, changes, text = TABLES[kind]
    with pytest.raises(SystemExit) as stopped:
        run_script(lambda: competition(content, changes).samples("train"))
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert text in said
    assert said.startswith("error: ")
    assert "train.csv" in said or "groups.csv" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", SAME)
def test_other_ways_of_writing_are_the_same_table(competition, kind):
    samples = competition(SAME[kind], {}).samples("train")
    assert [(sample.id, sample.masks[0].strip()) for sample in samples] == [("a.png", "1 5"), ("b.png", "")]


def test_names_in_chinese_encodings(competition, tmp_path):
    (tmp_path / "train/建筑.png").write_bytes(spoiled.png(spoiled.pixels(3)))
    for encoding in ("utf-8", "gbk", "gb18030", "utf-16"):
        (sample,) = competition("id,rle\n建筑.png,1 5\n".encode(encoding), {}).samples("train")
        assert sample.image == "train/建筑.png"
