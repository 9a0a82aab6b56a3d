"""The console of a running switch: byte by byte as vde_switch's, and with VDE's own clients."""

from __future__ import annotations

import os
import re
import shutil
import stat
from pathlib import Path

import pytest

from tests.console.differences import DIFFERENCES, Difference
from tests.console.scripts import LOGGED_OUT, PROMPT, SCRIPTS, ConsoleClient, Script
from tests.console.switches import (
    ClosedSwitch,
    ConsoleSwitch,
    ConsoleVdeSwitch,
    RedirectedSwitch,
    Start,
)
from tests.daemons import PATIENCE, eventually, until
from tests.pcaps import frames_of
from tests.switches import BROADCAST, RawClient, StartSwitch, frame, mac


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory for the files of scripts."""
    directory = tmp_path / "files"
    directory.mkdir()
    return directory


Answers = list[tuple[str, bytes]]


def answers_of(script: Script, switch: ConsoleSwitch, files: Path) -> Answers:
    """What a switch answers a script, with its own directory written as that of all."""
    home = str(switch.home).encode()
    for file in files.iterdir():
        file.unlink()
    answers = script.run(switch.management, files)
    return [(line, answer.replace(home, b"/HOME")) for line, answer in answers]


_used: set[str] = set()


def without_differences(script: str, line: str, theirs: bytes, ours: bytes) -> tuple[bytes, bytes]:
    """Both answers, without what differs on purpose."""
    for difference in DIFFERENCES:
        before = theirs, ours
        theirs, ours = difference.apply(script, line, theirs, ours)
        if (theirs, ours) != before:
            _used.add(difference.name)
    return theirs, ours


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_as_vde_switch(script: Script, start_console: Start, files: Path) -> None:
    """Every line is answered as vde_switch answers it, but for the table of differences."""
    theirs = answers_of(script, start_console(kind=ConsoleVdeSwitch), files)
    ours = answers_of(script, start_console(), files)
    different = []
    for (line, their_answer), (same_line, our_answer) in zip(theirs, ours, strict=True):
        assert line == same_line
        wanted, got = without_differences(script.name, line, their_answer, our_answer)
        if wanted != got:
            different.append((line, wanted, got))
    assert different == []


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
def test_every_difference_is_one(difference: Difference, request: pytest.FixtureRequest) -> None:
    """No difference is in the table that none of the scripts shows."""
    ran = {item.name for item in request.session.items}
    if not {f"test_as_vde_switch[{script.name}]" for script in SCRIPTS} <= ran:
        pytest.skip("not all scripts were compared")
    assert difference.name in _used


def events_of(switch: ConsoleSwitch) -> list[bytes]:
    """What a console is told while others plug in, send, and leave; and what it then prints."""
    console = ConsoleClient(switch.management)
    answers = [console.ask("debug/add port"), console.ask("debug/add hash")]
    with RawClient(switch.sock) as first:
        first.plug(description="the first")
        answers.append(told(console, b"descr.*\n"))
        first.send(frame(BROADCAST, mac(0x11), bytes(46)))
        answers.append(told(console, b"hash/.*\n"))
        answers += [
            console.ask("hash/print"),
            console.ask("port/print"),
            console.ask("port/print 1"),
            console.ask("vlan/print"),
            console.ask("fstp/print"),
            console.ask("port/remove 1"),
            console.ask("hash/find 02:0:0:0:0:11 1"),
        ]
        with RawClient(switch.sock) as second:
            second.plug(7, description="")
            answers.append(told(console, b"descr.*\n"))
            second.send(frame(mac(0x11), mac(0x22), bytes(100)))
            answers.append(told(console, rb"hash/\+.*:22 .*\n"))
            answers.append(console.ask("port/print"))
        answers.append(told(console, b"port/- 07\n(3012.*:22 .*\n)?"))
        answers.append(console.ask("port/epclose 1 99"))
        number = re.search(rb"endpoint ID (\d+)", console.ask("port/print 1"))
        assert number is not None
        answers.append(console.ask(f"port/epclose 1 {number[1].decode()}"))
        assert first.control.recv(1) == b""
    answers += [console.ask("port/resetcounter"), console.ask("port/allprint")]
    console.close()
    return answers


def told(console: ConsoleClient, end: bytes) -> bytes:
    """What comes without being asked for, up to what matches a pattern."""
    data = b""
    while not re.search(end, data):
        data += console.socket.recv(65536)
    return data


_IDS = re.compile(rb"(?<=FD )[ \d]\d|(?<=ID )\d+|Hash: \d+|MAC [0-9a-f:]+|root 80:.*|age \d+")
_FLUSHED = re.compile(rb"^3012 hash/- .*\n", re.MULTILINE)
_NOT_DELIVERED = re.compile(rb"^ NOT: .*\n", re.MULTILINE)


def test_events_as_of_vde_switch(start_console: Start) -> None:
    """
    Events, and what is printed of ports in use, are those of vde_switch, but for the list here.

    Endpoints and buckets are numbered otherwise; vde_switch forgets all addresses when a port comes
    or goes, or forgets a port's after it has left, where we do before; our ports also show what was
    not delivered.
    """
    theirs, ours = (
        [_NOT_DELIVERED.sub(b"", _FLUSHED.sub(b"", _IDS.sub(b"...", answer))) for answer in answers]
        for answers in (events_of(start_console(kind=ConsoleVdeSwitch)), events_of(start_console()))
    )
    assert ours == theirs


def test_the_right_port_is_found(start_console: Start) -> None:
    """hash/find tells the port where an address is; vde_switch's tells the one after it."""
    switch = start_console()
    console = ConsoleClient(switch.management)
    with RawClient(switch.sock) as client:
        client.plug(5)
        client.send(frame(BROADCAST, mac(0x11)))
        found = eventually(
            "it is learned",
            lambda: re.search(rb"to port: (\d+)", console.ask("hash/find 2:0:0:0:0:11")),
        )
        assert found[1] == b"005"
    console.close()


def test_a_description_cannot_forge_an_answer(start_console: Start) -> None:
    """Control characters in a description are shown as question marks."""
    switch = start_console()
    console = ConsoleClient(switch.management)
    with RawClient(switch.sock) as client:
        client.plug(description="x\n.\n1000 Success\x1b[2J")
        assert b": x?.?1000 Success?[2J\n" in console.ask("port/print")
    console.close()


def test_lines_are_split(start_console: Start) -> None:
    """Two lines in one write are two commands, and one in two writes is one."""
    client = ConsoleClient(start_console().management)
    for piece in (b"port/create 3\nport/create 3\nport/cre", b"ate 4\n"):
        client.socket.sendall(piece)
    answers = client.read()
    while answers.count(PROMPT) < 3:
        answers += client.read()
    assert answers == PROMPT.join(
        (b"1000 Success\n", b"1017 File exists\n", b"1000 Success\n", b"")
    )
    client.close()


def test_a_line_without_an_end(start_console: Start) -> None:
    """A line that nothing follows for a moment is whole: vdeterm sends no ends of lines."""
    client = ConsoleClient(start_console().management)
    client.socket.sendall(b"port/create 3")
    assert client.read() == b"1000 Success\n" + PROMPT
    client.close()


def test_the_end_of_input_ends_a_line(start_console: Start) -> None:
    """A last line without its end is answered when nothing more comes, and the session ends."""
    client = ConsoleClient(start_console().management)
    client.socket.sendall(b"port/create 3\nport/create 3")
    client.socket.shutdown(1)
    answers = b""
    while piece := client.socket.recv(65536):
        answers += piece
    assert answers == b"1000 Success\n" + PROMPT + b"1017 File exists\n" + PROMPT
    client.close()


def test_who_does_not_read_is_waited_for(start_console: Start) -> None:
    """A console that asks much and reads nothing costs no memory, and others are answered."""
    switch = start_console()
    deaf = ConsoleClient(switch.management)
    deaf.socket.settimeout(0.5)
    asked = b"help\n" * 20000
    with pytest.raises(TimeoutError):
        for _ in until("it is kept waiting", lambda: False):
            deaf.socket.sendall(asked)
    other = ConsoleClient(switch.management)
    assert other.ask("port/showinfo").startswith(b"0000")
    size = int(Path(f"/proc/{switch.process.pid}/statm").read_text().split()[1])
    assert size * os.sysconf("SC_PAGE_SIZE") < 200 << 20
    deaf.socket.settimeout(PATIENCE)
    for _ in range(50):
        assert deaf.read().startswith(b"0000 DATA")
    deaf.close()
    other.close()


def test_shutdown(start_console: Start) -> None:
    """shutdown ends all sessions and the switch, which leaves no socket."""
    switch = start_console()
    other = ConsoleClient(switch.management)
    client = ConsoleClient(switch.management)
    assert client.ask("shutdown") == LOGGED_OUT
    assert other.read() == b""
    assert switch.process.wait(PATIENCE) == 0
    assert not Path(switch.management).exists()


def test_only_its_user_may_connect(start_console: Start) -> None:
    """The socket has mode 0600."""
    assert stat.S_IMODE(Path(start_console().management).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", [ConsoleSwitch, ConsoleVdeSwitch])
def test_standard_input(start_console: Start, kind: type[ConsoleSwitch]) -> None:
    """Commands are taken from a pipe, answered without prompts, and its end is the switch's."""
    if kind is ConsoleVdeSwitch and shutil.which("vde_switch") is None:
        pytest.skip("no vde_switch here")
    switch = start_console("stdin", kind=kind)
    assert switch.process.stdin is not None
    # A line each: vde_switch takes what it reads at once for one.
    switch.process.stdin.write(b"port/create 3\n")
    switch.process.stdin.flush()
    switch.wait_for_log("1000 Success\n")
    switch.process.stdin.write(b"port/showinfo\n")
    switch.process.stdin.close()
    assert switch.process.wait(PATIENCE) == 0
    switch.wait_for_log("0000 DATA END WITH '.'\nNumports=32\n")
    assert "vde$" not in switch.log()
    assert not Path(switch.management).exists()


def test_a_session_on_standard_input(start_console: Start) -> None:
    """Its end is not that of the switch while somebody is at the other end of the pipe."""
    switch = start_console("stdin")
    assert switch.process.stdin is not None
    switch.process.stdin.write(b"logout\n")
    switch.process.stdin.flush()
    switch.wait_for_log("9999 END OF SESSION")
    client = ConsoleClient(switch.management)
    assert b"Numports=32" in client.ask("port/showinfo")
    client.close()


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_no_standard_input(start_console: Start, closed: str) -> None:
    """Where standard input or output is closed, what has its number is not read or written."""
    switch = start_console(closed, kind=ClosedSwitch)
    client = ConsoleClient(switch.management)
    assert b"Numports=32" in client.ask("port/showinfo")
    client.close()
    assert switch.stop() == 0


@pytest.mark.parametrize("made", [True, False])
def test_nobody_at_standard_input(start_console: Start, tmp_path: Path, made: bool) -> None:
    """The end of a file ends nothing, nor that of /dev/null, which services are started with."""
    commands = tmp_path / "commands"
    commands.write_text("port/create 3\n")
    switch = start_console(str(commands) if made else os.devnull, kind=RedirectedSwitch)
    client = ConsoleClient(switch.management)
    eventually("it was read", lambda: (b"Port 0003" in client.ask("port/allprint")) is made)
    assert b"Numports=32" in client.ask("port/showinfo")
    client.close()


def test_answers_and_the_log_in_one_file(start_switch: StartSwitch) -> None:
    """In a file that is standard output, answers and the log do not write over each other."""
    switch = start_switch()
    assert switch.process.stdin is not None
    switch.process.stdin.write(b"port/showinfo\n")
    switch.process.stdin.flush()
    switch.wait_for_log("counters=true")
    with RawClient(switch.sock).plug():
        shown = switch.wait_for_log("is plugged in")
    places = [shown.index(each) for each in ("listening in", "Numports=32", "is plugged in")]
    assert places == sorted(places)


def test_pdump(start_console: Start, files: Path) -> None:
    """What comes to the switch while pdump is active is in its file, each frame once."""
    switch = start_console()
    console = ConsoleClient(switch.management)
    path = files / "dump"
    sent = [frame(BROADCAST, mac(1), bytes([number]) * 50) for number in range(5)]
    with RawClient(switch.sock) as client, RawClient(switch.sock) as other:
        client.plug()
        other.plug()
        client.send(sent[0])
        assert other.receive() == sent[0]
        for line in ("plugin/add pdump", f"pdump/filename {path}", "pdump/active 1"):
            assert console.ask(line).endswith(b"1000 Success\n" + PROMPT)
        for data in sent[1:3]:
            client.send(data)
            assert other.receive() == data
        console.ask("pdump/active 0")
        client.send(sent[3])
        assert other.receive() == sent[3]
        console.ask("pdump/active 1")
        client.send(sent[4])
        assert other.receive() == sent[4]
    assert list(frames_of(path.read_bytes())) == [sent[1], sent[2], sent[4]]
    console.close()
