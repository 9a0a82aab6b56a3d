"""What one guest may have in libslirp."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.flows import (
    HALF_OPEN_SECONDS,
    MOST_CONNECTIONS,
    MOST_HALF_OPEN,
    MOST_PINGS,
    MOST_PORTS,
    PAUSE_SECONDS,
    Admission,
    Excess,
    Flows,
    Socket,
    parse_connection_info,
)
from distnet.gateway.resets import reset_for
from distnet.gateway.segments import ACK, RST, SYN
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, gateway_mac, packed

HEAD = "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"
SAID = f"""{HEAD}\
  TCP[ESTABLISHED]    4       10.0.2.40  4001       10.0.2.16  1234     0     0
  TCP[SYN_RCVD]      -1       10.0.2.40  3999       10.0.2.16  1234     0     0
  TCP[HOST_FORWARD]  10               *  2222       10.0.2.17    22     0     0
  UDP[239 sec]       12       10.0.2.40  5557        10.0.2.3    53     0     0
  UDP[-1 sec]      1011       10.0.2.40  5556     203.0.113.9 65535     0     0
  ICMP[9 sec]         9       10.0.2.40  -         192.0.2.99  -        0     0
"""
TO_HOST = gateway_mac("10.0.2.2")


def made(act: str, *arguments: object, port: int = 4000, **options: object) -> bytes:
    """The frame that a guest sends."""
    frames: list[bytes] = []
    guest = FrameGuest(frames.append, lambda: b"")
    guest.port = port
    getattr(guest, act)(*arguments, **options)
    return frames[0]


def syn(port: int, target: str = "10.0.2.16") -> bytes:
    """A SYN from a port of the guest's."""
    return made("tcp", SYN, port=port, target=target, mac=TO_HOST)


def udp(port: int, target: str = "192.0.2.1", to: int = 7) -> bytes:
    """A datagram from a port of the guest's."""
    return made("udp", target, (port, to), b"data", TO_HOST)


def ping(target: str = "192.0.2.1") -> bytes:
    """A ping."""
    return made("ip", target, 1, b"\x08\0" + bytes(6), TO_HOST)


def end(address: str, port: int) -> bytes:
    """One end of a connection."""
    return packed(address) + port.to_bytes(2)


class FakeSlirp:
    """
    What libslirp lists.

    @ivar sockets: by protocol, guest's port and target; the oldest first.
    @ivar asked: how often it listed them.
    @ivar deaf: ports of connections that a reset does not end.
    """

    def __init__(self) -> None:
        self.sockets: dict[tuple[str, int, str], str] = {}
        self.asked = 0
        self.deaf: set[int] = set()
        self.injected: list[bytes] = []

    def listed(self) -> str:
        """As slirp_connection_info says it."""
        self.asked += 1
        lines = [
            f"  {protocol}[{state}] 4 10.0.2.40 {'-' if protocol == 'ICMP' else port} {target}"
            f" {'-' if protocol == 'ICMP' else 1234} 0 0"
            for (protocol, port, target), state in reversed(self.sockets.items())
        ]
        return HEAD + "\n".join(lines) + "\n"

    def inject(self, frame: bytes) -> None:
        """A reset."""
        self.injected.append(frame)
        assert frame[47] == RST
        port = int.from_bytes(frame[34:36])
        if port not in self.deaf:
            target = ".".join(map(str, frame[30:34]))
            self.sockets.pop(("TCP", port, target), None)


class FlowsTests(SynchronousTestCase):
    """L{Flows}"""

    def setUp(self) -> None:
        """A guest that has nothing yet."""
        self.slirp = FakeSlirp()
        self.flows = Flows(PLAN, listed=self.slirp.listed, inject=self.slirp.inject)
        self.now = 100.0

    def connect(self, port: int, target: str = "10.0.2.16") -> Admission:
        """A SYN, which libslirp gets if it may."""
        admission = self.flows.admit(syn(port, target), self.now)
        if admission.passes:
            self.slirp.sockets["TCP", port, target] = "SYN_RCVD"
        return admission

    def opened(self, *ports: int, state: str = "ESTABLISHED") -> None:
        """Connections to the master are open, or in another state."""
        for port in ports:
            self.connect(port)
            self.slirp.sockets["TCP", port, "10.0.2.16"] = state

    def test_half_open(self) -> None:
        """No more than a few are half-open; more are dropped, and libslirp is left in peace."""
        for port in range(MOST_HALF_OPEN):
            self.assertTrue(self.connect(port).passes)
        self.assertEqual(self.slirp.asked, 0)
        for port in range(100, 200):
            self.assertEqual(self.connect(port), Admission(False, None))
        self.assertEqual(self.slirp.asked, 1)
        self.assertEqual(self.flows.excess, {Excess.HALF_OPEN: 100})
        self.now += PAUSE_SECONDS
        self.connect(100)
        self.assertEqual(self.slirp.asked, 2)

    def test_the_oldest_half_open_gives_way(self) -> None:
        """What is half-open for long is reset in libslirp, with the number after its SYN's."""
        for port in range(MOST_HALF_OPEN):
            self.now += 0.01
            self.connect(port)
        self.now += HALF_OPEN_SECONDS - 0.05
        self.assertTrue(self.connect(100).passes)
        self.assertTrue(self.connect(101).passes)
        self.assertEqual(len(self.slirp.sockets), MOST_HALF_OPEN)
        self.assertNotIn(("TCP", 0, "10.0.2.16"), self.slirp.sockets)
        self.assertNotIn(("TCP", 1, "10.0.2.16"), self.slirp.sockets)
        frame = self.slirp.injected[0]
        self.assertEqual(frame[:12], syn(0)[:12])
        self.assertEqual(frame[26:38], syn(0)[26:38])
        self.assertEqual(int.from_bytes(frame[38:42]), 1001)
        self.assertEqual(self.flows.evicted, 2)

    def test_begun_elsewhere(self) -> None:
        """Connections that libslirp was let begin unasked count from the time when they began."""
        begun = [
            (syn(port)[:12], syn(port)[26:30] + syn(port)[34:36], PLAN.master.packed + b"\x04\xd2",
             1000, 100.0)
            for port in range(MOST_HALF_OPEN)
        ]  # fmt: skip
        self.flows = Flows(
            PLAN, listed=self.slirp.listed, inject=self.slirp.inject,
            begun=lambda: [begun.pop() for _ in begun[:]],
        )  # fmt: skip
        for port in range(MOST_HALF_OPEN):
            self.slirp.sockets["TCP", port, "10.0.2.16"] = "SYN_RCVD"
        self.now += HALF_OPEN_SECONDS - 0.1
        self.assertFalse(self.connect(100).passes)
        self.now += 0.1
        self.assertTrue(self.connect(100).passes)
        self.assertEqual(self.flows.evicted, 1)

    def test_what_has_opened_meanwhile(self) -> None:
        """One after the other, any number of connections come and go without a loss."""
        for port in range(1000):
            self.assertTrue(self.connect(port).passes)
            del self.slirp.sockets["TCP", port, "10.0.2.16"]
        self.assertLessEqual(self.slirp.asked, 1000 // MOST_HALF_OPEN + 1)
        self.assertEqual(self.flows.excess, {})

    def test_half_open_elsewhere(self) -> None:
        """What does not answer elsewhere keeps nobody from the master, nor is it reset in vain."""
        for port in range(MOST_HALF_OPEN):
            self.connect(port, "192.0.2.1")
            self.slirp.deaf.add(port)
        self.now += HALF_OPEN_SECONDS
        self.assertFalse(self.connect(100, "192.0.2.1").passes)
        self.assertEqual(len(self.slirp.injected), MOST_HALF_OPEN)
        self.now += PAUSE_SECONDS
        self.assertFalse(self.connect(100, "192.0.2.1").passes)
        self.assertEqual(len(self.slirp.injected), MOST_HALF_OPEN)
        self.assertTrue(self.connect(100).passes)

    def test_too_many_connections(self) -> None:
        """Beyond the limit a connection is refused by a reset, and the next soon after dropped."""
        self.opened(*range(MOST_CONNECTIONS))
        self.assertEqual(self.connect(100), Admission(False, reset_for(syn(100))))
        self.assertEqual(self.connect(101), Admission(False, None))
        self.assertEqual(self.flows.excess, {Excess.CONNECTIONS: 2})
        self.assertTrue(self.connect(3).passes)
        self.now += PAUSE_SECONDS
        del self.slirp.sockets["TCP", 7, "10.0.2.16"]
        self.assertTrue(self.connect(102).passes)

    def test_what_is_over_gives_way(self) -> None:
        """Connections in TIME_WAIT are no reason to refuse others."""
        self.opened(*range(10), state="TIME_WAIT")
        self.opened(*range(10, MOST_CONNECTIONS))
        for port in range(100, 110):
            self.assertTrue(self.connect(port).passes)
            self.slirp.sockets["TCP", port, "10.0.2.16"] = "ESTABLISHED"
        self.assertFalse(self.connect(110).passes)
        self.assertEqual(len(self.slirp.sockets), MOST_CONNECTIONS)

    def test_what_others_began(self) -> None:
        """Connections to the guest count, and are not reset; what waits for them does not count."""
        for port in range(MOST_CONNECTIONS - 1):
            self.slirp.sockets["TCP", port, "10.0.2.40"] = "SYN_RCVD"
        self.slirp.sockets["TCP", 99, "10.0.2.40"] = "HOST_FORWARD"
        self.opened(*range(100, 100 + MOST_HALF_OPEN))
        self.assertFalse(self.connect(200).passes)
        self.assertEqual(self.slirp.injected, [])

    def test_another_syn_of_a_connection(self) -> None:
        """A SYN that is sent again passes; after another one both numbers are tried for a reset."""
        for port in range(MOST_HALF_OPEN):
            self.connect(port)
        self.assertTrue(self.connect(0).passes)
        again = bytearray(syn(0))
        again[38:42] = (7000).to_bytes(4)
        self.assertTrue(self.flows.admit(bytes(again), self.now).passes)
        self.now += HALF_OPEN_SECONDS
        self.assertTrue(self.connect(100).passes)
        numbers = [int.from_bytes(frame[38:42]) for frame in self.slirp.injected]
        self.assertEqual(numbers, [1001, 7001])

    def test_other_segments(self) -> None:
        """What makes no connection passes, whatever there is."""
        self.opened(*range(MOST_CONNECTIONS))
        for flags in (ACK, RST, SYN | ACK):
            self.assertTrue(self.flows.admit(made("tcp", flags, port=100), self.now).passes)
        self.assertFalse(self.flows.admit(made("tcp", SYN | 8, port=100), self.now).passes)

    def test_ports(self) -> None:
        """UDP comes from so many ports, until libslirp has forgotten some."""
        for port in range(MOST_PORTS):
            self.assertTrue(self.flows.admit(udp(port), self.now).passes)
            self.slirp.sockets["UDP", port, "192.0.2.1"] = "9 sec"
        self.assertEqual(self.flows.admit(udp(1000), self.now), Admission(False, None))
        self.assertFalse(self.flows.admit(udp(1001), self.now).passes)
        self.assertEqual((self.slirp.asked, self.flows.excess[Excess.PORTS]), (1, 2))
        self.assertTrue(self.flows.admit(udp(5, "192.0.2.9"), self.now).passes)
        for target, to in (("10.0.2.3", 53), ("10.0.2.2", 67), ("10.0.2.2", 69)):
            self.assertTrue(self.flows.admit(udp(1000, target, to), self.now).passes)
        del self.slirp.sockets["UDP", 5, "192.0.2.1"]
        self.now += PAUSE_SECONDS
        self.assertTrue(self.flows.admit(udp(1000), self.now).passes)
        self.slirp.sockets["UDP", 1000, "192.0.2.1"] = "9 sec"
        self.assertFalse(self.flows.admit(udp(5), self.now).passes)

    def test_pings(self) -> None:
        """So many pings may be without an answer."""
        for number in range(MOST_PINGS):
            self.assertTrue(self.flows.admit(ping(), self.now).passes)
            self.slirp.sockets["ICMP", number, "192.0.2.1"] = "9 sec"
        self.assertFalse(self.flows.admit(ping(), self.now).passes)
        self.assertFalse(self.flows.admit(ping(), self.now).passes)
        self.assertEqual((self.slirp.asked, self.flows.excess[Excess.PINGS]), (1, 2))
        self.slirp.sockets.clear()
        self.now += PAUSE_SECONDS
        self.assertTrue(self.flows.admit(ping(), self.now).passes)

    @given(st.lists(st.binary(max_size=60), max_size=9), st.sampled_from([b"\x06", b"\x11", b"\1"]))
    def test_anything(self, ends: list[bytes], protocol: bytes) -> None:
        """Whatever comes, deciding on it raises nothing."""
        head = syn(1)[:23]
        for end in ends:
            for frame in (end, head + protocol + end, head[:14] + b"\x4f" + head[15:] + end):
                self.flows.admit(frame, 0)


class ListTests(SynchronousTestCase):
    """L{parse_connection_info}"""

    def test_what_libslirp_says(self) -> None:
        """Each socket of libslirp 4.7.0's is understood."""
        guest, master = "10.0.2.40", end("10.0.2.16", 1234)
        self.assertEqual(
            parse_connection_info(SAID),
            [
                Socket("TCP", "ESTABLISHED", 4, end(guest, 4001), master),
                Socket("TCP", "SYN_RCVD", -1, end(guest, 3999), master),
                Socket("TCP", "HOST_FORWARD", 10, end("0.0.0.0", 2222), end("10.0.2.17", 22)),
                Socket("UDP", "239 sec", 12, end(guest, 5557), end("10.0.2.3", 53)),
                Socket("UDP", "-1 sec", 1011, end(guest, 5556), end("203.0.113.9", 65535)),
                Socket("ICMP", "9 sec", 9, end(guest, 0), end("192.0.2.99", 0)),
            ],
        )
        self.assertEqual(parse_connection_info(HEAD), [])

    @given(st.text())
    def test_anything(self, text: str) -> None:
        """Whatever it says, reading it raises nothing."""
        parse_connection_info(text + SAID.replace("1", text[:3]))
