"""Mistakes in what is run with native code, and without it."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_SUITES = "tests/suites.py"
_LEFT_OUT = "tests.unit.test_suites.LeftOutTests"

MUTATIONS = (
    Mutation(
        "suite-without-its-environment",
        "make test passes with and without native code",
        _SUITES,
        "            **suite.environment,\n",
        "",
        ("tests/integration/test_suites.py::test_what_routes_messages[pure]",),
        Runner.PYTEST,
    ),
    Mutation(
        "master-without-the-pace",
        "the same tests on both",
        "tests/masters.py",
        "self.control, *pace, *self.options",
        "self.control, *self.options",
        ("tests.unit.test_suites.MasterTests.test_the_pace_of_the_suite",),
    ),
    Mutation(
        "suite-passes-unrun",
        "no test is skipped unnoticed",
        _SUITES,
        "(failed if strict else left_out).append(name)",
        "left_out.append(name)",
        (f"{_LEFT_OUT}.test_where_nothing_may_be_skipped",),
    ),
    Mutation(
        "mutation-left-out-for-one-parameter",
        "each mutation must make a test fail",
        "tests/mutations/__main__.py",
        'and set(ends) == {"SKIPPED"}',
        'and "SKIPPED" in ends',
        (f"{_LEFT_OUT}.test_skipped_tests",),
    ),
    Mutation(
        "version-always-native",
        "it says which runs",
        "distnet/_native/__init__.py",
        '        return f"pure Python: {why}"\n',
        "        pass\n",
        ("tests/integration/test_startup.py::"
         "test_version_and_log_say_whether_native_code_runs[0]",),
        Runner.PYTEST,
    ),
    Mutation(
        "no-install-without-a-compiler",
        "without a C compiler the install goes on without it",
        "setup.py",
        "            optional=True,\n",
        "",
        ("tests/integration/test_package.py::test_without_a_compiler",),
        Runner.PYTEST,
    ),
)  # fmt: skip
