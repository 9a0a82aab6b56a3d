"""The directory of a cluster, and what is left in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import MAX_UNIX_PATH
from distnet.cluster.directory import RunDirectory, all_clusters, running_clusters
from distnet.errors import MachineError


class DirectoryTests(SynchronousTestCase):
    """A cluster called c, in a place of its own."""

    def setUp(self) -> None:
        """Be the one that runs it."""
        # Short, as the paths of sockets must be.
        place = tempfile.TemporaryDirectory(prefix="dnd")
        self.addCleanup(place.cleanup)
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": place.name})
        self.run_directory = RunDirectory("c")
        self.run_directory.take()
        (self.run_directory / "logs").mkdir()
        (self.run_directory / "logs" / "node-0.log").write_text("it said\n")
        os.mkfifo(self.run_directory / "node-0.console")
        (self.run_directory / "switch").mkdir()

    def left(self) -> list[str]:
        """What is in the directory."""
        return sorted(path.name for path in self.run_directory.path.iterdir())

    def test_nothing_stays(self) -> None:
        """Whoever lets go of it takes all away."""
        self.run_directory.let_go()
        self.assertFalse(self.run_directory.path.exists())
        self.assertIsNone(self.run_directory.how_it_ended())

    def test_logs_stay(self) -> None:
        """If it is kept, the logs stay with why and when it has ended, and no sockets and pipes."""
        run = self.run_directory
        run.write_description({"ended": None})
        self.assertIsNone(run.how_it_ended())
        run.write_description({"ended": {"why": "so", "at": 7}})
        run.let_go(keep=True)
        self.assertEqual(self.left(), ["cluster.json", "logs", "owner", "pids"])
        self.assertEqual((run / "logs" / "node-0.log").read_text(), "it said\n")
        self.assertEqual(run.how_it_ended(), {"why": "so", "at": 7})
        self.assertEqual([each.name for each in all_clusters()], ["c"])
        self.assertEqual(running_clusters(), [])

    def test_the_next_one_takes_it(self) -> None:
        """What was kept goes when the cluster is started anew."""
        self.run_directory.write_description({"ended": {"why": "so", "at": 7}})
        self.run_directory.let_go(keep=True)
        self.run_directory.take()
        self.addCleanup(self.run_directory.let_go)
        self.assertEqual(self.left(), ["owner", "pids"])

    def test_a_name_that_is_too_long(self) -> None:
        """A name may be as long as the sockets' paths have room; a line says how long, or where."""
        room = MAX_UNIX_PATH - len(f"{self.run_directory.path.parent}//switch/.0000000000-00000")
        fits = RunDirectory("n" * room)
        fits.take()
        fits.let_go()
        with self.assertRaisesRegex(
            MachineError,
            f"^the cluster n{{{room + 2}}} has sockets with paths like /.*, of {MAX_UNIX_PATH + 2}"
            f" bytes; a unix socket's can have {MAX_UNIX_PATH}: give it a name of at most {room}"
            f" letters \\(name = in its file\\), or set XDG_RUNTIME_DIR to a directory",
        ):
            RunDirectory("n" * (room + 2)).take()

    def test_no_room_at_all(self) -> None:
        """Where no name would help, another place is asked for."""
        long = os.environ["XDG_RUNTIME_DIR"] + "/" + "l" * 80
        Path(long).mkdir()
        os.environ["XDG_RUNTIME_DIR"] = long
        with self.assertRaisesRegex(MachineError, ": set XDG_RUNTIME_DIR to a directory with"):
            RunDirectory("n").take()

    def test_sweeping(self) -> None:
        """What was kept can be swept away."""
        self.run_directory.let_go(keep=True)
        self.assertTrue(self.run_directory.sweep())
        self.assertFalse(self.run_directory.path.exists())

    def test_nobody_saw_its_end(self) -> None:
        """Of one whose owner ended without a word that is told."""
        run = self.run_directory
        run.write_description({"ended": None})
        assert run._lock is not None
        os.close(run._lock)
        self.addCleanup(run.sweep)
        why = f"process {os.getpid()}, which ran it, was killed"
        self.assertEqual(run.how_it_ended(), {"why": why, "at": None})
