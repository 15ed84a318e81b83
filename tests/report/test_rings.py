"""Rings: around objects that are missed or invented and too small to see, not around borders drawn otherwise."""

import numpy as np

from maskfold.labels import Label, LabelSpec
from maskfold.report.rings import MOST_RINGS, ring_places

BINARY = LabelSpec("binary", ("roof",))


def rings(truth, mask, labels=BINARY, valid=None):
    return ring_places(labels, Label(truth, np.ones(mask.shape[-2:], bool) if valid is None else valid), mask)


def test_missed_and_invented_specks():
    truth, mask = np.zeros((100, 200), np.uint8), np.zeros((100, 200), np.uint8)
    truth[20:60, 30:90] = mask[22:61, 30:91] = 1
    truth[80:83, 150:154] = 1  # missed
    mask[10, 180] = 1  # invented
    mask[70:80, 100:120] = 1  # invented, but large enough to be seen
    assert rings(truth, mask) == [(152 / 200, 81.5 / 100), (180.5 / 200, 10.5 / 100)]


def test_what_does_not_count_and_what_is_found_has_none():
    truth, mask, valid = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8), np.ones((100, 100), bool)
    truth[5:7, 5:7] = 1
    mask[6:8, 6:8] = 1  # touches it: found, if not exactly
    mask[50, 50], valid[50, 50] = 1, False
    assert rings(truth, mask, valid=valid) == [(6.5 / 100, 6.5 / 100)], "no object is lost: what is wrong around it"
    assert rings(truth, truth) == []


def test_the_largest_wrong_spot_where_no_object_is_lost():
    truth = np.zeros((100, 100), np.uint8)
    truth[40:70, 40:70] = 1
    mask = truth.copy()
    mask[40, 40:42] = 0
    mask[69, 69] = 0
    assert rings(truth, mask) == [(41 / 100, 40.5 / 100)]
    mask[40, 40:60] = 0  # long enough to be seen
    assert rings(truth, mask) == []


def test_classes_and_many_specks():
    street = LabelSpec("multiclass", ("sky", "road", "car"))
    truth, mask = np.zeros((80, 90), np.uint8), np.zeros((80, 90), np.uint8)
    truth[60:] = mask[60:] = 1
    truth[70, 10:12] = 2  # a car that is taken for road
    assert rings(truth, mask, street) == [(11 / 90, 70.5 / 80)]
    clouds = LabelSpec("multilabel", ("fish", "flower"))
    layers = np.zeros((2, 80, 90), np.uint8)
    found = layers.copy()
    layers[1, 7, 8] = 1
    assert rings(layers, found, clouds) == [(8.5 / 90, 7.5 / 80)]
    found[0, ::4, ::4] = 1
    assert 1 < len(rings(layers, found, clouds)) <= MOST_RINGS
