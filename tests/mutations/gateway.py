"""Mistakes of the gateway: libslirp's pitfalls, and whom a connection belongs to."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_FRAMES = "distnet/gateway/frames.py"
_FRAGMENTS = "distnet/gateway/fragments.py"
_LIBSLIRP = "distnet/gateway/libslirp.py"
_PLUG = "distnet/gateway/plug.py"
_PROCESS = "distnet/gateway/process.py"
_RELAY = "distnet/gateway/relay.py"
_SERVICE = "distnet/gateway/service.py"
_SUPERVISE = "distnet/gateway/supervise.py"
_WHEREABOUTS = "distnet/gateway/whereabouts.py"

_LENS = "tests.unit.gateway.test_frames.LensTests"
_FRAGMENTED = "tests.unit.gateway.test_fragments.FragmentsTests"
_SERVICES = "tests.unit.gateway.test_service.ServiceTests"
_WHERE = "tests.unit.gateway.test_whereabouts.WhereaboutsTests"


def _linux(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_gateway.py::{name}" for name in names)


def _frames(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_gateway_frames.py::{name}" for name in names)


def _supervised(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_gateway_supervised.py::{name}" for name in names)


def _guests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/guest/test_gateway_network.py::{name}" for name in names)


MUTATIONS = (
    Mutation(
        "gateway-refuses-fragments",
        "an e1000e's large segments come in fragments",
        _FRAMES,
        "return Seen(mac, source, is_fragment=True)",
        "return Seen(mac, source, Refusal.BROKEN)",
        _frames("test_a_segment_in_fragments"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-passes-the-last-fragment-on",
        "an e1000e's large segments come in fragments",
        _SERVICE,
        "seen, parts = self._lens.look_at_whole(datagram.whole), datagram.fragments",
        "parts = datagram.fragments",
        _frames("test_a_segment_in_fragments"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-passes-fragments-to-anything",
        "what guests may reach is seen when a packet is whole",
        _FRAMES,
        "return self._look_at_ipv4(frame, frame[6:12], group=False)",
        "return Seen(frame[6:12], frame[26:30])",
        (f"{_LENS}.test_fragments",),
    ),
    Mutation(
        "gateway-takes-fragments-that-overlap",
        "fragments that overlap are nothing",
        _FRAGMENTS,
        "if begin != len(data):",
        "if False:",
        (f"{_FRAGMENTED}.test_overlaps",),
    ),
    Mutation(
        "gateway-mixes-packets",
        "a number that is used again is another packet's",
        _FRAGMENTS,
        "if parts is None or begin in parts.frames:",
        "if parts is None:",
        (f"{_FRAGMENTED}.test_a_number_that_is_used_again",),
    ),
    Mutation(
        "gateway-keeps-fragments",
        "what is not complete is not kept for ever",
        _FRAGMENTS,
        "if len(self._parts) > MOST_DATAGRAMS:",
        "if False:",
        (f"{_FRAGMENTED}.test_the_oldest_is_forgotten",),
    ),
    Mutation(
        "gateway-tells-libslirp-of-hang-ups",
        "libslirp.md: report only what was asked for, unless IN was asked for",
        _LIBSLIRP,
        "return events if asked & IN else events & asked",
        "return events",
        ("tests.unit.gateway.test_guests.SmallTests.test_only_what_was_asked_for",),
    ),
    Mutation(
        "gateway-spins",
        "libslirp.md: a spin at 100 % CPU",
        _LIBSLIRP,
        "return events if asked & IN else events & asked",
        "return events",
        _frames("test_no_spin_on_a_connection_that_nobody_reads"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-takes-frames-of-others",
        "libslirp.md: pass only group addresses and its own MACs",
        _FRAMES,
        "if not group and frame[:6] not in self._macs:",
        "if False:",
        (f"{_LENS}.test_whom_it_is_for",),
    ),
    Mutation(
        "gateway-answers-for-others",
        "libslirp.md: answering what is not ours",
        _FRAMES,
        "if not group and frame[:6] not in self._macs:",
        "if False:",
        _frames("test_silent_on_what_is_for_others"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-lets-guests-at-the-loopback",
        "NAT to the host's network, the host's own loopback never",
        _FRAMES,
        "and target[0] not in (0, 127)",
        "and target[0] not in (1,)",
        _frames("test_the_loopback_of_this_machine_is_out_of_reach"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-nat-always",
        "NAT off unless asked for",
        _LIBSLIRP,
        "config.restricted = not nat",
        "config.restricted = False",
        _linux("test_nat_only_if_asked_for"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-gives-away-the-masters-address",
        "libslirp would give 10.0.2.16 to the second client of DHCP",
        "distnet/guestnet.py",
        "leases: IPv4Address = NETWORK[31]",
        "leases: IPv4Address = NETWORK[15]",
        _frames("test_dhcp"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-sends-under-one-mac",
        "a switch forgets where 10.0.2.16 is, and floods what is for the master",
        _SERVICE,
        "self._plug.send(self._lens.with_own_mac(frame))",
        "self._plug.send(frame)",
        _frames("test_master_frames_have_its_mac"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-says-nothing-of-duplicates",
        "a kernel with IP=1 is noticed and said in the log, with the remedy",
        _FRAMES,
        "return Seen(frame[22:28], sender, Refusal.DUPLICATE)",
        "return Seen(frame[22:28], sender, Refusal.UNWANTED)",
        _frames("test_a_machine_with_the_masters_address"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-reads-ahead",
        "the relay must read from the master only what libslirp has room for now",
        _RELAY,
        "return not self._to_guest and self.place.all_sent",
        "return not self._to_guest",
        _frames("test_no_more_is_read_than_the_guest_has_room_for"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-never-reads-on",
        "the next batch when everything handed over earlier was sent",
        _SERVICE,
        "                relay.went_on()\n",
        "",
        _frames("test_no_more_is_read_than_the_guest_has_room_for"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-passes-an-end-for-an-id",
        "when the master is away: hold the guest's connection",
        _RELAY,
        '            self._hold(f"{why} before it gave an id")\n',
        "            self._end()\n            return\n",
        _linux("test_a_master_that_refuses"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-keeps-the-old-connection-of-a-fixed-node",
        "a guest that is started again inside its QEMU is the same node",
        _SERVICE,
        "            if fixed:",
        "            if False:",
        _linux("test_fixed_nodes"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-takes-a-new-syn-for-an-old-one",
        "a guest that connects again from the same port has a fresh connection",
        _FRAMES,
        "return bool(segment.flags & SYN) and segment.end != self._begin",
        "return False",
        ("tests.unit.gateway.test_frames.PlaceTests.test_begins_anew",),
    ),
    Mutation(
        "gateway-does-not-look-for-dead-guests",
        "closes a guest's connection when its port leaves the switch",
        _WHEREABOUTS,
        "                self.gone(mac, place.port)\n",
        "",
        (f"{_WHERE}.test_its_port_leaves",),
    ),
    Mutation(
        "gateway-takes-a-moved-guest-for-dead",
        "an address that moved closes nothing",
        _WHEREABOUTS,
        "if moved or not place.left:",
        "if not place.left:",
        (f"{_WHERE}.test_an_address_that_moved",),
    ),
    Mutation(
        "gateway-takes-a-silent-guest-for-dead",
        "a hash entry that merely expired closes nothing",
        _WHEREABOUTS,
        "if place.port == port or (place.port is None and not place.looked)",
        "if True",
        (f"{_WHERE}.test_another_port_leaves",),
    ),
    Mutation(
        "gateway-leaves-its-socket",
        "nothing is left behind: its datagram socket in the switch's directory too",
        _PLUG,
        "        self._path.unlink()\n        self._backoff.reset()\n",
        "        self._backoff.reset()\n",
        _linux("test_nothing_is_left_behind"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-plugs-in-once",
        "it plugs in again when the switch was restarted",
        _PLUG,
        "        self._later = self._reactor.callLater(self._backoff.next(), self.start)\n",
        "",
        _linux("test_the_switch_is_started_again"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-is-not-started-again",
        "restart with backoff; the switch lives on",
        _SUPERVISE,
        "        self._later = self._reactor.callLater(seconds, self._start)\n",
        "",
        _supervised("test_the_gateway_is_started_again"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-outlives-its-switch",
        "nothing left behind",
        _PROCESS,
        "            self._reactor.stop()\n",
        "            pass\n",
        _supervised("test_the_gateway_does_not_outlive_a_killed_switch"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-does-not-name-the-package",
        "where libslirp is missing: one line naming the package",
        _LIBSLIRP,
        'f" apt-get install libslirp0"\n        ) from None',
        'f" install it"\n        ) from None',
        _supervised("test_without_libslirp"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-does-not-ask-whom-it-knows",
        "a guest rebooted: its old connection ends at the master",
        _SERVICE,
        "                self._plug.send(self._lens.probe(old.guest.mac, old.place))",
        "                pass",
        (*_linux("test_a_guest_that_was_started_again"), *_guests("test_guests_boot_again")),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-asks-with-something-new",
        "a guest that still has its connection keeps it",
        _FRAMES,
        "(place.from_master - 1) % _SEQUENCES",
        "place.from_master",
        (f"{_LENS}.test_probe",),
    ),
    Mutation(
        "gateway-never-gives-silent-guests-up",
        "guests not heard of since the switch had gone are closed",
        _SERVICE,
        "        self._silent = set(self.relays.values())\n",
        "        self._silent = set()\n",
        (f"{_SERVICES}.test_silent_after_the_switch_has_gone",),
    ),
    Mutation(
        "gateway-gives-up-whom-it-has-heard-of",
        "and only those",
        _SERVICE,
        "        self._silent.discard(relay)\n        for part in parts:\n",
        "        for part in parts:\n",
        (f"{_SERVICES}.test_silent_after_the_switch_has_gone",),
    ),
    Mutation(
        "gateway-does-not-begin-the-time-anew",
        "SWITCH_GONE_SECONDS counts from the last time that the switch went",
        _SERVICE,
        "            self._switch_gone.cancel()\n        self._switch_gone = self",
        "            return\n        self._switch_gone = self",
        (f"{_SERVICES}.test_the_switch_goes_again",),
    ),
    Mutation(
        "gateway-hears-no-dhcp",
        "DHCP, by a client in a guest",
        _FRAMES,
        "if group and not is_dhcp:",
        "if group:",
        _guests("test_an_address_by_dhcp"),
        Runner.PYTEST,
    ),
    Mutation(
        "pdump-cuts-frames",
        "filter-dump of a guest's NIC and the switch's own pdump show the same frames",
        "distnet/switch/console/pdump.py",
        "SNAPSHOT_LENGTH: Final = 65535",
        "SNAPSHOT_LENGTH: Final = 1024",
        _guests("test_captures_of_qemu_and_of_the_switch"),
        Runner.PYTEST,
    ),
    Mutation(
        "gateway-killed-for-good",
        "the gateway killed in the middle: new connections to the master work",
        _SUPERVISE,
        "        self._later = self._reactor.callLater(seconds, self._start)\n",
        "",
        _guests("test_the_gateway_is_killed_meanwhile"),
        Runner.PYTEST,
    ),
)
