"""Observers: each is told those events that it has a method for, and no others."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from types import SimpleNamespace
from typing import Any, Final

from zope.interface import directlyProvides
from zope.interface.interface import InterfaceClass

from distnet.errors import LocalError

_LIKENESS: Final = 0.85
"""From which likeness on, as of L{difflib}, a method's name is taken for a misspelt event."""


def nobody(*what: object) -> None:
    """What an event is that no observer has a method for."""


def broadcast(interface: InterfaceClass, *observers: object) -> Any:
    """
    An observer with all events of an interface that tells each of them to those of these that have
    a method with its name, in this order.

    An observer has methods for what it wants to know, and no others; empty ones would only cost.
    Who wants what is found out here, once: an event that one wants is that one's method itself,
    and an event that no one wants is L{nobody}. Where it costs something to find out what would be
    told, look first: C{if observer.learned is not nobody}.

    @param interface: its methods are the events.
    @raise LocalError: an observer has no event, or a method whose name looks like a misspelt one.
    """
    for observer in observers:
        _check(interface, observer)
    everybody = SimpleNamespace(**{event: _told(event, observers) for event in interface})
    directlyProvides(everybody, interface)
    return everybody


def _told(event: str, observers: tuple[object, ...]) -> Callable[..., None]:
    found = [getattr(observer, event, None) for observer in observers]
    methods = tuple(method for method in found if method is not None)
    if len(methods) < 2:
        return methods[0] if methods else nobody

    def all_of_them(*what: object) -> None:
        for method in methods:
            method(*what)

    return all_of_them


def _check(interface: InterfaceClass, observer: object) -> None:
    kind = type(observer)
    events = set(interface)
    if not any(hasattr(observer, event) for event in events):
        raise LocalError(f"{kind.__name__} has no event of {interface.__name__}")
    for name in dir(kind):
        if name.startswith("_") or name in events or not callable(getattr(kind, name)):
            continue
        if meant := get_close_matches(name, events, 1, _LIKENESS):
            raise LocalError(
                f"{kind.__name__}.{name} is no event of {interface.__name__}: {meant[0]} is"
            )
