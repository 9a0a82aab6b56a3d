"""The documents as tests read them: sections, tables, and fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
ENGLISH: Final = ROOT / "README.md"
CHINESE: Final = ROOT / "README.zh-CN.md"
PAGES: Final = sorted(
    path
    for path in (ROOT / "docs").glob("*.md")
    # These only take in what lies beside docs/.
    if not path.read_text(encoding="utf-8").startswith("```{include}")
)

_NOT_RUN: Final = re.compile(r"<!-- not run: (.+) -->")
_SPAN: Final = re.compile(r"`([^`]+)`")


@dataclass(slots=True)
class Block:
    """
    A fenced block.

    @ivar language: what follows the fence, or nothing.
    @ivar line: the number of its first line, from 1.
    @ivar not_run: why no test runs it, or nothing.
    """

    language: str
    line: int
    not_run: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its lines as one text."""
        return "".join(f"{line}\n" for line in self.lines)


@dataclass(slots=True)
class Section:
    """
    What stands below a heading, up to the next one.

    @ivar level: of the heading; 1 for the title, 0 for what stands before it.
    @ivar rows: of all tables, each as its cells.
    @ivar text: all lines that are in no fenced block.
    """

    level: int
    title: str
    blocks: list[Block] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""

    @property
    def spans(self) -> list[str]:
        """The texts within backticks, each on one line."""
        return [" ".join(span.split()) for span in _SPAN.findall(self.text)]

    @property
    def lines(self) -> list[str]:
        """The lines of all fenced blocks."""
        return [line for block in self.blocks for line in block.lines]

    @property
    def first_cells(self) -> list[list[str]]:
        """The texts within backticks in the first cell of each row."""
        return [_SPAN.findall(row[0]) for row in self.rows]


def read(text: str) -> list[Section]:
    """The sections of a document. Raises ValueError if a block is not closed."""
    sections = [Section(0, "")]
    block: Block | None = None
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        section = sections[-1]
        if line.startswith("```"):
            if block is None:
                excused = _NOT_RUN.fullmatch(before)
                block = Block(line.removeprefix("```"), number, excused[1] if excused else "")
                section.blocks.append(block)
            else:
                block = None
        elif block is not None:
            block.lines.append(line)
        elif heading := re.fullmatch(r"(#+) (.+)", line):
            sections.append(Section(len(heading[1]), heading[2]))
        else:
            section.text += f"{line}\n"
            if line.startswith("|"):
                section.rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        before = line
    if block is not None:
        raise ValueError(f"line {block.line}: {block.language or 'a block'} is not closed")
    return sections


def read_file(path: Path) -> list[Section]:
    """The sections of a document in a file."""
    return read(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Step:
    """
    A command of a block, and what is shown to come of it.

    @ivar shown: lines of output; None if the block does not show output.
    """

    command: str
    shown: tuple[str, ...] | None


def steps(block: Block) -> list[Step]:
    """The commands of a block of C{sh} or C{console}, in order; continued lines are one."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "sh":
        # What follows a comment's mark in these documents is one.
        return [Step(line.partition(" #")[0].strip(), None) for line in lines if line.strip()]
    found: list[Step] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Step(line[2:], ()))
        elif not found:
            raise ValueError(f"line {block.line}: output before a command")
        else:
            last = found[-1]
            assert last.shown is not None
            found[-1] = Step(last.command, (*last.shown, line))
    return found


def pattern(shown: tuple[str, ...]) -> re.Pattern[str]:
    """
    What output must begin with that is like what is shown.

    Numbers may be others. An ellipsis stands for
    the rest of a line; alone on a line, for any lines.
    """
    text = ""
    for line in shown:
        if line == "…":
            text += r"(?:.*\n)*?"
            continue
        parts = [re.escape(part) for part in line.split("…")]
        text += re.sub(r"\d+(?:\\\.\d+)?", r"\\d+(?:\\.\\d+)?", ".*".join(parts)) + r"\n"
    return re.compile(text)
