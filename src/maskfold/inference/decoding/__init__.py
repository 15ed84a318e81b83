"""From probabilities to masks: a chain of named steps, and the values of them that tuning tries."""

from maskfold.inference.decoding.chain import Chain, build_chain
from maskfold.inference.decoding.options import telling_apart, with_and_without
from maskfold.inference.decoding.steps import Step
from maskfold.inference.decoding.tunable import Tunable, tunable_values

__all__ = ["Chain", "Step", "Tunable", "build_chain", "telling_apart", "tunable_values", "with_and_without"]
