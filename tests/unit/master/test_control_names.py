"""What the control socket of a master is called, by where it listens for kernels."""

from __future__ import annotations

import os

from distnet.master.options import Options
from tests.unit.control.runtime import RuntimeTestCase

PID_NAME = f"control-pid-{os.getpid()}"


class ControlNameTests(RuntimeTestCase):
    """Tests for the default of C{--control}."""

    def claimed(self, *words: str) -> str:
        """The name of the socket that a master with these options claims, if it is alone."""
        options = Options()
        options.parseOptions(words)
        assert options.control is not None
        with options.control.claimed() as path:
            return path.removeprefix(f"{self.directory}/")

    def test_names(self) -> None:
        """At the documented port it is the documented one; elsewhere a listener names it."""
        for words, name in (
            ((), "control"),
            (("--port", "tcp:1234:interface=0.0.0.0"), "control"),
            (("--listen", "tcp6:1234", "--listen", "1235"), "control"),
            (("--port", "1235", "--listen", "1234"), "control-1235"),
            (("--port", "tcp6:port=1236"), "control-1236"),
            (("--port", "0"), PID_NAME),
            (("--listen", "unix:/tmp/some/kernels"), "control-kernels"),
            (("--node", "3=unix:/tmp/1234"), "control-1234"),
        ):
            self.assertEqual(self.claimed(*words), name)

    def test_tools(self) -> None:
        """The socket for tools is beside a path that is told, or that will be chosen."""
        for words, paths, late in (
            ((), [], True),
            (("--control", "/c"), ["/c.tools"], False),
            (("--control", "none"), [], False),
            (("--tools", "/t"), ["/t"], False),
            (("--tools", "none"), [], False),
            (("--control", "/c", "--tools", "/t"), ["/t"], False),
        ):
            options = Options()
            options.parseOptions(words)
            self.assertEqual([one.path for one in options.listeners[1:]], paths)
            self.assertEqual(options.tools_beside_control, late)
            self.assertEqual(options.control is None, words == ("--control", "none"))
