"""The directory of a VDE switch: its modes and owners, its control socket, and dead leftovers."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from twisted.logger import Logger

from distnet.address import long_path
from distnet.errors import StartupError
from distnet.sockets.listen import claim_path
from distnet.text import printable

_OWN_SOCKET: Final = re.compile(r"[0-9]{3,}\.[0-9]+")
_CLIENT_SOCKET: Final = re.compile(r"\.[0-9]{5,}-[0-9]{5,}")
_LONGEST_NAME: Final = "0000.000000"
_PRIVATE: Final = 0o600
_SETGID: Final = 0o2000
_PRIVATE_DIRECTORY: Final = _SETGID | 0o700

_log = Logger(namespace="distnet")


@dataclass(frozen=True, slots=True)
class Permissions:
    """
    Who may plug in.

    @ivar mode: of the control socket, and of data sockets unless we are root.
    @ivar directory: the mode of the directory.
    @ivar group: the number of the group of all of them, or None.
    """

    mode: int = _PRIVATE
    directory: int = _PRIVATE_DIRECTORY
    group: int | None = None

    @classmethod
    def from_options(
        cls, mode: int | None, directory: int | None, group: int | None = None
    ) -> Permissions:
        """What vde_switch makes of its options -m and --dirmode, of which one implies the other."""
        if mode is not None and directory is None:
            # Whoever may read or write the socket must be able to reach it.
            directory = _SETGID | mode | (mode & 0o444) >> 2 | (mode & 0o222) >> 1
        elif mode is None and directory is not None:
            mode = directory & 0o666
        return cls(
            mode=_PRIVATE if mode is None else mode,
            directory=_PRIVATE_DIRECTORY if directory is None else directory,
            group=group,
        )


class VdeDirectory:
    """
    The directory in which a switch listens and its clients have their sockets.

    @ivar path: of it, absolute and without symbolic links: clients get paths below it, and may
        stand in another directory.
    @ivar ctl: path of the control socket.
    """

    def __init__(self, path: str, permissions: Permissions) -> None:
        self.path = os.path.realpath(path)
        self.ctl = f"{self.path}/ctl"
        self.permissions = permissions
        self._claimed = False

    def claim(self) -> None:
        """
        Make the directory ours, and clear what dead switches and clients have left in it.

        @raise StartupError: a switch runs there, or the machine refuses.
        """
        if (problem := long_path(self.path, _LONGEST_NAME)) is not None:
            raise StartupError(f"cannot make sockets in {self.path}: {problem}")
        self._make()
        claim_path(self.ctl)
        self._claimed = True
        self.sweep()
        others = self._others()
        if others is None:
            self._set(self.path, self.permissions.directory)
        else:
            _log.warn(
                "{directory} has other things in it, like {name}: its mode and group are left as"
                " they are; give the switch a directory of its own",
                directory=self.path,
                name=printable(others),
            )

    def opened(self) -> None:
        """The control socket is bound: set its mode and group. Raises L{StartupError}."""
        self._set(self.ctl, self.permissions.mode)

    def data_path(self, port: int, descriptor: int) -> str:
        """The path of a port's data socket."""
        return f"{self.path}/{port:03d}.{descriptor}"

    def bind(self, sock: socket.socket, path: str, user: int, private: bool = False) -> None:
        """
        Bind a data socket, and let its client and nobody else have it if we are root.

        @param user: who owns the client's socket.
        @param private: for its owner alone, even if we are not root.
        @raise OSError: it cannot be; then nothing is left of it.
        """
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
        sock.bind(path)
        root = os.geteuid() == 0
        mode = self.permissions.mode & (0o700 if root or private else 0o777)
        group = -1 if self.permissions.group is None else self.permissions.group
        try:
            os.chown(path, user if root else -1, group)
            Path(path).chmod(mode)
        except OSError:
            Path(path).unlink()
            raise

    def sweep(self) -> int:
        """
        Remove data sockets and clients' sockets that no process has open any more.

        @return: how many that were.
        """
        removed = 0
        with contextlib.suppress(OSError):
            for entry in Path(self.path).iterdir():
                known = _OWN_SOCKET.fullmatch(entry.name) or _CLIENT_SOCKET.fullmatch(entry.name)
                if known and is_dead(str(entry)):
                    with contextlib.suppress(OSError):
                        entry.unlink()
                        removed += 1
        return removed

    def leave(self) -> None:
        """The switch stops: remove the directory, unless somebody still has something in it."""
        if not self._claimed:
            return
        self.sweep()
        with contextlib.suppress(OSError):
            Path(self.path).rmdir()

    def _others(self) -> str | None:
        """
        The name of something in the directory that is no switch's, or None.

        Sockets are: of consoles, say; and a file with the number of its process.
        """
        try:
            for entry in Path(self.path).iterdir():
                if not (entry.is_socket() or entry.suffix == ".pid"):
                    return entry.name
        except OSError as error:
            raise StartupError(f"cannot look into {self.path}: {error.strerror}") from None
        return None

    def _make(self) -> None:
        try:
            Path(self.path).mkdir()
        except FileExistsError:
            mode = os.lstat(self.path).st_mode
            if not stat.S_ISDIR(mode):
                raise StartupError(
                    f"cannot make the directory {self.path}: it exists and is something else"
                ) from None
            if mode & stat.S_ISVTX:
                # vde_switch would take such a directory, /tmp say, from everybody else.
                raise StartupError(
                    f"{self.path} is a directory that all users share: give one for the switch"
                    f" alone, like {self.path.rstrip('/')}/switch"
                ) from None
        except OSError as error:
            raise StartupError(f"cannot make the directory {self.path}: {error.strerror}") from None

    def _set(self, path: str, mode: int) -> None:
        try:
            if self.permissions.group is not None:
                os.chown(path, -1, self.permissions.group)
            # After the owner: changing that clears bits of the mode.
            Path(path).chmod(mode)
        except OSError as error:
            raise StartupError(
                f"cannot set the mode and group of {path}: {error.strerror}"
            ) from None


def is_dead(path: str) -> bool:
    """Whether a path is a datagram socket that no process has open."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            return error.errno == errno.ECONNREFUSED and Path(path).is_socket()
    return False
