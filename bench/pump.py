"""Bytes through a connection for a while: how many came, and what that cost whom."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.generator import LoadError
from bench.processes import cpu_seconds

AT_ONCE = 1 << 20
"""Bytes of one read."""
WARM_SECONDS = 0.5
"""Until windows are open, and what is measured begins."""
LEAST_SECONDS = 0.1
"""Of a thread's patience with a socket, so that it sees that it is to end."""


@dataclass(frozen=True, slots=True)
class Pumped:
    """
    What came.

    @ivar seconds: how long was measured.
    @ivar received: bytes, meanwhile.
    @ivar cpu: seconds of processor time of each kind of process.
    """

    seconds: float
    received: int
    cpu: Mapping[str, float]


def pump(
    sender: socket.socket,
    receiver: socket.socket,
    data: bytes,
    seconds: float,
    kinds: Mapping[str, Sequence[int]],
) -> Pumped:
    """
    Send the same bytes again and again.

    @param kinds: processes, by what they are called together.
    @raise LoadError: nothing comes, or no more.
    """
    stop = threading.Event()
    counted = [0]
    threads = [
        threading.Thread(target=_send, args=(sender, data, stop)),
        threading.Thread(target=_receive, args=(receiver, counted, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        time.sleep(WARM_SECONDS)
        before, began, cpu = counted[0], time.monotonic(), _used(kinds)
        time.sleep(seconds)
        after, ended, then = counted[0], time.monotonic(), _used(kinds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if after == before:
        raise LoadError("nothing comes")
    used = {kind: then[kind] - cpu[kind] for kind in kinds}
    return Pumped(ended - began, after - before, used)


def family(pid: int) -> list[int]:
    """A process and all that it and its own have started."""
    found = [pid]
    for each in found:
        with contextlib.suppress(FileNotFoundError):
            children = Path(f"/proc/{each}/task/{each}/children").read_text()
            found.extend(map(int, children.split()))
    return found


def _used(kinds: Mapping[str, Sequence[int]]) -> dict[str, float]:
    return {kind: sum(map(cpu_seconds, pids)) for kind, pids in kinds.items()}


def _send(sock: socket.socket, data: bytes, stop: threading.Event) -> None:
    sock.settimeout(LEAST_SECONDS)
    view, left = memoryview(data), len(data)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            left -= sock.send(view[len(data) - left :])
            left = left or len(data)


def _receive(sock: socket.socket, counted: list[int], stop: threading.Event) -> None:
    sock.settimeout(LEAST_SECONDS)
    buffer = bytearray(AT_ONCE)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            size = sock.recv_into(buffer)
            counted[0] += size
            if not size:
                return
