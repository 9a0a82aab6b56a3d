"""Guests, and a master for them that runs as users run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.guest import image
from tests.guest.qemu import Guest
from tests.masters import Master, running

Boot = Callable[..., Guest]


@pytest.fixture(scope="session")
def built() -> image.Image:
    """What guests boot from."""
    if missing := image.missing_tools():
        pytest.skip(f"missing: {', '.join(missing)}")
    return image.build()


@pytest.fixture
def start_master(tmp_path: Path) -> Iterator[Callable[..., Master]]:
    """Start masters with options, each in a directory of its own."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(Master(tmp_path, *options)))


@pytest.fixture
def boot(built: image.Image) -> Iterator[Boot]:
    """Boot guests; those that run at the end are ended."""
    with ExitStack() as stack:

        def boot(netdev: list[str], script: str, **options: object) -> Guest:
            guest = Guest(netdev, script, image=built, **options)  # type: ignore[arg-type]
            return stack.enter_context(guest)

        yield boot
