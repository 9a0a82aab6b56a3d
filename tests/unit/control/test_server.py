"""The control interface, of a service that is made up here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from distnet.control.server import Answers, ControlSite, as_json, make_resource


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
}


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

    def test_numbers(self) -> None:
        """Other numbers stay, and so does what is true or false."""
        self.assertEqual(json.dumps(as_json([0, 1.5, True, None])), "[0, 1.5, true, null]")


class AnswersTests(SynchronousTestCase):
    """Tests for C{make_resource}."""

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], Any]:
        """What comes back: the status, the headers, and the JSON or None."""
        protocol = ControlSite(make_resource("1.2", ANSWERS), reactor=Clock()).buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
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
        for path in ("/", "/all", "/things/1"):
            status, headers, _ = self.ask(path, "POST")
            self.assertEqual((status, headers["allow"]), (405, "GET, HEAD"))
        self.assertEqual(self.ask("/things/3", "POST")[0], 404)

    def test_paths_of_another_form(self) -> None:
        """What could never be asked for is an error at once."""
        for path in ("things", "/things/number", "/things/NUMBER", "/a/B/C"):
            with self.assertRaises(ValueError, msg=path):
                make_resource("1.2", {path: dict})
