"""
What the gateway and a guest's process tell each other, over a SOCK_SEQPACKET socket.

Each message is one JSON object, perhaps with descriptors (SCM_RIGHTS, unix(7)). Both sides are ours
and of one version: the gateway starts the process that is forked.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

MAX_MESSAGE: Final = 60_000
"""Bytes of a message."""
MAX_DESCRIPTORS: Final = 4
_SPACE: Final = socket.CMSG_LEN(MAX_DESCRIPTORS * struct.calcsize("i"))

Message = dict[str, Any]


class Channel:
    """
    One end.

    @ivar socket: a connected one, which does not block.
    @ivar lost: how many messages there was no room for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.lost = 0

    def send(self, message: Message, *descriptors: int) -> bool:
        """
        Send a message.

        @return: False if the other end has gone, or reads so slowly that there is no room.
        """
        try:
            socket.send_fds(self.socket, [encoded(message)], descriptors)
        except OSError:
            self.lost += 1
            return False
        return True

    def receive(self) -> tuple[Message, list[int]] | None:
        """
        The next message, with its descriptors, which are the caller's to close.

        @raise BlockingIOError: there is none yet.
        @return: None if the other end has gone.
        """
        try:
            data, descriptors = self._receive()
        except BlockingIOError:
            raise
        except OSError:
            return None
        if not data:
            return None
        return decoded(data, descriptors)

    def _receive(self) -> tuple[bytes, list[int]]:
        try:
            return self._receive_once()
        except ConnectionResetError:
            # The other end has gone and had not read all. That is told once, and first; what it
            # had sent before is still to come.
            return self._receive_once()

    def _receive_once(self) -> tuple[bytes, list[int]]:
        # Python's recv_fds() leaves out its flags.
        data, ancillary, _, _ = self.socket.recvmsg(MAX_MESSAGE, _SPACE, socket.MSG_CMSG_CLOEXEC)
        descriptors: list[int] = []
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += memoryview(content).cast("i").tolist()
        return data, descriptors

    def hear(self, most: int, told: Callable[[Message], object]) -> bool:
        """
        Pass on what has come, but for descriptors, which nobody wants.

        @param most: how many messages at a time.
        @param told: called with each.
        @return: False if the other end has gone.
        """
        for _ in range(most):
            try:
                received = self.receive()
            except BlockingIOError:
                break
            if received is None:
                return False
            message, descriptors = received
            close_all(descriptors)
            told(message)
        return True

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


def encoded(message: Message) -> bytes:
    """A message as it is sent."""
    return json.dumps(message).encode()


def decoded(data: bytes, descriptors: list[int]) -> tuple[Message, list[int]]:
    """What has come, and the descriptors with it, which are the caller's to close."""
    try:
        message = json.loads(data)
    except ValueError:
        # It was cut, being too long.
        close_all(descriptors)
        return {}, []
    return message, descriptors


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that came with a message which nobody wants."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends of messages, which do not block. Raises OSError."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    its.setblocking(False)
    return ours, its
