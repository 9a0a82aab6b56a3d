"""Compiled files are kept as long as nothing that they come from changes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzzing import Objects


@skipIf(shutil.which("gcc") is None, "no gcc here")
class ObjectsTests(SynchronousTestCase):
    """L{Objects}."""

    def setUp(self) -> None:
        """A source with a header, and a place for what is compiled."""
        self.root = self.checkout()
        self.place = Path(self.mktemp()).absolute()

    def checkout(self) -> Path:
        """A directory with a source and a header."""
        root = Path(self.mktemp()).absolute()
        root.mkdir()
        (root / "half.h").write_text("#define HALF 21\n")
        (root / "all.c").write_text('#include "half.h"\nint all(void) { return 2 * HALF; }\n')
        return root

    def compile(self, *options: str, root: Path | None = None) -> Path:
        """The object file."""
        return Objects(self.place, root or self.root).compiled(Path("all.c"), ["-g", *options])

    def test_kept(self) -> None:
        """What has been compiled is not compiled again, in another copy of it neither."""
        first = self.compile()
        inode = first.stat().st_ino
        self.assertEqual(self.compile(), first)
        self.assertEqual(self.compile(root=self.checkout()), first)
        self.assertEqual(first.stat().st_ino, inode)
        self.assertEqual(list(self.place.iterdir()), [first])

    def test_changed(self) -> None:
        """When the source, a header or an option changes, it is compiled again."""
        objects = [self.compile(), self.compile("-O1")]
        (self.root / "half.h").write_text("#define HALF 22\n")
        objects.append(self.compile())
        with (self.root / "all.c").open("a") as source:
            source.write("int more;\n")
        objects.append(self.compile())
        self.assertEqual(len({path.name for path in objects}), 4)
        self.assertEqual(len({path.read_bytes() for path in objects}), 4)

    def test_prune(self) -> None:
        """The compiled files that were used last stay."""
        objects = [self.compile(), self.compile("-O1"), self.compile("-O2")]
        for age, path in enumerate(objects):
            os.utime(path, (1000 - age, 1000 - age))
        self.compile("-O2")
        Objects(self.place, self.root).prune(2)
        self.assertEqual(set(self.place.iterdir()), {objects[0], objects[2]})
