"""What networks cost on this device: by the table, scaled by those that were measured here."""

from statistics import geometric_mean

from maskfold.planning.networks import Cost, Network
from maskfold.planning.speed import Speed


class Estimates:
    """Costs of networks: measured where they were, else the table's times what this device takes of it.

    How many times is the geometric mean over the measured networks; over those of the same encoder, where there are
    any, since devices differ in the operations that they are good at.

    Attributes:
        measured: name of a network -> the network and its cost.
    """

    def __init__(self, speed: Speed, probe: Network) -> None:
        """Measure one network, from which the others are estimated."""
        self._speed = speed
        self.measured: dict[str, tuple[Network, Cost]] = {}
        self.measure(probe)

    def measure(self, network: Network) -> None:
        """Measure a network."""
        self.measured[network.name] = (network, self._speed.cost(network))

    def cost(self, network: Network) -> Cost:
        """Measured, or estimated; memory is only known of a GPU."""
        if network.name in self.measured:
            return self.measured[network.name][1]
        known = list(self.measured.values())
        known = [each for each in known if each[0].encoder == network.encoder] or known
        train = geometric_mean([cost.train / row.cost.train for row, cost in known])
        predict = geometric_mean([cost.predict / row.cost.predict for row, cost in known])
        memory = [cost.memory / row.cost.memory for row, cost in known if cost.memory and row.cost.memory]
        kept = geometric_mean(memory) * network.cost.memory if memory and network.cost.memory else None
        return Cost(train * network.cost.train, predict * network.cost.predict, kept)
