"""What a process of ours allows itself."""

from __future__ import annotations

import resource

from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.limits import allow_all_descriptors


class DescriptorsTests(SynchronousTestCase):
    """L{allow_all_descriptors}"""

    def test_as_many_as_it_may(self) -> None:
        """The soft limit becomes the hard one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1, hard))
        allow_all_descriptors()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (hard, hard))
