"""No descriptor is left, for a while."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def no_descriptor_left(but: int = 0) -> Iterator[None]:
    """
    This process cannot open anything meanwhile.

    @param but: how many it may open all the same.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    # A limit is of numbers, and there may be free ones below.
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    while not taken or taken[-1] < highest:
        taken.append(os.open(os.devnull, os.O_RDONLY))
    free = [taken.pop() for _ in range(but) if taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max([highest, *taken, *free]) + 1, hard))
    for descriptor in free:
        os.close(descriptor)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


def open_descriptors() -> int:
    """How many this process has; what nobody refers to any more is closed before."""
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
