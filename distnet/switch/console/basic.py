"""Console commands about the console itself: help, showinfo, scripts, events, plugins, pdump."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Final

from distnet.switch.console.arguments import CommandError, Kind
from distnet.switch.console.events import CATEGORIES
from distnet.switch.console.pdump import DEFAULT_FILENAME
from distnet.switch.console.records import Command
from distnet.switch.console.session import ConsoleSession

_PDUMP: Final = "pdump"
_NOT_DONE: Final = frozenset({"dump", "iplog"})
"""Plugins that come with vde_switch, and that we do not have."""
_PDUMP_HELP: Final = "copies frames to a pcap file"


def _help(session: ConsoleSession, start: str) -> Iterator[str]:
    yield f"{'COMMAND PATH':<18} {'SYNTAX':<15} HELP"
    yield f"{'-' * 12:<18} {'-' * 14:<15} {'-' * 12}"
    for command in session.console.commands:
        if command.path.startswith(start):
            yield command.line


def _show_info(session: ConsoleSession) -> Iterator[str]:
    console = session.console
    about = console.about
    yield from about.banner
    yield ""
    uptime = int(console.clock() - about.started)
    yield f"pid {console.machine.process()} MAC {about.mac.hex(':')} uptime {uptime}"
    if about.management is not None:
        path, mode = about.management
        yield f"mgmt {path} perm {mode:04o}"


def _show_data_socket(session: ConsoleSession) -> Iterator[str]:
    about = session.console.about
    if about.directory is not None:
        yield f"ctl dir {about.directory}"
        yield f"std mode {about.mode:04o}"


def _shut_down(session: ConsoleSession) -> None:
    session.console.shut_down()


def _log_out(session: ConsoleSession) -> None:
    pass


def _load(session: ConsoleSession, path: str) -> None:
    if not path:
        raise CommandError(errno.ENOENT)
    try:
        data = session.console.machine.read_script(path)
    except OSError as error:
        raise CommandError(error.errno or errno.EIO) from error
    session.run_script(path, data)


def _list_categories(session: ConsoleSession, start: str) -> Iterator[str]:
    yield f"{'CATEGORY':<22} TAG STATUS HELP"
    yield f"{'-' * 12:<22} --- ------ ----"
    found = False
    for category in CATEGORIES:
        if category.path.startswith(start):
            found = True
            status = "ON" if category in session.wanted else "OFF"
            yield f"{category.path:<22} {category.tag:03o} {status:<6} {category.help}"
    if not found:
        raise CommandError(errno.ENOENT)


def _add_category(session: ConsoleSession, start: str) -> None:
    session.wanted.add(start, CATEGORIES)


def _remove_category(session: ConsoleSession, start: str) -> None:
    session.wanted.remove(start, CATEGORIES)


def _list_plugins(session: ConsoleSession, start: str) -> Iterator[str]:
    yield f"{'NAME':<22} HELP"
    yield f"{'-' * 12:<22} ----"
    if not session.console.dump_added or not _PDUMP.startswith(start):
        raise CommandError(errno.ENOENT)
    yield f"{_PDUMP:<22} {_PDUMP_HELP}"


def _add_plugin(session: ConsoleSession, library: str) -> None:
    if not library:
        raise CommandError(errno.EINVAL)
    console = session.console
    name = os.path.basename(library).removesuffix(".so")
    if name in _NOT_DONE:
        raise CommandError(errno.EOPNOTSUPP)
    if name != _PDUMP:
        raise CommandError(errno.ENOENT)
    if console.dump_added:
        raise CommandError(errno.EEXIST)
    # A file name alone is one of the current directory to vde_switch, and is not there.
    if library == f"{_PDUMP}.so":
        raise CommandError(errno.ENOENT)
    console.dump_added = True


def _remove_plugin(session: ConsoleSession, start: str) -> None:
    console = session.console
    if not console.dump_added or not _PDUMP.startswith(start):
        raise CommandError(errno.ENOENT)
    console.end_dump()


def _dump_active(session: ConsoleSession, active: bool) -> None:
    dump = session.console.dump
    if active:
        dump.start()
    else:
        dump.stop()


def _dump_filename(session: ConsoleSession, filename: str) -> Iterator[str]:
    dump = session.console.dump
    if filename:
        try:
            dump.set_filename(filename)
        except OSError as error:
            yield f"cannot write to {filename}: {error.strerror}"
            yield f"still {dump.filename}"
            raise CommandError(errno.EINVAL) from error
    yield f"dumpfile={dump.filename}"


def _dump_buffered(session: ConsoleSession, buffered: bool) -> None:
    session.console.dump.set_buffered(buffered)


DUMP_COMMANDS: Final = (
    Command("pdump", "", "COPIES OF FRAMES IN A FILE"),
    Command("pdump/active", "0/1", "1: copy frames, 0: pause", (Kind.FLAG,), _dump_active, True),
    Command(
        "pdump/filename",
        "<file>",
        f"copy to this file, or say to which (at first {DEFAULT_FILENAME})",
        (Kind.TEXT,),
        _dump_filename,
        True,
    ),
    Command(
        "pdump/buffered",
        "0/1",
        "1: write when there is much, 0: write every frame",
        (Kind.FLAG,),
        _dump_buffered,
    ),
)

DATA_SOCKET_COMMANDS: Final = (
    Command("ds", "", "SOCKETS OF THE PLUGS"),
    Command("ds/showinfo", "", "where these sockets are", (), _show_data_socket, True),
)

SESSION_COMMANDS: Final = (
    Command("help", "[arg]", "this list, or what begins with arg", (Kind.TEXT,), _help, True),
    Command("logout", "", "end this session", (), _log_out, ends=True),
    Command("shutdown", "", "stop the switch", (), _shut_down, ends=True),
    Command("showinfo", "", "what this is, and since when", (), _show_info, True),
    Command("load", "path", "do the lines of a file", (Kind.TEXT,), _load),
    Command("debug", "", "EVENTS AS THEY HAPPEN"),
    Command("debug/list", "", "the categories of events", (Kind.TEXT,), _list_categories, True),
    Command("debug/add", "dbgpath", "tell of these events", (Kind.TEXT,), _add_category),
    Command("debug/del", "dbgpath", "tell of them no more", (Kind.TEXT,), _remove_category),
    Command("plugin", "", "PLUGINS"),
    Command("plugin/list", "", "the plugins in use", (Kind.TEXT,), _list_plugins, True),
    Command(
        "plugin/add", "library", "use a plugin: pdump, which is built in", (Kind.TEXT,), _add_plugin
    ),
    Command("plugin/del", "name", "do not use it any more", (Kind.TEXT,), _remove_plugin),
)
