"""The control interface: HTTP with JSON on a unix socket. It tells; there is little it changes.

What it tells is for the service that has it to say, as plain records. C{GET /} lists the paths. New
keys may come in an answer; those that are there stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
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
from distnet.control.telling import tell
from distnet.errors import StartupError
from distnet.sockets.listen import Listener, listen, stop_listening, unix_description

_log = Logger(namespace="distnet")

VERSION_KEY: Final = "distnet"

Answers = Mapping[str, Callable[..., Any]]
"""
What each path answers: a function that returns a record (a dataclass of numbers, text, enums,
further records, and lists and mappings of them). In the place of a list there can be an iterator,
which makes each item when that has its turn: what there are thousands of is not made all at once.

A path of two parts whose second is in capitals, like C{/nodes/ID}, stands for every path with a
second part. Its function gets that part as text, and returns None where there is nothing. It comes
after the path without it.
"""
Deletions = Mapping[str, Callable[[str], Any]]
"""
What DELETE does at such a path: a function that gets the second part, and returns a record that
says what is there now; or None, if there was nothing to be deleted.
"""


class _Answer(Resource):
    """
    What a function says, as JSON.

    @ivar below: what is said of each path that has one more part; None if nothing is.
    @ivar delete_below: what deletes what is there; None if nothing does.
    """

    isLeaf = False
    below: Callable[[str], Any] | None = None
    delete_below: Callable[[str], Any] | None = None

    def __init__(
        self, reactor: Any, say: Callable[[], Any], delete: Callable[[], Any] | None = None
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._say = say
        self._delete = delete

    def render(self, request: Request) -> int:
        """Answer GET and HEAD, and DELETE where something can be; refuse the rest."""
        if request.method in (b"GET", b"HEAD"):
            return tell(self._reactor, request, self._say())
        if request.method == b"DELETE" and self._delete is not None:
            record = self._delete()
            if record is None:
                return _not_found(self._reactor, request)
            return tell(self._reactor, request, record)
        allowed = "GET, HEAD" if self._delete is None else "GET, HEAD, DELETE"
        request.setHeader(b"allow", allowed.encode())
        return _error(self._reactor, request, NOT_ALLOWED, f"only {allowed} are answered here")

    def getChild(self, path: bytes, request: Request) -> Resource:
        """What is below, if anything is; a slash at the end makes no difference."""
        if path == b"":
            return self
        part, delete = path.decode(errors="replace"), self.delete_below
        record = None if self.below is None else self.below(part)
        if record is None:
            return _NotFound(self._reactor)
        return _Answer(
            self._reactor,
            lambda: record,
            None if delete is None else lambda: delete(part),
        )


class _NotFound(Resource):
    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def render(self, request: Request) -> int:
        """Say that there is nothing."""
        return _not_found(self._reactor, request)


def _not_found(reactor: Any, request: Request) -> int:
    path = request.path.decode(errors="replace")
    return _error(reactor, request, NOT_FOUND, f"there is nothing at {path}")


def _error(reactor: Any, request: Request, code: int, why: str) -> int:
    request.setResponseCode(code)
    return tell(reactor, request, {"error": why})


def make_resource(
    reactor: Any, version: str, answers: Answers, deletions: Deletions | None = None
) -> Resource:
    """
    The resources of a control interface.

    @raise ValueError: a path is not of the form that L{Answers} tells.
    """
    deletions = deletions or {}
    root = _Answer(reactor, lambda: {VERSION_KEY: version, "paths": list(answers)})
    for path, say in answers.items():
        match path.encode().split(b"/"):
            case [b"", name]:
                root.putChild(name, _Answer(reactor, say))
            case [b"", name, part] if part.isupper() and name in root.children:
                root.children[name].below = say
                root.children[name].delete_below = deletions.get(path)
            case _:
                raise ValueError(f"{path} is not a path that can be answered")
    return root


class _NoBody(BytesIO):
    """What is written to it is not kept."""

    def write(self, data: Any) -> int:
        """It is not wanted."""
        return len(data)


class ControlRequest(Request):
    """A request whose body, which none needs, is kept nowhere: Twisted would write it to a file."""

    def gotLength(self, length: int | None) -> None:
        """A body may follow."""
        self.content = _NoBody()


class ControlSite(Site):
    """Logs no requests (there may be one a second) and does not wake up every second for that."""

    noisy = False
    requestFactory = ControlRequest

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
        deletions: Deletions | None = None,
        needed: bool = True,
    ) -> None:
        """
        @param path: of the socket.
        @param version: what C{GET /} says, beside the paths.
        @param deletions: what DELETE does.
        @param needed: without it the start fails; else the log says why there is none.
        """
        self._needed = needed
        self._reactor = reactor
        self._path = path
        resource = make_resource(reactor, version, answers, deletions)
        self._site = ControlSite(resource, reactor=reactor)
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
