"""How long a node waits for its first message after it has read its id, on each kind of listener.

C{python -m bench.settling [TIMES]}: a message waits when the node reads its id (or comes just
afterwards), and the node does nothing but receive, or sends a byte at once.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from distnet.wire import encode_message
from tests.daemons import eventually
from tests.masters import Kernel, Master, running


def measure(master: Master, address: tuple[str, int] | str, case: str) -> float:
    """Seconds from the reading of the id to the first message."""
    with Kernel(address) as node, Kernel(("127.0.0.1", master.port)) as sender:
        sender.read_id()
        dest = sender.id - 1
        if case != "message afterwards":
            sender.send(dest, bytes(512))
            eventually("it waits", lambda: master.node(dest)["waiting"]["messages"])
        node.read_id()
        began = time.perf_counter()
        if case == "message afterwards":
            sender.send(dest, bytes(512))
        if case == "first byte":
            node.socket.sendall(encode_message(node.id, b""))
        node.receive()
        return time.perf_counter() - began


def main(times: int) -> None:
    """Measure all."""
    print("| listener | case | median ms | most ms |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        options = ["--port", "0", "--listen", "tcp6:0", "--listen", f"unix:{name}/k"]
        with running(Master(Path(name), *options)) as master:
            six = int(master.address("tcp:[::1]").rpartition(":")[2])
            places: dict[str, tuple[str, int] | str] = {
                "tcp": ("127.0.0.1", master.port),
                "tcp6": ("::1", six),
                "unix": f"{name}/k",
            }
            for kind, address in places.items():
                for case in ("message before", "message afterwards", "first byte"):
                    taken = [measure(master, address, case) * 1000 for _ in range(times)]
                    print(
                        f"| {kind} | {case} | {statistics.median(taken):.1f} | {max(taken):.1f} |"
                    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
