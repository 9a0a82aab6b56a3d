"""Which guest has which address. No I/O.

There is a place for each address that can be given away, and nothing grows beyond that, whatever
guests make up. What was only offered is the first to be taken from whom it was offered to. What
somebody has is taken when nothing else is left, and only if he has left the switch, or was not
seen for a while, and does not answer. A machine that was seen with an address that it did not get
here is a rival for it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final

from distnet.gateway.places import SAFE_SECONDS, Place, Stage, by_age
from distnet.gateway.state import State
from distnet.guestnet import Plan

OFFER_SECONDS: Final = 30.0
"""How long an address is kept for whom it was offered to, as long as there are others."""
ANSWERED_SECONDS: Final = 10.0
"""How long a rival is not asked again whether he is there, when nothing else is left."""
DECLINED_SECONDS: Final = 600.0
"""How long an address is not given that a guest has found to be in use, while there are others."""
RECORD_SECONDS: Final = 3600.0
"""How often it is put on record that a guest is still seen with its address."""
NONE_SECONDS: Final = 0.1
"""For how long newcomers are turned away unseen, after nothing was left."""


@dataclass(frozen=True, slots=True)
class Choice:
    """
    An address for a guest.

    @ivar address: 4 bytes.
    @ivar probe: it is not offered yet: whether anybody has it is to be asked, and after a while
        L{Leases.probed} tells.
    """

    address: bytes
    probe: bool


class Leases:
    """The addresses that guests have. MAC addresses are 6 bytes, IPv4 addresses 4."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        seconds: Callable[[], float],
        *,
        held: Callable[[bytes, bool], object] = lambda mac, has_one: None,
    ) -> None:
        """
        @param state: what was on record, and is from now on.
        @param seconds: a clock that only goes forward.
        @param held: called with a MAC address that has an address now, or has none any more.
        """
        self._state = state
        self._seconds = seconds
        self._held = held
        addresses = [address.packed for address in plan.addresses()]
        self._places = [Place(number, address) for number, address in enumerate(addresses)]
        self._by_address = {place.address: place for place in self._places}
        # By whose they are or were, each of them at one place.
        self._by_mac: dict[bytes, Place] = {}
        # The numbers of those that are free, in order; what was offered first stands first.
        self._free = list(range(len(self._places)))
        self._offered: dict[int, Place] = {}
        # Whom addresses are asked for now, and for which of them others have answered.
        self._probing: dict[bytes, bytes] = {}
        self._answered: set[bytes] = set()
        self._none_until = -inf
        self._load()

    def _load(self) -> None:
        now = self._seconds()
        known = self._state.leases()
        for age, (mac, address) in enumerate(reversed(known)):
            place = self._by_address.get(address)
            if place is None:
                self._state.drop_lease(mac)
                continue
            self._give(place, mac, now - SAFE_SECONDS - age)
            self._move(place, Stage.TAKEN)
            place.recorded = now
            self._held(mac, True)

    # What is known

    def seen(self, mac: bytes, address: bytes) -> None:
        """A machine has sent something from an address, whichever that is."""
        place = self._by_address.get(address)
        if place is None:
            return
        if self._probing:
            self._answer(mac, address)
        now = self._seconds()
        if place.mac == mac:
            place.seen, place.used = now, True
            if place.left:
                self._is_there(place)
            if now - place.recorded >= RECORD_SECONDS and place.stage is Stage.TAKEN:
                self._record(place, now)
        else:
            place.rival, place.rival_seen = mac, now

    def left(self, mac: bytes) -> None:
        """
        One has left the switch. Its address is the first that others get when nothing else is left;
        as long as there is something it has the same when it comes again.
        """
        if self.has_one(mac):
            self._by_mac[mac].left = True
            self._none_until = -inf

    def _is_there(self, place: Place) -> None:
        place.left = False
        if place.stage is Stage.TAKEN:
            self._held(place.mac, True)

    def has_one(self, mac: bytes) -> bool:
        """Whether one has got an address here, and has it still."""
        place = self._by_mac.get(mac)
        return place is not None and place.stage is Stage.TAKEN

    def holder(self, address: bytes) -> bytes | None:
        """Who has got an address here, and has it still."""
        place = self._by_address.get(address)
        return place.mac if place is not None and place.stage is Stage.TAKEN else None

    def address_of(self, mac: bytes) -> bytes | None:
        """The address that one has, or that was offered to him just now."""
        place = self._by_mac.get(mac)
        return place.address if place is not None and place.stage is not Stage.FREE else None

    # What is given

    def choose(
        self, mac: bytes, wanted: bytes | None = None, *, only: bool = False, may_probe: bool = True
    ) -> Choice | None:
        """
        Choose an address for a guest: the one that it had, the one that it wants, another one.

        @param only: the one that it wants, or none.
        @param may_probe: whether one may be chosen that somebody has to be asked for.
        @return: None if there is none. What needs no probe is offered with that.
        """
        now = self._seconds()
        self._expire(now)
        place = self._find(mac, wanted, now, only, may_probe)
        if place is None:
            return None
        if place.needs_probe(mac, now):
            self._probing[place.address] = mac
            return Choice(place.address, True)
        self._offer(place, mac, now)
        return Choice(place.address, False)

    def probed(self, mac: bytes, address: bytes) -> bool:
        """
        The time is over in which somebody could have answered for a chosen address.

        @return: whether nobody has: now it is offered.
        """
        del self._probing[address]
        if address in self._answered:
            self._answered.remove(address)
            return False
        place, now = self._by_address[address], self._seconds()
        place.quiet, place.declined = now, -inf
        place.rival, place.rival_seen = b"", -inf
        self._offer(place, mac, now)
        return True

    def confirm(self, mac: bytes, address: bytes, *, living: bool = False) -> bool:
        """
        A guest has asked for an address that it was offered, or has.

        It need not be that this was the last one that it was offered to: when guests are made up
        faster than real ones ask again, the first to ask has it.

        @param living: it is asking from that address.
        @return: whether it has it now.
        """
        place, now = self._by_address.get(address), self._seconds()
        if place is None:
            return False
        if place.stage is Stage.TAKEN:
            if place.mac != mac or not (living or place.is_clear(mac, now)):
                return False
        elif living:
            if place.is_anothers(mac, now):
                return False
        elif not place.is_clear(mac, now) or place.needs_probe(mac, now):
            return False
        self._take(place, mac, now, living)
        return True

    def withdraw(self, mac: bytes) -> None:
        """A guest has taken what another server has offered."""
        place = self._by_mac.get(mac)
        if place is not None and place.stage is Stage.OFFERED:
            self._move(place, Stage.FREE)

    def release(self, mac: bytes, address: bytes) -> bool:
        """A guest gives its address back; whether it had it. It has it again if nobody else has."""
        place = self._its(mac, address)
        if place is None:
            return False
        self._free_again(place)
        return True

    def decline(self, mac: bytes, address: bytes) -> bool:
        """A guest has found that its address is somebody else's; whether it had it."""
        place = self._its(mac, address)
        if place is None:
            return False
        self._free_again(place)
        del self._by_mac[mac]
        place.mac = b""
        place.declined = self._seconds() + DECLINED_SECONDS
        return True

    def _its(self, mac: bytes, address: bytes) -> Place | None:
        place = self._by_mac.get(mac)
        if place is None or place.address != address or place.stage is Stage.FREE:
            return None
        return place

    # Looking for one

    def _find(
        self, mac: bytes, wanted: bytes | None, now: float, only: bool, may_probe: bool
    ) -> Place | None:
        own = self._by_mac.get(mac)
        its = self._by_address.get(wanted) if wanted is not None else None
        if its is not None and its is not own and its.stage is not Stage.FREE:
            its = None
        for place in (its,) if only else (own, its):
            if place is not None and self._fits(place, mac, now, may_probe):
                return place
        if only or now < self._none_until:
            return None
        if may_probe:
            for number in self._free:
                if self._fits(self._places[number], mac, now, may_probe):
                    return self._places[number]
        for place in self._offered.values():
            if self._fits(place, mac, now, may_probe):
                return place
        if not may_probe:
            return None
        place = min(self._last_resort(mac, now), key=by_age, default=None)
        if place is None:
            self._none_until = now + NONE_SECONDS
        return place

    def _fits(self, place: Place, mac: bytes, now: float, may_probe: bool) -> bool:
        return (
            place.address not in self._probing
            and place.is_clear(mac, now)
            and (may_probe or not place.needs_probe(mac, now))
        )

    def _last_resort(self, mac: bytes, now: float) -> Iterator[Place]:
        """What may have been abandoned; and where somebody was seen who may be gone."""
        for place in self._places:
            if (
                place.address not in self._probing
                and now - place.rival_seen >= ANSWERED_SECONDS
                and (place.stage is not Stage.TAKEN or place.may_be_abandoned(now))
            ):
                yield place

    # Places

    def _offer(self, place: Place, mac: bytes, now: float) -> None:
        if place.stage is Stage.TAKEN and place.mac == mac:
            return
        if place.stage is Stage.TAKEN:
            self._drop(place.mac)
        self._give(place, mac, now)
        self._move(place, Stage.OFFERED)

    def _take(self, place: Place, mac: bytes, now: float, living: bool) -> None:
        self._answer(mac, place.address)
        if place.stage is not Stage.TAKEN:
            self._give(place, mac, now)
            self._move(place, Stage.TAKEN)
            self._record(place, now)
        place.seen, place.used = now, place.used or living
        self._is_there(place)
        if now - place.recorded >= RECORD_SECONDS:
            self._record(place, now)

    def _answer(self, mac: bytes, address: bytes) -> None:
        """Somebody has an address, for whomever it is asked for now."""
        if self._probing.get(address, mac) != mac:
            self._answered.add(address)

    def _give(self, place: Place, mac: bytes, now: float) -> None:
        """Have a place be somebody's, who leaves the one that he had."""
        before = self._by_mac.pop(mac, None)
        if before is not None and before is not place:
            if before.stage is Stage.TAKEN:
                self._drop(mac)
                # He may use it all the same, if what he was told came late: others have it probed.
                before.quiet = -inf
            self._move(before, Stage.FREE)
            before.mac, before.used = b"", False
        if place.mac != mac:
            self._by_mac.pop(place.mac, None)
            place.mac, place.used, place.left = mac, False, False
        self._by_mac[mac] = place
        place.seen = now

    def _free_again(self, place: Place) -> None:
        if place.stage is Stage.TAKEN:
            self._drop(place.mac)
        self._move(place, Stage.FREE)
        # Whoever has pretended to be the one who had it does not get it unasked.
        place.quiet, place.used = -inf, False

    def _move(self, place: Place, stage: Stage) -> None:
        number = place.number
        if place.stage is Stage.FREE:
            del self._free[bisect_left(self._free, number)]
        else:
            self._offered.pop(number, None)
        place.stage = stage
        if stage is Stage.FREE:
            insort(self._free, number)
        elif stage is Stage.OFFERED:
            self._offered[number] = place
        self._none_until = -inf

    def _expire(self, now: float) -> None:
        while self._offered:
            place = next(iter(self._offered.values()))
            if now - place.seen < OFFER_SECONDS:
                break
            self._move(place, Stage.FREE)

    def _drop(self, mac: bytes) -> None:
        self._state.drop_lease(mac)
        self._held(mac, False)

    def _record(self, place: Place, now: float) -> None:
        place.recorded = now
        self._state.put_lease(place.mac, place.address)
