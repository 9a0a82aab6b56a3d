"""libslirp, the C library of QEMU's C{-netdev user}, through cffi; types as libslirp.h has them.

No exception leaves a callback: libslirp's own state would be lost in the middle. So one ends the
process there.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from distnet.errors import StartupError
from distnet.gateway._slirpffi import ffi
from distnet.guestnet import Plan
from distnet.once import Once
from distnet.text import printable

LIBRARY: Final = "libslirp.so.0"
OLDEST: Final = (4, 4, 0)
"""The oldest version that is known to work, Debian 11's."""

IN: Final = 1
OUT: Final = 2

QUIET_SECONDS: Final = 10.0
"""How long libslirp's complaints of guests are only counted after the same one was logged."""

# Of the configuration's later versions we need nothing; every library takes the first.
_CONFIG_VERSION: Final = 1
_FOR_EVER_MS: Final = 0xFFFFFFFF
_NOTHING_TO_DO_MS: Final = 1000
"""The most that it ever asks to be waited for, then without a reason."""

_SEND_PACKET: Final = "ssize_t(*)(const void *, size_t, void *)"
_GUEST_ERROR: Final = "void(*)(const char *, void *)"
_CLOCK_GET_NS: Final = "int64_t(*)(void *)"
_TIMER_NEW: Final = "void *(*)(void (*)(void *), void *, void *)"
_TIMER_FREE: Final = "void(*)(void *, void *)"
_TIMER_MOD: Final = "void(*)(void *, int64_t, void *)"
_POLL_FD: Final = "void(*)(int, void *)"
_NOTIFY: Final = "void(*)(void *)"
_ADD_POLL: Final = "int(*)(int, int, void *)"
_GET_REVENTS: Final = "int(*)(int, void *)"
_NATIVE: Final = {
    "send_packet": _SEND_PACKET,
    "clock_get_ns": _CLOCK_GET_NS,
    "register_poll_fd": _POLL_FD,
    "unregister_poll_fd": _POLL_FD,
    "notify": _NOTIFY,
}
"""The callbacks that can be native."""
_POINTERS: Final = ("SlirpConfig *", "SlirpCb *", "uint32_t *", "struct in_addr *")


@dataclass(frozen=True, slots=True)
class Library:
    """
    libslirp, as it is used from here.

    @ivar ffi: of cffi.
    @ivar functions: those of libslirp.h, and free(3).
    @ivar version: as it says it.
    """

    ffi: Any
    functions: Any
    version: str


@functools.cache
def load() -> Library:
    """
    The library. Raises StartupError if there is no usable one here.

    What it needs once is done then: parsing its types takes longer, and more memory, than a
    network does that is made afterwards, and processes that are forked share it.
    """
    try:
        functions = ffi.dlopen(LIBRARY)
    except OSError as error:
        raise StartupError(
            f"the gateway needs libslirp, and there is no {LIBRARY} ({error}): on Debian,"
            f" apt-get install libslirp0"
        ) from None
    version: str = ffi.string(functions.slirp_version_string()).decode()
    _check_version(version)
    for kind in (
        *(_SEND_PACKET, _GUEST_ERROR, _CLOCK_GET_NS, _TIMER_NEW, _TIMER_FREE, _TIMER_MOD),
        *(_POLL_FD, _NOTIFY, _ADD_POLL, _GET_REVENTS),
        *_POINTERS,
    ):
        ffi.typeof(kind)
    for name in (
        *("slirp_new", "slirp_cleanup", "slirp_input", "slirp_pollfds_fill"),
        *("slirp_pollfds_poll", "slirp_add_unix", "slirp_add_hostfwd", "slirp_remove_hostfwd"),
        *("slirp_connection_info", "free"),
    ):
        getattr(functions, name)
    return Library(ffi, functions, version)


class Network:
    """One network of libslirp's. Not thread-safe, like libslirp."""

    def __init__(
        self,
        plan: Plan,
        *,
        nat: bool,
        clock_ns: Callable[[], int],
        send: Callable[[bytearray], None],
        descriptor_closes: Callable[[int], None],
        say: Callable[[str], None],
        failed: Callable[[str], object],
        native: Mapping[str, int] | None = None,
    ) -> None:
        """
        @param nat: let guests reach what this machine reaches, but for itself.
        @param clock_ns: a clock that only goes forward, in nanoseconds.
        @param send: called with each frame for the guests: libslirp's own memory, which may be
            changed, and is another frame's afterwards.
        @param descriptor_closes: called with each descriptor that is about to be closed.
        @param say: called with a line for the log.
        @param failed: called with one when a callback has raised an exception: there is no going
            on then, since nobody knows what libslirp was told.
        @param native: addresses of functions in the place of some callbacks, by the callback's
            name, and as C{opaque} what they are called with. What they do is theirs, then.
        @raise StartupError: there is no usable libslirp here.
        """
        loaded = load()
        self._ffi = ffi = loaded.ffi
        self._library = loaded.functions
        self._say, self._fail = say, failed
        self._asked: list[tuple[int, int]] = []
        self._revents: Mapping[int, int] = {}
        self._complaints = Once(seconds=lambda: clock_ns() / 1e9, again=QUIET_SECONDS)
        self._timeout = ffi.new("uint32_t *")
        # libslirp keeps pointers to all of these.
        self._kept: list[Any] = []
        self._config = ffi.new("SlirpConfig *")
        self._configure(plan, nat)
        self._callbacks = ffi.new("SlirpCb *")
        self._fill_in(clock_ns, send, descriptor_closes)
        opaque = ffi.NULL
        for name, address in (native or {}).items():
            if name == "opaque":
                opaque = ffi.cast("void *", address)
            else:
                setattr(self._callbacks, name, ffi.cast(_NATIVE[name], address))
        self._add_poll = self._callback(_ADD_POLL, self._on_add_poll, -1)
        self._get_revents = self._callback(_GET_REVENTS, self._on_get_revents, 0)
        self._slirp = self._library.slirp_new(self._config, self._callbacks, opaque)
        if not self._slirp:
            raise StartupError(f"libslirp {loaded.version} does not start: use another version")

    def addresses(self) -> list[int]:
        """Where this network is in memory; and C{slirp_input} and both for descriptors."""
        ffi, functions = self._ffi, ("slirp_input", "slirp_pollfds_fill", "slirp_pollfds_poll")
        found = [self._slirp, *(ffi.addressof(self._library, name) for name in functions)]
        return [int(ffi.cast("intptr_t", each)) for each in found]

    def forward(self, path: bytes, address: IPv4Address, port: int) -> None:
        """Lead guests who connect to an address and port to a unix socket. Raises ValueError."""
        where = self._ffi.new("struct in_addr *")
        where.s_addr = _in_network_order(address)
        self._kept.append(path)
        if self._library.slirp_add_unix(self._slirp, path, where, port) < 0:
            raise ValueError(f"libslirp does not forward {address}:{port}")

    def input(self, frame: bytes) -> None:
        """A frame has come from a guest."""
        self._library.slirp_input(self._slirp, frame, len(frame))

    def fill(self) -> tuple[dict[int, int], float | None]:
        """
        What to wait for.

        @return: for each descriptor L{IN}, L{OUT} and more, as libslirp has them; and for how many
            seconds at most, None if that does not matter.
        """
        self._asked.clear()
        self._timeout[0] = _FOR_EVER_MS
        self._library.slirp_pollfds_fill(self._slirp, self._timeout, self._add_poll, self._ffi.NULL)
        milliseconds = self._timeout[0]
        return dict(self._asked), (
            None if milliseconds >= _NOTHING_TO_DO_MS else milliseconds / 1000
        )

    def poll(self, ready: Mapping[int, int]) -> None:
        """Go on, after L{fill}: what is ready, by descriptor, as poll(2) says it."""
        self._revents = ready
        self._library.slirp_pollfds_poll(self._slirp, 0, self._get_revents, self._ffi.NULL)

    def forward_from_host(
        self, host: tuple[IPv4Address, int], guest: tuple[IPv4Address, int]
    ) -> None:
        """
        Lead who connects to an address and port of this machine to those of a guest.

        The guest must have been heard. Who connects by the loopback has the address of L{Plan.host}
        for it, others their own. Raises OSError if this machine does not let anybody listen there.
        """
        self._ffi.errno = 0
        if self._library.slirp_add_hostfwd(
            self._slirp, False, self._in_addr(host[0]), host[1], self._in_addr(guest[0]), guest[1]
        ):
            number = self._ffi.errno
            raise OSError(number, os.strerror(number))

    def stop_forwarding_from_host(self, host: tuple[IPv4Address, int]) -> None:
        """Listen there no more; connections that were made go on."""
        self._library.slirp_remove_hostfwd(self._slirp, False, self._in_addr(host[0]), host[1])

    def _in_addr(self, address: IPv4Address) -> Any:
        where = self._ffi.new("struct in_addr *")
        where.s_addr = _in_network_order(address)
        return where[0]

    def connections(self) -> str:
        """All sockets that it has, as it tells people of them."""
        text = self._library.slirp_connection_info(self._slirp)
        try:
            said: str = self._ffi.string(text).decode()
            return said
        finally:
            self._library.free(text)

    def close(self) -> None:
        """End the stack, and all connections of its guest. May be called again."""
        if self._slirp:
            self._library.slirp_cleanup(self._slirp)
            self._slirp = None

    def _configure(self, plan: Plan, nat: bool) -> None:
        config = self._config
        config.version = _CONFIG_VERSION
        config.restricted = not nat
        config.in_enabled = True
        config.vnetwork.s_addr = _in_network_order(plan.network.network_address)
        config.vnetmask.s_addr = _in_network_order(plan.network.netmask)
        config.vhost.s_addr = _in_network_order(plan.host)
        config.vdhcp_start.s_addr = _in_network_order(plan.pool[0][0])
        config.vnameserver.s_addr = _in_network_order(plan.name_server)
        config.disable_host_loopback = True

    def _fill_in(
        self,
        clock_ns: Callable[[], int],
        send: Callable[[bytearray], None],
        descriptor_closes: Callable[[int], None],
    ) -> None:
        ffi, callbacks, make, say = self._ffi, self._callbacks, self._callback, self._say

        view = ffi.buffer

        def send_packet(data: Any, size: int, _: Any) -> int:
            send(view(data, size))
            return size

        def guest_error(message: Any, _: Any) -> None:
            said = printable(ffi.string(message).strip())
            # Any guest can make any number of them.
            unsaid = self._complaints.say(said)
            if unsaid is not None:
                say(f"libslirp: {said} ({unsaid + 1} times)")

        callbacks.send_packet = make(_SEND_PACKET, send_packet, 0)
        callbacks.guest_error = make(_GUEST_ERROR, guest_error)
        callbacks.clock_get_ns = make(_CLOCK_GET_NS, lambda _: clock_ns(), 0)
        # Timers are for router advertisements, of IPv6, which is off.
        callbacks.timer_new = make(_TIMER_NEW, lambda *_: ffi.NULL, ffi.NULL)
        callbacks.timer_free = make(_TIMER_FREE, lambda *_: None)
        callbacks.timer_mod = make(_TIMER_MOD, lambda *_: None)
        callbacks.register_poll_fd = make(_POLL_FD, lambda *_: None)
        callbacks.unregister_poll_fd = make(
            _POLL_FD, lambda descriptor, _: descriptor_closes(descriptor)
        )
        # Every input is followed by a poll anyway.
        callbacks.notify = make(_NOTIFY, lambda _: None)

    def _callback(self, kind: str, function: Callable[..., Any], on_error: Any = None) -> Any:
        made = self._ffi.callback(kind, function, error=on_error, onerror=self._failed)
        self._kept.append(made)
        return made

    def _failed(self, kind: type[BaseException], error: BaseException, traceback: Any) -> None:
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        where = traceback and f"{traceback.tb_frame.f_code.co_name}:{traceback.tb_lineno}"
        self._fail(f"a callback of libslirp failed: {error!r} ({where})")

    def _on_add_poll(self, descriptor: int, events: int, _: Any) -> int:
        self._asked.append((descriptor, events))
        return len(self._asked) - 1

    def _on_get_revents(self, index: int, _: Any) -> int:
        # One that was closed since, or is new, has no place here.
        if not 0 <= index < len(self._asked):
            return 0
        descriptor, asked = self._asked[index]
        return only_asked(self._revents.get(descriptor, 0), asked)


def only_asked(events: int, asked: int) -> int:
    """
    What libslirp may be told of a descriptor.

    poll(2) returns errors and hang-ups that nobody has asked for. Of one that is to be written,
    libslirp would then read, and never write: it would be told the same for ever.
    """
    return events if asked & IN else events & asked


def _check_version(version: str) -> None:
    """Raises StartupError if this library is not one that we can use."""
    found: Sequence[str] = re.findall(r"\d+", version)
    numbers = tuple(map(int, found[: len(OLDEST)]))
    if not OLDEST <= numbers < (OLDEST[0] + 1,):
        raise StartupError(
            f"libslirp {version} is not one that the gateway can use: it needs"
            f" {'.'.join(map(str, OLDEST))} or later; on Debian, apt-get install libslirp0"
        )


def _in_network_order(address: IPv4Address) -> int:
    return int.from_bytes(address.packed, sys.byteorder)
