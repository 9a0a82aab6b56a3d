"""What is typed at the console of a switch, ours or vde_switch.

    python -m tests.console.scripts SOCKET [SCRIPT...]

types at the console at a management socket and prints each answer as it came, byte by byte.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

PROMPT: Final = b"\nvde$ "
LOGGED_OUT: Final = b"9999 END OF SESSION"


class ConsoleClient:
    """A console at a management socket."""

    def __init__(self, path: str, seconds: float = 10) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(seconds)
        self.socket.connect(path)
        self.greeting = self.read()

    def read(self) -> bytes:
        """All up to the next prompt, or the end."""
        data = bytearray()
        while not data.endswith(PROMPT):
            piece = self.socket.recv(65536)
            if not piece:
                break
            data += piece
        return bytes(data)

    def ask(self, line: str) -> bytes:
        """What a line is answered, with the prompt after it."""
        self.socket.sendall(line.encode("latin-1") + b"\n")
        return self.read()

    def close(self) -> None:
        """End it."""
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Script:
    """
    Lines typed one after the other at a new switch, each when the one before was answered.

    @ivar lines: {dir} stands for a directory with the files.
    """

    name: str
    lines: tuple[str, ...]

    def run(self, path: str, directory: Path) -> list[tuple[str, bytes]]:
        """(line, answer); the first is the greeting's, the last that of C{logout}."""
        for name, text in FILES.items():
            (directory / name).write_text(text.replace("{dir}", str(directory)))
        client = ConsoleClient(path)
        answers = [("", client.greeting)]
        for line in (*self.lines, "logout"):
            typed = line.replace("{dir}", str(directory))
            answers.append((typed, client.ask(typed)))
        client.close()
        return answers


def _script(path: Path) -> Script:
    """From a file with a line for each; blanks at the ends and control characters are escaped."""
    lines = path.read_text().removesuffix("\n").split("\n")
    return Script(path.stem, tuple(line.encode().decode("unicode_escape") for line in lines))


FILES: Final = {
    "one": "port/showinfo\nbadcommand\n# comment\n  #indented\n   \nport/create 7\n",
    "two": "load {dir}/one\ndebug/add port\nport/create 5\nport/createauto\nlogout\n",
    "three": "port/showinfo\r\nload {dir}/nosuch\nshutdown\nport/create 8",
    "empty": "",
    "blank": "port/create 10\n\nport/create 11\n",
    "single": "port/create 12\n",
}
"""Scripts that scripts load, by name; {dir} is the directory that they are in."""

SCRIPTS: Final = tuple(_script(path) for path in sorted(Path(__file__).parent.glob("*.txt")))


def main(arguments: list[str]) -> None:
    """Type at a console, print the answers."""
    path, *names = arguments
    with TemporaryDirectory() as directory:
        for script in SCRIPTS:
            if not names or script.name in names:
                for line, answer in script.run(path, Path(directory)):
                    print(f"{line!r}\n    {answer!r}")


if __name__ == "__main__":
    main(sys.argv[1:])
