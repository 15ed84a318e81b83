"""Studies: variants of one config with the same budget, on the same folds and seeds, each paired with its baseline."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
