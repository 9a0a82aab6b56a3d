"""C{distnet cluster} as people run it, with its clusters in a place of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.daemons import PATIENCE, ROOT, eventually

COMMAND = [sys.executable, "-m", "distnet.cli", "cluster"]


class Up:
    """A C{distnet cluster up} that runs; what it prints goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def wait_for(self, text: str, patience: float = PATIENCE) -> str:
        """What it has printed, once it has printed a text."""

        def printed() -> str:
            ended = self.process.poll() is not None
            output = self.output()
            assert text in output or not ended, f"it ended without {text!r}:\n{output}"
            return output if text in output else ""

        return str(eventually(f"it prints {text!r}", printed, patience))

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(PATIENCE)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send it a signal; its exit status."""
        self.process.send_signal(number)
        return self.wait()


class Clusters:
    """
    A place for clusters.

    @ivar home: where their files are.
    @ivar runtime: where the directories of those that run are.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        # Not within pytest's directory, which is too long for the path of a socket.
        self.runtime = Path(tempfile.mkdtemp(prefix="dnc"))
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XDG_RUNTIME_DIR": str(self.runtime),
        }
        self._ups: list[Up] = []

    def run_directory(self, name: str) -> Path:
        """The directory of a cluster that runs."""
        return self.runtime / "distnet" / "clusters" / name

    def write(self, name: str, **keys: Any) -> Path:
        """A cluster's file."""
        file = self.home / f"{name}.toml"
        # A value of JSON is one of TOML, but for tables.
        tables = keys.pop("node", [])
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        for table in tables:
            lines += ["[[node]]", *(f"{key} = {json.dumps(table[key])}" for key in table)]
        file.write_text("\n".join(lines) + "\n")
        return file

    def up(self, file: Path, *options: str) -> Up:
        """Start a cluster."""
        output = self.home / f"up{len(self._ups)}"
        with output.open("wb") as printed:
            process = subprocess.Popen(
                [*COMMAND, "up", str(file), *options],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed,
                # As in a terminal of its own, where Control-C is for all of the group.
                start_new_session=True,
            )  # fmt: skip
        self._ups.append(Up(process, output))
        return self._ups[-1]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end. No output of it may be a traceback."""
        ended = subprocess.run(
            [*COMMAND, *words], env={**self.environment, **environment},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=4 * PATIENCE,
        )  # fmt: skip
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    def processes(self) -> list[str]:
        """The command lines of all processes that have to do with clusters here."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            # It may end meanwhile; a zombie's is empty.
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if str(self.runtime) in line:
                    found.append(line)
        return found

    def assert_nothing_is_left(self) -> None:
        """No process, socket or file of any cluster is there."""
        eventually("no process is left", lambda: self.processes() == [])
        assert list(self.runtime.glob("distnet/clusters/*")) == []

    def close(self) -> None:
        """End whatever a failed test has left."""
        for up in self._ups:
            if up.process.poll() is None:
                up.process.kill()
                up.process.wait()
        for name in {path.stem for path in self.runtime.glob("distnet/clusters/*")}:
            self.run("down", name)
        shutil.rmtree(self.runtime)


@contextlib.contextmanager
def clusters(home: Path) -> Iterator[Clusters]:
    """A place for clusters, which is gone afterwards with all that runs there."""
    place = Clusters(home)
    try:
        yield place
    finally:
        place.close()
