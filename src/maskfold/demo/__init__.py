"""Demo data: drawn aerial scenes in the files of Tianchi competition 531872, made in seconds from a seed."""

from maskfold.demo.tiles import DemoError, make_demo

__all__ = ["DemoError", "make_demo"]
