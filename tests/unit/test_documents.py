"""The documents name every option, command and key, and nothing that there is not."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from bench.__main__ import command_line
from distnet.cli.main import make_parser
from distnet.cluster.config import from_table
from distnet.daemon.options import DaemonOptions
from distnet.master.core.counters import Reason as MasterReason
from distnet.master.options import Options as MasterOptions
from distnet.switch.core.counters import Reason as SwitchReason
from distnet.switch.options import Options as SwitchOptions
from tests.documents import (
    CHINESE,
    ENGLISH,
    PAGES,
    ROOT,
    Block,
    Section,
    Step,
    pattern,
    read,
    read_file,
    steps,
)

RUNNABLE: Final = {"sh", "console", "python", "toml"}
"""Languages of blocks that a test runs or reads, unless they say why not."""

NOT_OURS: Final = re.compile(
    r"^(twistd .*?(?=distnet)|.*\b(qemu-system|curl|systemctl|ip|pip|git|make|apt-get|docker)\b.*)"
)
"""What has options that are not distnet's, on a line: what twistd is told, and other programs."""


def page(name: str) -> list[Section]:
    """The sections of a page of docs/."""
    return read_file(ROOT / "docs" / f"{name}.md")


def section(name: str, title: str) -> Section:
    """The one section of a page with a title."""
    (found,) = (each for each in page(name) if each.title == title)
    return found


def documents() -> list[Path]:
    """All that is to be true, in English."""
    return [ENGLISH, ROOT / "CONTRIBUTING.md", *PAGES]


def options_in(texts: Iterable[str]) -> set[str]:
    """The names of options in code, without dashes; one dash may be enough before a long name."""
    return {name for text in texts for name in re.findall(r"(?<![\w-])--?([a-zA-Z][\w-]*)", text)}


def missing_options(tables: Section, options: DaemonOptions) -> set[str]:
    """The options, by their long names, that no table has in its first cells in any spelling."""
    named = options_in(span for first in tables.first_cells for span in first)
    wanted = {name.rstrip("=") for name in options.longOpt}
    return wanted - {options.synonyms.get(name, name) for name in named}


def parsers() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """The words after C{distnet} of every command that does something, and its parser."""

    def walk(
        parser: argparse.ArgumentParser, words: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
        below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
        for action in below:
            for name, child in action.choices.items():
                yield from walk(child, (*words, name))
        if not below:
            yield words, parser

    return walk(make_parser(), ())


def long_options(parser: argparse.ArgumentParser) -> set[str]:
    """The long names of a command's options, but those that are for ourselves."""
    found = {
        name.lstrip("-")
        for action in parser._actions
        if action.help is not argparse.SUPPRESS
        for name in action.option_strings
    }
    return {name for name in found if len(name) > 1}


def is_there(dotted: str) -> bool:
    """Whether there is such a module, or something in one, by its full name."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name):
                return name in getattr(found, "__annotations__", {})
            found = getattr(found, name)
        return True
    return False


class OptionTests(SynchronousTestCase):
    """Everything that can be given is explained, and what is explained can be given."""

    def test_of_the_master(self) -> None:
        """Every option of C{twistd distnet} is in the table of its page."""
        self.assertEqual(missing_options(section("master", "Options"), MasterOptions()), set())

    def test_of_the_switch(self) -> None:
        """Every option of C{twistd distnet-vde} is in the table of its page."""
        self.assertEqual(missing_options(section("switch", "Options"), SwitchOptions()), set())

    def test_commands(self) -> None:
        """Every command of C{distnet} is named, and every option of one beside it somewhere."""
        code: list[str] = []
        for path in documents():
            for each in read_file(path):
                code += [*each.spans, *(line.removeprefix("$ ") for line in each.lines)]
        named = options_in(code)
        for words, parser in parsers():
            command = " ".join(("distnet", *words))
            self.assertTrue(any(text.startswith(command) for text in code), command)
            missing = long_options(parser) - named - {"help"}
            self.assertEqual(missing, set(), command)

    def test_nothing_else(self) -> None:
        """What a document calls an option is one, of something of ours."""
        ours = set[str]()
        for options in (MasterOptions(), SwitchOptions()):
            ours |= {name.rstrip("=") for name in options.longOpt} | set(options.synonyms)
        for _, parser in parsers():
            ours |= long_options(parser)
        ours |= long_options(command_line()) | {"help", "version"}
        # Of twistd and of QEMU, in a text.
        ours |= {"pidfile", "logfile", "netdev", "device", "chardev", "nodaemon"}
        wrong = []
        for path in documents():
            for each in read_file(path):
                for text in (*each.spans, *each.lines):
                    rest = NOT_OURS.sub("", text.removeprefix("$ "))
                    for name in re.findall(r"(?<![\w-])--([a-zA-Z][\w-]*)", rest):
                        if name not in ours:
                            wrong.append(f"{path.name}: --{name} in {text!r}")
        self.assertEqual(wrong, [])

    def test_keys_of_a_cluster(self) -> None:
        """Every key of a cluster's file is in the table of its page, and nothing else is."""
        named = {span for first in section("cluster", "The file").first_cells for span in first}
        with self.assertRaises(Exception) as caught:
            from_table({"no such key, surely": 1}, ROOT, "it")
        known = re.sub(r".*there are ", "", str(caught.exception)).split(", ")
        self.assertEqual(named, set(known))


class ReasonTests(SynchronousTestCase):
    """Whatever is not delivered is counted under a reason that is explained."""

    def test_of_the_master(self) -> None:
        """Every reason of the master is in the table of its page."""
        self.assert_explained(MasterReason, section("master", "Nothing is lost in silence"))

    def test_of_the_switch(self) -> None:
        """Every reason of the switch is in the table of its page."""
        self.assert_explained(SwitchReason, section("switch", "What happens to a frame"))

    def assert_explained(self, reasons: Iterable[str], tables: Section) -> None:
        """The first cells of the tables have these reasons, and nothing else."""
        named = {span for first in tables.first_cells for span in first}
        self.assertEqual(named, {str(reason) for reason in reasons})


class BlockTests(SynchronousTestCase):
    """What is in the fenced blocks."""

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """All, with where they are."""
        for path in documents():
            for each in read_file(path):
                for block in each.blocks:
                    yield f"{path.name}:{block.line}", block

    def test_excuses(self) -> None:
        """Whatever says that it is not run is a block that otherwise would be."""
        for path in documents():
            text = path.read_text(encoding="utf-8")
            excused = [block for each in read(text) for block in each.blocks if block.not_run]
            said = re.findall("^<!-- not run:", text, re.MULTILINE)
            self.assertEqual(len(said), len(excused), path.name)
            for block in excused:
                self.assertIn(block.language, RUNNABLE, f"{path.name}:{block.line}")

    def test_tests_that_are_named(self) -> None:
        """A test that an excuse names is there."""
        for where, block in self.blocks():
            for name in re.findall(r"tests/[\w./]+", block.not_run):
                self.assertTrue((ROOT / name).exists(), f"{where}: {name}")

    def test_programs(self) -> None:
        """Python is Python, also where it is not run."""
        for _, block in self.blocks():
            if block.language == "python":
                compile(block.text, "<document>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


class StepTests(SynchronousTestCase):
    """How a block is read, and what output is like what is shown."""

    def test_commands(self) -> None:
        """A line of C{sh} is a command, without its comment; one that is continued goes on."""
        block = Block("sh", 1, "", ["make run   # starts it", "one \\", "    two"])
        self.assertEqual(steps(block), [Step("make run", None), Step("one      two", None)])

    def test_output(self) -> None:
        """What follows a command of C{console} is its output."""
        block = Block("console", 1, "", ["$ one", "1", "2", "$ two"])
        self.assertEqual(steps(block), [Step("one", ("1", "2")), Step("two", ())])
        with self.assertRaises(ValueError):
            steps(Block("console", 1, "", ["1"]))

    def test_alike(self) -> None:
        """Numbers may be others, and an ellipsis stands for anything."""
        shown = pattern(("…", "16 bytes from 7: 0.35 ms", "and …"))
        self.assertTrue(shown.match("16 bytes from 12: 3 ms\nand so on\n"))
        self.assertTrue(shown.match("hello\n\n16 bytes from 12: 3 ms\nand so on\nand more\n"))

    def test_not_alike(self) -> None:
        """Words may not be others, nor may a line be missing."""
        shown = pattern(("id 7", "it …"))
        self.assertFalse(shown.match("id 7\n"))
        self.assertFalse(shown.match("id seven\nit is\n"))
        self.assertFalse(shown.match("hello\nid 7\nit is\n"))


class ReadmeTests(SynchronousTestCase):
    """Both READMEs have the same headings, commands and links."""

    def test_headings(self) -> None:
        """Headings have the same levels."""
        pairs = zip_longest(read_file(ENGLISH), read_file(CHINESE), fillvalue=Section(9, "nothing"))
        for one, other in pairs:
            self.assertEqual(one.level, other.level, f"{one.title} / {other.title}")

    def test_blocks(self) -> None:
        """Commands, programs and output are the same, but for comments, which are translated."""

        def without_comments(block: Block) -> tuple[str, str, list[str]]:
            code = [line.partition("#")[0].rstrip() for line in block.lines]
            return block.language, block.not_run, code

        for one, other in zip(read_file(ENGLISH), read_file(CHINESE), strict=True):
            self.assertEqual(
                [without_comments(block) for block in one.blocks],
                [without_comments(block) for block in other.blocks],
                f"{one.title} / {other.title}",
            )

    def test_links(self) -> None:
        """Each links to the other, and both to the same pages."""
        linked = [
            re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
            for path in (ENGLISH, CHINESE)
        ]
        self.assertEqual([links.pop(0) for links in linked], [CHINESE.name, ENGLISH.name])
        self.assertEqual(linked[0], linked[1])

    def test_ten_minutes(self) -> None:
        """It stays what one reads in ten minutes; the rest has pages of its own."""
        self.assertLess(len(ENGLISH.read_text(encoding="utf-8").splitlines()), 165)


class FloorPlanTests(SynchronousTestCase):
    """What the page on the code names is in the code."""

    def test_names(self) -> None:
        """Modules, classes and functions that it names are there, with these names."""
        wrong = [
            span
            for each in page("how-it-is-built")
            for span in each.spans
            if re.fullmatch(r"distnet(\.\w+)+", span) and not is_there(span)
        ]
        self.assertEqual(wrong, [])

    def test_files(self) -> None:
        """Files that it names are there."""
        wrong = [
            span
            for each in page("how-it-is-built")
            for span in each.spans
            if re.fullmatch(r"(distnet|tests|docs|bench|etc|twisted)/[\w./-]*", span)
            and not (ROOT / span).exists()
        ]
        self.assertEqual(wrong, [])

    def test_rooms(self) -> None:
        """Every module and package directly below distnet has its row."""
        named = {span for each in page("how-it-is-built") for span in each.spans}
        wanted = {
            f"distnet/{path.name}" + "/" * path.is_dir()
            for path in (ROOT / "distnet").iterdir()
            if (path.suffix == ".py" or (path / "__init__.py").exists())
            and path.name != "__init__.py"
        }
        self.assertEqual(wanted - named, set())

    def test_would_notice(self) -> None:
        """The tests above can fail."""
        self.assertTrue(is_there("distnet.master.core.router.Router.received"))
        self.assertFalse(is_there("distnet.master.core.router.Router.no_such_thing"))
        self.assertFalse(is_there("distnet.no_such_module"))
