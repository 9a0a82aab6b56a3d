"""The network of the guests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.guestnet import (
    GUEST_MASTER,
    MAX_NODES,
    NETWORK,
    PLAN,
    ZCORE_FIRST,
    ZCORE_KERNELS,
    addresses_of,
)


class PlanTests(SynchronousTestCase):
    """The addresses that are no guest's."""

    def test_as_in_qemu(self) -> None:
        """They are those of QEMU's user network, with the master where kernels look for it."""
        self.assertEqual(list(map(str, PLAN.own)), ["10.0.2.2", "10.0.2.3", "10.0.2.16"])
        self.assertEqual(GUEST_MASTER, "10.0.2.16:1234")

    def test_addresses_for_dhcp(self) -> None:
        """
        They are given away from 10.0.2.31 on; nobody's are among them that have another use, nor
        what guests with a netmask of 24 bits take for all of their network.
        """
        given = list(map(str, PLAN.addresses()))
        self.assertEqual((given[0], given[223]), ("10.0.2.31", "10.0.2.254"))
        self.assertEqual((given[224], given[234]), ("10.0.2.4", "10.0.2.14"))
        self.assertEqual((given[235], given[-1]), ("10.0.3.0", "10.0.3.254"))
        self.assertEqual(len(given), len(set(given)))
        zcores = {str(ZCORE_FIRST + number) for number in ZCORE_KERNELS}
        edges = {"10.0.2.0", "10.0.2.255", "10.0.3.255"}
        self.assertEqual(zcores.union(map(str, PLAN.own), edges).intersection(given), set())
        self.assertTrue(all(address in NETWORK for address in PLAN.addresses()))


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
        """The last node has the last address that a network of 24 bits has."""
        last = addresses_of(MAX_NODES - 1)
        self.assertEqual((last.ip, last.mac), ("10.0.2.254", "54:51:9F:71:C0:EF"))
        self.assertIn(NETWORK[255], NETWORK)
