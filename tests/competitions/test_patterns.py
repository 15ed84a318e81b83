import zipfile

import pytest

from maskfold.competitions.files import CompetitionFiles
from maskfold.competitions.patterns import PathLookup, Pattern
from maskfold.errors import CompetitionError


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("train/{id}.png", "train/a_b.png", {"id": "a_b"}),
        ("train/{id}.png", "train/x/a.png", None),
        ("train/{id}.png", "train/axpng", None),
        ("img/{city}/{id}_left.png", "img/ulm/ulm_01_left.png", {"city": "ulm", "id": "ulm_01"}),
        ("**/{id}_left.png", "a/b/c_left.png", {"id": "c"}),
        ("**/{id}_left.png", "c_left.png", {"id": "c"}),
        ("x/**/{id}.png", "xy/c.png", None),
        ("{group}{number:d}.tif", "tyrol-w12.tif", {"group": "tyrol-w", "number": "12"}),
        ("{group}{number:d}.tif", "tyrol-w.tif", None),
        ("{group}{number:1-5}.tif", "austin5.tif", {"group": "austin", "number": "5"}),
        ("{group}{number:1-5}.tif", "austin05.tif", {"group": "austin", "number": "05"}),
        ("{group}{number:1-5}.tif", "austin15.tif", None),
        ("{film=0001TP|s.5}_{id}.png", "s.5_f1.png", {"film": "s.5", "id": "f1"}),
        ("{film=0001TP|s.5}_{id}.png", "sx5_f1.png", None),
        ("{film=0001TP}_{frame:1-5}.png", "00001TP_3.png", None),
        ("{x}_*{n:d}.png", "a_b12.png", {"x": "a", "n": "12"}),
        ("{number:d}{rest}.tif", "123.tif", None),
        ("{case}/{case}_{day}/s_{n}_*.png", "c1/c1_d2/s_0003_266_1.5.png", {"case": "c1", "day": "d2", "n": "0003"}),
        ("{case}/{case}_{day}/s_{n}_*.png", "c1/c2_d2/s_0003_266_1.5.png", None),
    ],
)
def test_what_a_pattern_fits(pattern, path, values):
    assert Pattern(pattern).match(path) == values


@pytest.mark.parametrize("text", ["a/{}.png", "a/{id.png", "a/id}.png", "{id:s}", "{ID}", "a**/{id}", "a/**"])
def test_patterns_that_cannot_be_read(text):
    with pytest.raises(CompetitionError, match="cannot be read: fields are written"):
        Pattern(text)


def test_a_path_of_values():
    pattern = Pattern("gt/{city}/{id}_x.png")
    assert (pattern.fields, pattern.folder, pattern.fixed) == (("city", "id"), "gt", True)
    assert pattern.fill({"id": "a", "city": "ulm", "more": "z"}) == "gt/ulm/a_x.png"
    with pytest.raises(CompetitionError, match=r"has the field id, of which nothing is known here \(known: city\)"):
        pattern.fill({"city": "ulm"})
    with pytest.raises(CompetitionError, match="is not a plain path"):
        Pattern("gt/{id}").fill({"id": "../../secret"})


@pytest.fixture
def tree(tmp_path):
    for path in ("s/c1/d1/s_1_9_9.png", "s/c1/d1/s_2_9_9.png", "s/c2/d1/s_1_8_7.png", "s/.c/d1/s_1_1.png", "s/x.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.writestr("c9/d1/s_5_3.png", b"")
    return CompetitionFiles(tmp_path)


def test_files_of_a_pattern(tree):
    assert Pattern("{root}/{case}/*/s_{n}_*.png").find(tree) == {
        "more/c9/d1/s_5_3.png": {"root": "more", "case": "c9", "n": "5"},
        "s/c1/d1/s_1_9_9.png": {"root": "s", "case": "c1", "n": "1"},
        "s/c1/d1/s_2_9_9.png": {"root": "s", "case": "c1", "n": "2"},
        "s/c2/d1/s_1_8_7.png": {"root": "s", "case": "c2", "n": "1"},
    }
    assert list(Pattern("**/s_{n}_3.png").find(tree)) == ["more/c9/d1/s_5_3.png"]
    assert Pattern("nowhere/{id}.png").find(tree) == {}


def test_linked_folders_are_followed_where_the_depth_is_known(tree, tmp_path):
    (tmp_path / "linked").symlink_to(tmp_path / "s")
    (tmp_path / "s/back").symlink_to(tmp_path)
    assert len(Pattern("linked/{case}/{day}/s_{n}_*.png").find(tree)) == 3
    assert len(Pattern("s/**/s_{n}_*.png").find(tree)) == 3


def test_looking_up_a_path(tree):
    lookup = PathLookup(Pattern("s/{case}/{day}/s_{n}_*.png"), tree)
    assert lookup.path({"case": "c1", "day": "d1", "n": "2"}) == "s/c1/d1/s_2_9_9.png"
    assert lookup.path({"case": "c2"}) == "s/c2/d1/s_1_8_7.png"
    with pytest.raises(CompetitionError, match=r"no file of the pattern s/.* with case c3: expected one"):
        lookup.path({"case": "c3"})
    with pytest.raises(CompetitionError, match=r"2 files \(s/c1/d1/s_1_9_9\.png, s/c1/d1/s_2_9_9\.png\) of the"):
        lookup.path({"case": "c1"})
    assert PathLookup(Pattern("s/{id}.png"), tree).path({"id": "not_there"}) == "s/not_there.png"


def test_fields_that_could_be_read_in_several_ways(tmp_path):
    for name in ("a_07_9.png", "a_08_9.png", "a_08_1_2.png", "b_08_9.jpg"):
        (tmp_path / name).touch()
    lookup = PathLookup(Pattern("{id}_*.png"), CompetitionFiles(tmp_path))
    assert lookup.path({"id": "a_07"}) == "a_07_9.png"
    assert lookup.path({"id": "a_08_1"}) == "a_08_1_2.png"
    for several, count in (("a_08", 2), ("a", 3)):
        with pytest.raises(CompetitionError, match=f"{count} files"):
            lookup.path({"id": several})
    for none in ("b_08", "a_0", "a_07_9"):
        with pytest.raises(CompetitionError, match="no file"):
            lookup.path({"id": none})


class Counting:
    """An expression that counts how often it is matched."""

    def __init__(self, expression, counts):
        self.expression, self.counts = expression, counts

    def fullmatch(self, text):
        self.counts.append(text)
        return self.expression.fullmatch(text)


@pytest.mark.parametrize("text", ["scans/*/{id}.dcm", "scans/**/{id}.dcm", "{case}/*/{id}.dcm"])
def test_values_without_a_file_are_told_without_a_look_at_the_files(tmp_path, monkeypatch, text):
    """As where images are spread over roots: of each, all ids but its own have no file below it."""
    for number in range(30):
        (tmp_path / f"scans/s{number % 7}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"scans/s{number % 7}/i{number}.dcm").touch()
    known, counts = Pattern.known, []

    def counted(self, values):
        prefix, expression = known(self, values)
        return prefix, Counting(expression, counts)

    monkeypatch.setattr(Pattern, "known", counted)
    lookup = PathLookup(Pattern(text), CompetitionFiles(tmp_path))
    assert lookup.path({"id": "i9"}) == "scans/s2/i9.dcm"
    for number in range(30, 90):
        with pytest.raises(CompetitionError, match=f"no file of the pattern .* with id i{number}"):
            lookup.path({"id": f"i{number}"})
    assert counts == []


@pytest.mark.parametrize(
    ("text", "values", "path"),
    [
        ("**/{id}.png", {"id": "c2/n"}, "a/b/c2/n.png"),  # an id with folders
        ("**/{x}/**/{id}.png", {"id": "n", "x": "b"}, "a/b/c2/n.png"),
        ("a/b/{x}{n}/*.png", {"x": "c2"}, "a/b/c23/m.png"),
    ],
)
def test_values_that_are_read_otherwise_than_the_index_does(tmp_path, text, values, path):
    for name in ("a/b/c2/n.png", "a/b/c23/m.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert PathLookup(Pattern(text), CompetitionFiles(tmp_path)).path(values) == path
