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
