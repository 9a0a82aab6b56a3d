"""Frames in a stream, as QEMU's C{-netdev stream} has them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.core.streamwire import (
    MAX_PLAUSIBLE,
    PREFIX,
    PREFIX_SIZE,
    StreamFrames,
    encode_frame,
)

LIMIT = 64

streams = st.lists(st.binary(max_size=2 * LIMIT)).map(
    lambda frames: b"".join(map(encode_frame, frames))
)
anything = st.one_of(streams, st.binary(), st.builds(lambda a, b: a + b, streams, st.binary()))


def taken(frames: StreamFrames) -> list[bytes]:
    """All that can be taken."""
    return list(iter(frames.take, None))


def fed(data: bytes, size: int) -> tuple[list[bytes], int | None]:
    """What comes of data in pieces of a size: frames, and the length of which it complained."""
    frames, result = StreamFrames(LIMIT), []
    for start in range(0, len(data), size):
        frames.feed(data[start : start + size])
        result += taken(frames)
    return result, None if frames.error is None else frames.error.length


class StreamFramesTests(SynchronousTestCase):
    """Tests for C{StreamFrames} and C{encode_frame}."""

    def test_format(self) -> None:
        """A frame is its length, big-endian, and itself."""
        self.assertEqual(encode_frame(b"x" * 258), b"\0\0\1\2" + b"x" * 258)

    @given(st.lists(st.binary(max_size=2 * LIMIT)), st.integers(1, 3 * LIMIT))
    def test_round_trip(self, sent: list[bytes], size: int) -> None:
        """What was encoded comes out, but for the ends of frames that are too long."""
        data = b"".join(map(encode_frame, sent))
        self.assertEqual(fed(data, size), ([frame[: LIMIT + 1] for frame in sent], None))

    @given(anything, st.integers(2, 3 * LIMIT))
    @example(encode_frame(bytes(LIMIT + 3)) + encode_frame(b""), 7)
    def test_pieces_make_no_difference(self, data: bytes, size: int) -> None:
        """Whole, byte by byte, and in other pieces the same comes out of anything."""
        whole = fed(data, len(data) or 1)
        self.assertEqual(fed(data, 1), whole)
        self.assertEqual(fed(data, size), whole)

    @given(anything, st.lists(st.integers(0, 3)), st.integers(1, 2 * LIMIT))
    def test_taking_makes_no_difference(self, data: bytes, turns: list[int], size: int) -> None:
        """However often frames are taken between what is fed, all come in order."""
        frames, result = StreamFrames(LIMIT), []
        for number, start in enumerate(range(0, len(data), size)):
            frames.feed(data[start : start + size])
            for _ in range(turns[number] if number < len(turns) else 0):
                frame = frames.take()
                if frame is not None:
                    result.append(frame)
        self.assertEqual(result + taken(frames), fed(data, 1)[0])

    @given(anything, st.integers(1, 2 * LIMIT))
    @example(encode_frame(bytes(2 * LIMIT)), 5)
    def test_memory_is_bounded(self, data: bytes, size: int) -> None:
        """No more is kept than a frame that is not whole, however long one is said to be."""
        frames = StreamFrames(LIMIT)
        for start in range(0, len(data), size):
            frames.feed(data[start : start + size])
            taken(frames)
            self.assertLess(frames.kept, PREFIX_SIZE + LIMIT + 1)
            self.assertFalse(frames.waiting)

    def test_too_long(self) -> None:
        """A frame that is too long shows it, and the stream goes on behind it."""
        longest = encode_frame(bytes(MAX_PLAUSIBLE))
        self.assertEqual(
            fed(longest + encode_frame(b"next"), 1000), ([bytes(LIMIT + 1), b"next"], None)
        )
        # It is told of before its end has come.
        self.assertEqual(fed(longest[: PREFIX_SIZE + LIMIT + 1], 1000), ([bytes(LIMIT + 1)], None))

    def test_longest(self) -> None:
        """A frame of the limit comes whole."""
        self.assertEqual(fed(encode_frame(bytes(LIMIT)), 9), ([bytes(LIMIT)], None))

    def test_longer_frames_are_allowed(self) -> None:
        """What is allowed is plausible."""
        frames = StreamFrames(2 * MAX_PLAUSIBLE)
        longest = bytes(2 * MAX_PLAUSIBLE)
        frames.feed(encode_frame(longest))
        self.assertEqual(frames.take(), longest)
        frames.feed(encode_frame(longest + b"x"))
        self.assertIsNone(frames.take())
        self.assertIsNotNone(frames.error)

    def test_too_short(self) -> None:
        """Frames without a header, and empty ones, come: who counts them knows what they are."""
        self.assertEqual(fed(encode_frame(b"") + encode_frame(b"x"), 1), ([b"", b"x"], None))

    def test_another_protocol(self) -> None:
        """What others begin with is seen at once, behind frames that came before it."""
        for begin in (
            PREFIX.pack(MAX_PLAUSIBLE + 1),
            b"GET / HTTP/1.1\r\n",
            b"\x16\x03\x01\x02\0\1\0",
            b"\xce\xfa\xed\xfe\x03\0\0\0",
            b"\1\0\0\0\4\0\0\0quit",
        ):
            frames, length = fed(encode_frame(b"good") + begin + encode_frame(b"ignored"), 1000)
            self.assertEqual((frames, length), ([b"good"], PREFIX.unpack_from(begin)[0]))

    def test_the_line_about_it(self) -> None:
        """What is said of another protocol names what came, in one line."""
        frames = StreamFrames(LIMIT)
        frames.feed(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIsNone(frames.take())
        self.assertEqual(
            str(frames.error),
            "it announces a frame of 1195725856 bytes (b'GET '), so it is no '-netdev stream'",
        )
        self.assertEqual(frames.kept, 0)

    def test_waiting(self) -> None:
        """It knows whether there may be more to take."""
        frames = StreamFrames(LIMIT)
        frames.feed(encode_frame(b"a") * 2)
        for waiting in (True, True, False):
            self.assertEqual((frames.waiting, frames.take() is not None), (waiting, waiting))
        self.assertFalse(frames.waiting)
