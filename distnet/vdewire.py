"""The requests and replies of VDE's control socket, versions 1 and 3. No I/O.

As vde_switch 2.3.2 was seen to take them: integers in host byte order, structures packed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from distnet.errors import PeerError
from distnet.text import printable

MAX_REQUEST: Final = 256
"""Bytes of a request that are read, vde_switch's limit; the rest is ignored."""
MAX_DESCRIPTION: Final = 128
"""Bytes of a description that are kept."""
MAX_PATH: Final = 107
"""Bytes of a path in a C{sockaddr_un}, without the NUL at its end (unix(7))."""
MAX_ABSTRACT: Final = 108
"""Bytes of a name in the abstract namespace, with the NUL that it begins with."""

_MAGIC: Final = 0xFEEDFACE
_AF_UNIX: Final = 1
_HEADER: Final = struct.Struct("=II")
_ADDRESS: Final = struct.Struct("=H108s")
_V1_ADDRESS_AT: Final = 14
_V3_TYPE: Final = struct.Struct("=I")
_V3_ADDRESS_AT: Final = 12

# What v1 has as the type, which stands where later versions have their number.
_V1_TYPES: Final = (0, 1)
_V3: Final = 3


class BadRequest(PeerError):
    """A request cannot be understood, or asks for what there is not."""


class RequestType(IntEnum):
    """What a client asks for."""

    NEW_PORT = 0
    MANAGEMENT = 1
    """Port 0, on which nothing is switched."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    A client asks for a port.

    @ivar version: of the protocol, 1 or 3.
    @ivar type: a usual port, or the management port.
    @ivar port: the number asked for, or 0 for the first that is free.
    @ivar path: where the client's own data socket is. One that begins with a NUL is a name in the
        abstract namespace, NULs at its end and all: User-mode Linux binds a whole address.
    @ivar description: of the client; printable, in one line.
    """

    version: int
    type: RequestType
    port: int
    path: bytes
    description: str = ""


def is_whole(data: bytes) -> bool:
    """
    Whether all of a request has come, but perhaps a part of the description, which has no end.

    vde_switch takes what one read brings. A request that is wrong whatever follows is whole, so
    that it is refused at once.
    """
    if len(data) < _HEADER.size:
        return False
    magic, version = _HEADER.unpack_from(data)
    if magic != _MAGIC or version not in (*_V1_TYPES, _V3):
        return True
    return len(data) >= _address_at(version) + _ADDRESS.size


def parse_request(data: bytes) -> Request:
    """
    Read a request.

    The address may be cut after its path, as vde_switch allows.

    @raise BadRequest: why it is refused, in one line.
    """
    data = data[:MAX_REQUEST]
    if len(data) < _HEADER.size:
        raise BadRequest(f"a request of {len(data)} bytes")
    magic, version = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise BadRequest(f"a request that begins with {magic:#010x}, not {_MAGIC:#010x}")
    if version not in (*_V1_TYPES, _V3):
        raise BadRequest(f"a request of version {version}, known are 1 and 3")
    address_at = _address_at(version)
    if len(data) < address_at + 3:
        raise BadRequest(f"a request of {len(data)} bytes has no address")
    number = _V3_TYPE.unpack_from(data, _HEADER.size)[0] if version == _V3 else version
    kind, port = number & 0xFF, number >> 8
    if kind not in RequestType.__members__.values():
        raise BadRequest(f"a request of type {kind}, known are 0 and 1")
    path = _parse_address(data[address_at : address_at + _ADDRESS.size])
    description, _, _ = data[address_at + _ADDRESS.size :][:MAX_DESCRIPTION].partition(b"\0")
    return Request(
        version=_V3 if version == _V3 else 1,
        type=RequestType(kind),
        port=port,
        path=path,
        description=printable(description),
    )


def encode_request(request: Request) -> bytes:
    """The bytes of a request. Raises ValueError if its path is too long for an address."""
    address = _encode_address(request.path)
    if request.version == _V3:
        head = _HEADER.pack(_MAGIC, _V3) + _V3_TYPE.pack(request.port << 8 | request.type)
    else:
        head = _HEADER.pack(_MAGIC, request.type) + bytes(6)
    return head + address + request.description.encode()


def encode_reply(path: bytes) -> bytes:
    """The reply, 110 bytes: where the port's data socket is. Raises ValueError on a long path."""
    return _encode_address(path)


def parse_reply(data: bytes) -> bytes:
    """The path in a reply; what follows that means nothing. Raises L{BadRequest}."""
    return _parse_address(data[: _ADDRESS.size])


def _address_at(version: int) -> int:
    return _V3_ADDRESS_AT if version == _V3 else _V1_ADDRESS_AT


def _parse_address(data: bytes) -> bytes:
    family, field = _ADDRESS.unpack(data.ljust(_ADDRESS.size, b"\0"))
    if family != _AF_UNIX:
        raise BadRequest(f"an address of family {family}, not of a unix socket")
    if field[0] == 0 and any(field):
        return bytes(field)
    # Before the NUL: what follows may be anything that was on the client's stack.
    path: bytes = field.partition(b"\0")[0]
    if not path:
        raise BadRequest("an address without a path")
    if len(path) > MAX_PATH:
        raise BadRequest("an address whose path has no end")
    return path


def _encode_address(path: bytes) -> bytes:
    is_abstract = path[:1] == b"\0" and any(path) and len(path) <= MAX_ABSTRACT
    if not is_abstract and (not 0 < len(path) <= MAX_PATH or b"\0" in path):
        raise ValueError(f"{path!r} is not a path for a unix socket")
    return _ADDRESS.pack(_AF_UNIX, path)
