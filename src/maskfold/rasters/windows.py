"""A raster's windows, as prediction takes images."""

from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset

from maskfold.datasets.dataset import image_tensor
from maskfold.rasters.raster import Raster
from maskfold.rasters.resampling import Part, Size


class RasterWindows(Dataset[dict[str, Any]]):
    """Windows of a raster at ``size`` as items of `maskfold.datasets.EvalDataset`, all with the id ``name``.

    Having one id, they all see the same noise where dropout is on.
    """

    def __init__(self, raster: Raster, size: Size, parts: Sequence[Part], name: str) -> None:
        self.raster, self.size, self.parts, self.name = raster, size, parts, name

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self.raster.resized(self.size, self.parts[index])
        return {"image": image_tensor(image), "id": self.name, "index": index, "size": image.shape[:2]}
