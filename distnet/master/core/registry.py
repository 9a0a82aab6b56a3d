"""Which id the next node gets, and what can be said of an id that nobody has."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from enum import Enum, StrEnum, auto

from distnet.errors import LocalError, NoFreeId
from distnet.wire import QUIT_ID


class IdPolicy(StrEnum):
    """
    @cvar SEQUENTIAL: ids count up and are never used again once they were read.
    @cvar LOWEST: the lowest free id, for systems that assume ids 0 to n-1.
    """

    SEQUENTIAL = "sequential"
    LOWEST = "lowest"


class Standing(Enum):
    """What an id is, seen from somebody who wants to send to it."""

    TAKEN = auto()
    """A connection has it."""
    EXPECTED = auto()
    """Nobody has it; somebody can get it."""
    GONE = auto()
    """It was used and will not come back."""
    IMPOSSIBLE = auto()
    """It is no id that a node can get."""


def check_pinned(pinned: Iterable[int], first: int, highest: int) -> None:
    """Raise L{LocalError} if an id that is to be pinned is none from C{first} to C{highest}."""
    for node in pinned:
        if not _is_possible(node, first, highest):
            raise LocalError(f"node {node} cannot be pinned: ids go from {first} to {highest}")


def _is_possible(node: int, first: int, highest: int) -> bool:
    return first <= node <= highest and node != QUIT_ID


class Registry:
    """
    Hands out the ids from C{first} to C{highest}.

    @ivar pinned: ids that belong to one node and are given to no other.
    """

    def __init__(
        self,
        policy: IdPolicy,
        first: int,
        highest: int,
        pinned: Iterable[int] = (),
    ) -> None:
        self.policy = policy
        self.pinned = frozenset(pinned)
        self._first = first
        self._highest = highest
        self._next = first
        self._returned: list[int] = []
        self._free: set[int] = set()
        self._taken: set[int] = set()
        check_pinned(self.pinned, first, highest)

    def standing(self, node: int) -> Standing:
        """Where an id stands now."""
        if node in self._taken:
            return Standing.TAKEN
        if not _is_possible(node, self._first, self._highest):
            return Standing.IMPOSSIBLE
        if (
            self.policy is IdPolicy.LOWEST
            or node in self.pinned
            or node >= self._next
            or node in self._free
        ):
            return Standing.EXPECTED
        return Standing.GONE

    def allocate(self) -> int:
        """The id of a new node. Raises L{NoFreeId}."""
        if self._returned:
            node = heapq.heappop(self._returned)
            self._free.remove(node)
        else:
            self._skip_reserved()
            node = self._next
            if node > self._highest:
                raise NoFreeId(
                    f"no id is free: {self._highest} is the highest"
                    f" ({self.policy} ids, {len(self._taken)} nodes connected)"
                )
            self._next += 1
        self._taken.add(node)
        return node

    def allocate_pinned(self, node: int) -> None:
        """A pinned node has connected."""
        if node not in self.pinned or node in self._taken:
            raise LocalError(f"node {node} is not pinned, or is connected")
        self._taken.add(node)

    def release(self, node: int, read: bool) -> None:
        """The connection that had an id has ended; C{read} says whether its node had read it."""
        self._taken.remove(node)
        if node not in self.pinned and (not read or self.policy is IdPolicy.LOWEST):
            self._give_back(node)

    def restore(self, used: Iterable[int]) -> None:
        """Ids that an earlier run handed out and that are not to be handed out again."""
        for node in sorted(used):
            if node in self.pinned or not self._next <= node <= self._highest:
                continue
            for skipped in range(self._next, node):
                if skipped not in self.pinned and skipped != QUIT_ID:
                    self._give_back(skipped)
            self._next = node + 1

    def _give_back(self, node: int) -> None:
        heapq.heappush(self._returned, node)
        self._free.add(node)

    def _skip_reserved(self) -> None:
        while self._next in self.pinned or self._next == QUIT_ID:
            self._next += 1
