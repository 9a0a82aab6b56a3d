"""The messages of one who looks after a cluster, through a real master."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from distnet.cluster import ClusterError
from distnet.cluster.mail import Mail
from distnet.wire import FIRST_TOOL_ID
from tests.masters import Kernel, Master

Connect = Callable[..., Kernel]

FIRST, SECOND, THIRD = (text.ljust(16, b".") for text in (b"first", b"second", b"third"))


@pytest.fixture
def mail(master: Master) -> Iterator[Mail]:
    """A connection to the master."""
    mail = Mail(master.tools)
    yield mail
    mail.close()


def test_it_uses_no_id_of_a_kernel(mail: Mail, master: Master, connect: Connect) -> None:
    """It is a tool, so that kernels have the ids from 0 on; messages go both ways."""
    assert mail.id >= FIRST_TOOL_ID
    kernel = connect(master)
    assert kernel.id == 0
    mail.send(0, FIRST)
    assert kernel.receive() == (mail.id, FIRST)
    kernel.send(mail.id, SECOND)
    assert mail.recv() == (0, SECOND)


def test_what_is_not_expected_stays(mail: Mail, master: Master, connect: Connect) -> None:
    """What came before the expected message stays for later, in order."""
    kernel, other = connect(master), connect(master)
    for payload in (FIRST, SECOND, THIRD):
        kernel.send(mail.id, payload)
    assert mail.expect(payload=THIRD) == (0, THIRD)
    other.send(mail.id, FIRST)
    assert mail.expect(source=1) == (1, FIRST)
    assert mail.expect(payload=lambda data: data.startswith(b"second")) == (0, SECOND)
    assert mail.recv() == (0, FIRST)


def test_what_does_not_come(mail: Mail, master: Master, connect: Connect) -> None:
    """When the expected message does not come, what came instead is told, and stays."""
    kernel = connect(master)
    kernel.send(mail.id, FIRST)
    with pytest.raises(ClusterError) as caught:
        mail.expect(source=5, payload=SECOND, timeout=1)
    assert str(caught.value) == (
        "no message from node 5 with b'second..........' within 1 s; there came\n"
        "  from 0, 16 bytes: b'first...........'"
    )
    assert mail.recv() == (0, FIRST)
