"""Prediction of whole images: views, sliding windows, merging, decoding."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
