"""L{distnet.wire}: what is on the wire, however it is cut into pieces."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import LocalError, OversizedPayload, PeerError
from distnet.wire import (
    HEADER,
    HEADER_SIZE,
    MAX_ID,
    MAX_ID_DIGITS,
    QUIT,
    QUIT_ID,
    Messages,
    Run,
    Splitter,
    decode_id,
    encode_id,
    encode_message,
    first_size,
    whole_messages,
)

SOURCE = 7
LIMIT = 40
LIKE_QUIT = (0x74 << 24, QUIT_ID - 1)
"""Ids that end as quit does."""

ids = st.integers(0, MAX_ID).filter(lambda node: node != QUIT_ID)
messages = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, MAX_ID]), st.binary(max_size=LIMIT)))
oversized = st.builds(HEADER.pack, st.sampled_from([0, 1, MAX_ID]), st.integers(LIMIT + 1, MAX_ID))
# How a stream ends: in the middle, with quit, with a header over the limit; and what follows.
endings = st.sampled_from(["open", "quit", "oversized"])


def split(splitter: Splitter, pieces: list[bytes]) -> list[tuple[int, int, bytes]]:
    """Feed pieces; every message as (dest, source that was written over it, payload)."""
    found = []
    for piece in pieces:
        for run in splitter.feed(piece):
            reader = Messages()
            taken = [(run.dest, *entry) for entry in reader.feed(bytes(run.data))]
            assert len(taken) == run.count
            assert not reader.incomplete
            found += taken
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(cuts)]


def by_dest(messages: Iterable[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """The same messages, those to one dest together and in their order."""
    return sorted(messages, key=lambda message: message[0])


class IdTests(SynchronousTestCase):
    """The greeting."""

    @given(ids)
    def test_digits_and_nothing_else(self, node: int) -> None:
        """The greeting is the id in decimal, no longer than a kernel reads, and decodes."""
        greeting = encode_id(node)
        self.assertEqual(greeting, str(node).encode("ascii"))
        self.assertLessEqual(len(greeting), MAX_ID_DIGITS)
        self.assertEqual(decode_id(greeting), node)

    def test_no_such_id(self) -> None:
        """Ids that do not fit, and the one that spells quit, cannot be sent."""
        for node in (-1, MAX_ID + 1, QUIT_ID):
            self.assertRaises(LocalError, encode_id, node)

    def test_quit_is_an_id(self) -> None:
        """The four bytes of quit are the little-endian number 0x74697571."""
        self.assertEqual(QUIT, QUIT_ID.to_bytes(4, "little"))
        self.assertEqual(QUIT_ID, 0x74697571)

    @given(st.binary(max_size=14))
    def test_anything(self, greeting: bytes) -> None:
        """Whatever a master sends for an id, it is one or a peer's error."""
        try:
            self.assertLessEqual(decode_id(greeting), MAX_ID)
        except PeerError:
            return
        self.assertTrue(greeting.isdigit())

    def test_not_an_id(self) -> None:
        """Nothing, an id with something after it, or a number too large are no ids."""
        for greeting in (b"", b"0\x00", b"1 ", b"-1", b"4294967296", b"00000000001"):
            self.assertRaises(PeerError, decode_id, greeting)


class SplitterTests(SynchronousTestCase):
    """What kernels send."""

    @given(messages, endings, st.binary(max_size=20), st.lists(st.integers(0, 5000)), oversized)
    def test_pieces_do_not_matter(
        self,
        sent: list[tuple[int, bytes]],
        ending: str,
        after: bytes,
        places: list[int],
        header: bytes,
    ) -> None:
        """A stream gives equal messages fed whole, in any pieces, and byte by byte."""
        stream = b"".join(encode_message(*entry) for entry in sent)
        stream += {"open": b"", "quit": QUIT + after, "oversized": header + after}[ending]
        expected = by_dest((dest, SOURCE, payload) for dest, payload in sent)
        for pieces in ([stream], cut(stream, places), [bytes([byte]) for byte in stream]):
            splitter = Splitter(SOURCE, LIMIT)
            self.assertEqual(by_dest(split(splitter, pieces)), expected)
            self.assertEqual(splitter.quit, ending == "quit")
            self.assertEqual(splitter.error is not None, ending == "oversized")
            self.assertEqual(splitter.ended, ending != "open")
            self.assertEqual(splitter.incomplete, 0)

    @given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
    def test_garbage(self, garbage: bytes, places: list[int]) -> None:
        """Random bytes give the same messages, end and rest in any pieces, and never raise."""
        whole, pieces = Splitter(SOURCE, LIMIT), Splitter(SOURCE, LIMIT)
        self.assertEqual(split(whole, [garbage]), split(pieces, cut(garbage, places)))
        self.assertEqual(whole.quit, pieces.quit)
        self.assertEqual(str(whole.error), str(pieces.error))
        self.assertEqual(whole.incomplete, pieces.incomplete)
        self.assertEqual(whole.next_dest, pieces.next_dest)

    @given(messages, st.binary(min_size=1, max_size=LIMIT), st.integers(0, 100))
    def test_rest(self, sent: list[tuple[int, bytes]], payload: bytes, missing: int) -> None:
        """A stream that stops inside a message says how many bytes of it have come."""
        last = encode_message(1, payload)
        last = last[: len(last) - 1 - missing % len(last)]
        splitter = Splitter(SOURCE, LIMIT)
        split(splitter, [b"".join(encode_message(*entry) for entry in sent) + last])
        self.assertEqual(splitter.incomplete, len(last))
        self.assertEqual(splitter.next_dest, 1 if len(last) >= HEADER_SIZE else None)
        self.assertFalse(splitter.ended)

    def test_quit_needs_no_length(self) -> None:
        """Four bytes alone are quit; a length is not waited for."""
        for before in (b"", encode_message(1, b"before")):
            splitter = Splitter(SOURCE, LIMIT)
            splitter.feed(before + b"qui")
            self.assertFalse(splitter.quit)
            splitter.feed(b"t")
            self.assertTrue(splitter.quit)

    def test_quit_inside_a_payload(self) -> None:
        """A payload, or a length, that spells quit ends nothing."""
        splitter = Splitter(SOURCE, QUIT_ID)
        found = split(splitter, [encode_message(1, QUIT + QUIT), HEADER.pack(1, QUIT_ID)])
        self.assertEqual(found, [(1, SOURCE, QUIT + QUIT)])
        self.assertFalse(splitter.ended)

    def test_quit_before_oversized(self) -> None:
        """What follows quit is ignored, even where a length would be."""
        splitter = Splitter(SOURCE, LIMIT)
        splitter.feed(QUIT + b"\xff\xff\xff\xff")
        self.assertTrue(splitter.quit)
        self.assertIsNone(splitter.error)

    def test_largest(self) -> None:
        """A payload of exactly the limit passes, one byte more does not."""
        splitter = Splitter(SOURCE, LIMIT)
        self.assertEqual(len(splitter.feed(encode_message(1, bytes(LIMIT)))), 1)
        self.assertEqual(splitter.feed(HEADER.pack(1, LIMIT + 1)), [])
        self.assertIsInstance(splitter.error, OversizedPayload)
        self.assertIn(f"{LIMIT + 1} bytes", str(splitter.error))

    def test_error_is_known_by_the_header(self) -> None:
        """A length over the limit is an error before any of the payload has come."""
        splitter = Splitter(SOURCE, LIMIT)
        splitter.feed(HEADER.pack(1, MAX_ID)[:7])
        self.assertIsNone(splitter.error)
        splitter.feed(HEADER.pack(1, MAX_ID)[7:])
        self.assertIsNotNone(splitter.error)

    @given(
        st.lists(
            st.tuples(st.sampled_from([0, 1, 256]), st.sampled_from([0, 1, 8]), st.integers(1, 90)),
            max_size=6,
        ),
        st.binary(min_size=1, max_size=40),
        st.integers(0, 12),
    )
    def test_many_alike(
        self, series: list[tuple[int, int, int]], pattern: bytes, missing: int
    ) -> None:
        """Many messages with the same header, and payloads that look like it, stay apart."""
        sent = []
        for dest, size, count in series:
            look = (HEADER.pack(dest, size) + pattern)[:size].ljust(size, b"\x01")
            sent += [(dest, look)] * count
        stream = b"".join(encode_message(*entry) for entry in sent)
        stream = stream[: len(stream) - missing]
        splitter = Splitter(SOURCE, LIMIT)
        found = split(splitter, [stream])
        whole = Messages().feed(stream)
        expected = by_dest((dest, SOURCE, payload) for dest, payload in whole)
        self.assertEqual(by_dest(found), expected)
        used = sum(HEADER_SIZE + len(payload) for _, payload in whole)
        self.assertEqual(splitter.incomplete, len(stream) - used)

    def test_none_is_taken_for_alike(self) -> None:
        """One message in a row with another header is noticed, wherever it is."""
        for place in range(8, 200, 7):
            for dest, payload in ((2, b"ab"), (1 << 24, b"ab"), (1, b"abc"), (1, bytes(258))):
                sent = [(1, b"ab")] * 200
                sent[place] = dest, payload
                stream = b"".join(encode_message(*entry) for entry in sent)
                expected = by_dest((dest, SOURCE, payload) for dest, payload in sent)
                self.assertEqual(by_dest(split(Splitter(SOURCE, 1000), [stream])), expected)

    @given(
        st.lists(st.sampled_from([0, 1, 256, MAX_ID, *LIKE_QUIT]), min_size=1, max_size=12),
        st.sampled_from([2, 8, 33]),
        st.integers(1, 250),
        st.lists(st.integers(0, 249), max_size=3),
    )
    @example([1, 2, 3], 8, 250, [100])
    def test_rows(self, dests: list[int], size: int, count: int, longer: list[int]) -> None:
        """Many messages of one size, each for another dest than the last, come to each in order."""
        sent = [
            (dests[i % len(dests)], i.to_bytes(size + (i in longer), "big")) for i in range(count)
        ]
        stream = b"".join(encode_message(*entry) for entry in sent)
        found = split(Splitter(SOURCE, LIMIT), [stream])
        self.assertEqual(by_dest(found), by_dest((dest, SOURCE, data) for dest, data in sent))

    def test_quit_in_a_row(self) -> None:
        """Where a message would stand among many of one size, quit is noticed as anywhere."""
        for dests in ([1], [1, 2, 3]):
            for place in range(0, 200, 7):
                sent = [(dests[i % len(dests)], b"%04d" % i) for i in range(200)]
                stream = [encode_message(*entry) for entry in sent]
                stream[place] = QUIT + stream[place][4:]
                splitter = Splitter(SOURCE, LIMIT)
                found = split(splitter, [b"".join(stream)])
                expected = by_dest((dest, SOURCE, data) for dest, data in sent[:place])
                self.assertEqual(by_dest(found), expected)
                self.assertTrue(splitter.quit)

    def test_runs(self) -> None:
        """What came together for one dest is one run, in order; the first dest comes first."""
        splitter = Splitter(SOURCE, LIMIT)
        stream = b"".join(encode_message(dest, b"ab") for dest in (1, 1, 2, 1))
        runs = splitter.feed(stream)
        self.assertEqual([(run.dest, run.count) for run in runs], [(1, 3), (2, 1)])
        self.assertEqual(runs[0], Run(1, encode_message(SOURCE, b"ab") * 3, 3))


class SizeTests(SynchronousTestCase):
    """Where messages end."""

    @given(
        st.lists(st.tuples(st.binary(max_size=30), st.integers(1, 90)), min_size=1, max_size=6),
        st.integers(0, 4000),
    )
    def test_whole_messages(self, series: list[tuple[bytes, int]], limit: int) -> None:
        """Whole messages reach as far as their sizes fit the limit, and no further."""
        payloads = [payload for payload, number in series for _ in range(number)]
        data = b"".join(encode_message(0, payload) for payload in payloads)
        size = count = 0
        for payload in payloads:
            if size + HEADER_SIZE + len(payload) > limit:
                break
            size += HEADER_SIZE + len(payload)
            count += 1
        self.assertEqual(whole_messages(data, 0, limit), (size, count))
        prefix = encode_message(0, b"before")
        self.assertEqual(whole_messages(prefix + data, len(prefix), limit), (size, count))
        self.assertEqual(first_size(data), HEADER_SIZE + len(payloads[0]))


class MessagesTests(SynchronousTestCase):
    """What kernels read."""

    @given(messages, st.lists(st.integers(0, 5000)))
    def test_pieces_do_not_matter(self, sent: list[tuple[int, bytes]], places: list[int]) -> None:
        """Messages come out as they went in, however they are cut."""
        reader = Messages()
        found = []
        for piece in cut(b"".join(encode_message(*entry) for entry in sent), places):
            found += reader.feed(piece)
        self.assertEqual(found, sent)
        self.assertEqual(reader.incomplete, 0)

    @given(messages, st.lists(st.integers(0, 5000)), st.binary(max_size=20))
    def test_a_limit(self, sent: list[tuple[int, bytes]], places: list[int], rest: bytes) -> None:
        """With a limit, fed in pieces it gives the same messages and the same end as fed whole."""
        stream = b"".join(encode_message(*entry) for entry in sent) + rest
        whole, reader = Messages(20), Messages(20)
        expected = whole.feed(stream)
        found = [entry for piece in cut(stream, places) for entry in reader.feed(piece)]
        self.assertEqual(found, expected)
        self.assertEqual(str(reader.error), str(whole.error))

    def test_an_oversized_message_is_not_waited_for(self) -> None:
        """Once a header announces too much, nothing more is kept, whatever comes."""
        reader = Messages(16)
        self.assertEqual(reader.feed(encode_message(1, bytes(16))), [(1, bytes(16))])
        reader.feed(encode_message(1, bytes(17))[:8])
        self.assertIsInstance(reader.error, OversizedPayload)
        self.assertEqual(reader.feed(encode_message(1, b"")), [])
        self.assertEqual(reader.incomplete, 0)
