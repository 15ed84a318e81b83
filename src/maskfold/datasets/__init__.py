"""From a competition's samples to batches of tensors: folds, augmentation, data set, sampler, loaders."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
