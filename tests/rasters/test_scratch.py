"""Arrays on the disk: what has no room there is one message, not a process that ends at a later write."""

import os
import resource

import numpy as np
import pytest
from tests.children import in_child

from maskfold.errors import StorageError
from maskfold.rasters.scratch import DiskArray


def test_windows_come_back_and_the_rest_is_zero(tmp_path):
    array = DiskArray(tmp_path / "map", 2, (7, 11), np.float32)
    values = np.random.default_rng(3).random((2, 3, 4), np.float32)
    array.write((slice(2, 5), slice(6, 10)), values)
    expected = np.zeros((2, 7, 11), np.float32)
    expected[:, 2:5, 6:10] = values
    np.testing.assert_array_equal(array.read((slice(1, 7), slice(4, 11))), expected[:, 1:7, 4:11])


def test_there_is_room_for_all_of_it_before_anything_is_written(tmp_path):
    array = DiskArray(tmp_path / "map", 1, (300, 500), np.float32)
    assert os.stat(array.path).st_blocks * 512 >= 300 * 500 * 4


def test_a_disk_without_room_is_one_message(tmp_path):
    def write():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with pytest.raises(StorageError, match="needs 600,000 bytes, more than this system lets a file have"):
            DiskArray(tmp_path / "map", 1, (300, 500), np.float32)

    assert in_child(write) == 0
