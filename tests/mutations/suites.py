"""Mistakes in what is run with native code, and without it."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "suite-without-its-environment",
        "make test passes with and without native code",
        "suites.run",
        "**suite.environment,",
        "",
        ("test_what_routes_messages[pure]",),
    ),
    Mutation(
        "master-without-the-pace",
        "the same tests on both",
        "Master.command",
        "self.control, *pace, *self.options",
        "self.control, *self.options",
        ("MasterTests.test_the_pace_of_the_suite",),
    ),
    Mutation(
        "suite-passes-unrun",
        "no test is skipped unnoticed",
        "suites.main",
        "(failed if strict else left_out).append(name)",
        "left_out.append(name)",
        ("LeftOutTests.test_where_nothing_may_be_skipped",),
    ),
    Mutation(
        "suite-trusts-what-did-not-run",
        "mutations are judged only by tests that pass without them",
        "suites.main",
        "if fine >= suites_before(name) else ()",
        "if not failed else ()",
        ("BeforeTests.test_when_one_before_has_failed",),
    ),
    Mutation(
        "version-always-native",
        "it says which runs",
        "describe",
        'return f"pure Python: {why}"',
        "pass",
        ("test_version_and_log_say_whether_native_code_runs[0]",),
    ),
    Mutation(
        "no-install-without-a-compiler",
        "without a C compiler the install goes on without it",
        "setup.py",
        "optional=True,",
        "",
        ("test_without_a_compiler",),
    ),
)
