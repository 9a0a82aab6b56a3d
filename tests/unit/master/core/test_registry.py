"""L{distnet.master.core.registry}: who gets which id."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import LocalError, NoFreeId
from distnet.master.core.registry import IdPolicy, Registry, Standing
from distnet.wire import QUIT_ID

HIGHEST = 12


def registry(
    policy: IdPolicy = IdPolicy.SEQUENTIAL, highest: int = HIGHEST, pinned: tuple[int, ...] = ()
) -> Registry:
    """A registry from 0."""
    return Registry(policy, 0, highest, pinned)


class SequentialTests(SynchronousTestCase):
    """C{--ids sequential}."""

    def test_order_of_connection(self) -> None:
        """Ids are 0, 1, 2 in the order of connection."""
        ids = registry()
        self.assertEqual([ids.allocate() for _ in range(3)], [0, 1, 2])

    def test_settled_is_for_good(self) -> None:
        """A settled id is not handed out again and is gone when its node has left."""
        ids = registry()
        ids.release(ids.allocate(), read=True)
        self.assertIs(ids.standing(0), Standing.GONE)
        self.assertEqual(ids.allocate(), 1)

    def test_unsettled_goes_back(self) -> None:
        """An id whose node had not read it goes back, and the lowest of those is next."""
        ids = registry()
        for _ in range(3):
            ids.allocate()
        ids.release(2, read=False)
        ids.release(0, read=False)
        self.assertIs(ids.standing(0), Standing.EXPECTED)
        self.assertEqual([ids.allocate() for _ in range(3)], [0, 2, 3])

    def test_highest(self) -> None:
        """The highest id is handed out, and none above it."""
        ids = registry(highest=1)
        self.assertEqual([ids.allocate(), ids.allocate()], [0, 1])
        self.assertRaises(NoFreeId, ids.allocate)
        ids.release(1, read=False)
        self.assertEqual(ids.allocate(), 1)

    def test_standing(self) -> None:
        """Up to the highest id somebody can come; above it, and below the first, nobody."""
        ids = Registry(IdPolicy.SEQUENTIAL, 3, HIGHEST)
        self.assertIs(ids.standing(2), Standing.IMPOSSIBLE)
        self.assertIs(ids.standing(3), Standing.EXPECTED)
        self.assertIs(ids.standing(HIGHEST), Standing.EXPECTED)
        self.assertIs(ids.standing(HIGHEST + 1), Standing.IMPOSSIBLE)
        self.assertIs(ids.standing(ids.allocate()), Standing.TAKEN)


class LowestTests(SynchronousTestCase):
    """C{--ids lowest}."""

    def test_reuse(self) -> None:
        """The lowest free id is next, whether its last node had settled or not."""
        ids = registry(IdPolicy.LOWEST)
        for _ in range(4):
            ids.allocate()
        ids.release(2, read=False)
        ids.release(1, read=True)
        self.assertIs(ids.standing(1), Standing.EXPECTED)
        self.assertEqual([ids.allocate() for _ in range(3)], [1, 2, 4])


class QuitTests(SynchronousTestCase):
    """The id that spells quit."""

    def test_never(self) -> None:
        """0x74697571 is passed over by both policies and nobody can be expected there."""
        for policy in IdPolicy:
            ids = Registry(policy, 0x74697571 - 1, 0x74697571 + 1)
            self.assertIs(ids.standing(QUIT_ID), Standing.IMPOSSIBLE)
            self.assertEqual([ids.allocate(), ids.allocate()], [QUIT_ID - 1, QUIT_ID + 1])
            self.assertRaises(NoFreeId, ids.allocate)

    def test_not_pinned(self) -> None:
        """It cannot be pinned either."""
        self.assertRaises(LocalError, registry, highest=2**31 - 1, pinned=(QUIT_ID,))

    def test_not_restored(self) -> None:
        """An earlier run that came past it does not give it back."""
        ids = Registry(IdPolicy.SEQUENTIAL, QUIT_ID - 1, QUIT_ID + 2)
        ids.restore([QUIT_ID + 1])
        self.assertEqual([ids.allocate(), ids.allocate()], [QUIT_ID - 1, QUIT_ID + 2])


class PinnedTests(SynchronousTestCase):
    """C{--node 1=...}."""

    def test_given_to_no_other(self) -> None:
        """Pinned ids are passed over, before and after their nodes were there."""
        ids = registry(pinned=(1, 2))
        self.assertEqual([ids.allocate(), ids.allocate()], [0, 3])
        ids.allocate_pinned(1)
        ids.release(1, read=True)
        self.assertEqual(ids.allocate(), 4)

    def test_lowest(self) -> None:
        """Pinned ids are passed over by the policy of lowest ids, too."""
        ids = registry(IdPolicy.LOWEST, pinned=(0,))
        ids.allocate_pinned(0)
        ids.release(0, read=True)
        self.assertEqual(ids.allocate(), 1)

    def test_comes_back(self) -> None:
        """A pinned node is expected back, however it left."""
        ids = registry(pinned=(1,))
        for settled in (True, False):
            ids.allocate_pinned(1)
            self.assertIs(ids.standing(1), Standing.TAKEN)
            ids.release(1, settled)
            self.assertIs(ids.standing(1), Standing.EXPECTED)

    def test_misuse(self) -> None:
        """Only a pinned id that is free can be taken by name, and only possible ids pinned."""
        ids = registry(pinned=(1,))
        self.assertRaises(LocalError, ids.allocate_pinned, 0)
        ids.allocate_pinned(1)
        self.assertRaises(LocalError, ids.allocate_pinned, 1)
        self.assertRaises(LocalError, registry, pinned=(HIGHEST + 1,))


class RestoreTests(SynchronousTestCase):
    """What an earlier run handed out."""

    def test_goes_on(self) -> None:
        """Ids that were used are gone; those between that came back are next."""
        ids = registry()
        ids.restore([0, 1, 4])
        self.assertIs(ids.standing(1), Standing.GONE)
        self.assertIs(ids.standing(2), Standing.EXPECTED)
        self.assertEqual([ids.allocate() for _ in range(3)], [2, 3, 5])

    def test_pinned(self) -> None:
        """Pinned ids are expected whatever was, and are not given back to others."""
        ids = registry(pinned=(1, 2))
        ids.restore([2, 3])
        self.assertIs(ids.standing(2), Standing.EXPECTED)
        self.assertEqual([ids.allocate(), ids.allocate()], [0, 4])

    def test_above_the_highest(self) -> None:
        """Ids of a run with a higher limit give back none above the limit of this run."""
        ids = registry(highest=2)
        ids.restore([1, 7])
        self.assertEqual([ids.allocate(), ids.allocate()], [0, 2])
        self.assertRaises(NoFreeId, ids.allocate)


class RandomTests(SynchronousTestCase):
    """Any order of coming and going."""

    @given(
        st.sampled_from(IdPolicy),
        st.frozensets(st.integers(0, HIGHEST), max_size=4),
        st.frozensets(st.integers(0, HIGHEST + 3)),
        st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.booleans()), max_size=60),
    )
    def test_never_twice(
        self,
        policy: IdPolicy,
        pinned: frozenset[int],
        used: frozenset[int],
        steps: list[tuple[int, bool, bool]],
    ) -> None:
        """No id has two nodes, and none that was settled has another under sequential."""
        ids = Registry(policy, 0, HIGHEST, pinned)
        ids.restore(used)
        taken: list[int] = []
        settled_once = set(used - pinned)
        for choice, comes, settled in steps:
            if comes:
                try:
                    node = ids.allocate()
                except NoFreeId:
                    free = set(range(HIGHEST + 1)) - set(taken) - settled_once - pinned
                    self.assertEqual(free, set())
                    continue
                self.assertNotIn(node, taken)
                self.assertNotIn(node, pinned | settled_once)
                self.assertLessEqual(node, HIGHEST)
                taken.append(node)
            elif taken:
                node = taken.pop(choice % len(taken))
                ids.release(node, settled)
                gone = settled and policy is IdPolicy.SEQUENTIAL
                self.assertIs(ids.standing(node), Standing.GONE if gone else Standing.EXPECTED)
                if gone:
                    settled_once.add(node)
