"""
What the processes of guests are forked from: it has loaded all that they need, and does no more.

C{python -m distnet.gateway.zygote}, with a SOCK_SEQPACKET socket as standard input, by which the
gateway asks for them (L{distnet.gateway.channel}), and is told how each one ended. When that socket
ends, so does this process; those that it has forked go on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from distnet import _native
from distnet.errors import StartupError
from distnet.gateway import guest_process
from distnet.gateway.channel import Channel, Message, close_all
from distnet.gateway.datapath import Datapath
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.native_datapath import NativeDatapath

NAME: Final = b"distnet-guests"
"""What ps(1) and top(1) call it."""
GUEST: Final = b"distnet-guest"
"""What they call a guest's process."""
DESCRIPTORS: Final = 4
"""How many come with each request: from L{guest_process.FRAMES} to L{guest_process.NAME}."""
OWN: Final = 16
"""Its own descriptors begin there, so that the first are free for a guest's process."""


def main(words: Sequence[str]) -> int:
    """Fork when asked, until nobody can ask any more. C{words}: C{--nat}, and fixed addresses."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        # Of a terminal, or systemd's to all of a service: the gateway ends this process and those
        # that it has forked, when guests have been told.
        signal.signal(number, signal.SIG_IGN)
    fixed = frozenset(bytes.fromhex(word) for word in words if word != "--nat")
    try:
        process = GuestProcess(make_datapath(nat="--nat" in words, fixed=fixed))
    except StartupError as error:
        print(error, file=sys.stderr)
        return 1
    guest_process.rename(NAME)
    os.closerange(3, OWN)
    channel = Channel(socket.socket(fileno=_moved(os.dup(0), OWN)))
    channel.socket.setblocking(False)
    ended, wake = (_moved(end, OWN + 1 + which) for which, end in enumerate(os.pipe()))
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # What is alive now is shared with all that are forked for as long as nobody writes to it.
    gc.collect()
    gc.disable()
    gc.freeze()
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("VmData:")[2].split()[0]) * 1024
    poll = select.poll()
    poll.register(channel.socket, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        poll.poll()
        with contextlib.suppress(BlockingIOError):
            os.read(ended, 4096)
        _reap(channel)
        try:
            received = channel.receive()
        except BlockingIOError:
            continue
        if received is None:
            return 0
        asked, descriptors = received
        pid = _fork(channel, asked, descriptors)
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # Out of each other's way first.
            highest = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, OWN) for each in descriptors]
            for place, descriptor in enumerate(highest, guest_process.FRAMES):
                os.dup2(descriptor, place, inheritable=False)
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 0)
            os.close(nowhere)
            os.closerange(OWN, max(highest) + 1)
            guest_process.run(process, bytes.fromhex(asked["mac"]), held, GUEST)
        close_all(descriptors)


def make_datapath(*, nat: bool, fixed: frozenset[bytes]) -> Datapath:
    """What a guest's process is to have, native if that is possible. Raises StartupError."""
    try:
        native = _native.load_guest()
    except _native.NotNative:
        # Where there is native code, all that this imports would be memory for nothing.
        from distnet.gateway.pure_datapath import PureDatapath

        return PureDatapath(nat=nat, fixed=fixed)
    return NativeDatapath(native, nat=nat, fixed=fixed)


def _moved(descriptor: int, number: int) -> int:
    """Give a descriptor another number."""
    if descriptor != number:
        os.dup2(descriptor, number, inheritable=False)
        os.close(descriptor)
    return number


def _fork(channel: Channel, asked: Message, descriptors: list[int]) -> int | None:
    """As fork(2); None if there is no child."""
    try:
        if len(descriptors) != DESCRIPTORS:
            # There was none left for one of them.
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
    except OSError as error:
        channel.send({"failed": error.strerror, "mac": asked["mac"]})
        return None
    if pid:
        # That it does something at all.
        channel.send({"forked": pid})
    return pid


def _reap(channel: Channel) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        channel.send({"ended": pid, "status": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
