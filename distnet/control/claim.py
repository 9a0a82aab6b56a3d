"""Which control socket a service takes when it starts: the one it is told, or one of its own.

In the directory of this user's sockets the usual service has the plain name, C{control} for a
master; any other has a name of its own, C{control-1235}, that is the same whenever it starts. While
nobody else has the plain name it leads to that one too, so that a service that is alone is found
where the documents say.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from distnet.address import MAX_UNIX_PATH
from distnet.control.paths import (
    Kind,
    default_directory,
    listens,
    make_default_directory,
    tools_beside,
)

_MOST_LETTERS: Final = 40


class ControlPath:
    """
    Where a service has its control socket.

    @ivar path: of the socket, once it is claimed; it was told, or is empty before.
    @ivar told: whether it was told, and not to be chosen.
    """

    def __init__(self, kind: Kind, told: str | None, name: str = "", usual: bool = False) -> None:
        """
        @param told: the path, or None to choose.
        @param name: what tells the service from others of its kind whenever it starts, such as its
            port; any text, which may be empty.
        @param usual: it is the one that is meant when nobody says which: at the default port, say.
        """
        self.path = told or ""
        self.told = told is not None
        self._kind = kind
        self._name = re.sub("[^A-Za-z0-9_-]", "-", name)[:_MOST_LETTERS]
        self._usual = usual
        self._plain: Path | None = None

    @contextlib.contextmanager
    def claimed(self) -> Iterator[str]:
        """
        The path, to be bound within the C{with} statement: of those who start at the same time, one
        after the other chooses.

        @raise StartupError: there is no directory for it.
        """
        if self.told and Path(self.path).parent != default_directory():
            yield self.path
            return
        directory = make_default_directory()
        with _alone(directory):
            if self.told:
                yield self.path
                return
            self._sweep(directory)
            self.path = str(self._choose(directory))
            yield self.path
            self._take_plain(directory / self._kind.socket)

    def tools_listen(self) -> None:
        """There may be a socket for tools beside it now: the plain name is to lead to that too."""
        # There may be none.
        with contextlib.suppress(OSError), self._having_plain() as plain:
            _link(tools_beside(self.path), Path(tools_beside(str(plain))))

    def release(self) -> None:
        """The socket is about to be closed: give up the plain name, if that led to it."""
        with contextlib.suppress(OSError), self._having_plain() as plain:
            _remove(plain)
        self._plain = None

    @contextlib.contextmanager
    def _having_plain(self) -> Iterator[Path]:
        """The plain name; OSError if it does not lead here, or not any more."""
        if self._plain is None:
            raise FileNotFoundError
        with _alone(self._plain.parent):
            if not self._plain.samefile(self.path):
                raise FileExistsError
            yield self._plain

    def _choose(self, directory: Path) -> Path:
        plain = directory / self._kind.socket
        if self._usual:
            if _leads_elsewhere(plain):
                # Its owner has a name of its own.
                _remove(plain)
            if not listens(plain):
                return plain
        own = directory / f"{plain.name}-{self._name}"
        fits = len(os.fsencode(tools_beside(str(own)))) <= MAX_UNIX_PATH
        if self._name and fits and not listens(own):
            return own
        return directory / f"{plain.name}-pid-{os.getpid()}"

    def _sweep(self, directory: Path) -> None:
        """Remove what those were called by who were killed, and who never have that name again."""
        for path in directory.glob(f"{self._kind.socket}-pid-*[0-9]"):
            if path.is_socket() and not listens(path):
                _remove(path)

    def _take_plain(self, plain: Path) -> None:
        if plain == Path(self.path) or listens(plain):
            return
        with contextlib.suppress(OSError):
            _link(self.path, plain)
            self._plain = plain


def _link(path: str, other: Path) -> None:
    """Give a socket a second name, which may be that of a dead one. Raises OSError."""
    if other.is_socket() and not listens(other):
        other.unlink()
    # Unlike a symbolic link it is a socket to all who look.
    os.link(path, other)


def _remove(path: Path) -> None:
    """Remove a name of a socket, and that of the socket for tools beside it. Raises OSError."""
    path.unlink()
    Path(tools_beside(str(path))).unlink(missing_ok=True)


def _leads_elsewhere(plain: Path) -> bool:
    """Whether a plain name is a second name of a socket that has one of its own."""
    try:
        return plain.lstat().st_nlink > 1
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let nobody else choose a name in a directory; the kernel ends that if the process ends."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
