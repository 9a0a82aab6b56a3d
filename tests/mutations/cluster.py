"""Mistakes in clusters: their files, their start, their end."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_CONFIG = "distnet/cluster/config.py"
_DIRECTORY = "distnet/cluster/directory.py"
_RECORD = "distnet/cluster/record.py"
_RUNNING = "distnet/cluster/cluster.py"
_UNIT = "tests.unit.cluster"
_LIVES = "tests/integration/test_cluster.py"
_MAIL = "tests/integration/test_cluster_mail.py"
_PLUGIN = "tests/integration/test_pytest_plugin.py"
_EXACTLY = "ends exactly what it started"
_NOTHING = "nothing is left behind even after kill -9 of the launcher and a second up"
_FAILED = "a failed start says which node, the last lines of its console, and the command line"

MUTATIONS = (
    Mutation(
        "a-typo-is-nothing",
        "a short TOML file: every mistake is told",
        _CONFIG,
        "            if key not in known:\n",
        "            if not key:\n",
        (f"{_UNIT}.test_config.WrongTests.test_unknown",),
    ),
    Mutation(
        "a-node-is-the-master",
        "n=1 is 10.0.2.16, the master's own address: a duplicate address on a shared Ethernet",
        "distnet/guestnet.py",
        "    number = node + (node >= _MASTERS_NUMBER)\n",
        "    number = node\n",
        (
            "tests.unit.test_guestnet.NodeTests.test_the_master_has_its_own",
            f"{_UNIT}.test_command.CommandTests.test_switch",
        ),
    ),
    Mutation(
        "append-of-all-is-lost",
        "per-node append",
        _CONFIG,
        '.replace("{append}", whole)',
        '.replace("{append}", "")',
        (f"{_UNIT}.test_config.ReadTests.test_one_append",),
    ),
    Mutation(
        "all-at-one-listener",
        "restart NODE: same id again",
        "distnet/cluster/programs.py",
        'UnixAddress(str(run.node(node.id, "master")))',
        'UnixAddress(str(run.node(0, "master")))',
        (f"{_UNIT}.test_command.CommandTests.test_guestfwd",),
    ),
    Mutation(
        "children-outlive-the-launcher",
        _NOTHING,
        "distnet/cluster/leash.py",
        "    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)\n",
        "",
        (f"{_LIVES}::test_the_launcher_is_killed",),
        Runner.PYTEST,
    ),
    Mutation(
        "what-was-left-goes-on",
        _NOTHING,
        _DIRECTORY,
        "        end(list(self.records().values()))\n",
        "",
        (f"{_LIVES}::test_what_a_killed_launcher_has_left",),
        Runner.PYTEST,
    ),
    Mutation(
        "a-number-is-a-process",
        _EXACTLY,
        _RECORD,
        "        return start_time(self.pid) == self.start\n",
        "        return start_time(self.pid) is not None\n",
        (f"{_LIVES}::test_what_a_killed_launcher_has_left",),
        Runner.PYTEST,
    ),
    Mutation(
        "two-launchers",
        _EXACTLY,
        _DIRECTORY,
        "                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
        (f"{_LIVES}::test_one_at_a_time",),
        Runner.PYTEST,
    ),
    Mutation(
        "no-last-words",
        _FAILED,
        "distnet/cluster/node.py",
        '                *(f"  | {line}" for line in tail),\n',
        "",
        (f"{_LIVES}::test_a_kernel_that_ends", f"{_PLUGIN}::test_a_start_that_fails"),
        Runner.PYTEST,
    ),
    Mutation(
        "waits-for-the-dead",
        _FAILED,
        _RUNNING,
        "                elif not running:\n",
        "                elif node.returncode == 999:\n",
        (f"{_LIVES}::test_a_kernel_that_ends",),
        Runner.PYTEST,
    ),
    Mutation(
        "boots-what-is-not-made",
        "a command that runs first",
        _RUNNING,
        "        if process.returncode:\n",
        "        if process.returncode is None:\n",
        (f"{_LIVES}::test_prepare_fails",),
        Runner.PYTEST,
    ),
    Mutation(
        "failures-say-nothing",
        "collect logs on failure",
        "distnet/pytest_plugin.py",
        "    if report.failed:\n",
        "    if report.skipped:\n",
        (f"{_PLUGIN}::test_a_start_that_fails",),
        Runner.PYTEST,
    ),
    Mutation(
        "expected-or-gone",
        "send, receive, expect",
        "distnet/cluster/mail.py",
        "            self._passed_over.extendleft(reversed(others))\n",
        "            pass\n",
        (f"{_MAIL}::test_what_is_not_expected_stays", f"{_MAIL}::test_what_does_not_come"),
        Runner.PYTEST,
    ),
)
