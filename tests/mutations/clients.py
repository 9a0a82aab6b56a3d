"""Mistakes in the six calls, as programs make them."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "send-returns-the-payload",
        "send returns len + 8, as the kernel does",
        "Client.send",
        "return len(message)",
        "return len(data)",
        ("test_blocking_messages.SendTests.test_size",),
    ),
    Mutation(
        "greedy-for-the-id",
        "one read of at most 10 bytes",
        "Client._read_greeting",
        "channel.read(MAX_ID_DIGITS)",
        "channel.read(READ_SIZE)",
        ("test_blocking.ConnectTests.test_ten_bytes_at_most",),
    ),
    Mutation(
        "too-long-is-sent",
        "errors as OSError with the same errno (ENOBUFS)",
        "outgoing",
        "if len(payload) > max_payload:",
        "if len(payload) > 2 * max_payload + 1:",
        ("SendTests.test_at_the_limit",),
    ),
    Mutation(
        "full-is-an-error",
        "EAGAIN as BlockingIOError",
        "Client.send",
        'raise OSError(errno.EAGAIN, "the master takes nothing now")',
        'raise OSError(errno.EIO, "the master takes nothing now")',
        ("SendTests.test_nonblocking_not_writable",),
    ),
    Mutation(
        "nothing-there-is-an-error",
        "EAGAIN as BlockingIOError",
        "Client.recv",
        'raise OSError(errno.EAGAIN, "no whole message is there")',
        'raise OSError(errno.EIO, "no whole message is there")',
        ("ReceiveTests.test_nothing_there",),
    ),
    Mutation(
        "too-long-is-cut",
        "recv_into: the message is thrown away if the buffer is too small",
        "Client.recv_into",
        "if size > len(room):",
        "size = min(size, len(room))\nif size > len(room):",
        ("ReceiveTests.test_into_too_small",),
    ),
    Mutation(
        "rest-is-forgotten",
        "partial writes handled",
        "Client._write_on",
        "self._unsent = self._unsent[taken:]",
        'self._unsent = memoryview(b"")',
        (
            "SendTests.test_partial_writes",
            "SendTests.test_nonblocking_rest_first",
        ),
    ),
    Mutation(
        "end-before-what-came",
        "everything that came whole is received first",
        "Client.recv",
        "if self._inbox:\n    return self._inbox.popleft()",
        "if self._inbox and self._end() is None:\n    return self._inbox.popleft()",
        ("SendTests.test_received_before_the_end",),
    ),
    Mutation(
        "leaves-without-quit",
        "disconnect writes quit",
        "Client._quit",
        "memoryview(QUIT)",
        'memoryview(b"")',
        ("test_blocking.DisconnectTests.test_quit",),
    ),
    Mutation(
        "reads-without-end",
        "the same for Twisted, with backpressure",
        "Inbox._balance",
        "if reading != self.reading:",
        "if False:",
        ("ReceiveTests.test_backpressure",),
    ),
)
