"""The optional compiled twins, and whether they may be used. What they do the pure code defines."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Final

SWITCH: Final = "DISTNET_NATIVE"
"""The environment variable that turns them off where it is C{0}."""


class NotNative(Exception):
    """Native code does not run; the message says why, in a few words."""


def load_router() -> ModuleType:
    """The module C{distnet._native.router}. Raises L{NotNative}."""
    if os.environ.get(SWITCH) == "0":
        raise NotNative(f"{SWITCH} is 0")
    try:
        from distnet._native import router
    except ImportError as error:
        raise NotNative("it was installed without a C compiler") from error
    return router


def describe() -> str:
    """Whether native code can run, for C{--version}."""
    try:
        load_router()
    except NotNative as why:
        return f"pure Python: {why}"
    return "with native code"
