"""The network of the guests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.guestnet import GUEST_MASTER, MAX_NODES, NETWORK, PLAN, addresses_of


class PlanTests(SynchronousTestCase):
    """The addresses that are no guest's."""

    def test_as_in_qemu(self) -> None:
        """They are those of QEMU's user network, with the master where kernels look for it."""
        self.assertEqual(list(map(str, PLAN.own)), ["10.0.2.2", "10.0.2.3", "10.0.2.16"])
        self.assertEqual(GUEST_MASTER, "10.0.2.16:1234")


class NodeTests(SynchronousTestCase):
    """The addresses of a cluster's nodes."""

    def test_the_master_has_its_own(self) -> None:
        """Nodes have zCore's addresses in order, but for the master's."""
        nodes = [addresses_of(node) for node in range(4)]
        self.assertEqual([node.number for node in nodes], [0, 2, 3, 4])
        self.assertEqual(
            [node.ip for node in nodes], ["10.0.2.15", "10.0.2.17", "10.0.2.18", "10.0.2.19"]
        )
        self.assertEqual(nodes[1].mac, "54:51:9F:71:C0:02")

    def test_as_many_as_there_are(self) -> None:
        """The last node has the last address of the network."""
        last = addresses_of(MAX_NODES - 1)
        self.assertEqual((last.ip, last.mac), ("10.0.2.254", "54:51:9F:71:C0:EF"))
        self.assertEqual(NETWORK.broadcast_address, NETWORK[255])
