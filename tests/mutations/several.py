"""Mistakes in telling masters, and switches, on one machine apart."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "chooses-at-the-same-time",
        "of those that start at the same time, one after the other chooses its socket",
        "claim._alone",
        "fcntl.flock(descriptor, fcntl.LOCK_EX)",
        "pass",
        ("ClaimTests.test_nobody_else_chooses_meanwhile",),
    ),
    Mutation(
        "the-first-is-the-usual-one",
        "the documented name is that of the master at the documented port, whoever came first",
        "ControlPath._choose",
        "if _leads_elsewhere(plain):",
        "if False:",
        ("ClaimTests.test_several", "ClaimTests.test_tools_of_another"),
    ),
    Mutation(
        "alone-and-not-where-the-documents-say",
        "a master that is alone is at the documented path",
        "ControlPath._take_plain",
        "_link(self.path, plain)",
        "pass",
        ("ClaimTests.test_one_alone", "FindTests.test_by_what_name"),
    ),
    Mutation(
        "any-of-several",
        "of several masters none is taken unless it is told which",
        "ask._only",
        "if len(found) > 1:",
        "if False:",
        ("FindTests.test_several", "MastersTests.test_several"),
    ),
    Mutation(
        "the-dead-count",
        "what a killed master has left does not count",
        "ask.running",
        "if listens(path)",
        "",
        ("FindTests.test_the_only_one",),
    ),
    Mutation(
        "guests-land-at-another",
        "a gateway stays with the master that it has found, also while that is away",
        "Masters.look",
        "self._control, self._was_found = control, True",
        "self._was_found = True",
        ("MastersTests.test_the_only_one",),
    ),
    Mutation(
        "waits-at-the-usual-port",
        '"waits for the master" names port 1234 when the last known was another',
        "Masters.look",
        "self._last = near(last) if last is not None else None",
        "pass",
        ("MastersTests.test_where_it_was_last",),
    ),
    Mutation(
        "lands-at-the-usual-port",
        '"waits for the master" names port 1234 when the last known was another',
        "Masters.look",
        "if self._was_found or self._told:",
        "if self._was_found:",
        ("MastersTests.test_told_and_away",),
    ),
    Mutation(
        "left-before-anybody-looked",
        "a kernel that has had its id and has left again has had it",
        "Cluster._was_settled",
        'seen["settled_at"] != before',
        "False",
        ("test_a_kernel_that_has_left",),
    ),
    Mutation(
        "no-switch-without-a-socket",
        "a switch in the place of vde_switch starts where there is no place for a control socket",
        "switch.options.makeService",
        "needed=options.control.told",
        "needed=True",
        ("test_without_a_place_for_it",),
    ),
)
