"""From the checkpoints of runs to a submission: out-of-fold maps, tuning, prediction of the test images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
