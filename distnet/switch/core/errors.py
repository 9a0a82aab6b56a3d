"""What the switch refuses when asked for something, each with the error number it stands for."""

from __future__ import annotations

import errno

from distnet.errors import DistnetError


class BridgeError(DistnetError):
    """
    The switch cannot do what it was asked for; the message is one line that says why.

    @cvar number: the C{errno} that vde_switch answers in such a case.
    """

    number = errno.EINVAL


class InvalidValue(BridgeError):
    """A number is out of its range."""


class NoSuchThing(BridgeError):
    """There is no such port, VLAN, or endpoint."""

    number = errno.ENXIO


class AlreadyExists(BridgeError):
    """There is such a port, VLAN, or endpoint already."""

    number = errno.EEXIST


class InUse(BridgeError):
    """It cannot be removed, or be shared, while it is in use."""

    number = errno.EADDRINUSE


class NotPermitted(BridgeError):
    """The port is for another user or group."""

    number = errno.EPERM


class NoFreePort(BridgeError):
    """Every port that could be handed out is in use."""

    number = errno.EADDRNOTAVAIL
