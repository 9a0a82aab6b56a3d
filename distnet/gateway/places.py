"""What is known of an address that the gateway gives away. No I/O."""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import Final

SAFE_SECONDS: Final = 60.0
"""For so long after it was seen, nobody's address is taken from him."""
UNUSED_SECONDS: Final = 10.0
"""The same for one who was never seen since he got it: he may be made up."""
RIVAL_SECONDS: Final = 300.0
"""How long an address is somebody's who was seen with it, wherever he has it from."""
QUIET_SECONDS: Final = 60.0
"""How long nobody has an address after nobody has answered for it."""


class Stage(Enum):
    """How far an address is given away."""

    FREE = "free"
    OFFERED = "offered"
    TAKEN = "taken"


class Place:
    """
    An address.

    @ivar number: in the order in which they are given away.
    @ivar mac: whose it is, or was; empty if it never was anybody's.
    @ivar seen: when that one was seen with it, or it was offered or given to him.
    @ivar used: he was seen with it since it was offered, given, or released.
    @ivar left: he has left the switch since then.
    @ivar rival: somebody else who was seen with it, and C{rival_seen} when.
    @ivar declined: until when it is not to be given.
    @ivar quiet: when nobody has answered for it.
    @ivar recorded: when it was put on record that it is taken.
    """

    __slots__ = (
        "address",
        "declined",
        "left",
        "mac",
        "number",
        "quiet",
        "recorded",
        "rival",
        "rival_seen",
        "seen",
        "stage",
        "used",
    )

    def __init__(self, number: int, address: bytes) -> None:
        self.number = number
        self.address = address
        self.stage = Stage.FREE
        self.mac = self.rival = b""
        self.seen = self.rival_seen = self.declined = self.quiet = self.recorded = -inf
        self.used = self.left = False

    def is_anothers(self, mac: bytes, now: float) -> bool:
        """Whether somebody else than this one was seen with it, and did not get it from us."""
        if self.rival != mac and now - self.rival_seen < RIVAL_SECONDS:
            return True
        return (
            self.stage is not Stage.TAKEN
            and self.used
            and self.mac != mac
            and now - self.seen < RIVAL_SECONDS
        )

    def is_clear(self, mac: bytes, now: float) -> bool:
        """Whether nothing is known that speaks against it for this one."""
        return now >= self.declined and not self.is_anothers(mac, now)

    def needs_probe(self, mac: bytes, now: float) -> bool:
        """Whether somebody may have it who was not asked."""
        if self.mac == mac and self.stage is Stage.TAKEN and self.used:
            return False
        return (
            now - self.quiet >= QUIET_SECONDS
            or (self.rival != mac and self.rival_seen > self.quiet)
            or (
                self.mac != mac
                and (self.used or self.stage is Stage.TAKEN)
                and self.seen >= self.quiet
            )
        )

    def may_be_abandoned(self, now: float) -> bool:
        """Whether whoever has it may be gone."""
        return self.left or now - self.seen >= (SAFE_SECONDS if self.used else UNUSED_SECONDS)


def by_age(place: Place) -> tuple[bool, bool, float]:
    """
    First that of one who has left the switch, then what is nobody's or abandoned by the longest,
    then where a rival was seen.
    """
    return place.rival_seen > place.seen, not place.left, max(place.seen, place.rival_seen)
