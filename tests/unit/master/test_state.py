"""What a master remembers, where the file or its disk is not as it should be."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.master import state as module
from distnet.master.core.counters import Tally
from distnet.master.core.mailbox import Mail
from distnet.master.state import Remembered, StateFile
from distnet.wire import MAX_ID, QUIT_ID, encode_message, first_size

LETTER = encode_message(7, bytes(20))


class RememberedTests(SynchronousTestCase):
    """L{Remembered}: what can be done with rows of the file is known before it is done."""

    def test_damaged_mail(self) -> None:
        """What is not whole messages, or not so many, for an id, is left out and counted."""
        remembered = Remembered()
        remembered.add_mail(3, 2 * LETTER, 2)
        for node, data, messages in (
            (3, LETTER[:-1], 1),
            (3, LETTER + b"\0", 1),
            (3, LETTER, 2),
            (3, LETTER, "1"),
            (3, b"", 0),
            (3, LETTER.decode("latin-1"), 1),
            (-1, LETTER, 1),
            (QUIT_ID, LETTER, 1),
            (MAX_ID + 1, LETTER, 1),
            (None, LETTER, 1),
        ):
            remembered.add_mail(node, data, messages)
        self.assertEqual((remembered.mail, remembered.damaged), ([(3, 2 * LETTER, 2)], 10))

    @given(st.binary(max_size=40), st.integers(0, 3))
    def test_any_mail(self, data: bytes, messages: int) -> None:
        """What is taken over is as many messages as it says, so that all of it can be written."""
        remembered = Remembered()
        remembered.add_mail(1, data, messages)
        for _, taken, count in remembered.mail:
            end = 0
            for _ in range(count):
                end += first_size(taken, end)
            self.assertEqual(end, len(taken))

    def test_damaged_ids(self) -> None:
        """What cannot be an id was not handed out."""
        remembered = Remembered()
        for node in (1, -1, "x", QUIT_ID):
            remembered.add_id(node, 1, 1, "process")
        self.assertEqual((remembered.used, remembered.pinned), ({1}, {1}))
        self.assertEqual((remembered.resumable, remembered.damaged), ({1: "process"}, 3))


class StateFileTests(SynchronousTestCase):
    """L{StateFile}"""

    def setUp(self) -> None:
        """What is written is written at once, and not in a thread."""
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.patch(module, "deferToThreadPool", lambda _, __, function, *a: execute(function, *a))

    def opened(self) -> tuple[StateFile, Remembered]:
        """The file, and what it has."""
        state = StateFile(str(self.path), Clock())
        remembered = state.open()
        self.addCleanup(state._close)
        return state, remembered

    def kept(self) -> list[Mail]:
        """What the next master gets."""
        return self.opened()[1].mail

    def test_private(self) -> None:
        """It is for its user alone, as is one that was not before, whatever the umask."""
        for _ in range(2):
            before = os.umask(0)
            try:
                state, _ = self.opened()
            finally:
                os.umask(before)
            for path in (self.path, Path(f"{self.path}-wal")):
                self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            state._close()
            self.path.chmod(0o644)

    def test_what_fits(self) -> None:
        """On a disk that is full what fits is kept, nothing after a gap, and the rest is told."""
        state, _ = self.opened()
        assert state._database is not None
        (pages,) = state._database.execute("pragma page_count").fetchone()
        state._database.execute(f"pragma max_page_count={pages + 4}")
        large = 400 * LETTER
        mail = [(1, LETTER, 1), (2, 10 * large, 4000), (2, LETTER, 1), (3, LETTER, 1)]
        unkept = self.successResultOf(state.keep(mail))
        self.assertEqual(unkept.lost, Tally(4001, 4001 * len(LETTER)))
        self.assertIn("full", unkept.why)
        state._close()
        self.assertEqual(self.kept(), [(1, LETTER, 1), (3, LETTER, 1)])

    def test_all_fits(self) -> None:
        """What is kept is the same in the end, and nothing is said."""
        mail = [(1, LETTER, 1), (2, 2 * LETTER, 2), (1, LETTER, 1)]
        state, _ = self.opened()
        unkept = self.successResultOf(state.keep(mail))
        self.assertEqual((unkept.lost, unkept.why), (Tally(), ""))
        state._close()
        self.assertEqual(self.kept(), mail)

    def test_tampered(self) -> None:
        """Rows of others' making are counted; text need not be text."""
        state, _ = self.opened()
        state._close()
        with sqlite3.connect(self.path) as database:
            database.execute("insert into mail (node, messages, data) values (1, 1, x'00')")
            database.execute("insert into ids values (3, 1, 1, cast(x'ff' as text))")
            database.execute("insert into ids values (-3, 1, 1, null)")
        database.close()
        _, remembered = self.opened()
        self.assertEqual(
            (remembered.damaged, remembered.resumable), (2, {3: "\N{REPLACEMENT CHARACTER}"})
        )

    def test_no_tables(self) -> None:
        """One that lacks a table is refused in a line, which does not blame its mode."""
        state, _ = self.opened()
        state._close()
        with sqlite3.connect(self.path) as database:
            database.execute("drop table mail")
        database.close()
        why = str(self.assertRaises(StartupError, StateFile(str(self.path), Clock()).open))
        self.assertIn("no such table: mail", why)
        self.assertNotIn("writable", why)
