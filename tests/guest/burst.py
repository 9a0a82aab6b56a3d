"""A burst of messages of all sizes, to a guest that reads as strictly as a kernel."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.guest import wire
from tests.guest.qemu import Guest
from tests.masters import Kernel

COUNT = 5000


def assert_reads_a_burst(
    address: tuple[str, int] | str, boot: Callable[[str], Guest], begins: str
) -> None:
    """
    A guest gets messages back to back, all of them, and reads no header in two parts.

    @param address: where the master listens that nobody has connected to yet.
    @param boot: boots a guest with a script.
    @param begins: what its console says when the burst may begin.
    """
    with Kernel(address) as sender:
        source = sender.read_id()
        guest = boot(f"connect;load:{source}:{COUNT};quit")
        guest.wait_for(begins)
        sizes = random.Random(COUNT)
        sender.socket.sendall(
            b"".join(
                wire.frame(source + 1, wire.payload(source, number, sizes.randint(16, 600)))
                for number in range(COUNT)
            )
        )
        loaded = guest.wait_for(r"^DN load .*$")[0]
        guest.wait_for(r"^DN done ")
        assert guest.wait() == 0
    assert "lost=0 dup=0" in loaded
    assert "short_headers=0" in loaded
