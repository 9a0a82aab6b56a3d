"""What a native guest's process does when, at which limit, and in which order."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzzing import ROOT, built
from tests.suites import why_not_native

pytestmark = pytest.mark.skipif(why_not_native() is not None, reason="there is no native code")

SCENES = re.findall(r'\{"(\w+)", \1\}', (ROOT / "tests/guest_scenes.c").read_text())


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """What plays the scenes."""
    with built("guest_scenes", "guest") as target:
        yield target


@pytest.mark.parametrize("scene", SCENES)
def test_scene(program: Path, scene: str) -> None:
    """All is in a scene as its comment says."""
    ended = subprocess.run(
        [program, scene], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
