"""L{distnet.address}: what users type, and what they are told when it is wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.address import (
    MAX_UNIX_PATH,
    Address,
    BadAddress,
    TcpAddress,
    TlsAddress,
    UnixAddress,
    long_path,
    parse,
)
from distnet.errors import LocalError

hosts = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{1,10}){0,3}", fullmatch=True),
    st.ip_addresses().map(str),
)
ports = st.integers(1, 65535)
paths = st.text(st.characters(min_codepoint=1, max_codepoint=126), min_size=1, max_size=107)
addresses = st.one_of(
    st.builds(TcpAddress, hosts, ports),
    st.builds(TlsAddress, hosts, ports),
    st.builds(UnixAddress, paths),
)


class LengthTests(SynchronousTestCase):
    """How long the path of a socket may be."""

    def test_paths(self) -> None:
        """A path may fill the address of a unix socket, in bytes, with a name behind it or not."""
        most = "/" + "ü" * 53
        self.assertIsNone(long_path(most))
        self.assertEqual(
            long_path(most + "a"),
            "the path has 108 bytes, a unix socket's can have 107; use a shorter one",
        )
        self.assertIsNone(long_path("/" + "d" * 102, "ctl"))
        self.assertEqual(
            long_path("/" + "d" * 103, "ctl"),
            "its path has 104 bytes, so that of a unix socket in it would be too long; it can have"
            " 103: use a shorter one",
        )


class ParseTests(SynchronousTestCase):
    """Every form that is documented."""

    def test_host_and_port(self) -> None:
        """HOST:PORT is TCP."""
        self.assertEqual(parse("master.example:1234"), TcpAddress("master.example", 1234))

    def test_port_alone(self) -> None:
        """PORT alone is TCP on loopback."""
        self.assertEqual(parse("1234"), TcpAddress("127.0.0.1", 1234))

    def test_tcp(self) -> None:
        """tcp: says what is understood without it."""
        self.assertEqual(parse("tcp:10.0.2.16:1234"), parse("10.0.2.16:1234"))
        self.assertEqual(parse("tcp:1234"), parse("1234"))

    def test_tls(self) -> None:
        """tls:HOST:PORT keeps the host that the certificate is checked against."""
        self.assertEqual(parse("tls:master.example:4321"), TlsAddress("master.example", 4321))

    def test_unix(self) -> None:
        """Everything after unix: is the path, colons too."""
        self.assertEqual(parse("unix:/run/a:b.sock"), UnixAddress("/run/a:b.sock"))
        self.assertEqual(parse("unix:1234"), UnixAddress("1234"))

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets and loses them."""
        self.assertEqual(parse("[::1]:1234"), TcpAddress("::1", 1234))
        self.assertEqual(parse("tls:[fe80::1%eth0]:1234"), TlsAddress("fe80::1%eth0", 1234))

    def test_extreme_ports(self) -> None:
        """Ports go from 1 to 65535."""
        self.assertEqual(parse("1"), TcpAddress("127.0.0.1", 1))
        self.assertEqual(parse("65535"), TcpAddress("127.0.0.1", 65535))

    def test_longest_path(self) -> None:
        """A path may fill sun_path but for its NUL."""
        self.assertEqual(parse("unix:" + "p" * MAX_UNIX_PATH), UnixAddress("p" * MAX_UNIX_PATH))

    @given(addresses)
    def test_round_trip(self, address: Address) -> None:
        """An address printed and parsed is the same address."""
        self.assertEqual(parse(str(address)), address)


class RefuseTests(SynchronousTestCase):
    """Errors name what was wrong."""

    def refused(self, text: str, *said: str) -> None:
        """C{text} is refused in one line that holds each of C{said}."""
        error = self.assertRaises(BadAddress, parse, text)
        self.assertIsInstance(error, LocalError)
        self.assertIsInstance(error, ValueError)
        self.assertEqual(len(str(error).splitlines()), 1)
        for part in said:
            self.assertIn(part, str(error))

    def test_empty(self) -> None:
        """Nothing is not an address."""
        self.refused("", "empty")

    def test_port_is_not_a_number(self) -> None:
        """The port that is not a number is quoted, other scripts' digits too."""
        self.refused("localhost:http", "'http'", "port")
        self.refused("localhost:", "''", "port")
        self.refused("localhost:+1", "'+1'")
        self.refused("localhost:\u0661", "port")
        self.refused("master", "'master'", "port")

    def test_port_out_of_range(self) -> None:
        """A port beyond the range is refused, however many digits it has."""
        self.refused("localhost:0", "1 to 65535")
        self.refused("localhost:65536", "1 to 65535")
        self.refused("localhost:" + "9" * 5000, "1 to 65535")

    def test_host_is_missing(self) -> None:
        """An empty host is not loopback."""
        self.refused(":1234", "host is missing")
        self.refused("tls::1234", "host is missing")

    def test_host_with_odd_letters(self) -> None:
        """A host with a space or a slash is quoted."""
        self.refused("my host:1234", "'my host'")
        self.refused("tcp:a/b:1234", "'a/b'")

    def test_bare_ipv6(self) -> None:
        """An IPv6 address without brackets is refused with the right form."""
        self.refused("::1:1234", "brackets")
        self.refused("fe80::1:1234", "brackets")

    def test_brackets_around_something_else(self) -> None:
        """Only an IPv6 address stands in brackets."""
        self.refused("[localhost]:1234", "'localhost'", "IPv6")

    def test_bracket_without_port(self) -> None:
        """An IPv6 address needs its port as well."""
        self.refused("[::1]", "port is missing")

    def test_unknown_kind(self) -> None:
        """A kind that does not exist is named with those that do."""
        self.refused("udp:localhost:1234", "'udp'", "tcp, tls or unix")

    def test_tls_without_host(self) -> None:
        """tls:PORT would have no name to check and is refused."""
        self.refused("tls:1234", "HOST:PORT")

    def test_paths(self) -> None:
        """A path that is missing, too long or holds NUL is refused."""
        self.refused("unix:", "path is missing")
        self.refused("unix:" + "p" * (MAX_UNIX_PATH + 1), "108 bytes", "107")
        self.refused("unix:a\0b", "NUL")

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever is typed, an address or a BadAddress comes out."""
        try:
            address = parse(text)
        except BadAddress:
            return
        self.assertEqual(parse(str(address)), address)
