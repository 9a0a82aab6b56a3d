"""A receiver that takes nothing, behind small limits."""

from __future__ import annotations

from typing import Any

from tests.unit.master.core.kernels import Kernel, RouterTestCase, message

PER_ID = 100
RESERVE = 50
PAUSE = 1.0


class CongestionTestCase(RouterTestCase):
    """A sender, and a receiver whose link takes nothing."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew with small limits and two nodes."""
        limits = {
            "max_payload": RESERVE - 8,
            "max_waiting_per_id": PER_ID,
            "reserve": RESERVE,
            "pause_seconds": PAUSE,
            "segment": None,
            **limits,
        }
        super().start(*arguments, **limits)
        self.assertIsNone(self.router.limits.problem())
        self.sender, self.slow = self.kernel(), self.kernel()
        self.slow.take(0)

    def send(self, *sizes: int, dest: int = 1, sender: Kernel | None = None) -> None:
        """Send messages of these sizes, headers included, in one write."""
        data = b"".join(message(dest, size) for size in sizes)
        (sender or self.sender).write(data)

    def waiting(self, node: int = 1) -> int:
        """Bytes waiting for an id."""
        return self.router.mailboxes.waiting_for(node).bytes

    def assert_paused(self, kernel: Kernel, dest: int = 1) -> None:
        """It is not read, and waits for that id."""
        self.assertEqual(kernel.session.paused_for, dest)
        self.assertEqual(kernel.session.state, "paused")
        self.assertTrue(kernel.link.paused)

    def assert_running(self, kernel: Kernel) -> None:
        """It is read."""
        self.assertIsNone(kernel.session.paused_for)
        self.assertFalse(kernel.link.paused)

    def episodes(self) -> list[str]:
        """What was said of episodes."""
        return [event[0] for event in self.said("congested", "dropping", "relieved")]
