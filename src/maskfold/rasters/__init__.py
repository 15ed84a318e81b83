"""Rasters that are larger than the memory: read by windows, cut into tiles, predicted and written."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
