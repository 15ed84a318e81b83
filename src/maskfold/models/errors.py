"""What goes wrong with networks and their weights."""


class ModelError(ValueError):
    """A network that cannot be built or weights that do not fit. The message is one sentence for the user."""
