"""Datagrams of unix sockets that are frames: where to listen, the service, and its peers."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distnet.sockets.descriptor import grow_send_buffer
from distnet.sockets.listen import claim_path, split_description
from distnet.sockets.taken import Place
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import Errors, FrameSocket
from distnet.switch.plugs.dgram import GONE, USE, DgramPeer, DgramService, Unanswerable
from distnet.text import unix_path

PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class UnixDgramListener:
    """
    A unix datagram socket.

    @ivar path: absolute.
    @ivar mode: who may send to it, as permissions of the socket.
    """

    path: str
    mode: int = PRIVATE

    @property
    def place(self) -> Place:
        """What it takes of this machine."""
        return Place("path", self.path)

    def __str__(self) -> str:
        return f"unix:{self.path}"

    def service(self, reactor: Any, bridge: Bridge, errors: Errors) -> DgramService:
        """What listens there once it is started."""
        return UnixDgramService(self, reactor, bridge, errors)


def parse_unix(text: str) -> UnixDgramListener:
    """C{unix:PATH}, C{unix:PATH:mode=660}. Raises ValueError in one line."""
    _, arguments = split_description(text)
    mode = arguments.pop("mode", f"{PRIVATE:o}")
    path = arguments.pop("", "")
    if arguments:
        raise ValueError(f"{text!r}: {next(iter(arguments))!r} is not known: {USE}")
    if not path or "\0" in path:
        raise ValueError(f"{text!r}: the path is missing: {USE}")
    if not (mode.isascii() and mode.isdigit() and set(mode) <= set("01234567")) or len(mode) > 4:
        raise ValueError(f"{text!r}: the mode {mode} is not an octal number, like 0660")
    # Now, since twistd leaves the directory that it was started in.
    return UnixDgramListener(str(Path(path).absolute()), int(mode, 8) & 0o777)


class UnixDgramService(DgramService):
    """Listens at a unix socket. Peers are known by the paths that theirs are bound to."""

    def __init__(
        self, listener: UnixDgramListener, reactor: Any, bridge: Bridge, errors: Errors
    ) -> None:
        super().__init__(reactor, bridge, errors)
        self._listener = listener

    def where(self) -> str:
        """Where it listens, as users type it: C{unix:PATH}."""
        return str(self._listener)

    def _listen(self) -> socket.socket:
        claim_path(self._listener.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            # Before there is a path that others could open.
            os.fchmod(sock.fileno(), 0)
            sock.bind(self._listener.path)
            Path(self._listener.path).chmod(self._listener.mode)
        except OSError:
            sock.close()
            raise
        return sock

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        Path(self._listener.path).unlink(missing_ok=True)

    def _name(self, address: Any) -> str:
        return f"unix:{unix_path(os.fsencode(address))}"

    def _meet(self, address: Any) -> tuple[DgramPeer, int | None]:
        if not address:
            raise Unanswerable("it has no address to answer to (QEMU's local.path)")
        if isinstance(address, str) and not address.startswith("/"):
            raise Unanswerable(f"its socket {address} is not an absolute path (QEMU's local.path)")
        kind = UnixPeer
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if not _is_connected(sock, address):
                kind = ConnectedPeer
                sock.close()
                sock = self._socket.dup()
            grow_send_buffer(sock)
            user = Path(address).stat().st_uid if isinstance(address, str) else None
        except OSError:
            sock.close()
            raise
        return kind(self, sock, address, self._name(address)), user


def _is_connected(sock: socket.socket, address: Any) -> bool:
    """Connect to a peer; False if that is itself connected, and takes frames from there alone."""
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return False
    return True


class UnixPeer(DgramPeer):
    """
    A peer that is bound to a path. What it sends comes at the socket that all send to.

    So when it is paused, all of these are; that is short, and QEMU waits meanwhile.
    """

    def start(self, endpoint: Endpoint) -> None:
        """It is plugged in; what it sends is read elsewhere."""
        self._endpoint = endpoint

    def pause(self) -> None:
        """Read nothing where all send to."""
        self._service.pause(self)

    def resume(self) -> None:
        """Read there again, unless another peer is paused."""
        self._service.resume(self)

    def is_gone(self) -> bool:
        """Nor is there another in its place."""
        return super().is_gone() and not self._is_there_again()

    def _is_there_again(self) -> bool:
        try:
            self._socket.connect(self.address)
        except OSError:
            return False
        return True

    def refused(self, error: OSError, frame: bytes) -> bool:
        """
        Another QEMU may have been started in the place of one that is gone.

        One that has connected its socket since it was plugged in takes nothing from this one: with
        what it sends next it is plugged in again.
        """
        if error.errno == errno.EPERM:
            self.leave()
        elif error.errno in GONE and self._leaving is None:
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


class ConnectedPeer(UnixPeer):
    """
    A peer that has connected its socket to the one that all send to, and takes frames from there
    alone (EPERM, unix(7)): as QEMU's with C{local.type=fd} can be.

    It has that socket by another descriptor, so that it can wait for room on its own. The kernel
    limits what all such peers have not read yet by one SO_SNDBUF: one that reads nothing can keep
    the others of its kind waiting.
    """

    is_sent_to = False

    def __init__(
        self, service: DgramService, sock: socket.socket, address: Any, description: str
    ) -> None:
        super().__init__(service, sock, address, description)
        self._transmit = lambda frame: sock.sendto(frame, address)

    def _is_there_again(self) -> bool:
        return False

    def refused(self, error: OSError, frame: bytes) -> bool:
        """Who is in its place, if anybody, is plugged in again with what it sends."""
        if error.errno in GONE:
            self.leave()
        return FrameSocket.refused(self, error, frame)
