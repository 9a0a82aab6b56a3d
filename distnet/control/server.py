"""The control interface: HTTP with JSON on a unix socket. It tells; it changes nothing yet.

    GET /           the paths
    GET /status     all of the following
    GET /nodes      who is connected
    GET /nodes/ID   one of them; of any other id, whether it is expected, gone or impossible
    GET /mailboxes  what waits for ids, connected or not
    GET /counters   totals, and messages not delivered by reason

Sizes are in bytes, headers included; times in seconds since the epoch; an amount is
{"messages": n, "bytes": n}. New keys may come; those that are there stay.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.interfaces import IListeningPort
from twisted.web import http
from twisted.web.http import NOT_ALLOWED, NOT_FOUND
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from distnet.control.paths import make_default_directory_for
from distnet.master.core.session import Session
from distnet.master.service import MasterService
from distnet.sockets.listen import Listener, listen, unix_description
from distnet.wire import MAX_ID_DIGITS

VERSION_KEY: Final = "distnet"


def describe_session(master: MasterService, session: Session) -> dict[str, Any]:
    """A connected node. If it is not settled, being asked for may settle it."""
    master.router.look(session)
    return {
        "id": session.node,
        "kind": "tool" if session.tool else "kernel",
        "state": session.state,
        "pinned": session.pinned,
        "peer": session.link.peer,
        "since": session.since,
        "settled_at": session.settled_at,
        "settled_by": session.settled_by,
        "paused_for": session.paused_for,
        "received": asdict(session.received),
        "delivered": asdict(session.delivered),
        "undelivered": asdict(session.undelivered),
        "waiting": asdict(master.router.mailboxes.waiting_for(session.node)),
    }


def describe_node(master: MasterService, node: int) -> dict[str, Any]:
    """A node that is connected or not."""
    master.count()
    session = master.router.sessions.get(node)
    if session is not None:
        return describe_session(master, session)
    return {"id": node, "state": master.router.registry.standing(node).name.lower()}


def describe_nodes(master: MasterService) -> list[dict[str, Any]]:
    """All connected nodes, by id."""
    master.count()
    sessions = master.router.sessions
    return [describe_session(master, sessions[node]) for node in sorted(sessions)]


def describe_mailboxes(master: MasterService) -> list[dict[str, Any]]:
    """What waits, by id."""
    router = master.router
    return [
        {
            "id": node,
            "waiting": asdict(router.mailboxes.waiting_for(node)),
            "connected": node in router.sessions,
            "dropping": router.congestion.is_dropping(node),
        }
        for node in sorted(router.mailboxes)
    ]


def describe_counters(master: MasterService) -> dict[str, Any]:
    """Totals since the master started."""
    master.count()
    return asdict(master.router.counters)


def describe_master(master: MasterService, version: str) -> dict[str, Any]:
    """Everything."""
    return {
        VERSION_KEY: version,
        "pid": os.getpid(),
        "started": master.started,
        "ids": str(master.router.registry.policy),
        "listeners": [
            {
                "address": str(address),
                "node": listener.node,
                "tools": listener.tools,
                "tls": listener.tls,
            }
            for listener, address in master.addresses()
        ],
        "limits": {
            # JSON has no infinity.
            name: "inf" if value == float("inf") else value
            for name, value in asdict(master.router.limits).items()
        },
        "nodes": describe_nodes(master),
        "mailboxes": describe_mailboxes(master),
        "waiting": master.router.mailboxes.waiting,
        "counters": describe_counters(master),
    }


class _Answer(Resource):
    """What a function says, as JSON."""

    isLeaf = False

    def __init__(self, say: Callable[[], Any]) -> None:
        super().__init__()
        self._say = say

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        return _json(request, self._say())

    def render(self, request: Request) -> bytes:
        """Answer GET and HEAD, refuse the rest."""
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"allow", b"GET, HEAD")
            return _error(request, NOT_ALLOWED, "the control interface answers GET and HEAD only")
        return self.render_GET(request)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """There is nothing below."""
        return self if path == b"" else _NotFound()


class _NotFound(Resource):
    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Say that there is nothing."""
        return _error(
            request, NOT_FOUND, f"there is nothing at {request.path.decode(errors='replace')}"
        )


class _Nodes(_Answer):
    def __init__(self, master: MasterService) -> None:
        super().__init__(lambda: describe_nodes(master))
        self._master = master

    def getChild(self, path: bytes, request: Request) -> Resource:
        """One node."""
        if path == b"":
            return self
        if not path.isdigit() or len(path) > MAX_ID_DIGITS:
            return _NotFound()
        return _Answer(lambda: describe_node(self._master, int(path)))


def _json(request: Request, answer: Any) -> bytes:
    request.setHeader(b"content-type", b"application/json")
    body = json.dumps(answer, indent=1).encode() + b"\n"
    request.setHeader(b"content-length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def _error(request: Request, code: int, why: str) -> bytes:
    request.setResponseCode(code)
    return _json(request, {"error": why})


def make_resource(master: MasterService, version: str) -> Resource:
    """The resources of the control interface."""
    root = _Answer(
        lambda: {
            VERSION_KEY: version,
            "paths": ["/status", "/nodes", "/nodes/ID", "/mailboxes", "/counters"],
        }
    )
    root.putChild(b"status", _Answer(lambda: describe_master(master, version)))
    root.putChild(b"nodes", _Nodes(master))
    root.putChild(b"mailboxes", _Answer(lambda: describe_mailboxes(master)))
    root.putChild(b"counters", _Answer(lambda: describe_counters(master)))
    return root


class ControlSite(Site):
    """Logs no requests (there may be one a second) and does not wake up every second for that."""

    noisy = False

    def startFactory(self) -> None:
        """There is no log to set up."""

    def log(self, request: http.Request) -> None:
        """Do not."""


class ControlService(Service):
    """Serves the control interface of a master at a unix socket, mode 0600."""

    def __init__(self, reactor: Any, path: str, master: MasterService, version: str) -> None:
        self._reactor = reactor
        self._path = path
        self._listener = Listener(unix_description(path))
        self._site = ControlSite(make_resource(master, version), reactor=reactor)
        self._port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Listen. Raises L{StartupError}."""
        make_default_directory_for(self._path)
        self._port = listen(self._reactor, self._listener, self._site)

    def stopService(self) -> Any:
        """Stop listening."""
        super().stopService()
        return self._port.stopListening() if self._port is not None else None
