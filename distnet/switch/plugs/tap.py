"""A tap interface of this machine, plugged into the switch."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from typing import Any, Final

from twisted.application.service import Service
from twisted.logger import Logger

from distnet.errors import StartupError
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import Errors, FrameDescriptor

DEVICE: Final = "/dev/net/tun"
MAX_NAME: Final = 15
"""Bytes in the name of an interface: IFNAMSIZ of linux/if.h, less its terminating NUL."""

_TUNSETIFF: Final = 0x400454CA
_TUNSETOFFLOAD: Final = 0x400454D0
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_REQUEST: Final = struct.Struct("16sH22x")
"""Of C{struct ifreq} of linux/if.h: the name, and flags."""

_ADVICE_ON_DEVICE: Final = {
    errno.ENOENT: "; load the module tun (modprobe tun), or give the container the device",
    errno.ENODEV: "; load the module tun (modprobe tun)",
    errno.EACCES: "; start as root, or let this user read and write it",
    errno.EPERM: "; let the container use the device",
}
_ADVICE: Final = {
    errno.EPERM: "it needs the privilege CAP_NET_ADMIN: start as root, or make the interface for"
    " this user before (ip tuntap add NAME mode tap user USER)",
    errno.EBUSY: "another process has it: stop that, or use another name",
    errno.EINVAL: "there is an interface of that name that is of another kind: use another name",
}

_log = Logger(namespace="distnet")


def check_name(name: str) -> str:
    """The name of an interface, or ValueError in one line if none can have it."""
    if not 0 < len(os.fsencode(name)) <= MAX_NAME:
        raise ValueError(f"{name!r}: the name of an interface has 1 to {MAX_NAME} bytes")
    if name in {".", ".."} or any(letter in "/:" or letter.isspace() for letter in name):
        raise ValueError(f"{name!r}: no interface can have this name")
    return name


def open_tap(name: str) -> tuple[int, str]:
    """
    A descriptor that does not block of a tap interface, and the interface's name.

    It is made, and goes with the descriptor, unless it is there. Frames come and go as they are,
    without a header before them (IFF_NO_PI; C{tuntap.rst} of the kernel's documentation).

    @raise StartupError: the machine refuses.
    """
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        advice = _ADVICE_ON_DEVICE.get(error.errno or 0, "")
        raise StartupError(f"cannot plug in {name}: {DEVICE}: {error.strerror}{advice}") from None
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        try:
            request = _REQUEST.pack(os.fsencode(name), _IFF_TAP | _IFF_NO_PI)
            (given, _) = _REQUEST.unpack(fcntl.ioctl(descriptor, _TUNSETIFF, request))
            # One that stays may have been used by somebody who takes longer frames, and unfinished
            # checksums.
            fcntl.ioctl(descriptor, _TUNSETOFFLOAD, 0)
        except OSError as error:
            why = _ADVICE.get(error.errno or 0, error.strerror)
            raise StartupError(f"cannot plug in {name}: {why}") from None
        undo.pop_all()
    return descriptor, os.fsdecode(given.rstrip(b"\0"))


class TapLink(FrameDescriptor):
    """
    A tap interface as an endpoint.

    What the machine sends when this is paused waits in the interface's queue (C{txqueuelen}); what
    does not fit there the interface counts as dropped.
    """

    module = "tuntap"
    is_socket = False
    is_only_read = True

    def __init__(self, service: TapService, descriptor: int, name: str) -> None:
        super().__init__(
            service.reactor,
            service.bridge,
            service.errors,
            name,
            receive=lambda most: os.read(descriptor, most),
            transmit=lambda frame: os.write(descriptor, frame),
        )
        self._service = service
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor of the interface, or -1 when it is closed."""
        return self._descriptor

    def release(self) -> bool:
        """Close the descriptor."""
        if not super().release():
            return False
        os.close(self._descriptor)
        self._descriptor = -1
        return True

    def close(self) -> None:
        """Close the descriptor; the service unplugs nothing twice."""
        self.release()

    def ended(self) -> None:
        """Somebody has removed the interface."""
        _log.warn("the interface {name} has gone", name=self.description)
        self._service.unplug()


class TapService(Service):
    """
    Plugs a tap interface into the first free port.

    @ivar interface: its name.
    @ivar errors: operations on it that failed.
    """

    def __init__(self, reactor: Any, bridge: Bridge, interface: str, errors: Errors) -> None:
        self.reactor = reactor
        self.bridge = bridge
        self.interface = interface
        self.errors = errors
        self._link: TapLink | None = None
        self._endpoint: Endpoint | None = None

    def privilegedStartService(self) -> None:
        """Plug it in, while there may be privileges. Raises L{StartupError}."""
        descriptor, name = open_tap(self.interface)
        link = self._link = TapLink(self, descriptor, name)
        try:
            self._endpoint = self.bridge.attach(link, description=name)
        except BridgeError as error:
            raise StartupError(f"cannot plug in {name}: {error} (--numports)") from None
        link.start(self._endpoint)

    def stopService(self) -> None:
        """Unplug it; it goes if it was made for this."""
        super().stopService()
        self.unplug()

    def unplug(self) -> None:
        """Unplug it, and do nothing more with it."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self.bridge.detach(endpoint)
        if self._link is not None:
            self._link.release()
