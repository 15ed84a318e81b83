"""Work on the machines of a Ray cluster, with the calls of `maskfold.parallel.Workers`."""

from maskfold.cluster.workers import Cluster, cluster_workers, workers_of

__all__ = ["Cluster", "cluster_workers", "workers_of"]
