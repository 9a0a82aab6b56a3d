"""Masters and switches that choose their control sockets, as those do that users start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.daemons import PATIENCE, answer, environment
from tests.masters import Master
from tests.switches import Switch


class OwnMaster(Master):
    """A master without C{--control}, in a C{XDG_RUNTIME_DIR}."""

    def __init__(self, directory: Path, name: str, *options: str, runtime: Path) -> None:
        super().__init__(directory, *options, environment={"XDG_RUNTIME_DIR": str(runtime)})
        self.control = str(runtime / "distnet" / name)
        self.tools = f"{self.control}.tools"

    def command(self) -> list[str]:
        """How it is started."""
        words = super().command()
        where = words.index("--control")
        return words[:where] + words[where + 2 :]

    def is_ready(self) -> bool:
        """Whether it answers, and nobody else who has had that name."""
        status = answer(self.control, "/status")
        return status is not None and bool(status["pid"] == self.process.pid)


class OwnSwitch(Switch):
    """A switch without C{--control}, with a directory of that name, in a C{XDG_RUNTIME_DIR}."""

    def __init__(self, directory: Path, name: str, *options: str, runtime: Path) -> None:
        super().__init__(directory, *options, within=["env", f"XDG_RUNTIME_DIR={runtime}"])
        self.sock = self.home / name
        self.control = str(runtime / "distnet" / f"switch-{name}")

    def command(self) -> list[str]:
        """How it is started."""
        words = super().command()
        where = words.index("--control")
        return words[:where] + words[where + 2 :]

    def is_ready(self) -> bool:
        """Whether it listens: where there is no place for a control socket, it has none."""
        return self.listens()


def distnet(runtime: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. No output of it may be a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "distnet.cli", *words],
        env=environment(XDG_RUNTIME_DIR=str(runtime)),
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr
    return ended
