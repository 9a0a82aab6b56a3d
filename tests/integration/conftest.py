"""A master to talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.masters import Kernel, Master, running


@pytest.fixture
def start_master(tmp_path: Path) -> Iterator[Callable[..., Master]]:
    """Start masters with options; a port of 0 is a free one."""
    with ExitStack() as stack:

        def start(*options: str, within: Sequence[str] = ()) -> Master:
            directory = tmp_path / f"master{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            master = Master(directory, *options)
            master.within = list(within)
            return stack.enter_context(running(master))

        yield start


@pytest.fixture
def master(start_master: Callable[..., Master]) -> Master:
    """A master with the defaults, at a free port."""
    return start_master("--port", "0")


@pytest.fixture(scope="module")
def shared_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """A master with the defaults for all tests of a module that only look at it."""
    with running(Master(tmp_path_factory.mktemp("shared"), "--port", "0")) as master:
        yield master


@pytest.fixture
def connect() -> Iterator[Callable[..., Kernel]]:
    """Connect kernels to a master; those that are open at the end are closed."""
    with ExitStack() as stack:

        def connect(master: Master, path: str | None = None, read_id: bool = True) -> Kernel:
            address = path if path is not None else ("127.0.0.1", master.port)
            kernel = stack.enter_context(Kernel(address))
            if read_id:
                kernel.read_id()
            return kernel

        yield connect
