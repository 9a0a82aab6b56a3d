"""Those who send datagrams to the switch, each an endpoint with a socket connected to it."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import FrameDescriptor

if TYPE_CHECKING:
    from distnet.switch.plugs.dgram import DgramService

_GONE: Final = frozenset(
    {errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ENOENT}
)
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
_DROPS: Final = 8
"""C{SK_MEMINFO_DROPS} of linux/sock_diag.h."""


class Peer(FrameDescriptor):
    """One that sends to us, as an endpoint: a socket that is connected to it."""

    module = "dgram"
    empty_is_the_end = False

    def __init__(
        self, service: DgramService, sock: socket.socket, address: Any, description: str
    ) -> None:
        super().__init__(
            service.reactor,
            service.bridge,
            service.errors,
            description,
            receive=sock.recv,
            transmit=sock.send,
        )
        self.address = address
        self._service = service
        self._socket = sock
        self._leaving: Any = None

    @property
    def endpoint(self) -> Endpoint:
        """Of the bridge."""
        assert self._endpoint is not None
        return self._endpoint

    def begin(self) -> None:
        """Read what it sends to its own socket, if it does."""

    def fileno(self) -> int:
        """See IFileDescriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """See L{IFrameLink}. If it sends more, it is plugged in again."""
        if self.release():
            self._service.forget(self)
            if self._leaving is not None:
                self._leaving.cancel()
            self._socket.close()

    def ended(self) -> None:
        """It is not there any more."""
        if self._endpoint is not None:
            self._bridge.detach(self._endpoint)
        self.close()

    def leave(self) -> None:
        """It is not there any more, which the bridge must not be told while it sends."""
        if self._leaving is None:
            self._leaving = self._reactor.callLater(0, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        self.ended()


class UnixPeer(Peer):
    """
    A peer that is bound to a path. What it sends comes at the socket that all send to.

    So when it is paused, all of these are; that is short, and QEMU waits meanwhile.
    """

    def start(self, endpoint: Endpoint) -> None:
        """It is plugged in."""
        self._endpoint = endpoint

    def pause(self) -> None:
        """See L{IFrameLink}."""
        self._service.pause(self)

    def resume(self) -> None:
        """See L{IFrameLink}."""
        self._service.resume(self)

    def refused(self, error: OSError, frame: bytes) -> bool:
        """Another QEMU may have been started in the place of one that is gone."""
        if error.errno in _GONE and self._leaving is None:
            try:
                self._socket.connect(self.address)
                self._socket.send(frame)
            except (BlockingIOError, InterruptedError):
                self.wait_for_room()
                return False
            except OSError:
                self.leave()
            else:
                return True
        return super().refused(error, frame)


class UdpPeer(Peer):
    """
    A peer on UDP. Its socket has our address, so that the kernel hands what it sends to that one.

    What the kernel had no room for there is counted at its port.
    """

    _dropped = 0

    def start(self, endpoint: Endpoint) -> None:
        """It is plugged in; what came before is not read yet."""
        self._endpoint = endpoint

    def begin(self) -> None:
        """Read it from now on."""
        if self._open and not self._paused:
            self.want_to_read(True)

    def doRead(self) -> None:
        """Frames have come."""
        super().doRead()
        if self._open:
            self._count_dropped()

    def unreadable(self, error: OSError) -> None:
        """What was sent to it before may have come back."""
        super().unreadable(error)
        if error.errno in _GONE:
            self.ended()

    def refused(self, error: OSError, frame: bytes) -> bool:
        """The same."""
        if error.errno in _GONE:
            self.leave()
        return super().refused(error, frame)

    def _count_dropped(self) -> None:
        answer = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        dropped = _MEMINFO.unpack(answer)[_DROPS]
        if dropped != self._dropped:
            # The kernel counts in 32 bits.
            self._bridge.overrun(self.endpoint, (dropped - self._dropped) % 2**32)
            self._dropped = dropped
