"""What a frame means at a port, and how others may see it.

The rules that are told of L{distnet.switch.core.bridge.Bridge}, written once more without its code.
"""

from __future__ import annotations

from dataclasses import dataclass

TAG = b"\x81\x00"


@dataclass(frozen=True, slots=True)
class Member:
    """
    A port.

    @ivar home: the VLAN of its untagged frames, or None.
    @ivar tagged: the VLANs that it is a tagged member of.
    """

    home: int | None = 0
    tagged: frozenset[int] = frozenset()


Members = dict[int, Member]
"""All ports, by number. Never changed, but replaced."""


@dataclass(slots=True)
class Views:
    """
    How the ports of a VLAN may see a frame of it.

    @ivar vlan: which it is.
    @ivar seen: the frame as others see it, by port; with a tag or without.
    @ivar hidden: ports that must not see it: a tag in it would be one of another VLAN there.
    """

    vlan: int
    seen: dict[int, bytes]
    hidden: list[int]


def tag_of(frame: bytes) -> int | None:
    """The VLAN in the first tag."""
    if frame[12:14] == TAG and len(frame) >= 18:
        return (frame[14] << 8 | frame[15]) & 4095
    return None


def with_tag(frame: bytes, vlan: int) -> bytes:
    """The frame with one more tag, before others."""
    return frame[:12] + TAG + vlan.to_bytes(2, "big") + frame[12:]


def views(members: Members, strict: bool, port: int, frame: bytes) -> Views | None:
    """How others may see a frame that comes from a port; None if it is of no VLAN there."""
    here, tag = members[port], tag_of(frame)
    if tag is not None and (tag in here.tagged or (tag == here.home and (tag or strict))):
        vlan, plain, tagged = tag, frame[:12] + frame[16:], frame
    elif here.home is None or (strict and tag is not None):
        return None
    else:
        vlan, plain, tagged = here.home, frame, with_tag(frame, here.home)
    inner = tag_of(plain)
    result = Views(vlan, {}, [])
    for number, other in members.items():
        if number == port:
            continue
        if other.home == vlan:
            if inner in other.tagged:
                result.hidden.append(number)
            else:
                result.seen[number] = plain
        elif vlan in other.tagged:
            result.seen[number] = tagged
    return result


class History:
    """
    Who was in which VLAN, then and now.

    @ivar members: now.
    @ivar moment: how often that was changed.
    """

    def __init__(self, strict: bool, members: Members) -> None:
        self.members = members
        self.moment = 0
        self._strict = strict
        self._all = [members]

    def change(self, port: int, member: Member | None) -> None:
        """A port is created or changed, or with None removed."""
        members = dict(self.members)
        if member is None:
            members.pop(port, None)
        else:
            members[port] = member
        if members != self.members:
            self.members = members
            self._all.append(members)
            self.moment += 1

    def allows(self, since: int, source: int, target: int, frame: bytes, data: bytes) -> bool:
        """Whether a port could at any moment since one have seen this of a frame of another."""
        for members in self._all[since:]:
            if source in members:
                seen = views(members, self._strict, source, frame)
                if seen is not None and seen.seen.get(target) == data:
                    return True
        return False
