"""What the tests of a kernel can look like. Copy this, and the cluster's file, into your kernel's.

    pip install distnet pytest
    pytest test_kernel.py

The fixtures are distnet's: distnet_module_cluster boots kernels for all tests of this file,
distnet_cluster for one test. When a test fails, the report has each kernel's console and QEMU's
command line.
"""

from __future__ import annotations

import pytest

from distnet.cluster import Cluster


@pytest.fixture(scope="module")
def kernels(distnet_module_cluster) -> Cluster:
    """Three kernels, each of which has its id, on one Ethernet."""
    # With keys instead of a file:
    # return distnet_module_cluster(kernel="kernel.bin", initrd="fs.img", nodes=3, append="IP={n}")
    return distnet_module_cluster("guest-x86_64.toml")


def test_they_hear_from_each_other(kernels: Cluster) -> None:
    """Each kernel gets four blocks from each of the others."""
    for node in kernels.nodes:
        node.wait_for(r"^DN expect from=any n=8 want=8 bad=0 lost=0 .* ok$")


def test_they_are_neighbours(kernels: Cluster) -> None:
    """Each kernel reaches each other one by Ethernet."""
    for node in kernels.nodes:
        for other in kernels.nodes:
            node.wait_for(rf"^DN ping to={other.ip} .* ok$")


def test_answers(kernels: Cluster) -> None:
    """A kernel answers a message; the test is a node, too."""
    question = b"sixteen bytes ok"
    for node in kernels.nodes:
        kernels.mail.send(node.id, question)
    for node in kernels.nodes:
        kernels.mail.expect(source=node.id, payload=question)


def test_one_boots_again(kernels: Cluster) -> None:
    """A kernel that is switched off and on is the same node, and the others still know it."""
    kernels.restart(1)
    kernels[1].wait_for(r"^DN id=1$")
    kernels[1].wait_for(r"^DN ping to=10\.0\.2\.18 .* ok$")
    kernels.mail.send(1, b"are you there, 1")
    kernels.mail.expect(source=1)
