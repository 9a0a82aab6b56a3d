"""Which guest has which address."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.leases import (
    ANSWERED_SECONDS,
    DECLINED_SECONDS,
    OFFER_SECONDS,
    RECORD_SECONDS,
    Choice,
    Leases,
)
from distnet.gateway.places import QUIET_SECONDS, RIVAL_SECONDS, SAFE_SECONDS, UNUSED_SECONDS
from distnet.gateway.state import State
from distnet.guestnet import PLAN
from tests.gateways import packed

ADDRESSES = [address.packed for address in PLAN.addresses()]
FIRST, SECOND, THIRD = ADDRESSES[:3]
PROBE_SECONDS = 0.25


def mac(number: int) -> bytes:
    """A guest's MAC address."""
    return b"\x02\x00" + number.to_bytes(4)


class LeasesTestCase(SynchronousTestCase):
    """Addresses, a clock, and what is on record."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.said: list[str] = []
        self.state = State(self.said.append)
        self.has: dict[bytes, bool] = {}
        self.leases = self.made()

    def made(self) -> Leases:
        """Those of a gateway that begins."""
        return Leases(PLAN, self.state, self.clock.seconds, held=self.has.__setitem__)

    def offered(self, guest: int, wanted: bytes | None = None, **options: bool) -> bytes | None:
        """What a guest is offered, when nobody answers probes."""
        choice = self.leases.choose(mac(guest), wanted, **options)
        if choice is None:
            return None
        if choice.probe:
            self.clock.advance(PROBE_SECONDS)
            self.assertTrue(self.leases.probed(mac(guest), choice.address))
        return choice.address

    def given(self, guest: int, *, used: bool = True) -> bytes:
        """What a guest gets, and is seen with."""
        address = self.offered(guest)
        assert address is not None
        self.assertTrue(self.leases.confirm(mac(guest), address))
        if used:
            self.leases.seen(mac(guest), address)
        return address

    def see_all(self, *but: int) -> None:
        """Guests are seen with their addresses, if each has the one of its number."""
        for guest, address in enumerate(ADDRESSES):
            if guest not in but:
                self.leases.seen(mac(guest), address)

    def restart(self) -> None:
        """Have another gateway with what was on record."""
        self.has.clear()
        self.leases = self.made()


class LeftTests(LeasesTestCase):
    """Guests leave the switch."""

    def fill(self) -> None:
        """All addresses are in use."""
        for guest in range(len(ADDRESSES)):
            self.given(guest)
        self.see_all()

    def test_at_once(self) -> None:
        """What one had who has left is the next one's at once, when nothing else is left."""
        self.fill()
        self.assertIsNone(self.offered(1000))
        for guest in (7, 5):
            self.leases.left(mac(guest))
        # He who was not seen for longer.
        self.clock.advance(1)
        self.leases.seen(mac(8), ADDRESSES[8])
        choice = self.leases.choose(mac(1000))
        assert choice is not None
        self.assertIn(choice.address, (ADDRESSES[5], ADDRESSES[7]))
        self.assertTrue(choice.probe)
        self.assertTrue(self.leases.probed(mac(1000), choice.address))
        self.assertTrue(self.leases.confirm(mac(1000), choice.address))
        # And no longer a free one.
        rest = {self.given(1001)} | {choice.address}
        self.assertEqual(rest, {ADDRESSES[5], ADDRESSES[7]})
        self.assertIsNone(self.offered(1002))

    def test_before_those_who_only_say_nothing(self) -> None:
        """It is taken before that of one who was not seen for longer, and may be there."""
        self.fill()
        self.clock.advance(SAFE_SECONDS + 1)
        self.see_all(3)
        self.leases.left(mac(200))
        self.assertEqual(self.offered(1000), ADDRESSES[200])

    def test_one_who_comes_back(self) -> None:
        """One who is seen again after he has left keeps his address, and may leave again."""
        self.fill()
        self.leases.left(mac(5))
        self.has.clear()
        self.leases.seen(mac(5), ADDRESSES[5])
        self.assertEqual(self.has, {mac(5): True})
        self.assertIsNone(self.offered(1000))
        self.leases.left(mac(5))
        self.assertTrue(self.leases.confirm(mac(5), ADDRESSES[5]))
        self.assertIsNone(self.offered(1000))
        self.leases.left(mac(5))
        self.assertEqual(self.offered(1000), ADDRESSES[5])

    def test_as_long_as_there_are_others(self) -> None:
        """One who has left gets the same again, as long as others need not have it."""
        self.assertEqual([self.given(guest) for guest in range(3)], [FIRST, SECOND, THIRD])
        self.leases.left(mac(1))
        self.assertNotIn(self.given(1000), (FIRST, SECOND, THIRD))
        self.assertEqual(self.given(1), SECOND)

    def test_who_has_none(self) -> None:
        """Others may leave too."""
        self.leases.left(mac(1))
        self.offered(2)
        self.leases.left(mac(2))
        self.assertFalse(self.leases.has_one(mac(2)))

    def test_who_has_one(self) -> None:
        """It is told who has one, and who has none any more, after a restart too."""
        self.offered(1)
        self.assertEqual(self.has, {})
        self.given(1)
        self.assertEqual(self.has, {mac(1): True})
        self.assertTrue(self.leases.has_one(mac(1)))
        self.restart()
        self.assertEqual(self.has, {mac(1): True})
        self.leases.release(mac(1), FIRST)
        self.assertEqual(self.has, {mac(1): False})
        self.assertFalse(self.leases.has_one(mac(1)))
        self.fill()
        self.leases.left(mac(9))
        self.given(1000)
        self.assertEqual((self.has[mac(9)], self.has[mac(1000)]), (False, True))


class GivenTests(LeasesTestCase):
    """Who gets what."""

    def test_in_order(self) -> None:
        """Addresses are given in the order of the plan, each to one, and all of them."""
        self.assertEqual([self.given(n) for n in range(len(ADDRESSES))], ADDRESSES)
        self.see_all()
        self.assertIsNone(self.leases.choose(mac(9999)))

    def test_the_one_that_it_had(self) -> None:
        """A guest that asks again gets what it had, at once, and whatever it wants."""
        self.given(1)
        self.given(2)
        for wanted in (None, THIRD):
            self.assertEqual(self.leases.choose(mac(1), wanted), Choice(FIRST, False))
        self.assertEqual(self.leases.address_of(mac(1)), FIRST)

    def test_what_it_leaves(self) -> None:
        """One that gets another address may use the first all the same, if it was told late."""
        self.given(1)
        self.assertEqual(self.offered(2), SECOND)
        self.assertTrue(self.leases.confirm(mac(1), SECOND))
        self.assertEqual(self.leases.choose(mac(3), FIRST), Choice(FIRST, True))
        self.leases.seen(mac(1), FIRST)
        self.clock.advance(PROBE_SECONDS)
        self.assertFalse(self.leases.probed(mac(3), FIRST))

    def test_after_a_restart(self) -> None:
        """What was given is given again after a restart, and to nobody else."""
        self.given(1)
        self.given(2)
        self.restart()
        self.assertEqual(self.given(3), THIRD)
        self.assertEqual((self.given(2), self.given(1)), (SECOND, FIRST))
        self.assertEqual(self.leases.holder(FIRST), mac(1))
        self.assertEqual(len(self.state.leases()), 3)

    def test_what_is_no_more_given(self) -> None:
        """What is on record outside of the plan is forgotten."""
        self.state.put_lease(mac(1), packed("10.0.2.20"))
        self.restart()
        self.assertEqual(self.state.leases(), [])
        self.assertEqual(self.given(1), FIRST)

    def test_what_is_wanted(self) -> None:
        """A newcomer gets what it wants, if nobody has it, and else something."""
        self.given(1)
        self.assertEqual(self.offered(2, ADDRESSES[7]), ADDRESSES[7])
        for wanted in (FIRST, packed("10.0.2.16"), packed("10.0.2.20"), b"", bytes(4)):
            self.assertEqual(self.offered(3, wanted), SECOND)

    def test_that_one_only(self) -> None:
        """What must be the one that is wanted is that or nothing."""
        self.given(1)
        for wanted in (FIRST, packed("10.0.2.16")):
            self.assertIsNone(self.leases.choose(mac(2), wanted, only=True))
        self.assertEqual(self.offered(2, THIRD, only=True), THIRD)

    def test_only_to_whom_it_was_offered(self) -> None:
        """What another one has is refused, and what nobody was asked for."""
        self.given(1)
        self.assertFalse(self.leases.confirm(mac(2), FIRST))
        self.assertFalse(self.leases.confirm(mac(2), SECOND))
        self.assertFalse(self.leases.confirm(mac(2), packed("10.0.2.16")))
        self.assertIsNone(self.leases.address_of(mac(2)))

    def test_one_each(self) -> None:
        """Who gets another address leaves the one that it had."""
        self.given(1)
        self.leases.seen(mac(9), FIRST)
        self.assertEqual(self.given(1), SECOND)
        self.assertEqual(self.state.leases(), [(mac(1), SECOND)])
        self.assertIsNone(self.leases.holder(FIRST))

    def test_renewed_when_forgotten(self) -> None:
        """A guest that lives with an address keeps it, though we know nothing of it."""
        self.assertTrue(self.leases.confirm(mac(1), FIRST, living=True))
        self.assertEqual(self.given(2), SECOND)
        self.assertFalse(self.leases.confirm(mac(3), FIRST, living=True))

    def test_released(self) -> None:
        """What is given back is somebody's who asks, after a probe; first of all the same one's."""
        self.given(1)
        self.assertFalse(self.leases.release(mac(2), FIRST))
        self.assertFalse(self.leases.release(mac(1), SECOND))
        self.assertTrue(self.leases.release(mac(1), FIRST))
        self.assertFalse(self.leases.release(mac(1), FIRST))
        self.assertEqual(self.state.leases(), [])
        self.assertEqual(self.leases.choose(mac(1), SECOND), Choice(FIRST, True))
        self.leases.probed(mac(1), FIRST)
        self.leases.withdraw(mac(1))
        self.assertEqual(self.offered(2), FIRST)

    def test_released_by_another(self) -> None:
        """Who is seen with an address that was given back in its name is asked for it."""
        self.given(1)
        self.leases.release(mac(1), FIRST)
        self.assertEqual(self.leases.choose(mac(2)), Choice(FIRST, True))
        self.leases.seen(mac(1), FIRST)
        self.assertFalse(self.leases.probed(mac(2), FIRST))
        self.assertEqual(self.offered(2), SECOND)
        self.assertTrue(self.leases.confirm(mac(1), FIRST, living=True))

    def test_declined(self) -> None:
        """What was declined is not given for a while, to nobody."""
        self.given(1)
        self.assertFalse(self.leases.decline(mac(2), FIRST))
        self.assertTrue(self.leases.decline(mac(1), FIRST))
        self.assertEqual(self.state.leases(), [])
        self.assertEqual(self.offered(1, FIRST), SECOND)
        self.assertEqual(self.offered(2, FIRST), THIRD)
        self.assertFalse(self.leases.confirm(mac(3), FIRST))
        self.clock.advance(DECLINED_SECONDS)
        self.assertEqual(self.offered(3), FIRST)

    def test_another_servers(self) -> None:
        """What was offered to a guest that took another's offer is free; what it has is not."""
        self.offered(1)
        self.leases.withdraw(mac(1))
        self.assertEqual(self.given(2), FIRST)
        self.leases.withdraw(mac(2))
        self.assertEqual(self.leases.holder(FIRST), mac(2))


class RivalTests(LeasesTestCase):
    """Machines with addresses that they did not get here."""

    def test_seen_before(self) -> None:
        """What another machine was seen with is not given, but to itself."""
        self.leases.seen(mac(9), FIRST)
        self.assertEqual(self.offered(1, FIRST), SECOND)
        self.assertFalse(self.leases.confirm(mac(2), FIRST))
        self.assertFalse(self.leases.confirm(mac(2), FIRST, living=True))
        self.assertEqual(self.offered(9, FIRST), FIRST)

    def test_not_seen_for_long(self) -> None:
        """A machine that is not seen any more has it no more, if it does not answer."""
        self.leases.seen(mac(9), FIRST)
        self.clock.advance(RIVAL_SECONDS)
        self.assertEqual(self.leases.choose(mac(1)), Choice(FIRST, True))

    def test_an_answer(self) -> None:
        """Who answers a probe has the address, and the guest gets another one."""
        self.assertEqual(self.leases.choose(mac(1)), Choice(FIRST, True))
        self.leases.seen(mac(9), FIRST)
        self.clock.advance(PROBE_SECONDS)
        self.assertFalse(self.leases.probed(mac(1), FIRST))
        self.assertEqual(self.given(1), SECOND)

    def test_an_answer_of_its_own(self) -> None:
        """A guest that has the address already is no other one."""
        self.leases.choose(mac(1))
        self.leases.seen(mac(1), FIRST)
        self.assertTrue(self.leases.probed(mac(1), FIRST))

    def test_somebody_elses_meanwhile(self) -> None:
        """A guest whose address somebody else is seen with gets another when it begins anew."""
        self.given(1)
        self.leases.seen(mac(9), FIRST)
        self.assertFalse(self.leases.confirm(mac(1), FIRST))
        self.assertEqual(self.offered(1), SECOND)

    def test_nobody_ends_a_lease_that_lives(self) -> None:
        """A guest that renews from its address keeps it, whoever pretends to have it."""
        self.given(1)
        self.leases.seen(mac(9), FIRST)
        self.assertTrue(self.leases.confirm(mac(1), FIRST, living=True))
        self.assertEqual(self.leases.holder(FIRST), mac(1))

    def test_probed_once(self) -> None:
        """For a while nobody is asked again for what nobody has answered for, unless seen."""
        self.assertEqual(self.leases.choose(mac(1)), Choice(FIRST, True))
        self.leases.probed(mac(1), FIRST)
        self.leases.withdraw(mac(1))
        self.assertEqual(self.leases.choose(mac(2)), Choice(FIRST, False))
        self.leases.withdraw(mac(2))
        self.clock.advance(QUIET_SECONDS)
        self.assertEqual(self.leases.choose(mac(3)), Choice(FIRST, True))

    def test_two_at_once(self) -> None:
        """Two guests are not asked for the same address at once."""
        self.assertEqual(self.leases.choose(mac(1)), Choice(FIRST, True))
        self.assertEqual(self.leases.choose(mac(2)), Choice(SECOND, True))
        self.assertIsNone(self.leases.choose(mac(3), FIRST, only=True))

    def test_a_record_is_no_sight(self) -> None:
        """After a restart somebody may have what was on record: it is probed before it is given."""
        self.given(1)
        self.restart()
        self.assertEqual(self.leases.choose(mac(1)), Choice(FIRST, True))
        self.leases.seen(mac(9), FIRST)
        self.assertFalse(self.leases.probed(mac(1), FIRST))


class UsedUpTests(LeasesTestCase):
    """When all addresses are given away."""

    def setUp(self) -> None:
        super().setUp()
        for guest in range(len(ADDRESSES)):
            self.given(guest)
        self.see_all()

    def test_not_from_who_was_seen(self) -> None:
        """Nobody who was seen just now loses anything, and so nobody else gets anything."""
        self.clock.advance(SAFE_SECONDS - 1)
        self.see_all()
        self.clock.advance(SAFE_SECONDS - 1)
        self.assertIsNone(self.leases.choose(mac(9999)))

    def test_from_who_was_not_seen_for_longest(self) -> None:
        """The address of who was not seen for longest is probed, and given to the next one."""
        for guest, address in enumerate(ADDRESSES):
            if guest != 7:
                self.clock.advance(1)
                self.leases.seen(mac(guest), address)
        self.clock.advance(SAFE_SECONDS)
        self.assertEqual(self.leases.choose(mac(9999)), Choice(ADDRESSES[7], True))
        self.assertEqual(self.leases.holder(ADDRESSES[7]), mac(7))
        self.assertTrue(self.leases.probed(mac(9999), ADDRESSES[7]))
        self.assertTrue(self.leases.confirm(mac(9999), ADDRESSES[7]))
        self.assertEqual(self.leases.holder(ADDRESSES[7]), mac(9999))
        self.assertIn((mac(9999), ADDRESSES[7]), self.state.leases())
        self.assertFalse(self.leases.confirm(mac(7), ADDRESSES[7], living=True))

    def test_not_from_who_answers(self) -> None:
        """Who answers keeps it, and the next one is asked."""
        self.clock.advance(SAFE_SECONDS)
        choice = self.leases.choose(mac(9999))
        assert choice is not None
        guest = ADDRESSES.index(choice.address)
        self.leases.seen(mac(guest), choice.address)
        self.assertFalse(self.leases.probed(mac(9999), choice.address))
        self.assertEqual(self.leases.holder(choice.address), mac(guest))
        other = self.leases.choose(mac(9999))
        assert other is not None
        self.assertNotEqual(other.address, choice.address)

    def test_who_never_used_it_comes_first(self) -> None:
        """What was given and never used is not kept as long as what is in use."""
        self.leases.release(mac(5), ADDRESSES[5])
        self.assertEqual(self.given(8888, used=False), ADDRESSES[5])
        self.assertIsNone(self.leases.choose(mac(9999)))
        self.clock.advance(UNUSED_SECONDS)
        self.see_all(5)
        self.assertEqual(self.leases.choose(mac(9999)), Choice(ADDRESSES[5], True))

    def test_order_over_a_restart(self) -> None:
        """After a restart, too, who was not seen for longest loses its address first."""
        self.clock.advance(RECORD_SECONDS)
        self.see_all(3, 200)
        self.restart()
        self.assertEqual(self.leases.choose(mac(9998)), Choice(ADDRESSES[3], True))
        self.assertEqual(self.leases.choose(mac(9999)), Choice(ADDRESSES[200], True))

    def test_what_was_declined_as_a_last_resort(self) -> None:
        """One that declines all that it is offered does not keep others from any address."""
        for guest, address in enumerate(ADDRESSES):
            self.leases.decline(mac(guest), address)
        choice = self.leases.choose(mac(9999))
        assert choice is not None
        self.assertTrue(choice.probe)
        self.assertTrue(self.leases.probed(mac(9999), choice.address))
        self.assertTrue(self.leases.confirm(mac(9999), choice.address))

    def test_rivals_as_a_last_resort(self) -> None:
        """Where somebody was seen it is asked again, if he answers, not too often."""
        for guest, address in enumerate(ADDRESSES):
            self.leases.release(mac(guest), address)
            self.leases.seen(mac(9000 + guest), address)
        self.assertIsNone(self.leases.choose(mac(9999)))
        self.clock.advance(ANSWERED_SECONDS)
        choice = self.leases.choose(mac(9999))
        assert choice is not None
        self.assertTrue(choice.probe)
        self.leases.seen(mac(9000), choice.address)
        self.assertFalse(self.leases.probed(mac(9999), choice.address))


class FloodTests(LeasesTestCase):
    """A guest that makes up MAC addresses."""

    def flood(self, count: int, begin: int = 100_000) -> None:
        """Ask for so many, as long as no more than 64 are probed at once."""
        probing: list[tuple[bytes, bytes]] = []
        for number in range(begin, begin + count):
            choice = self.leases.choose(mac(number), may_probe=len(probing) < 64)
            if choice is not None and choice.probe:
                probing.append((mac(number), choice.address))
            if number % 200 == 0:
                self.clock.advance(PROBE_SECONDS)
                for probe in probing:
                    self.leases.probed(*probe)
                probing.clear()
        self.clock.advance(PROBE_SECONDS)
        for probe in probing:
            self.leases.probed(*probe)

    def test_who_has_one_keeps_it(self) -> None:
        """Those who have an address have it still, whatever was asked for meanwhile."""
        for guest in range(300):
            self.given(guest)
        self.flood(3_000)
        for guest in range(300):
            self.assertEqual(self.leases.address_of(mac(guest)), ADDRESSES[guest])
            self.assertEqual(self.leases.choose(mac(guest)), Choice(ADDRESSES[guest], False))

    def test_a_newcomer_gets_one(self) -> None:
        """A guest that comes in the middle of it, and is slow to ask, gets what it was offered."""
        self.flood(2_000)
        choice = self.leases.choose(mac(1), may_probe=False)
        assert choice is not None
        self.assertFalse(choice.probe)
        self.flood(1_000, 200_000)
        self.assertTrue(self.leases.confirm(mac(1), choice.address))

    def test_memory(self) -> None:
        """It costs nothing that grows."""
        self.flood(3_000)
        self.assertLessEqual(len(self.leases._by_mac), len(ADDRESSES))
        self.assertLessEqual(len(self.leases._offered), len(ADDRESSES))
        self.assertEqual(self.leases._probing, {})
        self.assertEqual(self.state.leases(), [])

    def test_offers_live_for_seconds(self) -> None:
        """What nobody has asked for is free again, and given in order."""
        self.flood(300)
        self.clock.advance(OFFER_SECONDS)
        self.assertEqual(self.given(1), FIRST)


class RecordTests(LeasesTestCase):
    """What is put on record."""

    def test_once_an_hour(self) -> None:
        """That a guest is seen is put on record, but not each time."""
        self.given(1)
        self.given(2)
        for _ in range(3):
            self.leases.seen(mac(1), FIRST)
        self.assertEqual(self.state.leases(), [(mac(1), FIRST), (mac(2), SECOND)])
        self.clock.advance(RECORD_SECONDS)
        self.leases.seen(mac(1), FIRST)
        self.assertEqual(self.state.leases(), [(mac(2), SECOND), (mac(1), FIRST)])


class AnythingTests(SynchronousTestCase):
    """Guests that do anything at all."""

    @settings(max_examples=40)
    @given(st.integers(0, 2**32), st.sampled_from([6, 60, len(ADDRESSES)]))
    def test_what_holds(self, seed: int, guests: int) -> None:
        """No address is two guests', all places are accounted for, and the record is right."""
        choices = random.Random(seed)
        clock = Clock()
        state = State(lambda line: None)
        leases = Leases(PLAN, state, clock.seconds)
        probing: dict[bytes, bytes] = {}
        for step in range(400):
            guest = mac(choices.randrange(guests))
            address = choices.choice(ADDRESSES[: guests // 2 + 1])
            match choices.randrange(8):
                case 0 | 1:
                    wanted = choices.choice((None, address))
                    if guest not in probing:
                        only = wanted is not None and choices.random() < 0.2
                        choice = leases.choose(
                            guest, wanted, only=only, may_probe=choices.random() < 0.8
                        )
                        if choice is not None and choice.probe:
                            probing[guest] = choice.address
                case 2:
                    if probing:
                        one = choices.choice(list(probing))
                        leases.probed(one, probing.pop(one))
                case 3:
                    own = leases.address_of(guest) or address
                    leases.confirm(guest, own, living=choices.random() < 0.3)
                case 4:
                    leases.seen(guest, leases.address_of(guest) or address)
                case 5:
                    leases.seen(guest, address)
                case 6:
                    own = leases.address_of(guest) or address
                    act = choices.choice((leases.release, leases.decline))
                    if choices.random() < 0.3:
                        act(guest, own)
                case 7:
                    clock.advance(choices.choice((0.1, 1, 11, 61, 700)))
            if step % 10 == 0:
                self.check(leases, state)

    def check(self, leases: Leases, state: State) -> None:
        """See that nothing contradicts itself."""
        places = leases._places
        self.assertEqual(leases._free, [p.number for p in places if p.stage.value == "free"])
        offered = {p.number for p in places if p.stage.value == "offered"}
        self.assertEqual(leases._offered.keys(), offered)
        macs = [p.mac for p in places if p.mac]
        self.assertEqual(len(set(macs)), len(macs))
        self.assertEqual({p.mac: p for p in places if p.mac}, leases._by_mac)
        taken = {(p.mac, p.address) for p in places if p.stage.value == "taken"}
        self.assertEqual(taken, set(state.leases()))
