"""What cffi has made of libslirp.h."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import _slirpffi, slirpcdef


class ModuleTests(SynchronousTestCase):
    """The module that is loaded in the place of a parser of C."""

    def test_it_is_made_of_this(self) -> None:
        """It says what the definitions say; if not: C{python -m distnet.gateway.slirpcdef}."""
        self.assertEqual(Path(_slirpffi.__file__).read_text(), slirpcdef.made())
