"""Two submissions against each other, with figures counted pixel by pixel."""

import numpy as np
import pytest
from tests.conftest import reference_rle
from tests.drawn_runs import truth_of

from maskfold.errors import InferenceError
from maskfold.labels import LabelSpec
from maskfold.metrics.overlap import mask_agreement
from maskfold.scoring.agreement import compare_masks


def write(path, masks):
    path.write_text("".join(f"{name}\t{reference_rle(mask)}\n" for name, mask in masks.items()))
    return path


@pytest.fixture
def pair(drawn, tmp_path):
    """The truth, and the truth with one image moved, one emptied and one with a pixel more; and both as masks."""
    a = truth_of(drawn, "test")
    names = sorted(name for name, mask in a.items() if mask.any())
    b = {name: mask.copy() for name, mask in a.items()}
    b[names[0]] = np.roll(a[names[0]], 3, axis=0)
    b[names[1]][:] = 0
    b[names[2]][tuple(np.argwhere(a[names[2]] == 0)[7])] = 1
    return write(tmp_path / "a.csv", a), write(tmp_path / "b.csv", b), a, b, names


def test_images_are_listed_by_how_much_they_differ(pair, competition):
    path_a, path_b, a, b, names = pair
    table = compare_masks(path_a, path_b, competition).table.set_index("id")
    for name in a:
        both, total = int((a[name] & b[name]).sum()), int(a[name].sum()) + int(b[name].sum())
        expected = (1.0 if not total else 2 * both / total, a[name].size, int((a[name] != b[name]).sum()))
        assert tuple(table.loc[name, ["dice", "pixels", "differing"]]) == pytest.approx(expected)
        assert tuple(table.loc[name, ["a", "b"]]) == (a[name].sum(), b[name].sum())
    assert table.index[:3].tolist() == [names[1], names[0], names[2]]
    assert set(table["dice"][3:]) == {1.0}


def test_the_text_counts_what_it_says(pair, competition):
    path_a, path_b, a, b, names = pair
    text = compare_masks(path_a, path_b, competition).text()
    pixels = sum(mask.size for mask in a.values())
    differing = sum(int((a[name] != b[name]).sum()) for name in a)
    empty = sum(not mask.any() for mask in a.values())
    assert f"a = {path_a}: foreground {sum(map(np.sum, a.values())) / pixels:.2%}, {empty} empty masks" in text
    assert f"b = {path_b}: foreground {sum(map(np.sum, b.values())) / pixels:.2%}, {empty + 1} empty masks" in text
    assert f"{len(a)} images: {len(a) - 3} with the same mask, 1 empty in one of the two only" in text
    assert f"; {1 - differing / pixels:.2%} of all pixels agree" in text
    assert f"lowest: {names[1]} 0.000, {names[0]} 0." in text
    assert text.count("T0") == 3


def test_the_same_file_twice(pair, competition):
    agreement = compare_masks(pair[0], pair[0], competition)
    assert "100.00% of all pixels agree" in agreement.text()
    assert "lowest" not in agreement.text()


def test_other_images_are_refused(pair, competition):
    path_a, path_b = pair[:2]
    path_b.write_text("\n".join(path_b.read_text().splitlines()[1:]) + "\n")
    with pytest.raises(InferenceError, match=r"b\.csv lacks 1 images of .*a\.csv \(T000\.jpg\): both must"):
        compare_masks(path_a, path_b, competition)


def test_several_classes_count_where_either_has_them():
    a = np.array([[0, 0, 1, 1], [0, 2, 2, 1]], np.uint8)
    b = np.array([[0, 1, 1, 1], [0, 0, 0, 1]], np.uint8)
    # class 0: 2*2 / (3+4); class 1: 2*3 / (3+4); class 2: 0 / (2+0); class 3 is in neither
    assert mask_agreement(a, b, LabelSpec("multiclass", tuple("abcd"))) == pytest.approx((4 / 7 + 6 / 7 + 0) / 3)


def test_classes_that_overlap_count_where_either_has_them():
    a = np.array([[[1, 1, 0]], [[0, 1, 0]], [[0, 0, 0]]], np.uint8)
    b = np.array([[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 0]]], np.uint8)
    clouds = LabelSpec("multilabel", ("fish", "flower", "sugar"))
    assert mask_agreement(a, b, clouds) == pytest.approx((2 / 3 + 1) / 2)
    assert mask_agreement(0 * a, 0 * b, clouds) == 1
