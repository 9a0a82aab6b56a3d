"""Whether a guest's connections to others than the master are in use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.outside import MOST_UNANSWERED, Outside
from distnet.gateway.segments import ACK, RST
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, gateway_mac, packed

MAC = b"\2\0\0\0\0\x15"
GUEST, ELSEWHERE = "10.0.2.15", "203.0.113.9"
HEAD = "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"


def line(port: int, state: str = "ESTABLISHED", protocol: str = "TCP") -> str:
    """A connection, as libslirp says it."""
    return f"  {protocol}[{state}]    4       {GUEST}  {port}     {ELSEWHERE}   443     0     0\n"


class OutsideTests(SynchronousTestCase):
    """L{Outside}"""

    def setUp(self) -> None:
        """A guest without connections."""
        self.said = ""
        self.put: list[bytes] = []
        self.outside = Outside(PLAN, listed=lambda: HEAD + self.said, put=self.put.append)

    def answer(self, flags: int = ACK, port: int = 4000, target: str = ELSEWHERE) -> None:
        """The guest answers."""
        guest = FrameGuest(self.outside.heard, lambda: b"", GUEST, MAC)
        guest.port = port
        guest.tcp(flags, target=target, port=443, mac=gateway_mac("10.0.2.2"))

    def are_in_use(self) -> bool:
        """Whether they are."""
        return self.outside.are_in_use(MAC)

    def test_none(self) -> None:
        """What only begins or is over does not count, nor does what is no connection."""
        self.assertFalse(self.are_in_use())
        for state in ("SYN_SENT", "TIME_WAIT", "LAST_ACK", "HOST_FORWARD"):
            self.said += line(4000, state)
        self.said += line(4000, "230 sec", "UDP")
        self.assertFalse(self.are_in_use())
        self.assertEqual(self.put, [])

    def test_the_question(self) -> None:
        """The guest is asked at each, from the router, with another number each time."""
        self.said = line(4000) + line(4001, "CLOSE_WAIT")
        self.assertTrue(self.are_in_use())
        self.assertEqual({frame[:12] for frame in self.put}, {MAC + gateway_mac("10.0.2.2")})
        ends = packed(ELSEWHERE) + packed(GUEST) + (443).to_bytes(2)
        self.assertEqual(
            sorted(frame[26:38] for frame in self.put),
            [ends + port.to_bytes(2) for port in (4000, 4001)],
        )
        self.assertEqual({frame[47] for frame in self.put}, {ACK})
        before = {frame[38:42] for frame in self.put}
        self.put.clear()
        self.assertTrue(self.are_in_use())
        self.assertFalse(before & {frame[38:42] for frame in self.put})

    def test_a_guest_that_is_there(self) -> None:
        """As long as it answers they are in use, however long that lasts."""
        self.said = line(4000) + line(4001)
        for _ in range(5 * MOST_UNANSWERED):
            self.assertTrue(self.are_in_use())
            self.answer()
            self.assertEqual(self.outside.asked, set())

    def test_a_guest_that_is_not(self) -> None:
        """If it does not answer so many times they are not; nor if it answers with resets."""
        for flags in (None, RST, RST | ACK):
            self.said = line(4000)
            for _ in range(MOST_UNANSWERED):
                self.assertTrue(self.are_in_use())
                if flags is not None:
                    self.answer(flags)
                # Of another connection.
                self.answer(port=4001)
                self.answer(target="203.0.113.10")
            self.assertFalse(self.are_in_use())

    def test_one_that_answers_late(self) -> None:
        """The times are counted anew after each answer."""
        self.said = line(4000)
        for _ in range(3):
            for _ in range(MOST_UNANSWERED):
                self.assertTrue(self.are_in_use())
            self.answer()

    @given(st.binary(min_size=34, max_size=60))
    def test_anything(self, frame: bytes) -> None:
        """Whatever a guest sends raises nothing."""
        self.said = line(4000)
        self.are_in_use()
        self.outside.heard(frame)
