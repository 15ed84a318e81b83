"""A plan made from the data, the device and the hours: a config whose every value has its reason."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
