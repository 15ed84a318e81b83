"""The processes that train one fold together: a single one, or those that torchrun started."""

from accelerate import PartialState

from maskfold.device import choose_device


def processes() -> PartialState:
    """This process among the others. Where there is no accelerator they speak by gloo, if told that it is the CPU."""
    return PartialState(cpu=choose_device().type == "cpu")
