"""Finds a fragment of Python or C in a source, token by token, and replaces it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = r"(?:\s|\\\n)+"
_NAMES_AND_NUMBERS = r"\w+(?:\.\d+\w*)?"
_OPERATORS = r"->|\+\+|--|<<=|>>=|\*\*=|//=|&&|\|\||<<|>>|\*\*|//|:=|\.\.\.|[-+*/%&|^<>=!@]=|."
_PYTHON = re.compile(
    rf"""(?P<space>{_SPACE}|\#[^\n]*)
    |(?P<text>[rRbBuUfF]{{0,2}}(?:\"\"\"(?:\\.|.)*?\"\"\"|'''(?:\\.|.)*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |{_NAMES_AND_NUMBERS}|{_OPERATORS}""",
    re.VERBOSE | re.DOTALL,
)
_C = re.compile(
    rf"""(?P<space>{_SPACE}|/\*.*?\*/|//[^\n]*)
    |(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |{_NAMES_AND_NUMBERS}|{_OPERATORS}""",
    re.VERBOSE | re.DOTALL,
)
_TEXT = re.compile(r"""(\w*)("{3}|'{3}|["'])(.*)\2""", re.DOTALL)
_CLOSING = (")", "]", "}")


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and where in the source it begins and ends."""

    text: str
    begin: int
    end: int


def tokens(source: str, language: str) -> list[Token]:
    """The tokens of a fragment in C{"py"} or C{"c"}; comments and white space are none."""
    pattern = _C if language == "c" else _PYTHON
    found = []
    for match in pattern.finditer(source):
        if match["space"] is None:
            text = _plain(match[0]) if match["text"] and language == "py" else match[0]
            found.append(Token(text, match.start(), match.end()))
    return found


def _plain(literal: str) -> str:
    """A literal of Python without regard to its quotes."""
    match = _TEXT.fullmatch(literal)
    assert match is not None
    prefix, _, body = match.groups()
    return prefix.lower() + '"' + body.replace('\\"', '"').replace("\\'", "'")


def spans(fragment: str, source: str, language: str, begin: int, end: int) -> Iterator[slice]:
    """Where in C{source[begin:end]} a fragment occurs."""
    wanted = tokens(fragment, language)
    there = tokens(source[begin:end], language)
    for first in range(len(there)):
        last = _match(wanted, there, first)
        if last is not None:
            yield slice(begin + there[first].begin, begin + there[last].end)


def _match(wanted: list[Token], there: list[Token], first: int) -> int | None:
    """The last of the tokens that match all that is wanted, from the C{first} on."""
    place, last = first, None
    for number, token in enumerate(wanted):
        if place < len(there) and there[place].text == token.text:
            last, place = place, place + 1
        elif place > first and _is_trailing(there, place) and _text(there, place + 1) == token.text:
            last, place = place + 1, place + 2
        elif not (number and _is_trailing(wanted, number) and _closes(there, place)):
            return None
    return last


def _is_trailing(among: list[Token], place: int) -> bool:
    """Whether there is a comma before something that closes, or before an end."""
    return place < len(among) and among[place].text == "," and _closes(among, place + 1)


def _text(among: list[Token], place: int) -> str | None:
    return among[place].text if place < len(among) else None


def _closes(among: list[Token], place: int) -> bool:
    return place >= len(among) or among[place].text in _CLOSING


def replace(source: str, where: slice, before: str, after: str) -> str:
    """A source with one fragment in the place of another, indented as it was there."""
    begin_of_line = source.rfind("\n", 0, where.start) + 1
    indentation = _indentation(source[begin_of_line:])
    first, *others = after.strip("\n").split("\n")
    own = _indentation(before.strip("\n"))
    lines = [first.strip()]
    if not source[begin_of_line : where.start].strip():
        # A whole line, which may have its place at another depth.
        lines[0] = " " * (len(_indentation(first)) - len(own)) + lines[0]
        if len(_indentation(first)) < len(own):
            where = slice(begin_of_line, where.stop)
            lines[0] = _indented(first, own, indentation)
    lines += [_indented(line, own, indentation) for line in others]
    return source[: where.start] + "\n".join(lines) + source[where.stop :]


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))].partition("\n")[0]


def _indented(line: str, own: str, indentation: str) -> str:
    depth = len(indentation) + len(_indentation(line)) - len(own)
    return " " * depth + line.strip() if line.strip() else ""
