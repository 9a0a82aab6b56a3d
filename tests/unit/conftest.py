"""Where pytest runs the unit tests: C{trial tests.unit} has a directory of its own for that."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """C{mktemp} of trial's tests makes names in the current directory."""
    monkeypatch.chdir(tmp_path)
