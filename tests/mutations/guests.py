"""Mistakes that real guests on the switch must show, and in what they are made of."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "frames-cut-as-by-vde-switch",
        "guests on one switch reach each other, with frames of the kernel's size",
        "BridgeLimits.max_frame",
        "max_frame: int = 68 * KIB",
        "max_frame: int = 1518",
        (
            "test_in_the_place_of_vde_switch",
            "test_every_way_into_the_switch",
        ),
    ),
    Mutation(
        "killed-guest-stays-plugged-in",
        "a killed guest is unplugged, the others go on",
        "ControlProtocol.connectionLost",
        "self._detach()\nself._service.disconnected(self)",
        "self._service.disconnected(self)",
        ("test_a_killed_guest",),
    ),
    Mutation(
        "riscv64-id-with-its-messages",
        "a riscv64 guest reads its id alone",
        "Router.greet",
        "session.settling.greeted(self.mailboxes.get(session.node) is not None)",
        "session.settling.greeted(False)\nsession.outbox.pump()",
        ("test_one_with_its_master",),
    ),
    Mutation(
        "lists-of-the-machine",
        "what apt knows of this machine stays as it is",
        "foreign_options",
        '"Dir::State::lists": place / "lists",',
        "",
        ("test_what_apt_knows_of_this_machine_stays",),
    ),
    Mutation(
        "anybody-s-packages",
        "the packages of a guest are signed with Debian's keys",
        "foreign_options",
        'f"deb [arch={architecture} signed-by={KEYRING}] {source} {suite} main\\n"',
        'f"deb [arch={architecture} trusted=yes] {source} {suite} main\\n"',
        ("test_unsigned_packages_are_refused",),
    ),
)
