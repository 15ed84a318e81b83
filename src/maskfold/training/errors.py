"""What can go wrong while training."""


class TrainingError(ValueError):
    """Training cannot start or go on: a loss that is no number, weights of another split …"""
