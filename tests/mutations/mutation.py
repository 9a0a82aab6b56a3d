"""
What a mutation is. Its tables are beside this file, one for each part of distnet.

Of the tests themselves and of the benchmarks there are only those mistakes that nothing else would
show: all tests pass, or the figures look likely, and they are not about what they say. A checker
that cannot fail, a wait that is not one, native code that is not what was to be tested, a loss that
is not counted. What ends in a traceback, or leaves something out that people look for, is seen
without them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """
    A mistake that the tests must notice.

    Nothing here says in which file anything is: see L{tests.mutations.objects} for how C{where} is
    found, L{tests.mutations.fragments} for how C{before} is, and L{tests.mutations.tested} for
    the tests.

    @ivar name: what the mistake does.
    @ivar breaks: what does not hold any more, in a sentence or a part of one.
    @ivar where: the object that is mutated, by its qualified name: C{Outbox.push}, C{Plan.pool},
        a function in C. Where several have that name, a part of their module's goes before it:
        C{gateway.options.Limits}.
    @ivar before: what is replaced in the source of that object, in which it occurs exactly once.
        White space, line breaks, comments, trailing commas and the kind of quotes do not matter.
    @ivar after: what it is replaced by. Lines after the first are indented as they would be if
        C{before} stood as it is written here.
    @ivar tests: the tests that must fail, every one of them: C{OutboxTests.test_push} in the unit
        tests, C{test_dhcp} or C{test_dhcp[tcp]} elsewhere, with a part of their module's name
        before that if it takes one.
    """

    name: str
    breaks: str
    where: str
    before: str
    after: str
    tests: tuple[str, ...]
