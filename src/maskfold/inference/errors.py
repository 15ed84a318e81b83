"""What can go wrong in prediction, tuning and evaluation."""


class InferenceError(ValueError):
    """Nothing to predict with, predictions that are no numbers, runs that do not fit together …"""
