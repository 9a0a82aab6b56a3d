"""A callable that all traffic passes, and that others can be put around while that goes on.

Capture, faults and tracing are such wrappers: never flags in the way of every frame or message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from distnet.divert import Divert

C = TypeVar("C", bound=Callable[..., Any])


class Seam(Generic[C]):
    """
    Puts wrappers around a callable, and takes them away again in any order.

    Whoever calls it keeps what is to be called now, and is told when that is another one. So there
    is no call, and nothing to look at, while there is no wrapper. Traffic is diverted (L{Divert})
    as long as there is one, since native code calls nothing.
    """

    def __init__(
        self,
        bare: C,
        changed: Callable[[C | None], None],
        divert: Divert,
    ) -> None:
        """
        @param bare: what the innermost wrapper is put around.
        @param changed: called with what is to be called from now on; None if there is no wrapper.
        """
        self._bare = bare
        self._changed = changed
        self._divert = divert
        self._layers: list[_Layer[C]] = []

    def wrap(self, wrapper: Callable[[C], C]) -> Callable[[], None]:
        """
        Put something around what is called now.

        @param wrapper: called once, with what it is put around; it returns what is to be called.
            What it is given can be called at any time, any number of times, and when the wrapper
            has been taken away too.
        @return: what takes it away again; calling it twice is the same as once.
        """
        layers = self._layers
        layer = _Layer(self._bare, layers[-1] if layers else None)
        layer.outside = wrapper(cast(C, layer.go_on))
        layers.append(layer)
        end = self._divert.begin()
        self._changed(layer.outside)

        def undo() -> None:
            if layer.gone:
                return
            layer.gone = True
            was_outermost = layers[-1] is layer
            layers.remove(layer)
            if was_outermost:
                self._changed(layers[-1].outside if layers else None)
            end()

        return undo


class _Layer(Generic[C]):
    """
    One wrapper.

    @ivar outside: what is called in the place of what it is put around.
    @ivar gone: it was taken away.
    """

    outside: C

    def __init__(self, bare: C, below: _Layer[C] | None) -> None:
        """
        @param below: what it is put around, or None if that is the bare callable.
        """
        self.gone = False
        self._bare = bare
        self._below = below

    def go_on(self, *what: Any) -> Any:
        """Call what is inside now: those that were there may have been taken away."""
        below = self._below
        while below is not None and below.gone:
            below = below._below
        return (self._bare if below is None else below.outside)(*what)
