"""Mistakes in the six calls, as programs make them."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_CLIENT = "distnet/client/blocking.py"
_AIO = "distnet/client/twisted.py"
_CONNECT = "tests.unit.client.test_blocking.ConnectTests"
_DISCONNECT = "tests.unit.client.test_blocking.DisconnectTests"
_SEND = "tests.unit.client.test_blocking_messages.SendTests"
_RECEIVE = "tests.unit.client.test_blocking_messages.ReceiveTests"

MUTATIONS = (
    Mutation(
        "send-returns-the-payload",
        "send returns len + 8, as the kernel does",
        _CLIENT,
        "        return len(message)\n",
        "        return len(data)\n",
        (f"{_SEND}.test_size",),
    ),
    Mutation(
        "greedy-for-the-id",
        "one read of at most 10 bytes",
        _CLIENT,
        "channel.read(MAX_ID_DIGITS)",
        "channel.read(READ_SIZE)",
        (f"{_CONNECT}.test_ten_bytes_at_most",),
    ),
    Mutation(
        "too-long-is-sent",
        "errors as OSError with the same errno (ENOBUFS)",
        _CLIENT,
        "    if len(payload) > max_payload:\n",
        "    if len(payload) > 2 * max_payload + 1:\n",
        (f"{_SEND}.test_at_the_limit",),
    ),
    Mutation(
        "full-is-an-error",
        "EAGAIN as BlockingIOError",
        _CLIENT,
        'raise OSError(errno.EAGAIN, "the master takes nothing now")',
        'raise OSError(errno.EIO, "the master takes nothing now")',
        (f"{_SEND}.test_nonblocking_not_writable",),
    ),
    Mutation(
        "nothing-there-is-an-error",
        "EAGAIN as BlockingIOError",
        _CLIENT,
        'raise OSError(errno.EAGAIN, "no whole message is there")',
        'raise OSError(errno.EIO, "no whole message is there")',
        (f"{_RECEIVE}.test_nothing_there",),
    ),
    Mutation(
        "too-long-is-cut",
        "recv_into: the message is thrown away if the buffer is too small",
        _CLIENT,
        "            if size > len(room):\n",
        "            size = min(size, len(room))\n            if size > len(room):\n",
        (f"{_RECEIVE}.test_into_too_small",),
    ),
    Mutation(
        "rest-is-forgotten",
        "partial writes handled",
        _CLIENT,
        "            self._unsent = self._unsent[taken:]\n",
        '            self._unsent = memoryview(b"")\n',
        (f"{_SEND}.test_partial_writes", f"{_SEND}.test_nonblocking_rest_first"),
    ),
    Mutation(
        "end-before-what-came",
        "everything that came whole is received first",
        _CLIENT,
        "            if self._inbox:\n                return self._inbox.popleft()\n",
        "            if self._inbox and self._end() is None:\n"
        "                return self._inbox.popleft()\n",
        (f"{_SEND}.test_received_before_the_end",),
    ),
    Mutation(
        "leaves-without-quit",
        "disconnect writes quit",
        _CLIENT,
        "memoryview(QUIT)",
        'memoryview(b"")',
        (f"{_DISCONNECT}.test_quit",),
    ),
    Mutation(
        "reads-without-end",
        "the same for Twisted, with backpressure",
        _AIO,
        "        if reading != self._reading:\n",
        "        if False:\n",
        ("tests.unit.client.test_twisted_messages.ReceiveTests.test_backpressure",),
    ),
)
