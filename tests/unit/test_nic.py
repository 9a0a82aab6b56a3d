"""Network cards, as QEMU tells of them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import LocalError
from distnet.nic import about_bus, check_nic, read_models, what_is_missing, without_rom

# What qemu-system-x86_64 -device help of QEMU 7.2 prints, shortened.
HELP = """\
Storage devices:
name "virtio-blk-pci", bus PCI, alias "virtio-blk"

Network devices:
name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"
name "ne2k_isa", bus ISA
name "virtio-net-device", bus virtio-bus
name "virtio-net-pci", bus PCI, alias "virtio-net"

Input devices:
name "usb-kbd", bus usb-bus
"""


class ModelTests(SynchronousTestCase):
    """Which cards there are, and what they go on."""

    def test_models(self) -> None:
        """Network cards alone are read, each by its name and its alias, with its bus."""
        self.assertEqual(
            read_models(HELP),
            {
                "e1000": "PCI", "e1000-82540em": "PCI", "ne2k_isa": "ISA",
                "virtio-net-device": "virtio-bus", "virtio-net-pci": "PCI", "virtio-net": "PCI",
            },
        )  # fmt: skip
        self.assertEqual(read_models("nothing of the kind"), {})

    def test_buses(self) -> None:
        """What does not go on PCI needs a machine that has what it goes on; one line says so."""
        self.assertIsNone(about_bus("e1000", "PCI"))
        self.assertIsNone(about_bus("e1000", None))
        self.assertIn("ne2k_isa goes on an ISA bus: ", about_bus("ne2k_isa", "ISA") or "")
        said = about_bus("virtio-net-device,mq=on", "virtio-bus")
        self.assertEqual(
            said,
            "virtio-net-device goes on a virtio-bus: it needs a machine that has one, such as virt"
            " or (x86_64) microvm, or the model virtio-net-pci.",
        )

    def test_no_bus(self) -> None:
        """QEMU's own words about a bus that is not there are answered by what to do."""
        said = what_is_missing(
            "qemu-system-x86_64: -device e1000e,netdev=net1: No 'PCI' bus found for device 'e1000e'"
        )
        self.assertEqual(
            said,
            "e1000e goes on a PCI bus, and this machine has none: it needs a machine that has one,"
            " such as virt or q35, or the model virtio-net-device",
        )
        self.assertIsNone(what_is_missing("qemu-system-x86_64: -frob: invalid option"))
        self.assertIsNone(what_is_missing("No 'i2c-bus' bus found for device 'ds1338'"))

    def test_roms(self) -> None:
        """A card on PCI has no program to boot from, unless it is given one."""
        self.assertEqual(without_rom("e1000", "PCI"), "e1000,romfile=")
        for nic, bus in (("e1000,romfile=/r", "PCI"), ("virtio-net-device", "virtio-bus"),
                         ("e1000e", None)):  # fmt: skip
            self.assertEqual(without_rom(nic, bus), nic)


class CheckTests(SynchronousTestCase):
    """What can be a card at all."""

    def test_cards(self) -> None:
        """A card is a model, or a model with options."""
        for nic in "e1000", "ne2k_isa", "virtio-net-device,bus=virtio-mmio-bus.0,mq=on", "a,b=":
            self.assertEqual(check_nic(nic), nic)

    def test_what_is_none(self) -> None:
        """Anything else is refused in one line, and what is given here is named."""
        for nic in "", "a b", "-e1000", "e1000,", "e1000,on", "e1000,a=b c", "e1000,a='b'":
            error = self.assertRaises(LocalError, check_nic, nic)
            self.assertIn("is no network card: it is like e1000 or ", str(error))
        for option in "netdev", "mac":
            error = self.assertRaises(LocalError, check_nic, f"e1000,a=1,{option}=2")
            self.assertIn(f"the option {option} of a network card is given", str(error))
