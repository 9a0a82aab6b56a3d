"""Answers as JSON, made and sent piece by piece, at the pace of whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from distnet.text import KIB

PIECE_SIZE: Final = 16 * KIB
"""
Characters that are made at once, or a little more: some milliseconds, in which nothing else is done
in this process. What a client does not read is no more than a piece, and what its socket holds.
"""


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def as_json(record: Any) -> Any:
    """
    What C{json.dumps} takes in the place of a record.

    Dataclasses become objects with their fields as keys, enums their values, iterators lists. A
    number without end is C{"inf"}, since JSON has none.
    """
    if is_dataclass(record):
        return {name: as_json(getattr(record, name)) for name in _names(record.__class__)}
    if isinstance(record, Enum):
        return record.value
    if isinstance(record, Mapping):
        return {as_json(key): as_json(value) for key, value in record.items()}
    if isinstance(record, list | tuple | Iterator):
        return [as_json(one) for one in record]
    return "inf" if record == float("inf") else record


def _plain(record: Any) -> Any:
    """What is in a record that JSON does not know; not all of it, as L{as_json} has."""
    if is_dataclass(record):
        return {name: getattr(record, name) for name in _names(record.__class__)}
    if isinstance(record, Enum | Mapping | Iterator):
        return as_json(record)
    raise TypeError


_quick = json.JSONEncoder(default=_plain, allow_nan=False).encode


def _dumps(record: Any) -> str:
    """The text of a record: several times quicker than by L{as_json}, where that is possible."""
    try:
        return _quick(record)
    except (TypeError, ValueError):
        # A number without end, or a key that is no text.
        return json.dumps(as_json(record))


def pieces(record: Any) -> Iterator[bytes]:
    """
    A record as JSON, in pieces of about L{PIECE_SIZE}.

    Of a list each item has a line. One that is an iterator is asked for the next item only when
    that has its turn.
    """
    made: list[str] = []
    size = 0
    for text in _lines(record, "\n"):
        made.append(text)
        size += len(text)
        if size >= PIECE_SIZE:
            yield "".join(made).encode()
            made.clear()
            size = 0
    made.append("\n")
    yield "".join(made).encode()


def _lines(record: Any, newline: str) -> Iterator[str]:
    """The text of a record; C{newline} is what a line begins with on its level."""
    if is_dataclass(record):
        record = {name: getattr(record, name) for name in _names(record.__class__)}
    if isinstance(record, Mapping):
        yield from _within("{}", newline, _members(record, f"{newline} "))
    elif isinstance(record, list | tuple | Iterator):
        yield from _within("[]", newline, ((_dumps(one),) for one in record))
    else:
        yield _dumps(record)


def _members(record: Mapping[Any, Any], newline: str) -> Iterator[Iterable[str]]:
    for key, value in record.items():
        name = f"{json.dumps(str(as_json(key)))}: "
        if isinstance(value, list | tuple | Iterator):
            yield _named(name, _lines(value, newline))
        else:
            yield (name, _dumps(value))


def _named(name: str, texts: Iterator[str]) -> Iterator[str]:
    yield name
    yield from texts


def _within(brackets: str, newline: str, members: Iterator[Iterable[str]]) -> Iterator[str]:
    separator = f"{brackets[0]}{newline} "
    for member in members:
        yield separator
        yield from member
        separator = f",{newline} "
    # One that is empty has no line of its own.
    yield brackets if separator[0] == brackets[0] else f"{newline}{brackets[1]}"


@implementer(IPushProducer)
class _Telling:
    """One answer on its way. The next request of its connection has its turn after that."""

    def __init__(self, reactor: Any, request: Request, more: Iterator[bytes]) -> None:
        self._reactor = reactor
        self._request = request
        self._more = more
        self._paused = False
        self._turn: Any = None

    def go_on(self, piece: bytes) -> None:
        """Send a piece; another one in the next turn of the reactor, if there is room for it."""
        self._turn = None
        self._request.write(piece)
        self._continue()

    def _continue(self) -> None:
        if self._paused or self._turn is not None:
            return
        piece = next(self._more, None)
        if piece is None:
            self._request.unregisterProducer()
            self._request.finish()
        else:
            self._turn = self._reactor.callLater(0, self.go_on, piece)

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has read."""
        if self._paused:
            self._paused = False
            self._continue()

    def stopProducing(self) -> None:
        """The client has gone."""
        self._paused = True
        if self._turn is not None:
            self._turn.cancel()


def tell(reactor: Any, request: Request, record: Any) -> int:
    """
    Answer a request with a record as JSON.

    @return: what a resource returns whose answer comes by and by.
    """
    request.setHeader(b"content-type", b"application/json")
    more = pieces(record)
    first = next(more)
    second = next(more, None)
    if second is None:
        request.setHeader(b"content-length", b"%d" % len(first))
    if request.method == b"HEAD":
        request.finish()
        return NOT_DONE_YET
    telling = _Telling(reactor, request, _chain(second, more))
    request.registerProducer(telling, True)
    telling.go_on(first)
    return NOT_DONE_YET


def _chain(second: bytes | None, more: Iterator[bytes]) -> Iterator[bytes]:
    if second is not None:
        yield second
        yield from more
