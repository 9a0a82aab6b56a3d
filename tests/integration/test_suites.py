"""The suites that run the same tests with native code and without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from distnet._native import SWITCH
from tests.suites import SUITES, run, why_not_native

MASTER = """
import pytest
from tests.masters import Master, running

def test_it(tmp_path):
    with running(Master(tmp_path, "--port", "0")) as master:
        print(master.log())

def test_another():
    pytest.skip("whatever")
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
    (tmp_path / "test_it.py").write_text(MASTER)
    ran = run(replace(suite, words=(str(tmp_path / "test_it.py"), "-s", f"--rootdir={tmp_path}")))
    assert ran.passed
    assert (ran.tests, ran.skipped) == (2, 1)
    assert says in capfd.readouterr().out
