"""Runs all suites of tests, one after the other, and says how long each took.

C{python -m tests.suites [NAME...]}. With DISTNET_NO_SKIPS set, a skipped test is a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BIN = Path(sys.executable).parent

SUITES: dict[str, list[str]] = {
    "unit": [str(_BIN / "trial"), "--temp-directory=_trial_temp", "tests.unit"],
    "mutations": [sys.executable, "-m", "tests.mutations"],
    "integration": [sys.executable, "-m", "pytest", "tests/integration"],
    "guest": [sys.executable, "-m", "pytest", "tests/guest"],
}


def run(command: list[str]) -> tuple[bool, float, int]:
    """
    Run a suite and show what it prints.

    @return: whether it passed, how many seconds it took, how many tests it skipped.
    """
    began = time.monotonic()
    skipped = 0
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            found = re.search(r"(?:skips=(\d+))|(?:\b(\d+) skipped)", line)
            if found:
                skipped = int(found[1] or found[2])
    return process.returncode == 0, time.monotonic() - began, skipped


def main(names: list[str]) -> int:
    """Run the named suites, or all."""
    failed = []
    report = []
    for name in names or list(SUITES):
        print(f"\n=== {name}", flush=True)
        passed, seconds, skipped = run(SUITES[name])
        if skipped and os.environ.get("DISTNET_NO_SKIPS"):
            passed = False
        if not passed:
            failed.append(name)
        note = f", {skipped} skipped" if skipped else ""
        report.append(f"{name:12} {seconds:7.1f} s  {'passed' if passed else 'FAILED'}{note}")
    print("\n" + "\n".join(report))
    print(f"suites: {len(report) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
