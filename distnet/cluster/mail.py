"""What the caller sends to a cluster's kernels and gets from them: as a tool, with a tool's id."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from distnet.address import UnixAddress
from distnet.client.blocking import Client
from distnet.cluster.node import ClusterError

Message = tuple[int, bytes]
Payload = bytes | Callable[[bytes], bool]

_CONNECT_SECONDS: Final = 10.0
_SHOWN_BYTES: Final = 64


class Mail:
    """
    The caller's connection to the master. It uses up no id of a kernel's.

    @ivar id: what messages by C{send} come from, and kernels can answer to; from 2^31 on.
    """

    def __init__(self, tools: str) -> None:
        """
        @param tools: the path of the master's socket for tools.
        Raises OSError.
        """
        self._client = Client(UnixAddress(tools))
        self._passed_over: deque[Message] = deque()
        self.id = self._client.connect(timeout=_CONNECT_SECONDS)

    def send(self, dest: int, data: bytes) -> None:
        """Send a message to a node. Raises OSError."""
        self._client.send(dest, data)

    def recv(self, timeout: float = 10.0) -> Message:
        """The next message, as (source, payload). Raises TimeoutError, OSError."""
        if self._passed_over:
            return self._passed_over.popleft()
        return self._client.recv(timeout)

    def expect(
        self, source: int | None = None, payload: Payload | None = None, timeout: float = 10.0
    ) -> Message:
        """
        The next message that is from a node, and has a payload, if these are given; the others
        stay, in order, for later calls.

        @param payload: what it is, or a function that says whether it is the one.
        @raise ClusterError: none came within C{timeout} seconds; the message has those that did.
        """
        deadline = time.monotonic() + timeout
        others: deque[Message] = deque()
        try:
            while True:
                try:
                    message = self.recv(max(0.0, deadline - time.monotonic()))
                except TimeoutError:
                    raise ClusterError(_missed(source, payload, timeout, others)) from None
                if _fits(message, source, payload):
                    return message
                others.append(message)
        finally:
            self._passed_over.extendleft(reversed(others))

    def close(self) -> None:
        """Disconnect from the master; the id is nobody's then."""
        with contextlib.suppress(OSError):
            self._client.disconnect()


def _fits(message: Message, source: int | None, payload: Payload | None) -> bool:
    if source is not None and message[0] != source:
        return False
    if payload is None:
        return True
    return payload(message[1]) if callable(payload) else message[1] == payload


def _missed(
    source: int | None, payload: Payload | None, timeout: float, others: Collection[Message]
) -> str:
    whence = "" if source is None else f" from node {source}"
    what = f" with {payload!r}" if isinstance(payload, bytes) else ""
    came = "\n".join(
        f"  from {node}, {len(data)} bytes: {data[:_SHOWN_BYTES]!r}" for node, data in others
    )
    return f"no message{whence}{what} within {timeout:g} s; there came\n{came or '  nothing'}"
