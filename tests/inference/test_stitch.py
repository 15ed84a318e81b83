import numpy as np
import pytest
import torch

from maskfold.inference.stitch import WindowGrid, stitch
from maskfold.inference.window import window_logits


@pytest.mark.parametrize("size", [(50, 71), (33, 100), (20, 100), (100, 31), (16, 9)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_bands_are_what_the_same_windows_give_in_memory(size, overlap):
    """A network that says something else in every window: the mean has to weigh them alike."""
    rng, said = np.random.default_rng(3), []

    def network(images):
        said.append(rng.random((2, *images.shape[-2:]), np.float32))
        return torch.from_numpy(said[-1])[None]

    held = window_logits(network, torch.zeros(1, 3, *size), window=32, overlap=overlap, batch_size=1)[0].numpy()
    grid = WindowGrid(size, 32, overlap)
    assert len(grid.parts()) == len(said)
    bands = list(stitch(said, grid))
    assert [row for row, _ in bands] == [0, *np.cumsum([band.shape[1] for _, band in bands])[:-1]]
    np.testing.assert_allclose(np.concatenate([band for _, band in bands], axis=1), held, atol=1e-5)


def test_no_more_than_a_row_of_windows_is_asked_for_before_a_band_is_ready():
    asked = []

    def windows():
        for place in range(12):
            asked.append(place)
            yield np.ones((1, 32, 32), np.float32)

    grid = WindowGrid((96, 128), 32, 0.0)
    row, band = next(iter(stitch(windows(), grid)))
    assert (row, band.shape, asked) == (0, (1, 32, 128), [0, 1, 2, 3])
