"""Guests, and a master for them that runs as users run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.guest import image
from tests.guest.qemu import Guest
from tests.masters import Master, running

Boot = Callable[..., Guest]


def built_for(arch: str) -> image.Image:
    """What guests of an architecture boot from, or a skipped test."""
    if missing := image.missing_tools(arch):
        pytest.skip(f"missing: {', '.join(missing)}")
    return image.build(arch)


@contextmanager
def guests() -> Iterator[Boot]:
    """What boots guests; those that run at the end are ended."""
    with ExitStack() as stack:

        def boot(netdev: list[str], script: str = "", **options: object) -> Guest:
            made = built_for(str(options.get("arch", "x86_64")))
            guest = Guest(netdev, script, image=made, **options)  # type: ignore[arg-type]
            return stack.enter_context(guest)

        yield boot


@pytest.fixture(scope="session")
def built() -> image.Image:
    """What guests boot from."""
    return built_for("x86_64")


@pytest.fixture
def start_master(tmp_path: Path) -> Iterator[Callable[..., Master]]:
    """Start masters with options, each in a directory of its own."""
    with ExitStack() as stack:
        yield lambda *options: stack.enter_context(running(Master(tmp_path, *options)))


@pytest.fixture
def boot() -> Iterator[Boot]:
    """Boot guests; those that run at the end are ended."""
    with guests() as boot:
        yield boot


@pytest.fixture(scope="module")
def boot_for_all() -> Iterator[Boot]:
    """Boot guests that stay on for all tests of a module."""
    with guests() as boot:
        yield boot
