"""The console at a terminal, with the programs of VDE, and what tcpdump reads of a dump."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.console.scripts import ConsoleClient
from tests.console.switches import (
    ConsoleSwitch,
    ConsoleVdeSwitch,
    Start,
    TerminalSwitch,
)
from tests.daemons import PATIENCE, eventually
from tests.switches import BROADCAST, RawClient, frame, mac


@pytest.mark.parametrize("end", [b"shutdown\n", b"\4"])
def test_a_terminal(end: bytes, start_console: Start) -> None:
    """At a terminal it greets and prompts; its end of input, or shutdown, stops the switch."""
    switch = start_console("stdin", kind=TerminalSwitch)
    assert switch.process.stdin is not None
    switch.process.stdin.write(b"port/create 3\n")
    switch.process.stdin.flush()
    switch.wait_for_log("1000 Success")
    switch.process.stdin.write(end)
    switch.process.stdin.flush()
    assert switch.process.wait(PATIENCE) == 0
    shown = switch.log()
    assert "VDE switch V." in shown
    assert "vde$ " in shown
    assert "Traceback" not in shown


def test_tcpdump_reads_a_dump(start_console: Start, tmp_path: Path) -> None:
    """tcpdump shows a frame of a dump with its addresses."""
    switch = start_console()
    console = ConsoleClient(switch.management)
    path = tmp_path / "dump"
    with RawClient(switch.sock) as client:
        client.plug()
        for line in ("plugin/add pdump", f"pdump/filename {path}", "pdump/active 1"):
            console.ask(line)
        client.send(frame(BROADCAST, mac(1), bytes(50)))
        eventually("it is written", lambda: path.stat().st_size > 24)
    shown = subprocess.run(
        ["tcpdump", "-enr", str(path)], capture_output=True, text=True, check=True
    )
    assert "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype Unknown (0x88b5)" in shown.stdout
    console.close()


def commanded(switch: ConsoleSwitch, *words: str) -> tuple[int, str]:
    """The exit status of vdecmd, and what it prints; it puts a zero behind each line."""
    done = subprocess.run(
        ["unixcmd", "-f", "/etc/vde2/vdecmd", "-s", switch.management, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout.replace("\0", "")


def test_vdecmd(start_console: Start) -> None:
    """vdecmd exits and prints as it does with vde_switch."""
    ours, theirs = start_console(), start_console(kind=ConsoleVdeSwitch)
    assert commanded(ours, "port/showinfo")[1] == "Numports=32\nHUB=false\ncounters=true\n"
    for line in ("port/showinfo", "port/create 3", "port/create 3", "nosuch", "port/allprint"):
        assert commanded(ours, *line.split()) == commanded(theirs, *line.split())


@pytest.mark.parametrize("kind", [ConsoleSwitch, ConsoleVdeSwitch])
@pytest.mark.parametrize("program", ["unixterm", "vdeterm"])
def test_terminals(program: str, kind: type[ConsoleSwitch], start_console: Start) -> None:
    """unixterm and vdeterm show answers, and end when the session does."""
    switch = start_console(kind=kind)
    if program == "vdeterm":
        # It wants a terminal.
        command = ["script", "-qec", f"vdeterm {switch.management}", "/dev/null"]
    else:
        command = [program, switch.management]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (b"port/create 3\n", b"port/allprint\n", b"logout\n"):
            time.sleep(0.2)
            process.stdin.write(line)
            process.stdin.flush()
        shown = process.stdout.read().replace(b"\r", b"")
        process.stdin.close()
        process.wait(PATIENCE)
    assert b"Success\n" in shown
    assert b"Port 0003 untagged_vlan=0000 INACTIVE" in shown
