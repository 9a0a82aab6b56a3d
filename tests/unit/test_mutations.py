"""How mutations find what they are about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from pytest import TestReport
from twisted.trial.unittest import SynchronousTestCase

from tests.mutations import objects, tested
from tests.mutations.__main__ import TWINS
from tests.mutations.check import misfits
from tests.mutations.fragments import replace, spans
from tests.mutations.objects import ROOT, Unfit, in_c, in_python
from tests.mutations.worker import Observer

PYTHON = dedent(
    """
    SIZES: dict[str, int] = {
        "one": 1,
    }

    class Box:
        most = 3

        @property
        def size(self) -> int:
            if self.full:  # a comment
                return compute(
                    self.first,
                    "second",
                )
            return 0

        if True:
            def late(self) -> None: ...
    """
)
C = dedent(
    """
    /* What is
       sent. */
    #include <stdint.h>

    enum { MOST = 4 };
    static int declared(void);

    struct node {
        int size; // bytes
    };

    static int
    send_all(struct node *node)
    {
        return node->size;
    }

    static const char *names[] = {
        "one",
    };
    """
)


class TableTests(SynchronousTestCase):
    """Tests for the mutations that there are."""

    def test_all_fit(self) -> None:
        """Each applies to what there is exactly once, and its tests are there."""
        self.assertEqual(list(misfits()), [])


BESIDE_NATIVE = frozenset(
    Path("distnet/gateway", f"{name}.py")
    for name in (
        "__init__", "_slirpffi", "aliases", "backoff", "channel", "datagrams", "datapath", "dns",
        "dnsmessage", "fragments", "guest_process", "guests", "hostforward", "hostports",
        "native_datapath", "outside", "packets", "resets", "udp", "zygote",
    )
)  # fmt: skip
"""What a guest's process has in Python, native or not."""


class TwinTests(SynchronousTestCase):
    """Tests for what is run without native code."""

    def test_a_guests_process(self) -> None:
        """Of each of its modules it is known whether native code would hide a mistake in it."""
        show = (
            "import sys, distnet.gateway.zygote, distnet.gateway.pure_datapath\n"
            "print(*(each.__file__ for name, each in sys.modules.items()\n"
            "        if name.startswith('distnet.gateway')))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True
        )
        loaded = {Path(name).relative_to(ROOT) for name in ran.stdout.split()}
        self.assertEqual(loaded, TWINS | BESIDE_NATIVE)
        self.assertEqual(TWINS & BESIDE_NATIVE, set())


class ObjectTests(SynchronousTestCase):
    """Tests for finding objects by their names."""

    def test_python(self) -> None:
        """Functions, classes and what is assigned to have names, in classes too."""
        found = {name: PYTHON[begin:end] for name, begin, end in in_python(PYTHON)}
        self.assertEqual(list(found), ["SIZES", "Box", "Box.most", "Box.size", "Box.late"])
        self.assertEqual(found["Box.most"], "    most = 3\n")
        self.assertTrue(found["Box.size"].startswith("    @property\n"))
        self.assertTrue(found["Box.size"].endswith("return 0\n"))

    def test_c(self) -> None:
        """Functions, structures and tables in C have names; declarations have none."""
        found = {name: C[begin:end] for name, begin, end in in_c(C)}
        self.assertEqual(list(found), ["enum", "node", "send_all", "names"])
        self.assertTrue(found["send_all"].endswith("return node->size;\n}"))

    def test_by_a_part_of_the_module(self) -> None:
        """A name that several have needs a part of its module's; it is said which there are."""
        [found] = objects.find("mutations.objects.find")
        self.assertEqual(found.name, "tests.mutations.objects.find")
        with self.assertRaisesRegex(Unfit, "'main' may be .*distnet.cli.main.main"):
            objects.find("main")
        with self.assertRaisesRegex(Unfit, "there is no 'Nowhere.at_all'"):
            objects.find("Nowhere.at_all")

    def test_tests(self) -> None:
        """Tests are found by their class and name, or by their function and parameter."""
        name = "ObjectTests.test_tests"
        self.assertEqual(tested.find(name).id, f"tests.unit.test_mutations.{name}")
        self.assertTrue(tested.find(name).is_unit)
        found = tested.find("test_package.test_without_a_compiler[x]")
        own = "test_without_a_compiler[x]"
        self.assertEqual(found.id, f"tests/integration/test_package.py::{own}")
        self.assertFalse(found.is_unit)
        with self.assertRaisesRegex(Unfit, "there is no test 'test_nothing'"):
            tested.find("test_nothing")


class WorkerTests(SynchronousTestCase):
    """Tests for what becomes of the tests of a mutation."""

    def test_ends(self) -> None:
        """A test has ended as all of its parameters have."""
        observer = Observer()
        for name, when, outcome in (
            ("t.py::all[a b]", "setup", "skipped"),
            ("t.py::all[2]", "setup", "skipped"),
            ("t.py::some[1]", "setup", "passed"),
            ("t.py::some[1]", "call", "failed"),
            ("t.py::some[2]", "call", "passed"),
            ("t.py::one", "setup", "failed"),
            ("t.py::one_more", "call", "passed"),
        ):
            report = TestReport(name, ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]
            observer.pytest_runtest_logreport(report)
        self.assertEqual(observer.of("t.py::all"), {"skipped"})
        self.assertEqual(observer.of("t.py::some"), {"passed", "failed"})
        self.assertEqual(observer.of("t.py::some[2]"), {"passed"})
        self.assertEqual(observer.of("t.py::one"), {"failed"})
        self.assertEqual(observer.of("t.py::none"), set())


class FragmentTests(SynchronousTestCase):
    """Tests for finding and replacing a piece of source."""

    def found(self, fragment: str, source: str = PYTHON, language: str = "py") -> list[str]:
        """All that a fragment is taken for."""
        return [source[each] for each in spans(fragment, source, language, 0, len(source))]

    def test_layout_does_not_matter(self) -> None:
        """Line breaks, comments, trailing commas and kinds of quotes are not looked at."""
        call = 'compute(\n                self.first,\n                "second",\n            )'
        for same in ("compute(self.first, 'second')", "compute(self.first,\n'second',)"):
            self.assertEqual(self.found(same), [call])
        self.assertEqual(len(self.found("if self.full:\nreturn compute(")), 1)
        self.assertEqual(self.found("'one': 1,"), ['"one": 1,'])
        self.assertEqual(self.found("'one': 1"), ['"one": 1'])
        self.assertEqual(self.found("{int size;};", C, "c"), ["{\n    int size; // bytes\n};"])

    def test_what_differs(self) -> None:
        """What reads otherwise is not found, not even a part of a word."""
        for other in ("compute(self.first)", "compute(self.first, b'second')", "elf.first", "SIZE"):
            self.assertEqual(self.found(other), [])

    def replaced(self, before: str, after: str) -> str:
        """The source with something else in the place of a fragment, the only one."""
        [where] = spans(before, PYTHON, "py", 0, len(PYTHON))
        return replace(PYTHON, where, before, after)

    def test_indentation(self) -> None:
        """Lines are indented as much more or less as they are where they were written."""
        for depth in ("", "  "):
            result = self.replaced(f"{depth}return 0", f"{depth}if 1:\n{depth}    return 1")
            self.assertIn("\n        if 1:\n            return 1\n", result)
        result = self.replaced("    if self.full:\n        return", "    pass\nreturn")
        self.assertIn("\n        pass\n    return compute(", result)

    def test_nothing(self) -> None:
        """What is replaced by nothing leaves an empty line."""
        self.assertIn("            )\n        \n", self.replaced("return 0", ""))
