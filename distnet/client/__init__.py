"""Clients of the master: the kernel's six calls for programs.

L{Client} blocks, and needs no Twisted. The one for Twisted is
L{distnet.client.twisted.AsyncClient}.
"""

from distnet.client.blocking import Client

__all__ = ["Client"]
