"""What a gateway remembers over a restart."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.control.paths import default_directory
from distnet.gateway import leftover
from distnet.gateway import state as module
from distnet.gateway.state import MOST_DAMAGED, RETRY_SECONDS, Flow, State, default_state

LEASES = [(bytes([2, 0, 0, 0, 0, number]), bytes([10, 0, 2, 31 + number])) for number in range(3)]
FLOWS = [
    Flow(mac, address, 4000, b"\x0a\x00\x02\x10", 1234) for mac, address in LEASES
]  # fmt: skip


class StateTestCase(SynchronousTestCase):
    """A file, and what was said of it."""

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "state"
        self.said: list[str] = []
        self.clock = Clock()

    def opened(self, path: Path | None = None) -> State:
        """The file, which is closed after the test."""
        path = self.path if path is None else path
        state = State.open(str(path), self.said.append, seconds=self.clock.seconds)
        self.addCleanup(state.close)
        return state

    def filled(self) -> State:
        """One with something in it."""
        state = self.opened()
        for lease in LEASES:
            state.put_lease(*lease)
        for flow in FLOWS:
            state.add_flow(flow)
        return state

    def check_works(self, state: State) -> None:
        """See that it remembers, be it for itself alone."""
        state.put_lease(*LEASES[0])
        state.add_flow(FLOWS[0])
        self.assertEqual((state.leases(), state.flows()), (LEASES[:1], FLOWS[:1]))

    def check_in_memory(self, state: State, *why: str) -> None:
        """See that it works without a file, and that this was said once."""
        self.check_works(state)
        self.assertFalse(state.kept)
        self.assertEqual(len(self.said), 1)
        for part in (str(state.path), *why):
            self.assertIn(part, self.said[0])


class RememberTests(StateTestCase):
    """What is put is there."""

    def test_over_a_restart(self) -> None:
        """All is there again after an orderly end, and after none."""
        first = self.filled()
        self.assertTrue(first.kept)
        for end in (first.close, self.end_without_closing):
            self.assertEqual((first.leases(), first.flows()), (LEASES, FLOWS))
            end()
            first = self.opened()
        self.assertEqual((first.leases(), first.flows()), (LEASES, FLOWS))
        self.assertEqual(self.said, [])

    def end_without_closing(self) -> None:
        """Have the file as it would be had its writer been killed."""
        copy = self.path.with_name("copy")
        for suffix in ("", "-wal"):
            source = Path(f"{self.path}{suffix}")
            if source.exists():
                Path(f"{copy}{suffix}").write_bytes(source.read_bytes())
        self.path = copy

    def test_who_was_seen_last(self) -> None:
        """Leases are in the order in which they were put last, whatever the clock says."""
        state = self.filled()
        state._wall = lambda: 0.0
        state.put_lease(*LEASES[0])
        expected = [*LEASES[1:], LEASES[0]]
        self.assertEqual(state.leases(), expected)
        state.close()
        self.assertEqual(self.opened().leases(), expected)

    def test_one_address_each(self) -> None:
        """A MAC address has one address, and an address is of one."""
        state = self.filled()
        (one, _), (other, taken), third = LEASES
        state.put_lease(one, taken)
        for _ in range(2):
            self.assertEqual(state.leases(), [third, (one, taken)])
            state.close()
            state = self.opened()
        state.put_lease(other, third[1])
        state.put_lease(one, LEASES[0][1])
        self.assertEqual(state.leases(), [(other, third[1]), (one, LEASES[0][1])])

    def test_what_is_dropped(self) -> None:
        """What is dropped is gone, and may be dropped again."""
        state = self.filled()
        for _ in range(2):
            state.drop_lease(LEASES[0][0])
            state.drop_flow(FLOWS[0])
            state.drop_flow(FLOWS[1])
        for _ in range(2):
            self.assertEqual((state.leases(), state.flows()), (LEASES[1:], FLOWS[2:]))
            state.close()
            state = self.opened()

    def test_what_is_put_after_the_end(self) -> None:
        """After it was closed it works, but for the file."""
        state = self.opened()
        state.close()
        self.check_works(state)
        self.assertEqual(self.opened().leases(), [])

    def test_most_flows(self) -> None:
        """Connections beyond the limit are counted, and not remembered."""
        with patch.object(module, "MOST_FLOWS", 2):
            state = self.filled()
            self.assertEqual((state.flows(), state.refused_flows), (FLOWS[:2], 1))
            state.add_flow(FLOWS[0])
            self.assertEqual(state.refused_flows, 1)

    def test_for_its_user_alone(self) -> None:
        """Nobody else may read the file, whatever it was before."""
        self.opened().close()
        self.path.chmod(0o666)
        self.filled()
        for path in self.path.parent.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_not_two(self) -> None:
        """The second gateway with a file says so, and does without."""
        first = self.filled()
        self.check_in_memory(self.opened(), "another gateway uses it")
        first.close()
        self.assertEqual(self.opened().leases(), LEASES)


class UnusableTests(StateTestCase):
    """Files that cannot be used."""

    def test_no_place(self) -> None:
        """What cannot be made is done without."""
        self.check_in_memory(self.opened(self.path / "below"), "No such file")

    def test_no_file(self) -> None:
        """What is no file is left alone."""
        self.path.mkdir()
        self.check_in_memory(self.opened())
        self.said.clear()
        fifo = self.path / "fifo"
        os.mkfifo(fifo)
        self.check_in_memory(self.opened(fifo), "it is no file")

    def test_a_directory_of_somebody_else(self) -> None:
        """In the usual place it does without, if others can write there."""
        runtime = self.path.parent.absolute()
        with patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(runtime)}):
            usual = Path(default_state("/tmp/switch"))
            self.assertTrue(self.opened(usual).kept)
            usual.parent.chmod(0o777)
            self.check_in_memory(self.opened(usual), "others can write to it")

    def check_left_alone(self, *why: str) -> None:
        """See that a file stays as it is."""
        before = self.path.read_bytes()
        self.check_in_memory(self.opened(), *why)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["state"])

    def test_of_something_else(self) -> None:
        """Another program's database is left alone."""
        with sqlite3.connect(self.path) as database:
            database.execute("create table nodes (id integer)")
        database.close()
        self.check_left_alone("a database of something else")

    def test_of_another_version(self) -> None:
        """A later version's file is left alone."""
        self.filled().close()
        with sqlite3.connect(self.path) as database:
            database.execute("pragma journal_mode=delete")
            database.execute("pragma user_version=2")
        database.close()
        self.check_left_alone("it has version 2, this distnet reads 1")

    def check_put_aside(self, *, number: int = 1) -> None:
        """See that a file is put aside whole, and another one is there."""
        before = self.path.read_bytes()
        state = self.opened()
        self.check_works(state)
        self.assertTrue(state.kept)
        aside = Path(f"{self.path}.damaged{f'-{number}' if number > 1 else ''}")
        self.assertEqual(aside.read_bytes(), before)
        self.assertEqual(len(self.said), number)
        self.assertIn(str(aside), self.said[-1])
        self.assertNotIn("\n", self.said[-1])
        state.close()
        again = self.opened()
        self.assertEqual(again.leases(), LEASES[:1])
        again.close()

    def test_no_database(self) -> None:
        """What is no database is put aside, time and again."""
        for number in range(1, MOST_DAMAGED + 1):
            self.path.write_bytes(b"what is this? " * 100 + bytes([number]))
            self.check_put_aside(number=number)
            self.path.unlink()
        self.path.write_bytes(b"and this? " * 100)
        self.said.clear()
        self.check_in_memory(self.opened(), "remove them")
        self.assertEqual(self.path.read_bytes(), b"and this? " * 100)

    def test_damaged(self) -> None:
        """A file of ours is put aside that was changed or cut somewhere, or lacks something."""
        self.filled().close()
        whole = self.path.read_bytes()
        page = len(whole) // (whole[28 + 3] or 1)
        without = self.path.with_name("without")
        without.write_bytes(whole)
        with sqlite3.connect(without) as database:
            database.execute("drop table flows")
        database.close()
        damaged = [
            whole[: page + 10],
            whole[:page] + b"\xff" * page + whole[2 * page :],
            without.read_bytes(),
        ]
        without.unlink()
        for number, data in enumerate(damaged, 1):
            with self.subTest(number):
                self.path.write_bytes(data)
                self.check_put_aside(number=number)

    def test_values_that_cannot_be(self) -> None:
        """What has rows that we never write is damaged."""
        self.filled().close()
        with sqlite3.connect(self.path) as database:
            database.execute("pragma ignore_check_constraints=1")
            database.execute("update leases set address = x'0a00' where address = x'0a00021f'")
        database.close()
        self.check_put_aside()

    def test_any_byte(self) -> None:
        """Whichever byte is another one, it works; what is read is what could have been written."""
        self.filled().close()
        whole = self.path.read_bytes()
        for at in range(0, len(whole), 97):
            copy = self.path.with_name(f"copy{at}")
            copy.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
            state = self.opened(copy)
            for mac, address in state.leases():
                self.assertEqual((len(mac), len(address)), (6, 4))
            state.put_lease(*LEASES[0])
            self.assertIn(LEASES[0], state.leases())
            state.close()


class FailingTests(StateTestCase):
    """Files that fail later."""

    def set_failing(self, state: State, failing: bool) -> None:
        """Have the file writable, or not."""
        assert state._database is not None
        state._database.execute(f"pragma query_only={int(failing)}")

    def test_written_when_it_can_be(self) -> None:
        """What could not be written is said once, and written when there is time and room."""
        state = self.opened()
        state.put_lease(*LEASES[0])
        self.set_failing(state, True)
        state.put_lease(*LEASES[1])
        state.add_flow(FLOWS[1])
        state.drop_lease(LEASES[0][0])
        self.assertEqual(len(self.said), 1)
        self.assertIn("cannot be written", self.said[0])
        self.assertFalse(state.kept)
        self.clock.advance(RETRY_SECONDS)
        state.put_lease(*LEASES[2])
        self.assertEqual(len(self.said), 1)
        self.set_failing(state, False)
        state.add_flow(FLOWS[2])
        self.assertFalse(state.kept)
        self.clock.advance(RETRY_SECONDS)
        state.drop_flow(FLOWS[2])
        self.assertTrue(state.kept)
        self.assertEqual((state.leases(), state.flows()), (LEASES[1:], FLOWS[1:2]))
        state.close()
        again = self.opened()
        self.assertEqual((again.leases(), again.flows()), (LEASES[1:], FLOWS[1:2]))

    def test_each_reason_is_said(self) -> None:
        """No reason hides another, and what could be written meanwhile makes all of them news."""
        state = self.opened()
        assert state._database is not None
        self.set_failing(state, True)
        state.put_lease(*LEASES[0])
        self.set_failing(state, False)
        state._database.execute("pragma max_page_count=1")
        for port in range(2, 999):
            state.add_flow(Flow(LEASES[0][0], LEASES[0][1], port, FLOWS[0].own, 1234))
        self.clock.advance(RETRY_SECONDS)
        state.put_lease(*LEASES[1])
        self.assertEqual([" is full" in line for line in self.said], [False, True])
        state._database.execute("pragma max_page_count=9999")
        self.clock.advance(RETRY_SECONDS)
        state.put_lease(*LEASES[2])
        self.assertTrue(state.kept)
        self.set_failing(state, True)
        state.put_lease(*LEASES[0])
        self.assertEqual([" is full" in line for line in self.said], [False, True, False])
        self.set_failing(state, False)

    def test_written_at_the_end(self) -> None:
        """What could not be written is tried again when it is closed."""
        state = self.opened()
        self.set_failing(state, True)
        state.put_lease(*LEASES[0])
        self.set_failing(state, False)
        state.close()
        self.assertEqual(self.opened().leases(), LEASES[:1])

    def test_full(self) -> None:
        """On a full disk it goes on with what it has, and the file stays whole."""
        state = self.opened()
        assert state._database is not None
        state._database.execute("pragma max_page_count=1")
        count = 0
        while state.kept:
            count += 1
            state.add_flow(Flow(LEASES[0][0], LEASES[0][1], count, FLOWS[0].own, 1234))
        self.assertEqual(len(state.flows()), count)
        self.assertIn("full", self.said[0])
        state.close()
        self.assertEqual(len(self.opened().flows()), count - 1)
        self.assertEqual(len(self.said), 1)


class LeftoverTests(StateTestCase):
    """Files of switches that may never be there again."""

    def test_so_many_are_kept(self) -> None:
        """Of those that no gateway uses the newest are kept; those in use, and others', are."""
        directory = self.path.parent
        runtime = {"XDG_RUNTIME_DIR": str(directory.absolute())}
        with patch.dict(os.environ, runtime), patch.object(leftover, "MOST_LEFT", 4):
            paths = [Path(default_state(f"/nowhere/{number}")) for number in range(8)]
            states = [self.opened(path) for path in paths]
            other = paths[0].with_name("control")
            other.touch()
            for number, (path, state) in enumerate(zip(paths, states, strict=True)):
                if number != 1:
                    state.close()
                for each in path.parent.glob(f"{path.name}*"):
                    os.utime(each, (number, number))
            os.utime(other, (0, 0))
            self.opened(paths[7])
            self.assertEqual(set(paths[0].parent.glob("*.state")), {paths[1], *paths[4:]})
            self.assertTrue(other.exists())
            self.assertTrue(states[1].kept)
        self.assertEqual(self.said, [])


class PlaceTests(SynchronousTestCase):
    """Where the file is, unless it is given."""

    def test_one_for_each_switch(self) -> None:
        """The same directory has the same file, however it is written; another has another."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        link = directory / "link"
        link.symlink_to(directory)
        place = default_state(str(directory))
        for same in (f"{directory}/", f"{directory}/../{directory.name}", str(link)):
            self.assertEqual(default_state(same), place)
        others = [default_state(f"{directory}/{name}") for name in ("a b", "a-b", "a/b", "b", "ö")]
        self.assertEqual(len({place, *others}), 6)

    def test_a_readable_name(self) -> None:
        """The name tells people which switch it is, whatever its directory is called."""
        place = Path(default_state("/nowhere/vde.ctl"))
        self.assertEqual(place.parent, default_directory())
        self.assertRegex(place.name, r"^gateway-vde\.ctl-[0-9a-f]{12}\.state$")
        for name in ("/", "/a/..", "/\n", "/" + "x" * 255, "/\udcff"):
            self.assertRegex(Path(default_state(name)).name, r"^gateway-[A-Za-z0-9.-]{18,83}$")
