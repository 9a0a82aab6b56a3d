"""The network under a distributed operating system: a master, and clients, for kernels."""

from distnet.client import Client

__version__ = "0.1.0"

__all__ = ["Client", "__version__"]
