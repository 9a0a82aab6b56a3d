"""What a guest's process does beside passing on segments."""

from __future__ import annotations

import os
from typing import NoReturn, cast

from distnet.gateway.flows import Admission, Excess
from distnet.gateway.frames import Lens
from distnet.gateway.guest_process import LOOK_SECONDS
from distnet.gateway.merge import batch_of
from distnet.gateway.outside import MOST_UNANSWERED
from distnet.gateway.pure_datapath import (
    IDLE_SECONDS,
)
from distnet.gateway.resets import reset_for
from distnet.gateway.segments import ACK, SYN
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, gateway_mac, packed
from tests.unit.gateway.processes import ADDRESSES, MAC, GuestProcessTestCase, Slirp


class PacketsTests(GuestProcessTestCase):
    """What becomes of a guest's packets that are for nobody in particular."""

    def test_names(self) -> None:
        """What a guest asks the name server is not libslirp's; the answer goes to that guest."""
        queries: list[tuple[bytes, int, bytes]] = []
        self.patch(self.process._dns, "query", lambda *words: queries.append(words))
        taken = len(self.taken())
        server = gateway_mac("10.0.2.3")
        self.guests[0].udp("10.0.2.3", (5000, 53), b"who?", server)
        self.assertEqual(queries, [(packed(ADDRESSES[0]), 5000, b"who?")])
        self.guests[0].udp("10.0.2.3", (5000, 53), b"who?"[:0], server)
        self.assertEqual(queries[1:], [(packed(ADDRESSES[0]), 5000, b"")])
        self.assertEqual(len(self.taken()), taken)
        self.process._answer_dns(packed(ADDRESSES[0]), 5000, b"he")
        (answer,) = self.to_guest()
        self.assertEqual((answer[:6], answer[34:38]), (MAC, b"\0\x35\x13\x88"))
        self.assertTrue(answer.endswith(b"he"))

    def test_limits(self) -> None:
        """What is too much is not libslirp's either; what is said of it goes to the guest."""
        reset = Lens(PLAN).probe(MAC, self.silent.progress)
        self.patch(self.process._flows, "admit", lambda *_: Admission(False, reset))
        self.process._flows.excess[Excess.CONNECTIONS] = 1
        taken = len(self.taken())
        self.guests[0].port += 1
        self.guests[0].tcp(SYN)
        self.assertEqual(len(self.taken()), taken)
        self.assertEqual(self.to_guest(), [reset])
        said = [message.get("log") for message in self.said()]
        self.assertEqual(
            [line for line in said if line and "too many" in line],
            ["02:00:00:00:00:15: too many connections: not taken"],
        )

    def test_fragments(self) -> None:
        """A packet in fragments is libslirp's when it is whole, and not before."""
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"", ADDRESSES[0], MAC)
        guest.cut_at = 8
        guest.tcp(SYN)
        taken = len(self.taken())
        self.sent(frames[0])
        self.assertEqual(len(self.taken()), taken)
        self.sent(frames[1])
        self.sent(frames[2])
        (whole,) = self.taken()[taken:]
        self.assertEqual(len(whole), 54)


class IdleTests(GuestProcessTestCase):
    """A guest without a connection to the master, and whether it needs its process."""

    connected = "  TCP[ESTABLISHED]  4  10.0.2.15  4000  203.0.113.9  443  0  0\n"

    def setUp(self) -> None:
        """It has none any more."""
        super().setUp()
        for relay in list(self.datapath.relays.values()):
            relay.abort("over", to_guest=False)
        self.to_guest()

    def is_idle(self, minutes: int) -> bool:
        """Whether it is idle after so many minutes without a frame of its guest's."""
        self.said()
        self.loop.clock.pump([IDLE_SECONDS] * minutes)
        return {"idle": True} in self.said()

    def test_without_connections(self) -> None:
        """It is."""
        self.assertTrue(self.is_idle(1))

    def test_with_a_connection_elsewhere(self) -> None:
        """It is not, as long as its guest answers when it is asked."""
        cast(Slirp, self.datapath._stack).connected = self.connected
        for _ in range(3 * MOST_UNANSWERED):
            self.assertFalse(self.is_idle(1))
            for _ in self.to_guest():
                guest = FrameGuest(self.sent, lambda: b"", ADDRESSES[0], MAC)
                guest.port = 4000
                guest.tcp(ACK, target="203.0.113.9", port=443, mac=gateway_mac("10.0.2.2"))
        self.assertFalse(self.is_idle(MOST_UNANSWERED))
        self.assertTrue(self.is_idle(2))


class WaysInTests(GuestProcessTestCase):
    """Connections from ports of this machine."""

    def setUp(self) -> None:
        """One leads to the guest."""
        super().setUp()
        self.told({"forward": [[False, "0.0.0.0", 2222, ADDRESSES[0], 22]]})
        self.said()

    def connect(self, port: int, address: str = "10.0.2.2") -> None:
        """Somebody connects."""
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"", address, gateway_mac("10.0.2.2"))
        guest.port = port
        guest.tcp(SYN, target=ADDRESSES[0], port=22, mac=MAC)
        self.datapath._send(bytearray(frames[0]))

    def test_they_are_told(self) -> None:
        """The gateway is told of each, as its guest sees it, so that it can be reset there."""
        self.connect(5000)
        self.connect(5001, "203.0.113.9")
        guest = [packed(ADDRESSES[0]).hex(), 22]
        self.assertEqual(
            self.said(),
            [{"in": [guest, [packed("10.0.2.2").hex(), port]]} for port in (5000, 5001)],
        )

    def test_all_have_ended(self) -> None:
        """Nor is it told of their ends, but when there is none any more."""
        slirp = cast(Slirp, self.datapath._stack)
        slirp.connected = "  TCP[ESTABLISHED]  4  127.0.0.1  2222  10.0.2.15  22  0  0\n"
        self.connect(5000)
        self.connect(5001)
        self.said()
        self.loop.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(self.said(), [])
        slirp.connected = ""
        self.loop.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual([each for each in self.said() if "idle" not in each], [{"none_in": True}])
        self.connect(5002)
        self.loop.clock.pump([LOOK_SECONDS] * 2)
        self.assertIn({"none_in": True}, self.said())


class RoomTests(GuestProcessTestCase):
    """A guest that has not answered, as far as its process has read, is to make room."""

    def setUp(self) -> None:
        super().setUp()
        for relay in list(self.datapath.relays.values()):
            relay.abort("over", to_guest=False)

        def leave(status: int) -> NoReturn:
            raise SystemExit(status)

        self.patch(os, "_exit", leave)
        frames: list[bytes] = []
        self.late = FrameGuest(frames.append, lambda: b"", "10.0.2.19", MAC)
        self.late.tcp(SYN)
        self.late.tcp(ACK)
        self.syn, self.ack = frames

    def test_room_is_made(self) -> None:
        """It ends."""
        self.assertRaises(SystemExit, self.told, {"make_room": "for others"})

    def test_an_answer_that_was_not_read(self) -> None:
        """If it has answered after all, it stays."""
        self.frames.send(batch_of([self.syn, self.ack]))
        self.told({"make_room": "for others"})
        self.assertEqual(len(self.datapath.relays), 1)

    def test_an_answer_that_comes_too_late(self) -> None:
        """What comes while it ends is reset: its guest would wait for ever."""
        late = batch_of([self.ack])
        self.datapath.flush = lambda: self.frames.send(late)  # type: ignore[method-assign,assignment]
        self.to_guest()
        self.assertRaises(SystemExit, self.told, {"make_room": "for others"})
        self.assertEqual(self.to_guest(), [reset_for(self.ack)])
