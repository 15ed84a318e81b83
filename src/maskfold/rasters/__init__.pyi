# The package's names, for type checkers and for lazy_loader, which imports them at their first use.
from .cut import CutOptions as CutOptions
from .cut import cut_tiles as cut_tiles
from .raster import Raster as Raster
