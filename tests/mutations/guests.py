"""Mistakes that real guests on the switch must show, and in what they are made of."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_DEBIAN = "tests/guest/debian.py"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guest/{name}" for name in names)


MUTATIONS = (
    Mutation(
        "frames-cut-as-by-vde-switch",
        "guests on one switch reach each other, with frames of the kernel's size",
        "distnet/switch/core/limits.py",
        "    max_frame: int = 68 * KIB\n",
        "    max_frame: int = 1518\n",
        _tests(
            "test_switch.py::test_in_the_place_of_vde_switch",
            "test_switch.py::test_every_way_into_the_switch",
        ),
        Runner.PYTEST,
    ),
    Mutation(
        "killed-guest-stays-plugged-in",
        "a killed guest is unplugged, the others go on",
        "distnet/switch/plugs/vde.py",
        "        self._detach()\n        self._control.disconnected(self)\n",
        "        self._control.disconnected(self)\n",
        _tests("test_switch.py::test_a_killed_guest"),
        Runner.PYTEST,
    ),
    Mutation(
        "riscv64-id-with-its-messages",
        "a riscv64 guest reads its id alone",
        "distnet/master/core/router.py",
        "        session.lifecycle.id_sent(self.mailboxes.get(session.node) is not None)\n",
        "        session.lifecycle.id_sent(False)\n        session.outbox.pump()\n",
        _tests("test_riscv64.py::test_one_with_its_master"),
        Runner.PYTEST,
    ),
    Mutation(
        "lists-of-the-machine",
        "what apt knows of this machine stays as it is",
        _DEBIAN,
        '        "Dir::State::lists": place / "lists",\n',
        "",
        _tests("test_debian.py::test_what_apt_knows_of_this_machine_stays"),
        Runner.PYTEST,
    ),
    Mutation(
        "anybody-s-packages",
        "the packages of a guest are signed with Debian's keys",
        _DEBIAN,
        " signed-by={KEYRING}]",
        " trusted=yes]",
        _tests("test_debian.py::test_unsigned_packages_are_refused"),
        Runner.PYTEST,
    ),
)
