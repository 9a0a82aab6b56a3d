"""Requests and replies of VDE's control socket."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.vdewire import (
    MAX_ABSTRACT,
    MAX_DESCRIPTION,
    MAX_PATH,
    MAX_REQUEST,
    BadRequest,
    Request,
    RequestType,
    encode_reply,
    encode_request,
    is_whole,
    parse_reply,
    parse_request,
)

MAGIC = 0xFEEDFACE

paths = st.one_of(
    st.binary(min_size=1, max_size=MAX_PATH).filter(lambda path: b"\0" not in path),
    st.binary(min_size=MAX_ABSTRACT - 1, max_size=MAX_ABSTRACT - 1)
    .filter(any)
    .map(lambda name: b"\0" + name),
)
descriptions = st.text(max_size=MAX_DESCRIPTION // 4).map(
    lambda text: "".join(character for character in text if character.isprintable())
)
requests = st.one_of(
    st.builds(
        Request,
        version=st.just(3),
        type=st.sampled_from(RequestType),
        port=st.integers(0, 0xFFFFFF),
        path=paths,
        description=descriptions,
    ),
    st.builds(
        Request,
        version=st.just(1),
        type=st.sampled_from(RequestType),
        port=st.just(0),
        path=paths,
        description=descriptions,
    ),
)
PATH = b"/tmp/s/.00001-00001"


def address(path: bytes = PATH, family: int = 1) -> bytes:
    """A sockaddr_un."""
    return struct.pack("=H108s", family, path)


class RequestTests(SynchronousTestCase):
    """Tests for C{parse_request}, C{encode_request} and C{is_whole}."""

    def refuses(self, says: str, data: bytes) -> None:
        """A request is refused in one line that has a text."""
        why = str(self.assertRaises(BadRequest, parse_request, data))
        self.assertIn(says, why)
        self.assertNotIn("\n", why)

    def test_version_3(self) -> None:
        """A request of version 3 is a type with a port in it, an address and a description."""
        data = struct.pack("=III", MAGIC, 3, 7 << 8) + address() + b"QEMU user=root"
        self.assertEqual(
            parse_request(data), Request(3, RequestType.NEW_PORT, 7, PATH, "QEMU user=root")
        )

    def test_version_1(self) -> None:
        """A request of version 1 has its type for a version, and six bytes that mean nothing."""
        data = struct.pack("=II6s", MAGIC, 1, b"abcdef") + address() + b"old"
        self.assertEqual(parse_request(data), Request(1, RequestType.MANAGEMENT, 0, PATH, "old"))

    def test_an_address_may_be_cut(self) -> None:
        """The address may end behind its path, as vde_switch takes it."""
        data = struct.pack("=III", MAGIC, 3, 0) + address()[: 2 + len(PATH)]
        self.assertEqual(parse_request(data).path, PATH)

    def test_what_follows_the_path(self) -> None:
        """Behind the NUL at the end of the path there may be anything."""
        data = struct.pack("=III", MAGIC, 3, 0) + address(PATH + b"\0rubbish") + b"text"
        self.assertEqual(parse_request(data), Request(3, RequestType.NEW_PORT, 0, PATH, "text"))

    def test_an_abstract_name(self) -> None:
        """What begins with a NUL is a name, and all of it is: so User-mode Linux binds it."""
        uml = struct.pack("=4xII", 1234, 567890).ljust(MAX_ABSTRACT, b"\0")
        data = struct.pack("=III", MAGIC, 3, 0) + address(uml) + bytes(2)
        self.assertEqual(parse_request(data), Request(3, RequestType.NEW_PORT, 0, uml))
        self.assertEqual(encode_request(parse_request(data)), data[:-2])
        self.assertRaises(ValueError, encode_request, Request(3, RequestType.NEW_PORT, 0, bytes(9)))
        too_long = Request(3, RequestType.NEW_PORT, 0, uml + b"x")
        self.assertRaises(ValueError, encode_request, too_long)

    def test_nothing_to_wait_for(self) -> None:
        """What is wrong whatever follows is whole; what may become right is not."""
        for magic, version, whole in ((MAGIC, 2, True), (1, 3, True), (MAGIC, 3, False)):
            data = struct.pack("=II", magic, version)
            self.assertFalse(is_whole(data[:-1]))
            self.assertEqual(is_whole(data), whole)

    def test_refusals(self) -> None:
        """What vde_switch does not take is refused, each for a reason of its own."""
        self.refuses("0 bytes", b"")
        self.refuses("begins with 0x00000001", struct.pack("=III", 1, 3, 0) + address())
        for version in (2, 4, 99, 0xFFFFFFFF):
            data = struct.pack("=III", MAGIC, version, 0) + address()
            self.refuses(f"version {version}, ", data)
        for kind in (2, 7, 255):
            self.refuses(f"type {kind}, ", struct.pack("=III", MAGIC, 3, kind) + address())
        head = struct.pack("=III", MAGIC, 3, 0)
        self.refuses("has no address", head)
        self.refuses("family 2", head + address(family=2))
        self.refuses("without a path", head + address(b""))
        self.refuses("without a path", head + address(b"")[:5])
        self.refuses("has no end", head + address(b"x" * 108))

    def test_description_is_one_harmless_line(self) -> None:
        """A description cannot bring lines or control characters to a log, and has a limit."""
        head = struct.pack("=III", MAGIC, 3, 0) + address()
        self.assertEqual(
            parse_request(head + b"a\n.\n\x1b[2J\xff").description,
            "a?.??[2J\N{REPLACEMENT CHARACTER}",
        )
        self.assertEqual(parse_request(head + b"a\0b").description, "a")
        self.assertEqual(parse_request(head + b"x" * 500).description, "x" * MAX_DESCRIPTION)

    @given(requests)
    def test_round_trip(self, request: Request) -> None:
        """What is encoded is understood."""
        self.assertEqual(parse_request(encode_request(request)), request)

    @given(requests)
    def test_byte_by_byte(self, request: Request) -> None:
        """A request that comes in pieces is whole as soon as its address is, and not before."""
        data = encode_request(request)
        fixed = len(data) - len(request.description.encode())
        for size in range(len(data)):
            self.assertEqual(is_whole(data[:size]), size >= fixed)
        self.assertEqual(
            parse_request(data[:fixed]),
            Request(request.version, request.type, request.port, request.path),
        )

    @given(st.binary(max_size=2 * MAX_REQUEST))
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever comes is a request, or is refused."""
        self.take(data)

    @given(st.binary(max_size=150), st.sampled_from([0, 1, 2, 3, 4]), st.integers(0, 2**32 - 1))
    def test_bytes_that_begin_well(self, data: bytes, version: int, number: int) -> None:
        """What has the right magic number is a request, or is refused."""
        self.take(struct.pack("=II", MAGIC, version) + data)
        self.take(struct.pack("=IIIH", MAGIC, 3, number, 1) + data)

    def take(self, data: bytes) -> None:
        """Parse something; only one error may come of it."""
        whole = is_whole(data)
        try:
            request = parse_request(data)
        except BadRequest as error:
            self.assertNotIn("\n", str(error))
            return
        is_abstract = request.path.startswith(b"\0")
        self.assertTrue(0 < len(request.path) <= (MAX_ABSTRACT if is_abstract else MAX_PATH))
        self.assertTrue(0 <= request.port <= 0xFFFFFF)
        self.assertTrue(request.description.isprintable())
        if whole:
            # Its end can only be missing from the description.
            more = parse_request(data + b"x")
            self.assertEqual((more.path, more.port), (request.path, request.port))


class ReplyTests(SynchronousTestCase):
    """Tests for C{encode_reply} and C{parse_reply}."""

    def test_format(self) -> None:
        """A reply is the address of a socket, all 110 bytes of it."""
        self.assertEqual(encode_reply(b"/tmp/s/001.5"), address(b"/tmp/s/001.5"))
        self.assertEqual(len(encode_reply(b"x")), 110)

    def test_limits(self) -> None:
        """A path that does not fit is our mistake."""
        for path in (b"", b"x" * 108, b"a\0b"):
            self.assertRaises(ValueError, encode_reply, path)

    @given(paths)
    def test_round_trip(self, path: bytes) -> None:
        """What is encoded is understood."""
        self.assertEqual(parse_reply(encode_reply(path)), path)
