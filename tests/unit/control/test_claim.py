"""Which control socket a service takes when it starts."""

from __future__ import annotations

import os
import stat
import threading

from distnet.control.claim import ControlPath
from distnet.control.paths import MASTER, default_control, listens, tools_beside
from distnet.errors import StartupError
from tests.unit.control.runtime import RuntimeTestCase

PID_NAME = f"control-pid-{os.getpid()}"


class ClaimTests(RuntimeTestCase):
    """Tests for C{ControlPath}."""

    def test_the_usual_one(self) -> None:
        """The usual one has the documented path, in a directory for its user alone."""
        path, _ = self.start("1234", usual=True)
        self.assertEqual(path.path, default_control())
        self.assertEqual(self.names(), ["control"])
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_one_alone(self) -> None:
        """One that is alone has its own name, and the documented path leads to it too."""
        path, _ = self.start("1235")
        self.assertEqual(path.path, str(self.directory / "control-1235"))
        self.assertTrue(listens(default_control()))
        path.release()
        self.assertEqual(self.names(), ["control-1235"])

    def test_tools(self) -> None:
        """Where the documented path leads to it, that of the socket for tools does too."""
        path, _ = self.start("1235")
        path.tools_listen()
        self.assertEqual(self.names(), ["control", "control-1235"])
        self.listen(tools_beside(path.path))
        # What a killed one has left.
        self.listen(tools_beside(default_control())).close()
        path.tools_listen()
        self.assertTrue(listens(tools_beside(default_control())))
        other, _ = self.start("1236")
        other.tools_listen()
        other.release()
        self.assertTrue(listens(tools_beside(default_control())))
        path.release()
        self.assertEqual(self.names(), ["control-1235", "control-1235.tools", "control-1236"])

    def test_tools_of_another(self) -> None:
        """The usual one finds the names of both its sockets free, and keeps them."""
        path, _ = self.start("1235")
        self.listen(tools_beside(path.path))
        path.tools_listen()
        self.start("1234", usual=True)
        self.assertEqual(self.names(), ["control", "control-1235", "control-1235.tools"])
        path.tools_listen()
        path.release()
        self.assertEqual(self.names(), ["control", "control-1235", "control-1235.tools"])

    def test_several(self) -> None:
        """Each has its own name, whoever came first; the documented path is the usual one's."""
        other, _ = self.start("1235")
        usual, usual_socket = self.start("1234", usual=True)
        third, _ = self.start("1236")
        self.assertEqual(self.names(), ["control", "control-1235", "control-1236"])
        self.assertEqual(usual.path, default_control())
        for path in (other, third, usual):
            path.release()
        # None of them has taken it from the usual one.
        self.assertEqual(self.names(), ["control", "control-1235", "control-1236"])
        usual_socket.close()
        self.assertFalse(listens(usual.path))

    def test_the_same_name(self) -> None:
        """Where a name is taken, the number of the process is one that nobody else has."""
        self.start("1234", usual=True)
        on_another_interface, second = self.start("1234", usual=True)
        self.assertEqual(on_another_interface.path, str(self.directory / "control-1234"))
        third, _ = self.start("1234")
        self.assertEqual(third.path, str(self.directory / PID_NAME))
        second.close()
        self.assertEqual(self.start("1234", usual=True)[0].path, on_another_interface.path)

    def test_without_a_name(self) -> None:
        """One that has no name of its own is called by the number of its process."""
        self.assertEqual(self.start()[0].path, str(self.directory / PID_NAME))

    def test_any_text_is_a_name(self) -> None:
        """What a file's name cannot have, or a control socket's, is replaced."""
        self.assertEqual(
            self.start("../a.tools")[0].path, str(self.directory / "control----a-tools")
        )
        long, _ = self.start("x" * 200)
        self.assertEqual(long.path, str(self.directory / f"control-{'x' * 40}"))

    def test_a_name_that_does_not_fit(self) -> None:
        """Where the directory's path leaves no room for the name, it is the process's number."""
        self.directory.mkdir()
        deep = self.directory / ("d" * (60 - len(str(self.directory))))
        deep.mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(deep)
        path, _ = self.start("x" * 40)
        self.assertEqual(path.path, str(deep / "distnet" / PID_NAME))

    def test_those_who_were_killed(self) -> None:
        """What a killed one has left is taken over, under all of its names."""
        self.start("1235")[1].close()
        self.start()[1].close()
        (self.directory / f"{PID_NAME}.tools").touch()
        (self.directory / "control-pid-1x").touch()
        self.assertTrue((self.directory / PID_NAME).is_socket())
        self.start("1236")
        self.assertTrue(listens(default_control()))
        self.assertEqual(
            self.names(), ["control", "control-1235", "control-1236", "control-pid-1x"]
        )
        self.start("1235")
        self.start("1234", usual=True)
        for name in ("control", "control-1235", "control-1236"):
            self.assertTrue(listens(self.directory / name))

    def test_what_is_no_socket(self) -> None:
        """A file that is not a socket is nobody's to remove."""
        self.directory.mkdir(mode=0o700)
        (self.directory / "control").touch()
        path, _ = self.start("1235")
        path.release()
        self.assertEqual(self.names(), ["control", "control-1235"])
        self.assertTrue((self.directory / "control").is_file())

    def test_what_is_told(self) -> None:
        """A path that is told is taken as it is, there or elsewhere."""
        for told in (str(self.directory / "mine"), str(self.directory.parent / "mine")):
            path, _ = self.start("1235", told=told)
            self.assertEqual(path.path, told)
            path.release()
            self.assertTrue(listens(told))
        self.assertEqual(self.names(), ["mine"])

    def test_nobody_else_chooses_meanwhile(self) -> None:
        """Of two that start at the same time the second chooses when the first has its socket."""
        chosen = []

        def start() -> None:
            chosen.append(self.start("1234", usual=True)[0].path)

        other = threading.Thread(target=start)
        with ControlPath(MASTER, None, "1234", usual=True).claimed() as path:
            other.start()
            # Long enough for one that does not wait; one that does may take any time.
            other.join(0.1)
            self.listen(path)
        other.join()
        self.assertEqual(chosen, [str(self.directory / "control-1234")])

    def test_a_directory_of_somebody_else(self) -> None:
        """Into a directory that others can write to, nothing is put."""
        self.directory.mkdir()
        self.directory.chmod(0o777)
        for told in (None, str(self.directory / "mine")):
            error = self.assertRaises(StartupError, self.start, "1234", True, told)
            self.assertIn("give --control PATH", str(error))
        self.assertEqual(self.names(), [])
