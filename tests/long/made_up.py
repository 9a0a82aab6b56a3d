"""Made-up requests and console lines: good ones, ones with mistakes in them, and noise."""

from __future__ import annotations

from random import Random

from distnet.switch.console.arguments import Kind
from distnet.switch.console.commands import COMMANDS
from distnet.switch.console.records import Command
from distnet.vdewire import Request, RequestType

NUMBERS = (
    b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"31", b"32", b"33", b"-1", b"4094", b"4095", b"4096",
    b"0x5", b"0x", b"007", b"+3", b"99999999999", b"2147483647", b"-2147483648", b"9" * 40, b"",
)  # fmt: skip
WORDS = (
    b"ANY", b"NONE", b"root", b"port", b"hash/", b"pdump", b"/x/pdump.so", b"pdump.so", b"/script",
    b"/loop", b"/none", b"\xff\xfe", b"\0", b"a b", b"%s{}", b"", b"\xc3\xa9",
)  # fmt: skip
MACS = (b"02:0:0:0:0:1", b"ff:ff:ff:ff:ff:ff", b"0:0:0:0:0", b"1:2:3:4:5:6:7", b"g:0:0:0:0:0")


def scratched(random: Random, data: bytes) -> bytes:
    """With a few bytes changed, put in, or left out; or cut, doubled, or replaced by noise."""
    draw = random.random()
    if draw < 0.1:
        return random.randbytes(random.randrange(300))
    if draw < 0.3:
        return data[: random.randrange(len(data) + 1)]
    if draw < 0.35:
        return data + data
    if draw < 0.4:
        return data + random.randbytes(random.randrange(300))
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(changed) + 1)
        how = random.random()
        if how < 0.5 and at < len(changed):
            changed[at] = random.randrange(256)
        elif how < 0.75:
            changed.insert(at, random.randrange(256))
        else:
            del changed[at : at + random.randrange(1, 4)]
    return bytes(changed)


def request(random: Random, path: bytes, ports: int) -> Request:
    """A good one, mostly for any port."""
    port = random.choice((0, 0, 0, random.randrange(ports), random.getrandbits(24)))
    version = 1 if random.random() < 0.2 else 3
    kind = RequestType.NEW_PORT if random.random() < 0.9 else RequestType.MANAGEMENT
    description = random.choice(
        ("", "d", "x" * 128, "a long one " * 30, "e\u0301\u20ac", "\x1b[2J")
    )
    return Request(version, kind, port if version == 3 else 0, path, description)


def _argument(random: Random, kind: Kind) -> bytes:
    if random.random() < 0.1:
        return random.choice(NUMBERS + WORDS + MACS)
    if kind in {Kind.NAME, Kind.TEXT}:
        return random.choice(WORDS)
    return random.choice(MACS if kind is Kind.MAC else NUMBERS)


def command_line(random: Random, commands: tuple[Command, ...] = COMMANDS) -> bytes:
    """A command with arguments of its kinds, most of which are not too far off."""
    command = random.choice(commands)
    words = [command.path.encode(), *(_argument(random, kind) for kind in command.kinds)]
    return b" ".join(words)


def console_line(random: Random, commands: tuple[Command, ...] = COMMANDS) -> bytes:
    """A command, one with mistakes, a comment, a blank, or noise; without the end of a line."""
    draw = random.random()
    line = command_line(random, commands)
    if draw < 0.25:
        line = scratched(random, line)
    elif draw < 0.28:
        line = random.choice((b"", b" \t", b"#" + line, b"\r", b"  # x", b"x" * 9000))
    elif draw < 0.35:
        line = random.choice((b" ", b"\t")) + line + random.choice((b"\r", b" ", b" 7 8"))
    return line.replace(b"\n", b"?")
