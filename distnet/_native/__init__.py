"""Native code, which is optional, and whether it may be used. Pure Python defines what it does."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import Final

SWITCH: Final = "DISTNET_NATIVE"
"""The environment variable that turns native code off where it is C{0}."""


class NotNative(Exception):
    """Native code does not run; the message says why, in a few words."""


def load_router() -> ModuleType:
    """The module C{distnet._native.router}, the master's. Raises L{NotNative}."""
    return _load("router")


def load_bridge() -> ModuleType:
    """The module C{distnet._native.bridge}, the switch's. Raises L{NotNative}."""
    return _load("bridge")


def load_guest() -> ModuleType:
    """The module C{distnet._native.guest}, of the gateway's guests. Raises L{NotNative}."""
    return _load("guest")


def _load(name: str) -> ModuleType:
    if os.environ.get(SWITCH) == "0":
        raise NotNative(f"{SWITCH} is 0")
    try:
        return import_module(f"distnet._native.{name}")
    except ModuleNotFoundError as error:
        raise NotNative("it was installed without a C compiler") from error
    except ImportError as error:
        # Of another machine, or made for another Python.
        raise NotNative(f"it cannot be loaded ({error})") from error


def describe() -> str:
    """Whether native code can run, for C{--version}."""
    try:
        load_router()
        load_bridge()
        load_guest()
    except NotNative as why:
        return f"pure Python: {why}"
    return "with native code"
