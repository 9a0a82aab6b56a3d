"""L{distnet.client.twisted}: what waits and what is forgotten between two masters."""

from __future__ import annotations

import errno
from typing import Any

from twisted.logger import LogLevel, capturedLogs, formatEvent

from distnet.client.twisted import AsyncClient
from distnet.wire import encode_message
from tests.unit.client.endpoints import AsyncCase, MemoryEndpoint, run


class ReconnectTests(AsyncCase):
    """A client that connects again."""

    def connected(self, **options: Any) -> AsyncClient:
        """A client with id 5 that comes back after a second."""
        return super().connected(reconnect=True, retry_policy=lambda failed: 1.0, **options)

    def test_waits_for_a_master(self) -> None:
        """connect() goes on until there is a master."""
        self.endpoint.refuse = True
        connecting = run(self.client(reconnect=True, retry_policy=lambda _: 1.0).connect())
        self.clock.pump([1.0, 1.0])
        self.assertEqual(self.endpoint.attempts, 3)
        self.assertNoResult(connecting)
        self.endpoint.refuse = False
        self.clock.advance(1.0)
        self.endpoint.says(b"8")
        self.assertEqual(self.successResultOf(connecting), 8)

    def test_gives_up(self) -> None:
        """connect(timeout) and cancelling end the attempts, between two of them and within one."""
        for within in (False, True):
            self.endpoint = MemoryEndpoint()
            self.endpoint.refuse, self.endpoint.hang = not within, within
            connecting = run(self.client(reconnect=True).connect(timeout=0.5))
            self.clock.advance(0.5)
            self.failureResultOf(connecting, TimeoutError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_new_id(self) -> None:
        """Each connection has an id of its own, of which on_id and when_connected tell."""
        told: list[int] = []
        client = self.connected(on_id=told.append)
        self.endpoint.gone()
        self.assertEqual(self.assertRaises(OSError, client.getid).errno, errno.ENOTCONN)
        waiting = run(client.when_connected())
        self.clock.advance(1.0)
        self.assertNoResult(waiting)
        self.endpoint.says(b"6")
        self.assertEqual(self.successResultOf(waiting), 6)
        self.assertEqual((client.id, told), (6, [5, 6]))

    def test_recv_across(self) -> None:
        """recv() waits across the gap; half a message from before it is forgotten."""
        client = self.connected()
        receiving = run(client.recv())
        self.endpoint.says(encode_message(1, b"lost")[:9])
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"6")
        self.assertNoResult(receiving)
        self.endpoint.says(encode_message(1, b"new"))
        self.assertEqual(self.successResultOf(receiving), (1, b"new"))

    def test_send_across(self) -> None:
        """What waits to be sent is written once, to the next connection, after its id."""
        client = self.connected()
        self.endpoint.producer.pauseProducing()
        sending = [run(client.send(1, b"before"))]
        self.endpoint.gone()
        self.assertEqual(self.endpoint.written, b"")
        self.clock.advance(1.0)
        sending.append(run(client.send(1, b"between")))
        self.assertEqual(self.endpoint.written, b"")
        self.endpoint.says(b"6")
        self.assertEqual([self.successResultOf(each) for each in sending], [14, 15])
        self.assertEqual(
            self.endpoint.written, encode_message(1, b"before") + encode_message(1, b"between")
        )

    def test_paused_across(self) -> None:
        """A full receive queue keeps the next connection from reading, too."""
        client = self.connected(max_waiting=1)
        self.endpoint.says(encode_message(1, b"a"))
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"6")
        self.assertEqual(self.endpoint.transport.producerState, "paused")
        self.successResultOf(run(client.recv()))
        self.assertEqual(self.endpoint.transport.producerState, "producing")

    def test_no_id_is_a_failure(self) -> None:
        """Connections that end without an id make the next delays longer, as refused ones do."""
        asked: list[int] = []

        def policy(failed: int) -> float:
            asked.append(failed)
            return 1.0

        connecting = run(self.client(reconnect=True, retry_policy=policy).connect())
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"garbage")
        self.clock.advance(1.0)
        self.endpoint.says(b"3")
        self.assertEqual(self.successResultOf(connecting), 3)
        self.endpoint.gone()
        self.assertEqual(asked, [2, 3, 1])

    def test_disconnect(self) -> None:
        """disconnect() ends it for good."""
        client = self.connected()
        leaving = run(client.disconnect())
        self.endpoint.gone()
        self.assertEqual(self.successResultOf(leaving), 4)
        self.clock.advance(100)
        self.assertEqual(self.endpoint.attempts, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disconnect_between(self) -> None:
        """disconnect() in the gap writes nothing, and who waits gets an error."""
        client = self.connected()
        self.endpoint.gone()
        sending, receiving = run(client.send(1, b"a")), run(client.recv())
        self.assertEqual(self.successResultOf(run(client.disconnect())), 0)
        self.fails(errno.ENOTCONN, sending)
        self.fails(errno.ENOTCONN, receiving)
        self.clock.advance(100)
        self.assertEqual(self.endpoint.attempts, 1)

    def test_says_why_once(self) -> None:
        """Each reason why there is no master is logged once until there is one again."""
        self.connected()
        self.endpoint.refuse = True
        for _ in range(2):
            with capturedLogs() as events:
                self.endpoint.gone()
                self.clock.pump([1.0] * 5)
            lines = [formatEvent(each) for each in events if each["log_level"] is LogLevel.warn]
            lost, refused = map(str, lines)
            self.assertIn("Connection refused", refused)
            self.assertNotIn("Connection refused", lost)
            self.assertTrue(lost.endswith("; trying again"))
            self.endpoint.refuse = False
            self.clock.advance(1.0)
            self.endpoint.says(b"6")
            self.endpoint.refuse = True
