"""Follows a document as a reader would: C{python -m tests.following FILE} runs its blocks in order.

It is to run within L{sandboxed}, which has ports, /tmp and /run of its own, so that commands can be
as the document has them. A server that a block starts goes on to the end of the document, and ends
with the sandbox.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from distnet.cluster.config import from_table
from distnet.cluster.keys import BadConfig
from tests.daemons import PATIENCE
from tests.documents import ROOT, Block, Step, pattern, read_file, steps

BIN: Final = Path(sys.executable).parent
CHECKOUT: Final = Path("/tmp/checkout")
"""Where the reader is: a checkout, in which all is installed."""

_SANDBOX: Final = """\
set -e
ip link set lo up
mount -t tmpfs tmpfs /run
for path in "$@"; do mkdir -p "/run/kept$path"; mount --bind "$path" "/run/kept$path"; done
mount -t tmpfs tmpfs /tmp
for path in "$@"; do mkdir -p "$path"; mount --bind "/run/kept$path" "$path"; done
exec "$PYTHON" -m tests.following "$DOCUMENT"
"""


class WentWrong(Exception):
    """Something else has happened than the document says."""


def sandboxed(document: Path) -> subprocess.CompletedProcess[str]:
    """Follow a document in a sandbox; the result's C{stdout} says what went wrong."""
    # What lies in /tmp is hidden there, but for these.
    kept = [
        path for path in (ROOT, Path(sys.prefix), document.parent) if path.is_relative_to("/tmp")
    ]
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return subprocess.run(
        ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
         "sh", "-c", _SANDBOX, "sh", *kept],
        env={
            **os.environ, "PYTHON": sys.executable, "DOCUMENT": str(document),
            "PYTHONPATH": str(ROOT), "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/tmp",
        },
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=PATIENCE * 6, check=False,
    )  # fmt: skip


def make_checkout() -> None:
    """What a reader has after the first C{make}."""
    CHECKOUT.mkdir()
    for name in ("Makefile", "setup.py", "distnet", "examples"):
        (CHECKOUT / name).symlink_to(ROOT / name)
    (CHECKOUT / ".venv").mkdir()
    (CHECKOUT / ".venv" / "bin").symlink_to(BIN)
    (CHECKOUT / ".venv" / "installed").touch()


class Follower:
    """Runs the blocks of one document."""

    def __init__(self) -> None:
        self._outputs = 0
        self._going_on: list[tuple[Step, Callable[[], bool], Path]] = []

    def follow(self, block: Block) -> None:
        """Do what a block says. Raises L{WentWrong}."""
        if block.not_run:
            return
        if block.language == "toml":
            self._read_cluster(block)
        elif block.language == "python":
            self._run_program(block)
        elif block.language in ("sh", "console"):
            for step in steps(block):
                self._run(step)

    def _read_cluster(self, block: Block) -> None:
        try:
            from_table({"name": "it", **tomllib.loads(block.text)}, CHECKOUT, "the block")
        except (tomllib.TOMLDecodeError, BadConfig) as error:
            raise WentWrong(str(error)) from error

    def _run_program(self, block: Block) -> None:
        program = CHECKOUT / "program.py"
        program.write_text(block.text)
        # What it prints is said beside it.
        shown = re.findall(r"print\(.*\)  # (.+)", block.text)
        self._run(Step(f"python {program}", tuple(shown) if shown else None))

    def _run(self, step: Step) -> None:
        self._outputs += 1
        output = Path(f"/tmp/output{self._outputs}")
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {step.command}"], cwd=CHECKOUT,
                stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip
        is_up = server(step.command, process.pid)

        def is_done() -> bool:
            ended = process.poll()
            if step.shown:
                done = pattern(step.shown).match(output.read_text()) is not None
            else:
                done = ended == 0 if is_up is None else is_up()
            if ended is not None and not done:
                raise WentWrong(f"it ended with {ended}:\n{output.read_text()}")
            return done

        deadline = time.monotonic() + PATIENCE
        try:
            while not is_done():
                if time.monotonic() > deadline:
                    raise WentWrong(f"not within {PATIENCE:g} s; it said\n{output.read_text()}")
                time.sleep(0.02)
        except WentWrong as why:
            raise WentWrong(f"$ {step.command}\n{why}") from None
        if is_up is not None:
            self._going_on.append((step, is_up, output))

    def end(self) -> None:
        """See that what was to go on has done so. Raises L{WentWrong}."""
        for step, is_up, output in self._going_on:
            if not is_up():
                raise WentWrong(f"$ {step.command}\nit ended after all:\n{output.read_text()}")


def server(command: str, pid: int) -> Callable[[], bool] | None:
    """What says whether a server is up, or None if a command is to end by itself."""
    words = shlex.split(command)
    if "distnet-vde" in words:
        path = f"{words[words.index('-sock') + 1]}/ctl"
        return lambda: accepts(path)
    if words == ["make", "run"] or ("twistd" in words and "distnet" in words):
        return lambda: pid in masters()
    return None


def masters() -> set[int]:
    """The processes of the masters that answer, and their parents."""
    found = set()
    for path in Path("/run/distnet").glob("*"):
        if path.name.endswith("tools"):
            # It would take the question for a tool, and give it an id.
            continue
        told = subprocess.run(
            ["distnet", "status", "--json", "--control", path], capture_output=True, check=False
        )
        if told.returncode == 0:
            pid = json.loads(told.stdout)["pid"]
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            found |= {pid, int(parent)}
    return found


def accepts(path: str) -> bool:
    """Whether somebody listens at a unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


def main(document: str) -> int:
    """Follow a document; the exit status says whether all was as it says."""
    make_checkout()
    follower = Follower()
    for section in read_file(Path(document)):
        for block in section.blocks:
            try:
                follower.follow(block)
            except WentWrong as why:
                print(f"{document}:{block.line}, in {section.title!r}:\n{why}")
                return 1
    try:
        follower.end()
    except WentWrong as why:
        print(f"{document}, at its end:\n{why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
