"""Runs of Hypothesis's state machines: models beside which the real thing is put."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("DISTNET_EXAMPLES", "120"))
"""How many runs; where that is asked for, they are others every time."""
STEPS = 30


def run_machine(machine: type[RuleBasedStateMachine]) -> None:
    """Run a machine again and again. Raises what its rules and invariants do."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize="DISTNET_EXAMPLES" not in os.environ,
        ),
    )
