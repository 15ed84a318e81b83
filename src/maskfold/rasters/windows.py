"""A raster's windows, as prediction takes images."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from maskfold.datasets.dataset import image_tensor
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Size, Window


class RasterWindows(Dataset[dict[str, Any]]):
    """Windows of a raster at ``size`` as items of `maskfold.datasets.EvalDataset`, all with the id ``name``.

    Having one id, they all see the same noise where dropout is on.
    """

    def __init__(self, raster: Raster, size: Size, windows: Sequence[Window], name: str) -> None:
        self.raster, self.size, self.windows, self.name = raster, size, windows, name

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.raster.resized(self.size, self.windows[index])
        return {"image": image_tensor(image), "id": self.name, "index": index, "size": image.shape[:2]}
