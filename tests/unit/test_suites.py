"""What of the tests is run with native code, without it, and not at all."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import masters, suites


class MasterTests(SynchronousTestCase):
    """Tests for how C{Master} is started."""

    def command(self, *options: str) -> list[str]:
        """What is started, from the word C{distnet} on."""
        command = masters.Master(Path("/nowhere"), *options).command()
        return command[command.index("distnet") :]

    def test_the_pace_of_the_suite(self) -> None:
        """With DISTNET_PACE a master whose options name no pace has that one."""
        usual = ["distnet", "--control", "/nowhere/control"]
        self.patch(masters, "PACE", "")
        self.assertEqual(self.command("--port", "0"), [*usual, "--port", "0"])
        self.patch(masters, "PACE", "stream")
        self.assertEqual(self.command("--port", "0"), [*usual, "--pace", "stream", "--port", "0"])
        self.assertEqual(self.command("--pace", "segment"), [*usual, "--pace", "segment"])


class LeftOutTests(SynchronousTestCase):
    """Tests for suites that cannot be run here."""

    def main(self, strict: bool) -> tuple[int, str]:
        """What becomes of the suite that is left out, where no test may be C{strict}ly skipped."""
        self.patch(suites, "why_not_native", lambda: "it is Tuesday")
        environment = {**os.environ, "DISTNET_NO_SKIPS": "1" if strict else ""}
        self.patch(os, "environ", environment)
        shown = StringIO()
        with redirect_stdout(shown):
            status = suites.main(["native"])
        return status, shown.getvalue()

    def test_without_native_code(self) -> None:
        """Where there is no native code, the suite that is about it is not run; it is said why."""
        status, shown = self.main(strict=False)
        self.assertEqual(status, 0)
        self.assertIn("left out, as there is no native code: it is Tuesday\n", shown)
        self.assertIn("suites: 0 passed, 0 failed, 1 left out", shown)

    def test_where_nothing_may_be_skipped(self) -> None:
        """With DISTNET_NO_SKIPS a suite that cannot be run is a failure."""
        status, shown = self.main(strict=True)
        self.assertEqual(status, 1)
        self.assertIn("suites: 0 passed, 1 failed, 0 left out", shown)


class BeforeTests(SynchronousTestCase):
    """Tests for words that a suite has only after those before it."""

    def words(self, *names: str, failing: str = "") -> tuple[str, ...]:
        """The words that C{last} has more, when these suites are run."""
        ran = {}

        def run(suite: suites.Suite, *more: str) -> suites.Run:
            ran[suite.module] = more
            return suites.Run(suite.module != failing, 0.0)

        made = {name: suites.Suite(name, native=name == "native") for name in ("first", "native")}
        made["last"] = suites.Suite("last", when_passed=("--briefly",))
        made["later"] = suites.Suite("later")
        self.patch(suites, "SUITES", made)
        self.patch(suites, "run", run)
        with redirect_stdout(StringIO()):
            suites.main(list(names))
        return ran["last"]

    def test_when_all_before_have_passed(self) -> None:
        """A suite has them when all suites before it have passed, whatever comes later."""
        self.patch(suites, "why_not_native", lambda: None)
        self.assertEqual(self.words("first", "native", "last"), ("--briefly",))
        self.assertEqual(
            self.words("first", "native", "last", "later", failing="later"), ("--briefly",)
        )

    def test_when_one_before_has_failed(self) -> None:
        """A suite does not have them when one before it has failed, or was not asked for."""
        self.patch(suites, "why_not_native", lambda: None)
        self.assertEqual(self.words("first", "native", "last", failing="native"), ())
        self.assertEqual(self.words("first", "last"), ())
        self.assertEqual(self.words("last", "first", "native"), ())

    def test_when_one_before_cannot_be_run(self) -> None:
        """A suite that is left out has nothing to fail."""
        self.patch(suites, "why_not_native", lambda: "it is Tuesday")
        self.assertEqual(self.words("first", "native", "last"), ("--briefly",))
