"""The long run at a gateway: what one guest sends, while others' streams are checked throughout."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from random import Random
from typing import Self

from tests.attacks import Fuzz
from tests.crowds import Crowd, Echo, all_have_ids, goes_on
from tests.daemons import eventually
from tests.footprint import MEGABYTE, Footprint
from tests.sites import running_site
from tests.switches import RawClient, mac

NEIGHBOURS = ("10.0.2.40", "10.0.2.41")
EVERY = 25
"""Steps after which all that was sent has been looked at; more would be dropped by the switch."""
MOST_GROWTH = 64 * MEGABYTE
"""What all that the one guest does may cost: it says to be several machines."""
SLACK = 8 * MEGABYTE
_ALONE = (
    "mount --bind /dev/null /etc/resolv.conf && ip link set lo up"
    ' && ip route add local 0.0.0.0/0 dev lo && exec "$@"'
)
"""Where every address is the machine's own: nothing that is made up may get out of here."""


class GatewaySteps:
    """
    A gateway, two guests whose messages are checked, and one that sends whatever it likes.

    With root's rights half of the runs have C{--nat}.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._words: tuple[str, ...] = ()
        self._within: list[str] = []
        if random.random() < 0.5 and os.geteuid() == 0:
            self._words = ("--nat",)
            self._within = ["unshare", "--net", "--mount", "sh", "-c", _ALONE, "sh"]
        macs = {mac(0x8000 + number) for number in range(5)}
        self._fuzz = Fuzz(random, NEIGHBOURS, macs)
        self._sent: Counter[str] = Counter()
        self._number = 0
        self._most = 0
        self._context = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as context:
            self._site = context.enter_context(running_site())
            self._site.use_gateway("--master", self._site.kernels, *self._words,
                                   within=self._within)  # fmt: skip
            self._crowd: Crowd = context.enter_context(self._site.crowd())
            self._echoes = [
                Echo(self._crowd.join(mac(0x8000 + number), address))
                for number, address in enumerate(NEIGHBOURS)
            ]
            all_have_ids(self._crowd, self._echoes)
            for echo in self._echoes:
                goes_on(self._crowd, echo)
            self._before = self._site.footprint()
            self._attacker: RawClient = self._crowd.plug()
            self._watcher = self._crowd.join(mac(0x8002), "10.0.2.42", self._attacker)
            self._context = context.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.close()

    def step(self) -> None:
        """Some frames are sent; now and then the others are seen to."""
        self._number += 1
        frames = self._fuzz.frames()
        for frame in frames:
            with contextlib.suppress(BlockingIOError):
                self._attacker.send(frame)
        self._sent["frames"] += len(frames)
        if self._number % EVERY == 0:
            self._look()

    def _look(self) -> None:
        """All that was sent has been looked at, and the others' streams are as they were sent."""
        enough = self._watcher.answers + 1
        self._watcher.arp("10.0.2.2")

        def done() -> bool:
            for echo in self._echoes:
                echo.turn(2)
            if self._crowd.numbers.random() < 0.01:
                # The switch or the gateway may have dropped it.
                self._watcher.arp("10.0.2.2")
            return self._watcher.answers >= enough

        self._crowd.until("the gateway answers", done)
        assert self._site.gateway.process.poll() is None, self._site.gateway.log()
        if self._number % (40 * EVERY) == 0:
            now = self._site.footprint()
            self._most = max(self._most, now.memory - self._before.memory)
            assert self._most <= MOST_GROWTH, f"it held {self._before}, and holds {now}"

    def end(self) -> None:
        """New guests have addresses and ids; the attacker leaves, and all is as it was."""
        self._look()
        for echo in self._echoes:
            goes_on(self._crowd, echo)
        newcomer = self._crowd.join(mac(0x8003))
        newcomer.ask_for_address()
        self._crowd.until("a newcomer has an address", lambda: newcomer.address)
        echo = Echo(newcomer)
        all_have_ids(self._crowd, [echo])
        goes_on(self._crowd, echo)
        self._crowd.leave(newcomer.client)
        self._crowd.leave(self._attacker)
        eventually("it holds no more than before", self._is_as_before)
        log = self._site.gateway.log()
        assert "Traceback" not in log, log
        self._site.end_gateway(signal.SIGTERM)

    def _is_as_before(self) -> bool:
        for echo in self._echoes:
            echo.turn(2)
        self._crowd.live(0)
        now: Footprint = self._site.footprint()
        return (
            now.processes <= self._before.processes
            and now.descriptors <= self._before.descriptors
            and now.memory <= self._before.memory + SLACK
        )

    def summary(self) -> str:
        """What was done."""
        checked = ", ".join(str(echo.checked) for echo in self._echoes)
        return (
            f"{self._sent['frames']} frames{' with --nat' if self._words else ''}; messages of"
            f" others: {checked}; at most {self._most / MEGABYTE:.1f} MB more"
        )
