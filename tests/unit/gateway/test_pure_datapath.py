"""What becomes of connections when the switch goes, and when a guest connects again; and limits."""

from __future__ import annotations

from distnet.gateway.frames import Lens
from distnet.gateway.pure_datapath import (
    DOUBT_SECONDS,
    MOST_MESSAGES,
    MOST_WAITING,
    SWITCH_GONE_SECONDS,
)
from distnet.gateway.segments import ACK, SYN
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, packed
from tests.unit.gateway.processes import ADDRESSES, MAC, GuestProcessTestCase


class PureDatapathTests(GuestProcessTestCase):
    """What becomes of connections."""

    def test_whether_it_is_there(self) -> None:
        """It answers."""
        self.said()
        self.told({"there": True})
        self.assertEqual(self.said(), [{"here": True}])

    def test_silent_after_the_switch_has_gone(self) -> None:
        """Guests that are not heard of for some time after the switch has gone are not there."""
        self.unplugged()
        self.advance(SWITCH_GONE_SECONDS / 2)
        self.guests[1].tcp(ACK, b"still here")
        self.advance(SWITCH_GONE_SECONDS / 2 - 1)
        self.assertEqual(len(self.datapath.relays), 2)
        self.advance(1)
        self.assertIn("not heard of", self.silent.ended)
        self.assertEqual(list(self.datapath.relays.values()), [self.heard])

    def test_the_switch_goes_again(self) -> None:
        """The time begins anew when it goes another time, for those that were heard of too."""
        self.unplugged()
        self.guests[1].tcp(ACK, b"still here")
        self.advance(SWITCH_GONE_SECONDS - 1)
        self.unplugged()
        self.advance(SWITCH_GONE_SECONDS - 1)
        self.assertEqual(len(self.datapath.relays), 2)
        self.advance(1)
        self.assertEqual(self.datapath.relays, {})

    def test_new_guests_after_the_switch_has_gone(self) -> None:
        """A guest that connects only then is not taken for silent."""
        self.unplugged()
        late = FrameGuest(self.sent, lambda: b"", "10.0.2.18", MAC)
        late.tcp(SYN)
        late.tcp(ACK)
        self.advance(SWITCH_GONE_SECONDS)
        self.assertEqual([key[0] for key in self.datapath.relays], [packed("10.0.2.18")])

    def test_a_guest_that_connects_again(self) -> None:
        """It is asked at its former connections, and only there, whether it still has them."""
        guest = self.guests[0]
        guest.port += 1
        guest.tcp(SYN)
        self.assertEqual(self.to_guest(), [])
        guest.tcp(ACK)
        probe = Lens(PLAN).probe(guest.mac, self.silent.progress)
        self.assertEqual(self.to_guest(), [probe])
        self.assertEqual(len(self.datapath.relays), 3)

    def test_another_guest_with_its_address(self) -> None:
        """It is asked whether it is there; its connection stays, whoever connects elsewhere."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.assertEqual(self.to_guest(), [Lens(PLAN).probe(MAC, self.silent.progress)])
        self.advance(DOUBT_SECONDS)
        self.assertEqual(len(self.datapath.relays), 2)


class WaitingTests(GuestProcessTestCase):
    """What waits to be sent."""

    def test_without_a_switch(self) -> None:
        """What it has for its guest is counted and dropped while there is no switch."""
        self.unplugged()
        self.datapath.put(b"frame")
        self.assertEqual(self.datapath.dropped(), {"no switch": 1})
        self.plugged()
        self.datapath.put(b"frame")
        self.assertEqual(self.to_guest(), [b"frame"])

    def test_a_switch_that_does_not_read(self) -> None:
        """So many frames wait for a switch that does not read; what is more is dropped."""
        sent = 0
        while not self.datapath.dropped():
            self.datapath.put(b"%d" % sent)
            sent += 1
        self.assertEqual(len(self.datapath._to_switch), MOST_WAITING)
        got = self.to_guest()
        while self.loop.writers:
            self.datapath.flush()
            got += self.to_guest()
        self.assertEqual(got, [b"%d" % number for number in range(sent - 1)])

    def test_a_gateway_that_does_not_read(self) -> None:
        """What it says waits, in order, and no more than so much of it."""
        self.said()
        for number in range(MOST_MESSAGES + 2000):
            self.process.say(str(number), False)
        self.assertEqual(len(self.datapath._to_gateway), MOST_MESSAGES)
        said = self.said()
        while self.datapath._to_gateway:
            self.datapath._tell_more()
            said += self.said()
        self.assertEqual(
            [message["log"] for message in said], [str(number) for number in range(len(said))]
        )


class FixedTests(PureDatapathTests):
    """The same, of guests that are fixed nodes."""

    fixed = frozenset(map(packed, ADDRESSES))

    def test_a_guest_that_connects_again(self) -> None:
        """The master lets it in once: its former connection makes room."""
        guest = self.guests[0]
        guest.port += 1
        guest.tcp(SYN)
        guest.tcp(ACK)
        self.assertEqual(self.silent.ended, "connects again")
        self.assertEqual(len(self.datapath.relays), 2)

    def test_another_guest_with_its_address(self) -> None:
        """If it does not answer, it was started again with another MAC address."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.advance(DOUBT_SECONDS)
        self.assertEqual(self.silent.ended, "connects again")

    def test_doubted_again(self) -> None:
        """Whoever connects from its address meanwhile does not have it waited for longer."""
        for _ in range(4):
            self.told({"again": packed(ADDRESSES[0]).hex()})
            self.advance(DOUBT_SECONDS / 4)
        self.assertEqual(self.silent.ended, "connects again")

    def test_doubted_after_it_answered(self) -> None:
        """One that has answered has as long to do so the next time."""
        again = {"again": packed(ADDRESSES[0]).hex()}
        self.told(again)
        self.guests[0].tcp(ACK)
        self.advance(DOUBT_SECONDS / 2)
        self.told(again)
        self.advance(DOUBT_SECONDS / 2)
        self.assertEqual(self.silent.ended, "")
        self.advance(DOUBT_SECONDS / 2)
        self.assertEqual(self.silent.ended, "connects again")

    def test_one_that_answers(self) -> None:
        """If it does, it is there, and keeps its connection."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.guests[0].tcp(ACK)
        self.advance(DOUBT_SECONDS)
        self.assertEqual(len(self.datapath.relays), 2)
