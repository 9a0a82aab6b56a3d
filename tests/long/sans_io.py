"""The long run without sockets: requests, console lines, and frames."""

from __future__ import annotations

import errno
import re
from io import BytesIO
from random import Random
from typing import Self

from twisted.internet.task import Clock

from distnet.observers import broadcast
from distnet.switch.console.commands import make_console
from distnet.switch.console.observer import ConsoleObserver
from distnet.switch.console.records import About, Machine
from distnet.switch.console.session import ConsoleSession
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.testing import FakeFrameLink
from distnet.vdewire import (
    MAX_DESCRIPTION,
    MAX_PATH,
    BadRequest,
    RequestType,
    encode_reply,
    encode_request,
    is_whole,
    parse_reply,
    parse_request,
)
from tests.long import made_up
from tests.long.stations import StationSteps

BRIDGE_STEPS = 2000
CONSOLE_STEPS = 1000
PROMPT = b"\nvde$ "
STATUS = re.compile(rb"(?:^|\n)(?:1\d\d\d [^\n]+\n|9999 END OF SESSION)$")
COMMAND = re.compile(rb"[ \t]*[^ \t\r#\v\f\x1c-\x1f\x85\xa0]")
"""The start of a line that asks for an answer."""


class RequestSteps:
    """
    Requests and replies, good and bad, for the parser.

    @ivar good: how many were understood.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.good = 0

    def step(self) -> None:
        """One of them."""
        random = self._random
        path = b"/" + random.choice((b"x", b"\xff" * 30, b"y" * (MAX_PATH - 1)))
        if random.random() < 0.1:
            self._reply(path)
            return
        request = made_up.request(random, path, 32)
        data = encode_request(request)
        scratched = random.random() < 0.8
        if scratched:
            data = made_up.scratched(random, data)
        whole = is_whole(data)
        try:
            parsed = parse_request(data)
        except BadRequest as error:
            assert scratched, f"a good request is refused: {error}"
            assert "\n" not in str(error)
            return
        self.good += 1
        assert whole or len(data) < 124, "a part is taken for the whole"
        assert parsed.path[0] == 0 or (0 < len(parsed.path) <= MAX_PATH and 0 not in parsed.path)
        assert 0 <= parsed.port < 1 << 24
        assert parsed.description.isprintable()
        assert len(parsed.description) <= MAX_DESCRIPTION
        if not scratched:
            assert (parsed.version, parsed.type) == (request.version, RequestType(request.type))
            assert (parsed.port, parsed.path) == (request.port, path)

    def _reply(self, path: bytes) -> None:
        data = encode_reply(path)
        assert parse_reply(data) == path
        try:
            parse_reply(made_up.scratched(self._random, data))
        except BadRequest as error:
            assert "\n" not in str(error)


class ConsoleSteps:
    """
    Lines for a console, which may change all there is.

    @ivar succeeded: how many commands did.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._clock = Clock()
        self.succeeded = 0
        self._steps = 0
        observer = ConsoleObserver()
        self._bridge = Bridge(BridgeLimits(), broadcast(IBridgeObserver, observer), self._clock)
        machine = Machine()
        machine.wall_clock = self._clock.seconds  # type: ignore[method-assign]
        machine.read_script = self._read_script  # type: ignore[method-assign]
        machine.open_dump = self._open_dump  # type: ignore[method-assign]
        self._console = make_console(
            self._bridge,
            observer,
            clock=self._clock.seconds,
            about=About("9", bytes(6), 0.0, "/sock", 0o660, ("/mgmt", 0o600)),
            machine=machine,
        )
        self._output = bytearray()
        self._session = self._new_session()

    def _read_script(self, path: str) -> bytes:
        if path == "/loop":
            return b"load /loop\nload /script\n"
        if path != "/script":
            raise OSError(errno.ENOENT, "no")
        return b"\n".join(made_up.console_line(self._random) for _ in range(3))

    def _open_dump(self, path: str) -> BytesIO:
        if "\0" in path:
            raise OSError(errno.EINVAL, "no")
        return BytesIO()

    def _new_session(self) -> ConsoleSession:
        session = self._console.new_session(self._output.extend)
        assert session is not None
        session.greet()
        assert self._output.endswith(PROMPT)
        self._output.clear()
        return session

    def step(self) -> None:
        """A line; now and then stations plug in and send too."""
        random = self._random
        self._steps += 1
        if self._steps % 10 == 0:
            self._plug()
        if self._session.ended:
            self._session = self._new_session()
        line = made_up.console_line(random)
        data = line + b"\n"
        self._output.clear()
        at = random.randrange(len(data)) if random.random() < 0.2 else len(data)
        self._session.feed(data[:at])
        if random.random() < 0.05:
            self._session.pause()
        self._session.feed(data[at:])
        if self._session.paused:
            self._session.resume()
        self._check(line, bytes(self._output))

    def _check(self, line: bytes, output: bytes) -> None:
        if not self._session.ended:
            assert output.endswith(PROMPT), f"{line!r} has no prompt: {output[-200:]!r}"
            output = output.removesuffix(PROMPT)
        if COMMAND.match(line):
            assert STATUS.search(output), f"{line!r} has no status: {output[-200:]!r}"
        self.succeeded += output.endswith(b"1000 Success\n")

    def _plug(self) -> None:
        random = self._random
        try:
            endpoint = self._bridge.attach(
                FakeFrameLink(), random.choice((None, 1, 2, 3)), user=0, description="\x1b e\n1000 "
            )
        except BridgeError:
            return
        self._bridge.received(endpoint, b"\xff" * 6 + b"\2" + random.randbytes(9))
        self._clock.advance(random.choice((0, 0, 1, 50)))
        if random.random() < 0.8:
            self._bridge.detach(endpoint)


class SansIo:
    """All three."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._requests = RequestSteps(random)
        self._console = ConsoleSteps(random)
        self._stations = StationSteps(random)
        self._counts = {"requests": 0, "lines": 0, "bridge steps": 0}
        self._frames = self._copies = self._succeeded = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def step(self) -> None:
        """A request, a line, or something that happens to a bridge."""
        draw, counts = self._random.random(), self._counts
        if draw < 0.1:
            counts["requests"] += 1
            self._requests.step()
        elif draw < 0.15:
            counts["lines"] += 1
            self._console.step()
            if counts["lines"] % CONSOLE_STEPS == 0:
                self._succeeded += self._console.succeeded
                self._console = ConsoleSteps(self._random)
        else:
            counts["bridge steps"] += 1
            self._stations.step()
            if counts["bridge steps"] % BRIDGE_STEPS == 0:
                self._end_bridge()
                self._stations = StationSteps(self._random)

    def _end_bridge(self) -> None:
        self._stations.end()
        self._frames += self._stations.frames
        self._copies += self._stations.copies

    def end(self) -> None:
        """Come to rest."""
        self._end_bridge()
        self._succeeded += self._console.succeeded

    def summary(self) -> str:
        """What was done."""
        counts = self._counts
        return (
            f"{counts['requests']} requests, of which {self._requests.good} good;"
            f" {counts['lines']} console lines, of which {self._succeeded} succeeded;"
            f" {self._frames} frames of which {self._copies} copies arrived"
        )
