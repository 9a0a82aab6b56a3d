"""Mistakes of a daemon before it starts: its options, and what it writes."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "pidfile-of-anybody",
        "a pidfile with the number of a process that is no daemon is stale",
        "_is_daemon",
        'return b"twist" in words',
        "return True",
        ("FilesTests.test_stale_pidfiles",),
    ),
    Mutation(
        "runtime-directory-anywhere",
        "a relative XDG_RUNTIME_DIR is not used",
        "default_directory",
        "if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid():",
        "if runtime.is_dir():",
        ("DefaultDirectoryTests.test_it_is_not_used",),
    ),
)
