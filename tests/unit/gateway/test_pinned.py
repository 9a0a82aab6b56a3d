"""Processes of guests that ports of this machine lead to."""

from __future__ import annotations

from typing import Any

from distnet.gateway.channel import Message
from distnet.gateway.children import MOST_UNPROVEN, MOST_UNPROVEN_SECONDS, UNPROVEN_SECONDS
from distnet.gateway.restarts import FIRST_SECONDS
from tests.unit.gateway.test_children import ChildrenTestCase, mac

MAC = mac(0x7000)
FORWARD = [False, "127.0.0.1", 2222, "10.0.2.17", 22]
OTHER = [False, "127.0.0.1", 8080, "10.0.2.17", 80]


class PinnedTests(ChildrenTestCase):
    """One such guest, and many others."""

    def pin(self, *forwards: list[Any]) -> None:
        """These ports lead to the guest."""
        self.children.pin(MAC, list(forwards))

    def crowd(self, first: int, count: int) -> None:
        """So many guests that do not answer want a process."""
        for number in range(first, first + count):
            self.children.input(mac(number), b"SYN")

    def told(self) -> list[Message]:
        """What the guest's process was told, but for the plug."""
        self.asked()
        messages = self.processes[MAC].told()
        return [
            {key: value for key, value in message.items() if key != "descriptors"}
            for message in messages
            if "plug" not in message
        ]

    def test_it_is_started(self) -> None:
        """It has a process though it has not said a word, which is told the ports."""
        self.pin(FORWARD)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])
        self.pin(FORWARD, OTHER)
        self.assertEqual(self.told(), [{"forward": [FORWARD, OTHER]}])

    def test_it_has_one(self) -> None:
        """One that runs is told."""
        self.children.input(MAC, b"a frame")
        self.assertEqual(self.told(), [])
        self.pin(FORWARD)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])

    def test_idle(self) -> None:
        """It is not ended for doing nothing, until no port leads there any more."""
        self.pin(FORWARD)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])
        self.processes[MAC].say({"idle": True})
        self.reactor.settle()
        self.assertEqual(self.told(), [])
        self.pin()
        self.processes[MAC].say({"idle": True})
        self.reactor.settle()
        self.assertEqual([set(each) for each in self.told()], [{"forward"}, {"end", "reset"}])

    def test_it_does_not_give_way(self) -> None:
        """Guests that nobody has heard of do not end it, however long it is silent."""
        self.pin(FORWARD)
        self.crowd(0, MOST_UNPROVEN)
        self.reactor.advance(UNPROVEN_SECONDS)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])
        self.reactor.advance(MOST_UNPROVEN_SECONDS)
        self.assertEqual(self.told(), [])

    def test_it_was_one_of_those(self) -> None:
        """Nor if it had a process already, as one of those."""
        self.children.input(MAC, b"a frame")
        self.pin(FORWARD)
        self.crowd(0, MOST_UNPROVEN)
        self.asked()
        self.reactor.advance(MOST_UNPROVEN_SECONDS)
        self.crowd(100, MOST_UNPROVEN)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])

    def test_it_does_not_wait(self) -> None:
        """Nor do they keep it waiting."""
        self.crowd(0, 2 * MOST_UNPROVEN)
        self.pin(FORWARD)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])

    def test_what_forks_is_not_there(self) -> None:
        """It waits for that."""
        self.zygotes[0].channel.close()
        self.reactor.settle()
        self.pin(FORWARD)
        self.assertEqual(self.children.running, {})
        self.reactor.advance(FIRST_SECONDS)
        self.assertEqual(self.told(), [{"forward": [FORWARD]}])
