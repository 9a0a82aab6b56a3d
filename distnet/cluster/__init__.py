"""A cluster on this machine: a master, a switch if wanted, and kernels in QEMU; one file says all.

Blocking, no Twisted: the daemons are processes of their own.
"""

from distnet.cluster.cluster import Cluster
from distnet.cluster.config import (
    ClusterConfig,
    NodeConfig,
    from_table,
    read_config,
    read_table,
)
from distnet.cluster.keys import BadConfig
from distnet.cluster.node import ClusterError, Node

__all__ = [
    "BadConfig",
    "Cluster",
    "ClusterConfig",
    "ClusterError",
    "Node",
    "NodeConfig",
    "from_table",
    "read_config",
    "read_table",
]
