import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfold.competitions import load_profile
from maskfold.competitions.profile import CsvProfile
from maskfold.competitions.table import gather_masks, key_name, keys, read_table, write_table
from maskfold.errors import CompetitionError, first_few, repeated

PARTS = {"train": {"table": "a.csv", "image": "{id}"}, "test": {"table": "b.csv", "image": "{id}"}}


def profile(**changes):
    base = {"name": "own", "layout": "csv", "metric": "dice", "columns": {"id": "Id", "mask": "Rle"}, **PARTS}
    return CsvProfile(**{**base, **changes})


BY_CLASS = {"rows": "class", "class_names": ("nothing", "Fish", "Sugar")}
SEPARATE = profile(**BY_CLASS, columns={"id": "Id", "class": "Kind", "mask": "Rle"}, class_values=("1", "2"))
COMBINED = profile(**BY_CLASS, class_separator="_")


def test_headerless_tabs_and_empty_fields():
    table = read_table(load_profile("tianchi-buildings"), b"b.jpg\t1 3 9 2\na.jpg\t\nNA\tnan\n", "m.csv")
    assert keys(table) == [("b.jpg", ""), ("a.jpg", ""), ("NA", "")]
    assert list(table["mask"]) == ["1 3 9 2", "", "nan"]


def test_header_columns_in_any_order_with_a_byte_order_mark():
    table = read_table(profile(), "\ufeffRle,other,Id\n1 2,x,007\n,y,a\n".encode(), "m.csv")
    assert table.values.tolist() == [["007", "", "1 2"], ["a", "", ""]]


def test_exact_columns_for_submissions():
    assert len(read_table(profile(), b"Id,Rle\na,\n", "s.csv", exact=True)) == 1
    for content in (b"Rle,Id\n,a\n", b"Id,Rle,x\na,,\n"):
        with pytest.raises(CompetitionError, match=r"s\.csv has the columns .*, expected Id,Rle"):
            read_table(profile(), content, "s.csv", exact=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a CSV"),
        (b"Id,Rle\n", "holds nothing but its header"),
        (b"Id;Rle\na;1 2\n", "has the columns Id;Rle, expected Id,Rle"),
        (b"Id,Rle\na,1 2,3\n", "not a CSV separated by ','"),
        (b"Id,Rle\n\xff\xfe,1\n", "neither UTF-8 nor GB18030"),
        (b"Id,Id,Rle\na,b,1 2\n", "has the columns Id,Id,Rle"),
    ],
)
def test_tables_of_another_form(content, message):
    with pytest.raises(CompetitionError, match=message):
        read_table(profile(), content, "m.csv")


def test_headerless_table_with_another_separator():
    with pytest.raises(CompetitionError, match=r"has 1 columns separated by '\\t', expected 2"):
        read_table(load_profile("tianchi-buildings"), b"a.jpg,1 2\n", "m.csv")


def test_classes_in_their_own_column_and_in_the_id():
    separate = read_table(SEPARATE, b"Id,Kind,Rle\na,2,5 1\nb,1,3 2\na,1,7 7\n", "m.csv")
    assert gather_masks(SEPARATE, separate, "m.csv") == {"a": ("7 7", "5 1"), "b": ("3 2", "")}
    combined = read_table(COMBINED, b"Id,Rle\na_1.jpg_Sugar,5 1\nb.jpg_Fish,3 2\n", "m.csv")
    assert gather_masks(COMBINED, combined, "m.csv") == {"a_1.jpg": ("", "5 1"), "b.jpg": ("3 2", "")}


def test_combined_ids_need_both_parts():
    with pytest.raises(CompetitionError, match=r"1 ids are not of the form image_class: b\.jpg"):
        read_table(COMBINED, b"Id,Rle\na_Fish,\nb.jpg,\n", "m.csv")


def test_unknown_classes():
    table = read_table(COMBINED, b"Id,Rle\na_Fish,\na_Bird,\n", "m.csv")
    with pytest.raises(CompetitionError, match="holds the classes Bird, the profile knows Fish, Sugar"):
        gather_masks(COMBINED, table, "m.csv")


def test_duplicates_are_refused_but_among_instances():
    content = b"Id,Rle\na,1 2\nb,\na,9 1\n"
    table = read_table(profile(), content, "m.csv")
    with pytest.raises(CompetitionError, match=r"m\.csv: 1 duplicate ids: a"):
        gather_masks(profile(), table, "m.csv")
    assert gather_masks(profile(rows="instance"), table, "m.csv") == {"a": ("1 2", "9 1"), "b": ("",)}
    table = read_table(COMBINED, b"Id,Rle\na_Fish,\na_Sugar,\na_Fish,1 1\n", "m.csv")
    with pytest.raises(CompetitionError, match=r"1 duplicate ids: a \(class Fish\)"):
        gather_masks(COMBINED, table, "m.csv")


FORMS = [profile(), SEPARATE, COMBINED, load_profile("tianchi-buildings")]
NAMES = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=382), min_size=1), min_size=1, unique=True)


@settings(max_examples=50, deadline=None)
@given(form=st.sampled_from(FORMS), names=NAMES, masks=st.lists(st.sampled_from(["", "1 2", "7 1 9 3"]), min_size=1))
def test_written_tables_read_back(tmp_path_factory, form, names, masks):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    pairs = itertools.product(names, form.csv_classes or ("",))
    rows = [(name, value, rle) for (name, value), rle in zip(pairs, itertools.cycle(masks), strict=False)]
    write_table(form, rows, path)
    table = read_table(form, path.read_bytes(), "s.csv", exact=True)
    assert list(table.itertuples(index=False, name=None)) == rows


def test_wording():
    assert first_few("abcde") == "a, b, c and 2 more"
    assert first_few("abc") == "a, b, c"
    assert repeated([3, 1, 3, 2, 1, 3]) == [3, 1]
    assert key_name(("a", "Fish")) == "a (class Fish)"
    assert key_name(("a", "")) == "a"


def test_blanks_around_names_are_not_part_of_them():
    table = read_table(SEPARATE, b"Id, Kind ,Rle \n a.jpg ,1, 3 4\nb.jpg\t, 2,\n", "m.csv")
    assert keys(table) == [("a.jpg", "1"), ("b.jpg", "2")]
    assert table["mask"].tolist() == [" 3 4", ""], "run lengths are the dialect's affair"


def test_a_submission_is_taken_as_it_is():
    assert keys(read_table(profile(), b"Id,Rle\n a,\n", "s.csv", exact=True)) == [(" a", "")]
    with pytest.raises(CompetitionError, match="has the columns Id, Rle, expected Id,Rle"):
        read_table(profile(), b"Id, Rle\na,\n", "s.csv", exact=True)
    with pytest.raises(CompetitionError, match=r"s\.csv begins with a byte order mark"):
        read_table(profile(), "\ufeffId,Rle\na,\n".encode(), "s.csv", exact=True)
    with pytest.raises(CompetitionError, match=r"s\.csv is not UTF-8"):
        read_table(profile(), "Id,Rle\n建筑,\n".encode("gbk"), "s.csv", exact=True)


def test_tables_written_by_chinese_programs():
    table = read_table(profile(), "Id,Rle\n建筑.jpg,1 2\n".encode("gbk"), "m.csv")
    assert keys(table) == [("建筑.jpg", "")]
