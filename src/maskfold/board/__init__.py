"""Every run and submission beside each other: what differs, what it scores, and whether that is more than noise."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
