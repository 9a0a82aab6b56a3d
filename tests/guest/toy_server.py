"""A deliberately naive master: the behaviour of server.py, the original one that distnet replaces.

It shows that our tests can fail, and benchmarks what distnet is measured against: one thread looks
at one connection after the other, reads a header, then the payload, and writes each message by
itself. What is wrong with it is the point: the id is sent on accept and nothing waits until it was
read; a message to a node that is not there is an IndexError that ends the server for everyone;
payloads are read blocking; with nothing to do it spins.

C{toy_server.py [PORT [--print]]}: with C{--print} it also prints each message, twice, as the
original does, which takes half of its time or more.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys


class Node:
    """One connection and what is to be written to it."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.outbox: list[bytes] = []
        connection.setblocking(False)
        connection.send(b"%d" % number)


def take_frame(node: Node, number: int) -> tuple[int, bytes] | None:
    """One frame of C{node} as (dest, frame for dest); None if there is none or it said goodbye."""
    try:
        header = node.connection.recv(8)
    except OSError:  # nothing there, or closed below
        return None
    if len(header) != 8:  # `quit`, the end, or half a header: all the same here
        node.connection.close()
        return None
    dest, length = struct.unpack("<II", header)
    payload = b""
    node.connection.setblocking(True)
    while len(payload) < length:
        payload += node.connection.recv(length - len(payload))
    node.connection.setblocking(False)
    return dest, struct.pack("<II", number, length) + payload


def serve(listener: socket.socket, *, prints: bool = False) -> None:
    """Run until the first mistake."""
    listener.setblocking(False)
    nodes: list[Node] = []
    while True:
        with contextlib.suppress(BlockingIOError):
            nodes.append(Node(listener.accept()[0], len(nodes)))
        for number, node in enumerate(nodes):
            if frame := take_frame(node, number):
                if prints:
                    print(f"received {number} to {frame[0]}: {frame[1]!r}")
                nodes[frame[0]].outbox.append(frame[1])
            for data in node.outbox:
                node.connection.send(data)
                if prints:
                    print(f"sent to {number}: {data!r}")
            node.outbox.clear()


if __name__ == "__main__":
    server = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    print(f"port {server.getsockname()[1]}", flush=True)
    serve(server, prints="--print" in sys.argv)
