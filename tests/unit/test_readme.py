"""Both READMEs say the same, and name every option and every command."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import ndiff
from itertools import zip_longest
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from distnet.cli.main import make_parser
from distnet.daemon.options import DaemonOptions
from distnet.master.options import Options as MasterOptions
from distnet.switch.options import Options as SwitchOptions

ROOT: Final = Path(__file__).parent.parent.parent
ENGLISH: Final = "README.md"
CHINESE: Final = "README.zh-CN.md"

MASTER: Final = "Options"
SWITCH: Final = "The switch"
CLUSTER: Final = "A cluster with one command"

EVERYWHERE: Final = {"help", "version"}
_SPAN: Final = re.compile(r"`([^`]+)`")
_FIGURE: Final = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(slots=True)
class Section:
    """
    What stands below a heading, up to the next one.

    @ivar level: of the heading; 1 for the title.
    @ivar blocks: the fenced blocks, each as its lines, fences too, without comments.
    @ivar rows: of all tables, each as its cells.
    @ivar text: all lines that are in no fenced block.
    @ivar shape: what follows what: blocks, tables and paragraphs.
    """

    level: int
    title: str
    blocks: list[list[str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    text: str = ""
    shape: list[str] = field(default_factory=list)

    @property
    def spans(self) -> list[str]:
        """The texts within backticks, each on one line."""
        return [" ".join(span.split()) for span in _SPAN.findall(self.text)]

    @property
    def lines(self) -> list[str]:
        """The lines of all fenced blocks, without the fences."""
        return [line for block in self.blocks for line in block[1:-1]]

    @property
    def first_cells(self) -> list[list[str]]:
        """The texts within backticks in the first cell of each row."""
        return [_SPAN.findall(row[0]) for row in self.rows]


def read(text: str) -> list[Section]:
    """The sections of a README. Raises ValueError if a block is not closed."""
    sections = [Section(0, "")]
    block: list[str] | None = None
    before = ""
    for line in text.splitlines():
        section = sections[-1]
        if line.startswith("```"):
            if block is None:
                section.blocks.append(block := [line])
                section.shape.append("block")
            else:
                block.append(line)
                block = None
        elif block is not None:
            # Comments are translated.
            block.append(line.partition("#")[0].rstrip())
        elif heading := re.fullmatch(r"(#+) (.+)", line):
            sections.append(Section(len(heading[1]), heading[2]))
        else:
            section.text += f"{line}\n"
            if line and not before:
                section.shape.append("table" if line.startswith("|") else "paragraph")
            if line.startswith("|"):
                section.rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        before = line
    if block is not None:
        raise ValueError(f"{block[0]} is not closed in {sections[-1].title!r}")
    return sections


def code_blocks(section: Section) -> list[str]:
    """The lines of all fenced blocks."""
    return [line for block in section.blocks for line in block]


def first_cells(section: Section) -> list[str]:
    """For each row of a table the number of its cells, and the code in the first one."""
    return [
        f"{len(row)} cells: {', '.join(first)}"
        for row, first in zip(section.rows, section.first_cells, strict=True)
    ]


def code_in_the_text(section: Section) -> list[str]:
    """The texts within backticks, each once, in the order of the alphabet."""
    return sorted(set(section.spans))


def figures(section: Section) -> list[str]:
    """The numbers in a section's text, but those in code; each once, in some order."""
    return sorted(set(_FIGURE.findall(_SPAN.sub("", section.text))))


def differences(
    english: Iterable[Section], chinese: Iterable[Section], what: Callable[[Section], list[str]]
) -> list[str]:
    """What only the one or only the other has, one line for each; in pairs of sections."""
    sides = {"-": f"only in {ENGLISH}", "+": f"only in {CHINESE}"}
    return [
        f"{one.title} / {other.title}, {sides[line[0]]}: {line[2:]}"
        for one, other in zip(english, chinese, strict=True)
        for line in ndiff(what(one), what(other))
        if line[0] in sides
    ]


def missing_options(section: Section, options: DaemonOptions) -> set[str]:
    """The options, by their long names, that no table or command line has in any spelling."""
    code = [span for first in section.first_cells for span in first]
    # What stands before the daemon's name is twistd's.
    code += [
        re.sub(r"^twistd .*distnet\S*", "", text) for text in section.lines if "twistd" in text
    ]
    # One dash may be enough before a long name.
    named = {name for text in code for name in re.findall(r"(?<![\w-])--?([a-zA-Z][\w-]*)", text)}
    wanted = {name.rstrip("=") for name in options.longOpt}
    return wanted - {options.synonyms.get(name, name) for name in named}


def commands() -> set[tuple[str, ...]]:
    """The words after C{distnet} of every command that does something."""
    found = set()

    def walk(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
        below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        for action in below:
            for name, child in action.choices.items():
                walk(child, (*words, name))
        if not below:
            found.add(words)

    walk(make_parser(), ())
    return found


def missing_commands(sections: Iterable[Section], cluster: Section) -> list[str]:
    """The commands that are not named; in its own section, those of the cluster by one word."""
    code = [text for section in sections for text in (*section.spans, *section.lines)]
    named = [text.removeprefix("$ ").split() for text in code]
    named += [["distnet", "cluster", *span.split()] for row in cluster.first_cells for span in row]

    def is_named(words: tuple[str, ...]) -> bool:
        full = ["distnet", *words]
        return any(text[: len(full)] == full for text in named)

    return sorted(" ".join(words) for words in commands() if not is_named(words))


class ReadmeTests(SynchronousTestCase):
    """What both READMEs are held to."""

    def setUp(self) -> None:
        """Read both."""
        self.english = (ROOT / ENGLISH).read_text(encoding="utf-8")
        self.chinese = (ROOT / CHINESE).read_text(encoding="utf-8")

    def assert_same(self, what: Callable[[Section], list[str]]) -> None:
        """Both have the same of something in every section."""
        found = differences(read(self.english), read(self.chinese), what)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def sections(self, title: str) -> list[Section]:
        """The section with an English title, in both."""
        both = read(self.english), read(self.chinese)
        (place,) = (at for at, section in enumerate(both[0]) if section.title == title)
        return [sections[place] for sections in both]

    def test_links(self) -> None:
        """Each begins with its title and a link to the other."""
        for text, other in ((self.english, CHINESE), (self.chinese, ENGLISH)):
            title, empty, link = text.splitlines()[:3]
            self.assertEqual((title, empty), ("# distnet", ""))
            self.assertRegex(link, rf"^\[\w+\]\({re.escape(other)}\)$")

    def test_sections(self) -> None:
        """Both have the same headings, by their levels."""
        pairs = zip_longest(read(self.english), read(self.chinese), fillvalue=Section(0, "nothing"))
        self.assertEqual(
            [f"{one.title} / {other.title}" for one, other in pairs if one.level != other.level], []
        )

    def test_shape(self) -> None:
        """Below each heading both have as many paragraphs, tables and blocks, in the same order."""
        self.assert_same(lambda section: section.shape)

    def test_blocks(self) -> None:
        """Commands, programs and output are the same, but for comments."""
        self.assert_same(code_blocks)

    def test_tables(self) -> None:
        """Tables have the same rows, which are about the same options, commands and reasons."""
        self.assert_same(first_cells)

    def test_code_in_the_text(self) -> None:
        """What a section names in the text of one, it names in the other."""
        self.assert_same(code_in_the_text)

    def test_figures(self) -> None:
        """Limits, versions and addresses in a section are the same."""
        self.assert_same(figures)

    def test_options_of_the_master(self) -> None:
        """Every option of C{twistd distnet} is explained."""
        for section in self.sections(MASTER):
            self.assertEqual(missing_options(section, MasterOptions()) - EVERYWHERE, set())

    def test_options_of_the_switch(self) -> None:
        """Every option of C{twistd distnet-vde} is explained, but those that vde_switch has too."""
        options = SwitchOptions()
        for section in self.sections(SWITCH):
            missing = missing_options(section, options)
            self.assertEqual(missing - EVERYWHERE, set())

    def test_commands(self) -> None:
        """Every command of C{distnet} is named."""
        for text, cluster in zip((self.english, self.chinese), self.sections(CLUSTER), strict=True):
            self.assertEqual(missing_commands(read(text), cluster), [])
