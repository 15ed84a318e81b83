"""Run-length codes of binary masks: strict, exact, fast."""

from maskfold.rle.dialects import RLEDialect, rle_decode, rle_encode
from maskfold.rle.runs import Runs
from maskfold.rle.tokens import RLEError

__all__ = ["RLEDialect", "RLEError", "Runs", "rle_decode", "rle_encode"]
