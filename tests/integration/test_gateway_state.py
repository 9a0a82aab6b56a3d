"""What a gateway remembers, when the process that writes it is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from distnet.gateway.state import Flow, State
from tests.daemons import environment

WRITER = """
import sys
from distnet.gateway.state import Flow, State
state = State.open(sys.argv[1], print)
number = int(sys.argv[2])
while True:
    number += 1
    mac = number.to_bytes(6)
    state.put_lease(mac, (number % 50).to_bytes(4))
    state.add_flow(Flow(mac, bytes(4), number % 65536, bytes(4), 1234))
    if number % 20 == 0:
        state.drop_flow(state.flows()[0])
    print(number, flush=True)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Whenever its writer is killed, the file is whole, and has all that was written."""
    path, log = tmp_path / "state", tmp_path / "log"
    said: list[str] = []
    times = random.Random(1)
    last = 0
    for _ in range(12):
        with log.open("wb") as out:
            writer = subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), str(last)], stdout=out, env=environment()
            )
        while not log.stat().st_size:
            assert writer.poll() is None
            time.sleep(0.001)
        time.sleep(times.random() / 20)
        writer.kill()
        writer.wait()
        *lines, _ = log.read_text().split("\n")
        assert lines
        last = int(lines[-1])
        state = State.open(str(path), said.append)
        # Nobody else has it any more, and the next one may be under way.
        assert state.kept
        leases, flows = dict(state.leases()), state.flows()
        assert leases[last.to_bytes(6)] == (last % 50).to_bytes(4)
        assert Flow(last.to_bytes(6), bytes(4), last % 65536, bytes(4), 1234) in flows
        state.close()
    assert said == []
