"""What our console answers otherwise than vde_switch, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Difference:
    """
    Something that we answer otherwise, on purpose.

    @ivar reason: why.
    @ivar lines: a pattern for the lines typed where it may show.
    @ivar theirs: what of vde_switch's answer is taken out, or made the same.
    @ivar ours: what of ours is.
    @ivar to: what both are replaced by.
    @ivar script: the name of the script where it shows, if it is one.
    """

    name: str
    reason: str
    lines: str
    theirs: str
    ours: str
    to: str = "..."
    script: str = ""

    def apply(self, script: str, line: str, theirs: bytes, ours: bytes) -> tuple[bytes, bytes]:
        """Both answers without the difference."""
        if self.script not in {"", script}:
            return theirs, ours
        if not re.fullmatch(self.lines, line, re.DOTALL):
            return theirs, ours
        return _without(self.theirs, self.to, theirs), _without(self.ours, self.to, ours)


def _without(pattern: str, to: str, answer: bytes) -> bytes:
    return re.sub(pattern.encode(), to.encode(), answer, flags=re.MULTILINE)


_ANY: Final = ".*"
_OK: Final = "^1000 Success$"
_EINVAL: Final = "^1022 Invalid argument$"


def _same(pattern: str) -> tuple[str, str]:
    return pattern, pattern


DIFFERENCES: Final = (
    Difference(
        "banner",
        "the greeting and showinfo say which program and version this is",
        _ANY,
        r"^VDE switch V\..*\n\(C\).*\n",
        r"^VDE switch V\..*\nCommands and answers are.*\n",
    ),
    Difference(
        "process",
        "every switch has its own pid, address and age",
        _ANY,
        *_same(
            r"pid \d+ MAC [0-9a-f:]+ uptime \d+|^MAC [0-9a-f:]+|(?<=root 80:00:)[0-9a-f:]+|age \d+"
        ),
    ),
    Difference(
        "help texts",
        "commands, categories and plugins are explained in words of our own",
        "help.*|debug/list.*|plugin/list.*",
        *_same(r"^(\S+ +\d{3} O(?:N |FF) +)\S.*$|^(pdump {18})[^=].*$|^(\S.{34})\S.*$"),
        r"\1\2\3...",
    ),
    Difference(
        "pdump is built in",
        "its commands and categories are there without plugin/add",
        "help.*|debug/list.*",
        *_same(r"^pdump.*\n"),
        "",
    ),
    Difference(
        "pdump needs no plugin/add",
        "it is built in",
        "pdump/active 1",
        "^1038 Function not implemented$",
        rf"(?s)^0000 DATA.*(?m:{_OK})",
        "...",
        "words",
    ),
    Difference(
        "a group, not a user",
        "vde_switch's help of port/setgroup asks for a user",
        "help.*",
        "^(port/setgroup +N )user ",
        "^(port/setgroup +N )group",
        r"\1...",
    ),
    Difference(
        "VLAN 4094",
        "802.1Q has it; vde_switch's highest is 4093",
        "vlan/create 4094",
        _EINVAL,
        _OK,
    ),
    Difference(
        "VLAN 4094 there",
        "802.1Q has it; vde_switch's highest is 4093",
        "vlan/(all)?print",
        "^VLAN 4094\n",
        "^VLAN 4094\n",
        "",
    ),
    Difference(
        "vlan/allprint 0",
        "vlan/print prints VLAN 0, there is no reason for the other not to",
        "vlan/allprint 0",
        _EINVAL,
        rf"^VLAN 0000\n( -- .*\n)*|{_OK}",
        "",
    ),
    Difference(
        "numbers",
        "vde_switch takes negative times, and cuts numbers to their lowest 32 bits",
        "hash/set.* (-3|99999999999)",
        _OK,
        _EINVAL,
    ),
    Difference(
        "leading zeros",
        "ports and endpoints are printed with them: vde_switch would take 0010 for 8 here",
        "port/allocatable 0010 1",
        "^1006 No such device or address$",
        _OK,
    ),
    Difference(
        "leading zeros read",
        "and so the setting is made",
        "port/allprint 010",
        "NOT Unnamed",
        "(?<=- )Unnamed",
        "...",
        "leading_zeros",
    ),
    Difference(
        "addresses",
        "vde_switch takes the lowest 8 bits of each number, and anything behind the sixth",
        "hash/find .*(555|100|:66).*",
        "^1019 No such device$",
        _EINVAL,
    ),
    Difference(
        "end of a line",
        "a carriage return before the end of a line belongs to that, not to an argument",
        "(help|debug).*\r",
        *_same(r"(?s)(?<=WITH '\.'\n).*"),
    ),
    Difference(
        "spanning tree",
        "it is not done yet, and says so when it is turned on",
        "fstp/.*",
        "^FSTP=true$|(?<=ROOTSWITCH )$",
        "^FSTP=false\n.*not done yet.*$|(?<=ROOTSWITCH )FSTP IS DISABLED$|^the spanning tree.*\n",
        "",
        "spanning_tree_turned_on",
    ),
    Difference(
        "no events of the spanning tree",
        "it is not done yet",
        "vlan/create.*",
        "^3045 fstp/root .*\n",
        "^3045 fstp/root .*\n",
        "",
        "events",
    ),
    Difference(
        "empty lines of scripts",
        "they are no commands, in a script as little as when typed",
        "load .*/blank",
        "^\n1038 Function not implemented\n",
        "^$",
        "",
    ),
    Difference(
        "a directory as a script",
        "is not loaded with success",
        "load .*/|load .*/loaded",
        _OK,
        "^1021 Is a directory$",
    ),
    Difference(
        "pdump to where it cannot",
        "the file before is kept (vde_switch dies when it is used the next time)",
        "pdump/filename .*/nosuch/.*",
        "^set_dumper.*\nERROR.*$",
        "^cannot write to .*\nstill .*$",
    ),
)
"""All of them that scripts show; those that take plugs are beside the tests of events."""
