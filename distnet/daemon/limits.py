"""What a process of ours may have of its machine."""

from __future__ import annotations

import resource


def allow_all_descriptors() -> None:
    """Let this process have as many descriptors as it may: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
