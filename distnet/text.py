"""Things as people read them: amounts, time spans, tables, addresses, what others wrote. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

MORE_DESCRIPTORS: Final = "let it have more, by LimitNOFILE= in its systemd unit or by 'ulimit -n'"
"""What to do about a process that has no descriptor left."""

_GAP: Final = "  "
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*([@-~])|[0-~])")
"""Control sequences and other escapes, ECMA-48; of a control sequence, its final byte."""


def amount(messages: int, size: int) -> str:
    """So many messages with so many bytes in all: C{3 messages (1.5 kB)}."""
    unit = "message" if messages == 1 else "messages"
    return f"{messages} {unit} ({volume(size)})"


def volume(size: float) -> str:
    """A number of bytes, with a decimal prefix: C{1.5 kB}."""
    if size < 1000:
        return f"{size:.0f} B"
    for prefix in "kM":
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {prefix}B"
    return f"{size / 1000:.1f} GB"


def duration(seconds: float) -> str:
    """A time span: C{12s}, C{3m12s}, C{2h05m}. One that is negative is shown as none."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of columns that are as wide as they need to be; C{head} is the first line."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]


def host_port(host: str, port: int) -> str:
    """C{HOST:PORT}; an IPv6 address stands in brackets, as RFC 3986 has it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def printable(said: str | bytes) -> str:
    """
    What somebody else wrote, made harmless for a log or a terminal: one line, with a question mark
    for each character that cannot be printed, and the replacement character for what is no UTF-8.
    """
    if isinstance(said, bytes):
        said = said.decode(errors="replace")
    return "".join(character if character.isprintable() else "?" for character in said)


def unix_path(path: bytes) -> str:
    """
    Where a unix socket is, L{printable}: a name in the abstract namespace, which begins with a NUL,
    as tools like C{ss} show it: with C{@}, and without the NULs at its end.
    """
    if path.startswith(b"\0"):
        path = b"@" + path[1:].rstrip(b"\0").replace(b"\0", b"@")
    return printable(path)


def colours_only(line: str) -> str:
    """A line for a terminal that others write to as well: its colours, and no other escapes."""
    kept = _ESCAPE.sub(lambda found: found[0] if found[1] == "m" else "", line)
    return kept + "\x1b[0m" if "\x1b" in kept else kept
