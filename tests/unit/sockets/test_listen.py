"""Descriptions of where to listen: taken apart, completed with safe defaults, checked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from distnet.address import MAX_UNIX_PATH, TcpAddress, TlsAddress, UnixAddress
from distnet.errors import StartupError
from distnet.sockets.listen import (
    Listener,
    address_of,
    check_description,
    claim_path,
    complete_description,
    split_description,
    unix_description,
)

PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


class Port:
    """A port that knows where it listens."""

    def __init__(self, address: object) -> None:
        self._address = address

    def getHost(self) -> object:
        """Where it listens."""
        return self._address


class SplitTests(SynchronousTestCase):
    """Tests for C{split_description}."""

    def test_parts(self) -> None:
        """A description is a kind, one argument without a name, and arguments with names."""
        self.assertEqual(
            split_description("tcp:1234:interface=127.0.0.1"),
            ("tcp", {"": "1234", "interface": "127.0.0.1"}),
        )
        self.assertEqual(
            split_description("systemd:domain=INET:index=0"),
            ("systemd", {"domain": "INET", "index": "0"}),
        )
        self.assertEqual(split_description("1234"), ("1234", {}))

    def test_quoted(self) -> None:
        """A backslash takes its meaning from a colon, an equals sign and another backslash."""
        self.assertEqual(
            split_description(r"tcp6:0:interface=\:\:1"), ("tcp6", {"": "0", "interface": "::1"})
        )
        self.assertEqual(split_description(r"unix:a\\b"), ("unix", {"": r"a\b"}))
        self.assertEqual(split_description(r"unix:a\=b"), ("unix", {"": "a=b"}))
        self.assertEqual(split_description(r"unix:address=a=b"), ("unix", {"address": "a=b"}))

    @given(PATHS)
    def test_any_path_comes_back(self, path: str) -> None:
        """Whatever a path is made of, quoting it and taking the description apart gives it back."""
        self.assertEqual(Listener(unix_description(path)).path, path)
        kind, arguments = split_description(f"unix:address={quoteStringArgument(path)}")
        self.assertEqual((kind, arguments), ("unix", {"address": path}))

    @given(PATHS)
    def test_as_twisted_does(self, path: str) -> None:
        """Twisted finds the same path in it."""
        endpoint = serverFromString(MemoryReactorClock(), unix_description(path))
        self.assertEqual(endpoint._address, path)


class CompleteTests(SynchronousTestCase):
    """Tests for C{complete_description}."""

    def test_a_number_is_a_port_on_loopback(self) -> None:
        """A number alone is a TCP port on loopback, with a long queue."""
        self.assertEqual(complete_description("1234"), "tcp:1234:interface=127.0.0.1:backlog=1024")
        self.assertEqual(complete_description("tcp:1234"), complete_description("1234"))

    def test_tcp6_is_on_loopback(self) -> None:
        """TCP over IPv6 listens on the loopback address of that, quoted."""
        self.assertEqual(complete_description("tcp6:1"), r"tcp6:1:interface=\:\:1:backlog=1024")

    def test_a_unix_socket_is_for_its_user_alone(self) -> None:
        """A unix socket has mode 0600, and no lock file, since stale ones are found otherwise."""
        self.assertEqual(
            complete_description("unix:/s"), "unix:/s:mode=600:lockfile=0:backlog=1024"
        )

    def test_what_is_said_stays(self) -> None:
        """What the user says is not changed, and nothing is said twice."""
        for whole in (
            "tcp:1:interface=0.0.0.0:backlog=5",
            r"tcp6:1:interface=\:\::backlog=5",
            "unix:/s:mode=666:lockfile=1:backlog=5",
            "systemd:domain=INET:index=0",
        ):
            self.assertEqual(complete_description(whole), whole)
            self.assertEqual(complete_description(complete_description(whole)), whole)


class CheckTests(SynchronousTestCase):
    """Tests for C{check_description}."""

    def check(self, text: str) -> str:
        """Check it with a reactor that cannot listen."""
        reactor = MemoryReactorClock()
        try:
            return check_description(reactor, text)
        finally:
            self.assertEqual((reactor.tcpServers, reactor.unixServers), ([], []))

    def test_good(self) -> None:
        """What can be listened at is completed, and not listened at."""
        self.assertEqual(self.check("0"), complete_description("0"))
        self.assertEqual(self.check("unix:/s"), complete_description("unix:/s"))

    def test_bad(self) -> None:
        """What cannot is refused in one line that has it and says what to write."""
        for text in (
            "",
            "x",
            "tcp:",
            "tcp:x",
            "tcp:-1",
            "tcp:65536",
            "unix:",
            "udp:1",
            "tcp:1:2:3:4",
        ):
            why = str(self.assertRaises(ValueError, self.check, text))
            self.assertIn(f"{text!r} is not a place to listen at", why)
            self.assertIn("use a port number, tcp:PORT", why)
            self.assertNotIn("\n", why)

    def test_no_socket_from_systemd(self) -> None:
        """A socket that systemd was not asked to pass is named as that."""
        for which in ("index=0", "name=kernels"):
            why = str(self.assertRaises(ValueError, self.check, f"systemd:domain=INET:{which}"))
            self.assertIn("systemd has passed no socket", why)


class ListenerTests(SynchronousTestCase):
    """Tests for C{Listener}, C{address_of} and C{claim_path}."""

    def test_path_and_kind(self) -> None:
        """Only a unix listener has a path, however that was given."""
        self.assertEqual(Listener("unix:/a:mode=600").path, "/a")
        self.assertEqual(Listener("unix:address=/a").path, "/a")
        self.assertIsNone(Listener("tcp:1").path)

    def test_addresses(self) -> None:
        """Where a program of this machine connects: at loopback, if it is all interfaces."""
        for host, expected in (
            (IPv4Address("TCP", "0.0.0.0", 5), TcpAddress("127.0.0.1", 5)),
            (IPv4Address("TCP", "10.0.0.1", 5), TcpAddress("10.0.0.1", 5)),
            (IPv6Address("TCP", "::", 5), TcpAddress("::1", 5)),
            (UNIXAddress(b"/s"), UnixAddress("/s")),
        ):
            self.assertEqual(address_of(Listener("x"), Port(host)), expected)  # type: ignore[arg-type]
        tls = Port(IPv4Address("TCP", "0.0.0.0", 5))
        self.assertEqual(
            address_of(Listener("x", tls=True), tls),  # type: ignore[arg-type]
            TlsAddress("127.0.0.1", 5),
        )

    def test_the_longest_path(self) -> None:
        """A path of as many bytes as fit is free to be taken, one more is refused by number."""
        directory = "/tmp/"
        longest = directory + "x" * (MAX_UNIX_PATH - len(directory))
        claim_path(longest)
        why = str(self.assertRaises(StartupError, claim_path, longest + "x"))
        self.assertIn("the path has 108 bytes, a unix socket's can have 107", why)
        why = str(self.assertRaises(StartupError, claim_path, longest[:-1] + "ü"))
        self.assertIn("108 bytes", why)
