"""Messages of DNS, as far as one who passes them on looks at them. No I/O.

RFC 1035, section 4.
"""

from __future__ import annotations

import struct
from typing import Final

from distnet.gateway.udp import MOST_WHOLE, frames_to
from distnet.guestnet import PLAN, Plan

PORT: Final = 53
MOST_PAYLOAD: Final = MOST_WHOLE
"""Bytes of the largest message to or from a guest: a datagram that needs no fragments."""

HEADER_SIZE: Final = 12
_HEADER: Final = struct.Struct("!6H")
_MOST_OF_A_NAME: Final = 255
_MOST_OF_A_LABEL: Final = 63
_TYPE_AND_CLASS: Final = 4

_RESPONSE: Final = 0x8000
_OPCODE: Final = 0x7800
_TRUNCATED: Final = 0x0200
_RECURSION_DESIRED: Final = 0x0100
_RECURSION_AVAILABLE: Final = 0x0080
_CODE: Final = 0x000F
_SERVER_FAILURE: Final = 2
_NOT_IMPLEMENTED: Final = 4
_REFUSED: Final = 5


def question_of(message: bytes, *, response: bool) -> bytes | None:
    """
    The question that a message asks, or that it answers.

    @param response: an answer is wanted, and not a query.
    @return: the bytes of the question section, the same for the same question however its letters
        are written; None if the message is something else, or has not just one question.
    """
    if len(message) < HEADER_SIZE:
        return None
    _, flags, questions, *_ = _HEADER.unpack_from(message)
    if bool(flags & _RESPONSE) is not response or flags & _OPCODE or questions != 1:
        return None
    end = _end_of_name(message, HEADER_SIZE)
    if end is None or end + _TYPE_AND_CLASS > len(message):
        return None
    return message[HEADER_SIZE:end].lower() + message[end : end + _TYPE_AND_CLASS]


def _end_of_name(message: bytes, start: int) -> int | None:
    """Where a name without pointers ends; None if it does not."""
    at = start
    while at < len(message) and at - start < _MOST_OF_A_NAME:
        size = message[at]
        if size > _MOST_OF_A_LABEL:
            return None
        at += 1 + size
        if size == 0:
            return at
    return None


def id_of(message: bytes) -> int:
    """The id of a message with a header."""
    return int.from_bytes(message[:2])


def with_id(message: bytes, number: int) -> bytes:
    """The same message with another id."""
    return number.to_bytes(2) + message[2:]


def is_failure(answer: bytes) -> bool:
    """Whether a server says that it cannot tell, so that another one may: glibc does the same."""
    return answer[3] & _CODE in (_SERVER_FAILURE, _NOT_IMPLEMENTED, _REFUSED)


def failure_of(query: bytes) -> bytes:
    """The answer to a query, with one question, when no server has one."""
    return _without_records(query, _RECURSION_AVAILABLE | _SERVER_FAILURE)


def fitting(answer: bytes) -> bytes:
    """An answer as a guest can get it in a datagram: one that is too long is told to be cut."""
    if len(answer) <= MOST_PAYLOAD:
        return answer
    flags = int.from_bytes(answer[2:4])
    return _without_records(answer, flags | _TRUNCATED)


def _without_records(message: bytes, flags: int) -> bytes:
    end = _end_of_name(message, HEADER_SIZE)
    assert end is not None, "a message with a question"
    number, before, *_ = _HEADER.unpack_from(message)
    flags |= _RESPONSE | before & _RECURSION_DESIRED
    question = message[HEADER_SIZE : end + _TYPE_AND_CLASS]
    return _HEADER.pack(number, flags, 1, 0, 0, 0) + question


def frame_to(mac: bytes, address: bytes, port: int, payload: bytes, plan: Plan = PLAN) -> bytes:
    """
    The frame that brings an answer to a guest, from the name server of the guests' network.

    @param mac: the guest's, 6 bytes.
    @param address: the guest's, 4 bytes.
    @param port: the guest's, from which it has asked.
    @param payload: at most L{MOST_PAYLOAD} bytes.
    """
    return frames_to(mac, (plan.name_server.packed, PORT), (address, port), payload)[0]
