"""The run folder: config, folds, checkpoints, history, out-of-fold maps, locks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
