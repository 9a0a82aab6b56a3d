"""L{distnet.switch.core.bridge} against a model: any frames, VLANs, moves, and slow readers."""

from __future__ import annotations

import os
from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.core.records import NO_VLAN
from tests.unit.machines import run_machine
from tests.unit.switch.core.world import PORTS, VLANS, World, random_step

STEPS = int(os.environ.get("DISTNET_STEPS", "20000"))
"""Of the long run: 100000 take some seconds."""

choices = st.integers(0, 1000)
capacities = st.sampled_from([None, None, 0, 0, 1, 2, 3])
tags = st.lists(st.sampled_from([5, 6, 0, 7, 4095]), max_size=2).map(tuple)
sizes = st.sampled_from([0, 0, 10, 30, 60, -4])


class BridgeMachine(RuleBasedStateMachine):
    """Does to a bridge what any stations could do, and checks it after each step."""

    @initialize(strict=st.booleans())
    def begin(self, strict: bool) -> None:
        """Three stations."""
        self.world = World(strict)

    @rule(number=st.sampled_from([None, *range(PORTS + 1)]), capacity=capacities)
    def attach(self, number: int | None, capacity: int | None) -> None:
        """Something is plugged in."""
        self.world.attach(number, capacity)

    @rule(choice=choices)
    def detach(self, choice: int) -> None:
        """Something is unplugged."""
        self.world.detach(choice)

    @rule(
        choice=choices,
        to=st.lists(st.integers(0, PORTS), min_size=1, max_size=8),
        claim=st.sampled_from([0, 0, 0, 1, 2, 9]),
        tags=tags,
        size=sizes,
    )
    def send(
        self, choice: int, to: list[int], claim: int, tags: tuple[int, ...], size: int
    ) -> None:
        """A station sends some frames."""
        for each in to:
            self.world.send(choice, each, claim, tags, size)

    @rule(choice=choices, capacity=capacities)
    def take(self, choice: int, capacity: int | None) -> None:
        """A station takes so many more frames, or any number."""
        self.world.take(choice, capacity)

    @rule(choice=choices)
    def make_room(self, choice: int) -> None:
        """The link of a station would take more, but has not said so yet."""
        self.world.make_room(choice)

    @rule(seconds=st.sampled_from([0.005, 0.01, 0.02, 3, 150]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.wait(seconds)

    @rule(
        what=st.sampled_from(["untagged", "tagged", "untag", "vlan", "no-vlan", "no-port", "hub"]),
        number=st.integers(0, PORTS),
        vlan=st.sampled_from([*VLANS, *VLANS, NO_VLAN]),
    )
    def configure(self, what: str, number: int, vlan: int) -> None:
        """Somebody changes ports and VLANs."""
        self.world.configure(what, number, vlan)

    @invariant()
    def holds(self) -> None:
        """All that must hold."""
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        """In the end all that waits arrives, and nobody is paused."""
        if hasattr(self, "world"):
            self.world.end()


class ModelTests(SynchronousTestCase):
    """All of it."""

    def test_any_order(self) -> None:
        """Whatever stations do: no reflection, no leak, order kept, every frame accounted for."""
        run_machine(BridgeMachine)

    def test_long(self) -> None:
        """The bridge does as the model in long runs, of as many steps as DISTNET_STEPS says."""
        for seed, strict in ((1, False), (2, True)):
            random = Random(seed if "DISTNET_STEPS" not in os.environ else None)
            world = World(strict)
            for _ in range(STEPS // 2):
                random_step(world, random)
                world.check()
            world.end()
