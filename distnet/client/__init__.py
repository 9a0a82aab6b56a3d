"""Clients of the master: the kernel's six calls for programs, blocking or with Twisted."""

from distnet.client.blocking import Client

__all__ = ["Client"]
