"""The wire between a kernel and the master: split, readdress, build. No I/O, no knowledge of nodes.

The format is fixed by existing kernels. All integers are little-endian and unsigned, 32 bits:

    master to kernel, first   the id in ASCII decimal, at most 10 digits, no terminator
    kernel to master          [dest][length][payload], or the four bytes C{quit}
    master to kernel          [source][length][payload]

C{quit} read as a dest is 0x74697571, so that number is never an id.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
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
_SOME: Final = 8
"""After so many messages to one dest it is worth looking whether those after them are alike."""


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
    data: bytearray
    count: int


def first_size(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """The size in bytes, header included, of the message that starts at C{offset}."""
    return HEADER_SIZE + int(HEADER.unpack_from(data, offset)[1])


def whole_messages(
    data: bytes | bytearray | memoryview, offset: int, limit: int
) -> tuple[int, int]:
    """
    How far whole messages reach from C{offset} within C{limit} bytes.

    @return: (bytes, messages); (0, 0) if not even the first fits.
    """
    size = count = 0
    end = len(data)
    while offset + size < end:
        following = size + HEADER_SIZE + HEADER.unpack_from(data, offset + size)[1]
        if following > limit:
            break
        size = following
        count += 1
    return size, count


def alike(data: bytearray, offset: int, header: bytes) -> int:
    """
    How many messages at C{offset} have the same header.

    They are of one size, so that each byte of their headers is a column that is looked at as a
    whole: for many this is some twenty times as fast as one after the other.

    @param header: dest and length, as in C{data}.
    """
    size = first_size(header)
    most = (len(data) - offset) // size
    found, block = 0, _SOME
    while found < most and data.startswith(header, offset):
        block = count = min(4 * block, most - found)
        for place in range(HEADER_SIZE):
            column = data[offset + place : offset + count * size : size]
            count -= len(column.lstrip(header[place : place + 1]))
        found += count
        offset += count * size
        if count < block:
            break
    return found


class Splitter:
    """
    Cuts what one node sends into L{Run}s and writes the node's id over each dest.

    Incoming and outgoing headers have the same size, so this is done in place. What came together
    for one dest is one run, whatever was between: to each it goes in order.

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
        runs: dict[int, Run] = {}
        if self.ended:
            return []
        buffer = self._buffer
        buffer += data
        end = len(buffer)
        if end < self._needed:
            return []
        source = self._source
        unpack = HEADER.unpack_from
        position = start = count = 0
        run_dest = -1
        needed = HEADER_SIZE
        while end - position >= HEADER_SIZE:
            dest, length = unpack(buffer, position)
            if dest == QUIT_ID or length > self._max_payload:
                break
            needed = HEADER_SIZE + length
            if end - position < needed:
                break
            if dest != run_dest:
                if count:
                    _add(runs, run_dest, buffer[start:position], count)
                run_dest, start, count = dest, position, 0
            buffer[position : position + 4] = source
            position += needed
            count += 1
            if not count % _SOME:
                header = HEADER.pack(dest, length)
                if buffer.startswith(header, position):
                    more = alike(buffer, position, header)
                    stop = position + more * needed
                    for place in range(len(source)):
                        column = slice(position + place, stop, needed)
                        buffer[column] = source[place : place + 1] * more
                    position = stop
                    count += more
            needed = HEADER_SIZE
        last = buffer[start:position]
        del buffer[:position]
        self._needed = self._look_ahead(needed)
        if not runs:
            return [Run(run_dest, last, count)] if count else []
        _add(runs, run_dest, last, count)
        return list(runs.values())

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


def _add(runs: dict[int, Run], dest: int, data: bytearray, count: int) -> None:
    run = runs.get(dest)
    if run is None:
        runs[dest] = Run(dest, data, count)
    else:
        run.data += data
        run.count += count


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
