"""The suites that run the same tests with native code and without it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distnet._native import SWITCH
from tests.suites import SUITES, run, why_not_native

MASTER = """
import sys
from pathlib import Path
from tests.masters import Master, running
with running(Master(Path(sys.argv[1]), "--port", "0")) as master:
    print(master.log())
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("native", "messages are routed by native code"),
        ("pure", "routed by Python, not by native code: DISTNET_NATIVE is 0"),
    ],
    ids=["native", "pure"],
)
def test_what_routes_messages(
    name: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The masters of a suite are those that it is there for."""
    suite = SUITES[name]
    if suite.native and (why := why_not_native()):
        pytest.skip(f"there is no native code: {why}")
    # Whatever this suite's own are.
    monkeypatch.setenv(SWITCH, "1")
    monkeypatch.delenv("DISTNET_PACE", raising=False)
    passed, _, _ = run(replace(suite, command=[sys.executable, "-c", MASTER, str(tmp_path)]))
    assert passed
    assert says in capfd.readouterr().out
