"""A console without its socket, on a bridge without a machine."""

from __future__ import annotations

import errno

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.observers import broadcast
from distnet.switch.console.commands import make_console
from distnet.switch.console.observer import ConsoleObserver
from distnet.switch.console.records import About, Machine
from distnet.switch.console.session import ConsoleSession
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.testing import FakeFrameLink
from tests.unit.switch.console.test_pdump import MemoryFile

PROMPT = b"\nvde$ "


class MachineOfTest(Machine):
    """A machine whose files are a test's."""

    def __init__(self, case: ConsoleTestCase) -> None:
        self._case = case

    def process(self) -> int:
        """A number."""
        return 7

    def wall_clock(self) -> float:
        """The test's clock."""
        return self._case.clock.seconds()

    def read_script(self, path: str) -> bytes:
        """One of the test's scripts."""
        if path not in self._case.scripts:
            raise OSError(errno.ENOENT, "no")
        return self._case.scripts[path]

    def open_dump(self, path: str) -> MemoryFile:
        """A new file in memory, which is one of the test's files."""
        self._case.files[path] = MemoryFile()
        return self._case.files[path]

    def shut_down(self) -> None:
        """Count that the switch was told to end."""
        self._case.shut_down += 1


class ConsoleTestCase(SynchronousTestCase):
    """A bridge with a console, and no machine around them."""

    def setUp(self) -> None:
        """A session that was greeted."""
        self.clock = Clock()
        self.scripts: dict[str, bytes] = {}
        self.files: dict[str, MemoryFile] = {}
        self.shut_down = 0
        observer = ConsoleObserver()
        self.bridge = Bridge(BridgeLimits(), broadcast(IBridgeObserver, observer), self.clock)
        self.console = make_console(
            self.bridge,
            observer,
            clock=self.clock.seconds,
            about=About("9", b"\0\xff\1\2\3\4", 0.0, "/sock", 0o660, ("/mgmt", 0o600)),
            machine=MachineOfTest(self),
        )
        self.session, self.output = self.new_session()

    def new_session(self) -> tuple[ConsoleSession, bytearray]:
        """A session, and what it writes from now on."""
        output = bytearray()
        session = self.console.new_session(output.extend)
        assert session is not None
        return session, output

    def take(self) -> bytes:
        """What was written since."""
        data = bytes(self.output)
        self.output.clear()
        return data

    def ask(self, line: bytes | str) -> bytes:
        """What a line is answered, without the prompt."""
        self.session.feed((line.encode() if isinstance(line, str) else line) + b"\n")
        answer = self.take()
        self.assertTrue(answer.endswith(PROMPT), answer)
        return answer.removesuffix(PROMPT)

    def plug(self, number: int | None = None, description: str = "a test") -> FakeFrameLink:
        """Plug something in."""
        link = FakeFrameLink()
        self.bridge.attach(link, number, user=0, description=description)
        return link
