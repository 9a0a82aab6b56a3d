"""Mistakes in what tests are made with, by which they would pass whatever is wrong.

Only those that no test of anything else shows: see L{tests.mutations.mutation}.
"""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "waits-and-never-mind",
        "what does not happen in time is an error",
        "daemons.eventually",
        'raise AssertionError(f"{what}: not within {patience} s")',
        "return None",
        ("WaitingTests.test_what_never_happens",),
    ),
    Mutation(
        "repeats-and-never-mind",
        "what does not happen in time is an error, however often something was repeated for it",
        "daemons.until",
        'assert time.monotonic() < deadline, f"{what}: not within {patience} s, {number} times"',
        "if time.monotonic() >= deadline:\n    return",
        ("WaitingTests.test_repeated_in_vain",),
    ),
    Mutation(
        "last-words-are-lost",
        "what a daemon has done before it ended counts",
        "Daemon.wait_until",
        "if ended and not result:",
        "if ended:",
        ("DaemonTests.test_what_was_logged_last", "DaemonTests.test_ends_while_one_looks"),
    ),
    Mutation(
        "no-last-look",
        "after a daemon has ended, what it did until then is looked for once more",
        "Daemon.wait_until",
        "ended = self.process.poll() is not None\nresult = found()",
        "result = found()\nended = self.process.poll() is not None",
        ("DaemonTests.test_ends_while_one_looks",),
    ),
    Mutation(
        "sanitizes-what-it-was",
        "the sanitizers look at native code as it is, headers included",
        "Objects.compiled",
        'b"\\0\\0".join((version, words, text))',
        'b"\\0\\0".join((version, words, str(source).encode()))',
        ("ObjectsTests.test_changed",),
    ),
    Mutation(
        "any-options-will-do",
        "what is compiled with other options is another object: tiny limits, a sanitizer",
        "Objects.compiled",
        'b"\\0\\0".join((version, words, text))',
        'b"\\0\\0".join((version, text))',
        ("ObjectsTests.test_changed",),
    ),
)
