"""Masters to talk to, and switches to plug into."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority, tls_options
from tests.console.switches import Start, console_switches
from tests.integration.clients import NAME, Where
from tests.masters import Kernel, Master, running
from tests.sites import Site
from tests.switches import StartSwitch, switches


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
def runtime() -> Iterator[Path]:
    """A C{XDG_RUNTIME_DIR} for one test."""
    # Not within pytest's directory, which is too long for the path of a socket.
    directory = Path(tempfile.mkdtemp(prefix="dnr"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def master(start_master: Callable[..., Master]) -> Master:
    """A master with the defaults, at a free port."""
    return start_master("--port", "0")


@pytest.fixture(scope="module")
def shared_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """A master with the defaults for all tests of a module that only look at it."""
    with running(Master(tmp_path_factory.mktemp("shared"), "--port", "0")) as master:
        yield master


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who has signed the certificates of the master and its nodes."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture
def tls_address(start_master: Callable[..., Master], authority: Authority) -> str:
    """A master on TLS."""
    master = start_master("--tls", "tcp:0", *tls_options(authority.issue(NAME)))
    return f"tls:{NAME}:{master.address('tls:').rpartition(':')[2]}"


@pytest.fixture(params=["tcp", "unix", "tls"])
def master_address(
    request: pytest.FixtureRequest,
    start_master: Callable[..., Master],
    tmp_path: Path,
    authority: Authority,
) -> Where:
    """A master with no nodes, on each kind of listener."""
    if request.param == "tls":
        return Where(request.getfixturevalue("tls_address"), authority.issue("node"))
    port = {"tcp": "0", "unix": f"unix:{tmp_path}/kernels"}[request.param]
    return Where(start_master("--port", port).address(f"{request.param}:"))


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


@pytest.fixture
def start_switch(tmp_path: Path) -> Iterator[StartSwitch]:
    """Start switches with options."""
    with switches(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A master and a switch for all tests of a module, for gateways and guests."""
    with Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def start_console(tmp_path: Path) -> Iterator[Start]:
    """Start switches with consoles; ours unless another kind is named."""
    with console_switches(tmp_path) as start:
        yield start
