"""The long run with as many guests as there can be: all connect at once, come and go, and rest."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
from pathlib import Path
from random import Random
from typing import Self

from tests import attacks
from tests.crowds import CrowdGuest, Echo, all_have_ids, goes_on
from tests.daemons import eventually
from tests.footprint import family, ticks
from tests.sites import running_site
from tests.switches import mac

GUESTS = 256
ASK_AT_ONCE = 16
FLOOD = 3000
"""Made-up guests that begin a connection each."""
REST_SECONDS = 11.0
"""After that nothing is left to be done for guests that are idle."""
IDLE_SECONDS = 3.0
IDLE_TICKS = 10
"""Hundredths of a second that all processes of the gateway may use meanwhile."""


class CrowdSteps:
    """
    Guests with addresses of the gateway's, each with a stream of messages.

    With each step one has some messages, or leaves, and another one comes with another MAC address;
    the others' streams are checked in between.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._macs = 0
        self._messages = self._newcomers = self._ticks = 0
        self._echoes: list[Echo] = []
        self._context = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as context:
            self._site = context.enter_context(running_site())
            self._site.use_gateway("--master", self._site.kernels)
            self._crowd = context.enter_context(self._site.crowd())
            self._echoes = self._come(GUESTS)
            self._context = context.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.close()

    def _come(self, count: int) -> list[Echo]:
        """So many guests plug in, ask for addresses, and connect all at once."""
        guests: list[CrowdGuest] = []
        while len(guests) < count:
            # What one asks comes to all that are there: more at once would be slow.
            asking = []
            for _ in range(min(count - len(guests), ASK_AT_ONCE)):
                self._macs += 1
                asking.append(self._crowd.join(mac(self._macs)))
                asking[-1].ask_for_address()
            self._crowd.until("all have addresses", functools.partial(have_addresses, asking))
            guests += asking
        echoes = [Echo(guest) for guest in guests]
        ids = all_have_ids(self._crowd, echoes)
        assert len(set(ids)) == count, ids
        return echoes

    def step(self) -> None:
        """One guest does something; that all others are as they were is checked now and then."""
        number = self._random.randrange(GUESTS)
        if self._random.random() < 0.2:
            self._crowd.leave(self._echoes[number].guest.client)
            (self._echoes[number],) = self._come(1)
            self._newcomers += 1
        goes_on(self._crowd, self._echoes[number], 2)
        self._messages += 2
        if self._random.random() < 0.02:
            self._all_go_on()

    def _all_go_on(self) -> None:
        for echo in self._echoes:
            goes_on(self._crowd, echo, 1)

    def end(self) -> None:
        """
        While they rest the gateway does, too; then processes are stopped, and there are ever so
        many more guests, who are none.
        """
        self._all_go_on()
        pids = self._pids()
        assert len(pids) <= GUESTS + 2, f"{len(pids)} processes"
        self._crowd.rest(REST_SECONDS)
        before = ticks(pids)
        self._crowd.rest(IDLE_SECONDS)
        self._ticks = ticks(pids) - before
        assert self._ticks <= IDLE_TICKS, f"{self._ticks} ticks in {IDLE_SECONDS} s"
        self._stop_processes()
        with self._site.attacker() as client:
            for number, frame in enumerate(attacks.syns(FLOOD, FLOOD)):
                with contextlib.suppress(BlockingIOError):
                    client.send(frame)
                if number % 50 == 0:
                    self._crowd.live(0)
            self._all_go_on()
        eventually("made-up guests have no processes any more", self._is_as_before)
        self._all_go_on()
        assert "Traceback" not in self._site.gateway.log()

    def _stop_processes(self) -> None:
        """What forks is stopped, and one that it has forked: only the one guest is affected."""
        for name in ("distnet-guests\n", "distnet-guest\n"):
            os.kill(next(pid for pid in self._pids() if _name(pid) == name), signal.SIGSTOP)
        (newcomer,) = self._come(1)
        affected: list[Echo] = []

        def look() -> bool:
            for echo in self._echoes:
                try:
                    echo.turn(1)
                except AssertionError:
                    affected.append(echo)
            return bool(affected)

        self._crowd.until("a guest of a stopped process is reset", look)
        (echo,) = affected
        assert echo.connection.was_reset
        self._crowd.leave(echo.guest.client)
        self._echoes.remove(echo)
        self._echoes.append(newcomer)
        self._all_go_on()
        log = self._site.gateway.log()
        assert ": its process does nothing any more: ended" in log
        assert "what forks guests' processes does nothing any more: ended" in log

    def _pids(self) -> list[int]:
        return family(self._site.gateway.process.pid)

    def _is_as_before(self) -> bool:
        self._crowd.live(0)
        return len(self._pids()) <= GUESTS + 2

    def summary(self) -> str:
        """What was done."""
        return (
            f"{GUESTS} guests, {self._newcomers} newcomers, {self._messages} messages;"
            f" idle, {self._ticks} ticks in {IDLE_SECONDS} s"
        )


def have_addresses(guests: list[CrowdGuest]) -> bool:
    """Whether all of these have."""
    return all(guest.address for guest in guests)


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""
