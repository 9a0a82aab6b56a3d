"""
C{distnet-vde-switch}: the switch by vde_switch's command line, whole, so that a script changes one
word. What it adds to C{twistd distnet-vde} is what vde_switch does with its process.
"""

from __future__ import annotations

import getopt
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twisted.python.usage import UsageError
from twisted.scripts import twistd

from distnet.switch.getopt import double_dashes
from distnet.switch.options import Options

NAME: Final = "distnet-vde-switch"
_LOGGER: Final = "distnet.daemon.log.standard_error"


class SwitchOptions(Options):
    """The options of C{twistd distnet-vde}, those that are twistd's there too."""

    synopsis = f"Usage: {NAME} [options]"

    def __init__(self) -> None:
        super().__init__()
        self.docs["daemon"] = "Go to the background once the sockets are there; log to syslog."
        self.docs["pidfile"] = "FILE for the number of the process, while it runs."

    def check(self) -> None:
        """The file with the number of the process is written by twistd."""
        self["pidfile"] = None
        super().check()


@dataclass(frozen=True, slots=True)
class CommandLine:
    """
    What vde_switch would make of its words.

    @ivar daemon: it goes to the background.
    @ivar pidfile: where it writes its number, or None.
    @ivar options: the words for the switch itself, each option in full.
    """

    daemon: bool
    pidfile: str | None
    options: tuple[str, ...]

    def for_twistd(self, directory: str, umask: int) -> list[str]:
        """
        The words for twistd that are the same.

        @param directory: of which relative paths are, and in which it stays, as vde_switch does.
        @param umask: which it keeps.
        """
        pidfile = "" if self.pidfile is None else str(Path(directory) / self.pidfile)
        words = [f"--pidfile={pidfile}", f"--umask={umask:o}"]
        if self.daemon:
            words += ["--syslog", f"--prefix={NAME}"]
        else:
            words += ["--nodaemon", f"--logger={_LOGGER}"]
        return [*words, "distnet-vde", *self.options]


def read(words: Sequence[str]) -> CommandLine:
    """Read vde_switch's words. Raises UsageError, in one line, if they cannot be used."""
    known = SwitchOptions()
    short, long = known.shortOpt, known.longOpt
    try:
        found, rest = getopt.getopt(double_dashes(words, short, long), short, long)
    except getopt.GetoptError as error:
        raise UsageError(str(error)) from None
    daemon, pidfile, options = False, None, []
    for option, value in found:
        if option in {"-d", "--daemon"}:
            daemon = True
        elif option in {"-p", "--pidfile"}:
            pidfile = value
        elif option.startswith("--"):
            options.append(f"{option}={value}" if f"{option[2:]}=" in long else option)
        else:
            options.append(f"{option}{value}")
    known.parseOptions([*options, *rest])
    return CommandLine(daemon, pidfile, tuple(options))


def main() -> None:
    """The command itself: replaced by twistd, as which it goes on."""
    try:
        line = read(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"{NAME}: {error} (--help says more)")
    umask = os.umask(0)
    os.umask(umask)
    sys.argv = [NAME, *line.for_twistd(str(Path.cwd()), umask)]
    twistd.run()


if __name__ == "__main__":
    main()
