"""Where the master listens, and what somebody who connects there is."""

from __future__ import annotations

from dataclasses import dataclass

from distnet.master.core.session import Kind
from distnet.sockets.listen import Listener, unix_description


@dataclass(frozen=True, slots=True)
class NodeListener(Listener):
    """
    A place where nodes connect.

    @ivar node: whoever connects there is this node, or None.
    @ivar kind: what whoever connects there is, but for a gateway's relays, which are kernels.
    @ivar acked_is_read: a peer on another machine has read its id once that machine has it.
    """

    node: int | None = None
    kind: Kind = Kind.KERNEL
    acked_is_read: bool = False

    @property
    def whom(self) -> str:
        """Whom it is for, as the log says it."""
        if self.kind is Kind.TOOL:
            return "tools"
        return "kernels" if self.node is None else f"node {self.node}"


def for_tools(path: str) -> NodeListener:
    """A socket for tools, at a path."""
    return NodeListener(unix_description(path), kind=Kind.TOOL)
