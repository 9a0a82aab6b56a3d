"""The wire between a kernel and the master: split, readdress, build. No I/O, no knowledge of nodes.

The format is fixed by existing kernels. All integers are little-endian and unsigned, 32 bits:

    master to kernel, first   the id in ASCII decimal, at most 10 digits, no terminator
    kernel to master          [dest][length][payload], or the four bytes C{quit}
    master to kernel          [source][length][payload]

C{quit} read as a dest is 0x74697571, so that number is never an id.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, iter_unpack
from typing import Final

from distnet.errors import LocalError, OversizedPayload, PeerError

HEADER: Final = Struct("<II")
HEADER_SIZE: Final = HEADER.size
QUIT: Final = b"quit"
QUIT_ID: Final = 0x74697571
MAX_ID: Final = 2**32 - 1
MAX_ID_DIGITS: Final = 10
FIRST_TOOL_ID: Final = 2**31

_ADDRESS = Struct("<I")
_SOME: Final = 16
"""For so many messages at least it pays to look whether they are of one size, every so many."""


def check_id(node: int) -> int:
    """An id, if it can be one. Raises L{LocalError}."""
    if not 0 <= node <= MAX_ID or node == QUIT_ID:
        raise LocalError(f"{node} cannot be an id")
    return node


def encode_id(node: int) -> bytes:
    """The greeting that tells a node its id. Raises L{LocalError}."""
    return b"%d" % check_id(node)


def decode_id(greeting: bytes) -> int:
    """The id in a greeting, as a kernel reads it. Raises L{PeerError} on anything but digits."""
    if not greeting.isdigit() or len(greeting) > MAX_ID_DIGITS or int(greeting) > MAX_ID:
        raise PeerError(f"the master's greeting {greeting!r} is not an id")
    return int(greeting)


def encode_message(address: int, payload: bytes | bytearray | memoryview) -> bytes:
    """
    One message; C{address} is its dest to the master, its source from the master.

    Raises L{LocalError} if that cannot be an id.
    """
    return HEADER.pack(check_id(address), len(payload)) + payload


@dataclass(slots=True)
class Run:
    """
    Whole messages that one node sent to one dest, in order.

    @ivar dest: the id that they were sent to.
    @ivar data: the messages, their headers already saying the source.
    @ivar count: how many messages.
    """

    dest: int
    data: bytes
    count: int


def first_size(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """The size in bytes, header included, of the message that starts at C{offset}."""
    return HEADER_SIZE + int(HEADER.unpack_from(data, offset)[1])


def whole_messages(data: bytes | bytearray, offset: int, limit: int) -> tuple[int, int]:
    """
    How far whole messages reach from C{offset} within C{limit} bytes.

    @return: (bytes, messages); (0, 0) if not even the first fits.
    """
    position, count = offset, 0
    end = min(len(data), offset + limit)
    while end - position >= HEADER_SIZE:
        size = HEADER_SIZE + HEADER.unpack_from(data, position)[1]
        if position + size > end:
            break
        position += size
        count += 1
        if count % _SOME == 1 and end - position >= _SOME * size:
            more = alike(data, position, end, size)
            position += more * size
            count += more
    return position - offset, count


def alike(data: bytes | bytearray, start: int, end: int, size: int) -> int:
    """
    How many whole messages from C{start} to C{end} are of one size, whoever they are for.

    Their headers stand one below the other, so that each byte of the lengths is a column that is
    looked at as a whole: for many this is some twenty times as fast as one after the other.
    C{quit} is not among them, nor a message to any id whose last byte is that of C{quit}.

    @param size: in bytes, header included.
    """
    length = HEADER.pack(0, size - HEADER_SIZE)[4:]
    most = (end - start) // size
    found, block = 0, _SOME
    while found < most and data.startswith(length, start + 4):
        block = count = min(4 * block, most - found)
        for place in range(4):
            column = data[start + 4 + place : start + count * size : size]
            count -= len(column.lstrip(length[place : place + 1]))
        quits = data[start + 3 : start + count * size : size].find(QUIT[3:])
        if quits >= 0:
            count = quits
        found += count
        start += count * size
        if count < block:
            break
    return found


_Rests = dict[int, list[bytes | memoryview]]
"""
By dest: nothing, and what followed the dest in each message. Joined by the source, which comes
between any two, this is the messages as they go to that dest.
"""


class Splitter:
    """
    Cuts what one node sends into L{Run}s and writes the node's id over each dest.

    What came together for one dest is one run, whatever was between: to each it goes in order.
    Messages of one size, many after each other, are cut and gathered as a whole.

    @ivar quit: C{quit} was read; what follows is ignored.
    @ivar error: the peer broke the protocol; what follows is ignored.
    """

    def __init__(self, source: int, max_payload: int) -> None:
        self._source = _ADDRESS.pack(source)
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._needed = len(QUIT)
        self.quit = False
        self.error: PeerError | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will come out, whatever is fed."""
        return self.quit or self.error is not None

    @property
    def incomplete(self) -> int:
        """Bytes of a message of which the rest has not come."""
        return len(self._buffer)

    @property
    def next_dest(self) -> int | None:
        """The dest of the message that is incomplete, if its whole header has come."""
        return HEADER.unpack_from(self._buffer)[0] if len(self._buffer) >= HEADER_SIZE else None

    def release(self) -> bytes:
        """Give up the bytes of a message of which the rest has not come: somebody else goes on."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._needed = len(QUIT)
        return data

    def feed(self, data: bytes) -> list[Run]:
        """
        The runs that C{data} completes, one for each dest, in the order of their first messages.

        Never raises: see L{quit} and L{error}.
        """
        buffer = self._buffer
        if self.ended:
            return []
        if len(buffer) + len(data) < self._needed:
            buffer += data
            return []
        if buffer:
            data = b"".join((buffer, data))
            buffer.clear()
        rests: _Rests = {}
        more: dict[int, int] = {}
        unpack = HEADER.unpack_from
        position = count = 0
        end, needed = len(data), HEADER_SIZE
        while end - position >= HEADER_SIZE:
            dest, length = unpack(data, position)
            if dest == QUIT_ID or length > self._max_payload:
                break
            needed = HEADER_SIZE + length
            following = position + needed
            if following > end:
                break
            if dest in rests:
                rests[dest].append(data[position + 4 : following])
            else:
                rests[dest] = [b"", data[position + 4 : following]]
            count += 1
            if count % _SOME == 1 and end - following >= _SOME * needed:
                rows = alike(data, following, end, needed)
                if rows:
                    position, following = following, following + rows * needed
                    self._add_rows(rests, more, data[position:following], needed)
            position = following
            needed = HEADER_SIZE
        if position < end:
            buffer += data[position:]
            needed = self._look_ahead(needed)
        else:
            needed = len(QUIT)
        self._needed = needed
        runs = []
        for dest, rest in rests.items():
            count = len(rest) - 1 + more.get(dest, 0)
            runs.append(Run(dest, self._source.join(rest), count))
        return runs

    def _add_rows(self, rests: _Rests, more: dict[int, int], data: bytes, size: int) -> None:
        """
        Gather whole messages that are all of one size.

        @param more: how many messages more than entries in C{rests} there are, by dest.
        @param size: of each, in bytes, header included.
        """
        count = len(data) // size
        columns = [data[place::size] for place in range(4)]
        if all(column.count(column[:1]) == count for column in columns):
            # They are for one dest, and stay together.
            rows = bytearray(data)
            for place in range(4):
                rows[place::size] = self._source[place : place + 1] * count
            dest = _ADDRESS.unpack_from(data)[0]
            rests.setdefault(dest, [b""]).append(memoryview(rows)[4:])
            more[dest] = more.get(dest, 0) + count - 1
            return
        for dest, rest in iter_unpack(f"<I{size - 4}s", data):
            try:
                rests[dest].append(rest)
            except KeyError:
                rests[dest] = [b"", rest]

    def _look_ahead(self, needed: int) -> int:
        """How many bytes the next message needs; sees C{quit} and errors."""
        buffer = self._buffer
        if buffer.startswith(QUIT):
            self.quit = True
        elif len(buffer) >= HEADER_SIZE:
            length = HEADER.unpack_from(buffer)[1]
            if length > self._max_payload:
                self.error = OversizedPayload(length, self._max_payload)
        elif len(buffer) < len(QUIT):
            return len(QUIT)
        if self.ended:
            buffer.clear()
        return needed


class Messages:
    """
    Cuts what the master sends into messages, for the node's side of the wire.

    @ivar error: the master broke the protocol; what follows is ignored.
    """

    def __init__(self, max_payload: int = MAX_ID) -> None:
        self._max_payload = max_payload
        self._buffer = bytearray()
        self.error: PeerError | None = None

    @property
    def incomplete(self) -> int:
        """Bytes of a message of which the rest has not come."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that C{data} completes, as (source, payload). Never raises: see L{error}."""
        whole: list[tuple[int, bytes]] = []
        if self.error is not None:
            return whole
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER_SIZE:
            source, length = HEADER.unpack_from(buffer)
            if length > self._max_payload:
                self.error = OversizedPayload(length, self._max_payload)
                buffer.clear()
                break
            end = HEADER_SIZE + length
            if len(buffer) < end:
                break
            whole.append((source, bytes(buffer[HEADER_SIZE:end])))
            del buffer[:end]
        return whole
