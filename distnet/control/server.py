"""The control interface: HTTP with JSON on a unix socket. It tells; it changes nothing yet.

What it tells is for the service that has it to say, as plain records. C{GET /} lists the paths. New
keys may come in an answer; those that are there stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.web import http
from twisted.web.http import NOT_ALLOWED, NOT_FOUND
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from distnet.control.claim import ControlPath
from distnet.errors import StartupError
from distnet.sockets.listen import Listener, listen, stop_listening, unix_description

_log = Logger(namespace="distnet")

VERSION_KEY: Final = "distnet"

Answers = Mapping[str, Callable[..., Any]]
"""
What each path answers: a function that returns a record (a dataclass of numbers, text, enums,
further records, and lists and mappings of them).

A path of two parts whose second is in capitals, like C{/nodes/ID}, stands for every path with a
second part. Its function gets that part as text, and returns None where there is nothing. It comes
after the path without it.
"""


def as_json(record: Any) -> Any:
    """
    What C{json.dumps} takes in the place of a record.

    Dataclasses become objects with their fields as keys, enums their values. A number without end
    is C{"inf"}, since JSON has none.
    """
    if is_dataclass(record):
        return {one.name: as_json(getattr(record, one.name)) for one in fields(record)}
    if isinstance(record, Enum):
        return record.value
    if isinstance(record, Mapping):
        return {as_json(key): as_json(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [as_json(one) for one in record]
    return "inf" if record == float("inf") else record


class _Answer(Resource):
    """
    What a function says, as JSON.

    @ivar below: what is said of each path that has one more part; None if nothing is.
    """

    isLeaf = False
    below: Callable[[str], Any] | None = None

    def __init__(self, say: Callable[[], Any]) -> None:
        super().__init__()
        self._say = say

    def render(self, request: Request) -> bytes:
        """Answer GET and HEAD, refuse the rest."""
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _error(request, NOT_ALLOWED, "the control interface answers GET and HEAD only")
        return _json(request, as_json(self._say()))

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What is below, if anything is; a slash at the end makes no difference."""
        if path == b"":
            return self
        record = None if self.below is None else self.below(path.decode(errors="replace"))
        return _NotFound() if record is None else _Answer(lambda: record)


class _NotFound(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Say that there is nothing."""
        return _error(
            request, NOT_FOUND, f"there is nothing at {request.path.decode(errors='replace')}"
        )


def _json(request: Request, answer: Any) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    body = json.dumps(answer, indent=1).encode() + b"\n"
    request.setHeader(b"content-length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def _error(request: Request, code: int, why: str) -> bytes:
    request.setResponseCode(code)
    return _json(request, {"error": why})


def make_resource(version: str, answers: Answers) -> Resource:
    """
    The resources of a control interface.

    @raise ValueError: a path is not of the form that L{Answers} tells.
    """
    root = _Answer(lambda: {VERSION_KEY: version, "paths": list(answers)})
    for path, say in answers.items():
        match path.encode().split(b"/"):
            case [b"", name]:
                root.putChild(name, _Answer(say))
            case [b"", name, part] if part.isupper() and name in root.children:
                root.children[name].below = say
            case _:
                raise ValueError(f"{path} is not a path that can be answered")
    return root


class ControlSite(Site):
    """Logs no requests (there may be one a second) and does not wake up every second for that."""

    noisy = False

    def logPrefix(self) -> str:
        """What the log of its port calls it."""
        return "listener for the control interface"

    def startFactory(self) -> None:
        """There is no log to set up."""

    def log(self, request: http.Request) -> None:
        """Requests are not logged."""


class ControlService(Service):
    """Serves a control interface at a unix socket, mode 0600."""

    def __init__(
        self,
        reactor: Any,
        path: ControlPath,
        version: str,
        answers: Answers,
        *,
        needed: bool = True,
    ) -> None:
        """
        @param path: of the socket.
        @param version: what C{GET /} says, beside the paths.
        @param needed: without it the start fails; else the log says why there is none.
        """
        self._needed = needed
        self._reactor = reactor
        self._path = path
        self._site = ControlSite(make_resource(version, answers), reactor=reactor)
        self._port: IListeningPort | None = None

    def startService(self) -> None:
        """
        Listen. Raises L{StartupError}.

        Not before twistd has given up its privileges: the socket is for the user that it runs as.
        """
        super().startService()
        try:
            with self._path.claimed() as path:
                self._port = listen(self._reactor, Listener(unix_description(path)), self._site)
        except StartupError as error:
            if self._needed:
                raise
            _log.warn("there is no control socket: {why}", why=error)
        # Everything else listens by then.
        self._reactor.callWhenRunning(self._path.tools_listen)

    def stopService(self) -> Deferred[None] | None:
        """Stop listening."""
        super().stopService()
        self._path.release()
        port, self._port = self._port, None
        if port is None:
            return None
        return Deferred.fromCoroutine(stop_listening(port, self._path.path))
