"""Mistakes in clusters: their files, their start, their end."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "a-typo-is-nothing",
        "a short TOML file: every mistake is told",
        "_Keys.__init__",
        "if key not in known:",
        "if not key:",
        ("WrongTests.test_unknown",),
    ),
    Mutation(
        "a-node-is-the-master",
        "n=1 is 10.0.2.16, the master's own address: a duplicate address on a shared Ethernet",
        "addresses_of",
        "number = node + (node >= _MASTERS_NUMBER)",
        "number = node",
        (
            "NodeTests.test_the_master_has_its_own",
            "CommandTests.test_switch",
        ),
    ),
    Mutation(
        "append-of-all-is-lost",
        "per-node append",
        "config._node",
        '.replace("{append}", for_all)',
        '.replace("{append}", "")',
        ("ReadTests.test_one_append",),
    ),
    Mutation(
        "all-at-one-listener",
        "restart NODE: same id again",
        "_network",
        'UnixAddress(str(run.node(node.id, "master")))',
        'UnixAddress(str(run.node(0, "master")))',
        ("CommandTests.test_guestfwd",),
    ),
    Mutation(
        "children-outlive-the-launcher",
        "nothing is left behind even after kill -9 of the launcher and a second up",
        "leash.main",
        "ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)",
        "",
        ("test_the_launcher_is_killed",),
    ),
    Mutation(
        "what-was-left-goes-on",
        "nothing is left behind even after kill -9 of the launcher and a second up",
        "RunDirectory.clear",
        "end(list(self.records().values()))",
        "",
        ("test_what_a_killed_launcher_has_left",),
    ),
    Mutation(
        "a-number-is-a-process",
        "ends exactly what it started",
        "Process.runs",
        "return start_time(self.pid) == self.start",
        "return start_time(self.pid) is not None",
        ("test_what_a_killed_launcher_has_left",),
    ),
    Mutation(
        "two-launchers",
        "ends exactly what it started",
        "RunDirectory._take_lock",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        ("test_one_at_a_time",),
    ),
    Mutation(
        "no-last-words",
        "a failed start says which node, the last lines of its console, and the command line",
        "Node.report",
        '*(f"  | {line}" for line in tail),',
        "",
        (
            "test_a_kernel_that_ends",
            "test_a_start_that_fails",
        ),
    ),
    Mutation(
        "waits-for-the-dead",
        "a failed start says which node, the last lines of its console, and the command line",
        "Cluster.wait_for_ids",
        "elif not running:",
        "elif node.returncode == 999:",
        ("test_a_kernel_that_ends",),
    ),
    Mutation(
        "boots-what-is-not-made",
        "a command that runs first",
        "Cluster._prepare",
        "if process.returncode:",
        "if process.returncode is None:",
        ("test_prepare_fails",),
    ),
    Mutation(
        "failures-say-nothing",
        "collect logs on failure",
        "pytest_runtest_makereport",
        "if report.failed:",
        "if report.skipped:",
        ("test_a_start_that_fails",),
    ),
    Mutation(
        "expected-or-gone",
        "send, receive, expect",
        "Mail.expect",
        "self._passed_over.extendleft(reversed(others))",
        "pass",
        (
            "test_what_is_not_expected_stays",
            "test_what_does_not_come",
        ),
    ),
)
