"""The control interface, of a service that is made up here."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.control.server import Answers, ControlSite, Deletions, make_resource
from distnet.control.telling import PIECE_SIZE, as_json, pieces


class Colour(StrEnum):
    """What a thing has."""

    RED = "red"


class Size(Enum):
    """No text."""

    LARGE = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """What there is to tell."""

    name: str
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class All:
    """A record with all that a record may have."""

    things: tuple[Thing, ...]
    counts: Mapping[Colour, int]
    size: Size
    seconds: float


THINGS = {"1": Thing("one"), "2": Thing("two", Colour.RED)}
ANSWERS: Answers = {
    "/all": lambda: All(tuple(THINGS.values()), {Colour.RED: 1}, Size.LARGE, float("inf")),
    "/things": lambda: list(THINGS.values()),
    "/things/NUMBER": THINGS.get,
    "/many": lambda: {"before": 1, "many": iter([[]] + [Thing("x" * 999)] * 99), "after": 2},
}
DELETIONS: Deletions = {"/things/NUMBER": lambda part: Thing("gone") if part == "1" else None}


class RecordTests(SynchronousTestCase):
    """Tests for C{as_json}."""

    def test_all_that_a_record_may_have(self) -> None:
        """Fields are keys, in their order, all the way down; JSON can say all of it."""
        said = json.dumps(as_json(ANSWERS["/all"]()))
        self.assertEqual(
            said,
            '{"things": [{"name": "one", "colour": null}, {"name": "two", "colour": "red"}],'
            ' "counts": {"red": 1}, "size": 3, "seconds": "inf"}',
        )

    def test_as_it_is_sent(self) -> None:
        """What is sent is the same JSON, with a line for each item of a list."""
        record = {**as_json(ANSWERS["/all"]()), "none": [], "nested": {"deep": [1, 2]}}
        some: list[Any] = [record, [], {}, 7, [THINGS["1"]], ANSWERS["/all"]()]
        for one in some:
            self.assertEqual(json.loads(b"".join(pieces(one))), as_json(one))
        self.assertEqual(json.loads(b"".join(pieces(iter([1, 2])))), [1, 2])
        self.assertEqual(
            b"".join(pieces({"a": iter([Thing("b"), 2]), "c": {"d": 3}, "e": []})).decode(),
            """{
 "a": [
  {"name": "b", "colour": null},
  2
 ],
 "c": {"d": 3},
 "e": []
}
""",
        )

    def test_numbers(self) -> None:
        """Other numbers stay, and so does what is true or false."""
        self.assertEqual(json.dumps(as_json([0, 1.5, True, None])), "[0, 1.5, true, null]")


class AnswersTests(SynchronousTestCase):
    """Tests for C{make_resource}."""

    def connect(self) -> tuple[Any, Any, Clock]:
        """A connection to it: its protocol, its transport, and the reactor's clock."""
        clock = Clock()
        resource = make_resource(clock, "1.2", ANSWERS, DELETIONS)
        protocol: Any = ControlSite(resource, reactor=clock).buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport, clock

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], Any]:
        """What comes back: the status, the headers, and the JSON or None."""
        protocol, transport, _ = self.connect()
        protocol.dataReceived(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = transport.value().decode().partition("\r\n\r\n")
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ") for line in lines)}
        return int(status.split()[1]), headers, json.loads(body) if body else None

    def test_the_root(self) -> None:
        """The root tells the version, and the paths as they were given."""
        self.assertEqual(self.ask("/")[2], {"distnet": "1.2", "paths": list(ANSWERS)})

    def test_what_is_below(self) -> None:
        """A part in capitals stands for any; where there is nothing, that is an error."""
        self.assertEqual(self.ask("/things")[2], [as_json(thing) for thing in THINGS.values()])
        self.assertEqual(self.ask("/things/")[2], self.ask("/things")[2])
        self.assertEqual(self.ask("/things/2")[2], {"name": "two", "colour": "red"})
        for path in ("/things/3", "/things/2/x", "/all/2", "/other", "/things/%ff"):
            status, headers, answer = self.ask(path)
            self.assertEqual(status, 404, path)
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual(answer, {"error": f"there is nothing at {path}"})

    def test_other_methods(self) -> None:
        """HEAD is GET without the body; nothing can be changed."""
        status, headers, answer = self.ask("/all", "HEAD")
        self.assertEqual((status, answer), (200, None))
        self.assertEqual(headers["content-length"], self.ask("/all")[1]["content-length"])
        for path in ("/", "/all", "/things"):
            for method in ("POST", "DELETE"):
                status, headers, _ = self.ask(path, method)
                self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))
        status, headers, _ = self.ask("/things/1", "POST")
        self.assertEqual((status, headers["allow"]), (405, "GET, HEAD, DELETE"))
        self.assertEqual(self.ask("/things/3", "POST")[0], 404)

    def test_delete(self) -> None:
        """What can be deleted is, and it is told what is there then; where nothing is, 404."""
        self.assertEqual(self.ask("/things/1", "DELETE")[2], {"name": "gone", "colour": None})
        self.assertEqual(self.ask("/things/2", "DELETE")[0], 404)
        self.assertEqual(self.ask("/things/3", "DELETE")[0], 404)

    def test_long_answers(self) -> None:
        """What is long is made and sent piece by piece, each in a turn of its own."""
        protocol, transport, clock = self.connect()
        writes: list[int] = []
        write = transport.write

        def note(data: bytes) -> None:
            write(data)
            writes.append(len(data))

        self.patch(transport, "write", note)
        protocol.dataReceived(b"GET /many HTTP/1.0\r\n\r\n")
        self.assertLess(len(transport.value()), 2 * PIECE_SIZE)
        clock.advance(0)
        self.assertTrue(transport.disconnecting)
        self.assertLess(max(writes), 2 * PIECE_SIZE)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        self.assertNotIn(b"content-length", head.lower())
        self.assertEqual(json.loads(body), as_json(ANSWERS["/many"]()))

    def test_who_does_not_read(self) -> None:
        """Who asks and asks and does not read is sent no more than there is room for."""
        protocol, transport, clock = self.connect()
        protocol.dataReceived(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = len(transport.value())
        transport.clear()
        # As a transport that has no room: whatever is written has it pause its producer.
        write = transport.write

        def full(data: bytes) -> None:
            write(data)
            transport.producer.pauseProducing()

        self.patch(transport, "write", full)
        protocol.dataReceived(b"GET /things HTTP/1.1\r\nHost: x\r\n\r\n" * 99)
        self.assertEqual(len(transport.value()), answer)
        for number in range(2, 5):
            transport.producer.resumeProducing()
            clock.advance(0)
            self.assertEqual(len(transport.value()), number * answer)

    def test_who_goes(self) -> None:
        """Who goes in the middle of an answer leaves nothing behind."""
        protocol, transport, clock = self.connect()
        protocol.dataReceived(b"GET /many HTTP/1.1\r\nHost: x\r\n\r\n")
        transport.producer.stopProducing()
        protocol.connectionLost(Failure(ConnectionDone()))
        size = len(transport.value())
        clock.advance(1)
        self.assertEqual((len(transport.value()), clock.getDelayedCalls()), (size, []))

    def test_bodies(self) -> None:
        """What is sent with a request is kept nowhere, however much there is of it."""
        self.patch(tempfile, "TemporaryFile", None)
        protocol, transport, _ = self.connect()
        protocol.dataReceived(b"POST /all HTTP/1.0\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(1000):
            protocol.dataReceived(bytes(1000))
        self.assertIn(b" 405 ", transport.value())

    def test_paths_of_another_form(self) -> None:
        """What could never be asked for is an error at once."""
        for path in ("things", "/things/number", "/things/NUMBER", "/a/B/C"):
            with self.assertRaises(ValueError, msg=path):
                make_resource(Clock(), "1.2", {path: dict})
