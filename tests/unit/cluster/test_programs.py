"""The command lines of all that a cluster starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.cluster.config import from_table
from distnet.cluster.directory import RunDirectory
from distnet.cluster.programs import master_command, qemu_command, switch_command
from tests.unit.cluster.test_config import config


class CommandTests(SynchronousTestCase):
    """What is run, for a cluster called c in a directory of its own."""

    def setUp(self) -> None:
        """Have directories in one place."""
        self.patch(os, "environ", {"XDG_RUNTIME_DIR": "/"})
        self.run_directory = RunDirectory("c")
        self.assertEqual(self.run_directory.path, Path("/distnet/clusters/c"))

    def qemu(self, node: int = 1, **keys: Any) -> list[str]:
        """QEMU's."""
        made = config(**keys)
        return qemu_command(made, made.nodes[node], self.run_directory)

    def assert_in(self, words: list[str], *expected: str) -> None:
        """Some words stand in a command line, one after the other."""
        size = len(expected)
        places = [tuple(words[i : i + size]) for i in range(len(words))]
        self.assertIn(expected, places)

    def test_the_guest(self) -> None:
        """QEMU boots what the file says, on what the file says, and ends when that reboots."""
        words = self.qemu(initrd="i", memory="2G", cpus=4, append="LOG=warn:IP={n}", accel="kvm")
        self.assertEqual(words[:3], ["qemu-system-riscv64", "-name", "c-1"])
        self.assert_in(words, "-machine", "virt", "-bios", "default", "-accel", "kvm")
        self.assert_in(words, "-m", "2G", "-smp", "4")
        self.assert_in(words, "-kernel", "/kernels/k", "-initrd", "/kernels/i")
        self.assert_in(words, "-append", "LOG=warn:IP=2")
        self.assertIn("-no-reboot", words)
        self.assertNotIn("-no-reboot", self.qemu(reboot=True))
        self.assertNotIn("-append", self.qemu())

    def test_the_machine(self) -> None:
        """The machine is QEMU's for the architecture, unless the file has another."""
        words = self.qemu(arch="x86_64")
        self.assertEqual(words[0], "qemu-system-x86_64")
        self.assert_in(words, "-machine", "pc", "-global", "e1000e.romfile=")
        self.assertNotIn("virt", self.qemu(machine="-machine sifive_u"))

    def test_sockets(self) -> None:
        """The console is QEMU's own input and output; debugger and monitor have sockets."""
        words = self.qemu()
        run = "/distnet/clusters/c"
        self.assert_in(
            words, "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"
        )
        self.assert_in(words, "-chardev", f"socket,id=gdb,path={run}/node-1.gdb,server=on,wait=off")
        self.assert_in(words, "-gdb", "chardev:gdb")
        self.assert_in(words, "-monitor", f"unix:{run}/node-1.monitor,server=on,wait=off")

    def test_guestfwd(self) -> None:
        """Behind a user network the guest's connection goes to the node's own listener."""
        self.assert_in(
            self.qemu(),
            "-netdev",
            "user,id=net1,restrict=on,guestfwd=tcp:10.0.2.16:1234-unix:/distnet/clusters/c/node-1.master",
            "-device",
            "e1000e,netdev=net1,mac=54:51:9F:71:C0:02",
        )
        free = self.qemu(restrict=False)
        self.assertTrue(
            free[free.index("-netdev") + 1].startswith("user,id=net1,guestfwd=tcp:10.0.2.16:1234-")
        )
        command = self.qemu(form="command")
        self.assertIn("cmd:socat - UNIX-CONNECT:/distnet/", " ".join(command))

    def test_vde(self) -> None:
        """On the switch the guest has an address of its own."""
        self.assert_in(
            self.qemu(topology="vde"),
            "-netdev",
            "vde,id=net1,sock=/distnet/clusters/c/switch",
            "-device",
            "e1000e,netdev=net1,mac=54:51:9F:71:C0:02",
        )

    def test_nic(self) -> None:
        """The file says which network card a guest has; on PCI it needs no program to boot from."""
        for topology in "guestfwd", "vde":
            made = config(topology=topology, node=[{"id": 1, "nic": "virtio-net-device,bus=b"}])
            words = qemu_command(made, made.nodes[1], self.run_directory, bus="virtio-bus")
            mac = "mac=54:51:9F:71:C0:02"
            self.assertEqual(words[-1], f"virtio-net-device,netdev=net1,bus=b,{mac}")
            self.assertIn("e1000e,netdev=net1,mac=54:51:9F:71:C0:00", self.qemu(0))
            words = qemu_command(made, made.nodes[0], self.run_directory, bus="PCI")
            self.assertEqual(words[-1], "e1000e,netdev=net1,romfile=,mac=54:51:9F:71:C0:00")

    def test_without_a_kernel(self) -> None:
        """What boots from something else is given no kernel."""
        made = from_table({"name": "c", "nodes": 1, "machine": "-bios b"}, Path("/"), "c.toml")
        words = qemu_command(made, made.nodes[0], self.run_directory)
        self.assertNotIn("-kernel", words)
        self.assert_in(words, "-bios", "b")

    def test_arguments(self) -> None:
        """More words come last, with a node's values."""
        words = self.qemu(arguments=["-object", "file={run}/{node}.pcap"])
        self.assertEqual(words[-2:], ["-object", "file=/distnet/clusters/c/1.pcap"])

    def test_master(self) -> None:
        """The master has a listener for each node, and no other; its own words come last."""
        words = master_command(config(nodes=2, master="--keep-mail"), self.run_directory)
        run = "/distnet/clusters/c"
        self.assertEqual(
            words[words.index("distnet") :],
            ["distnet", "--control", f"{run}/control", "--node", f"0=unix:{run}/node-0.master",
             "--node", f"1=unix:{run}/node-1.master", "--keep-mail"],
        )  # fmt: skip

    def test_switch(self) -> None:
        """The switch has ports for all, and its gateway knows each node by its address."""
        made = config(nodes=100, topology="vde", switch="--hub")
        words = switch_command(made, self.run_directory)
        run = "/distnet/clusters/c"
        self.assert_in(words, "distnet-vde", "--sock", f"{run}/switch")
        self.assert_in(words, "--numports", "108")
        self.assert_in(words, "--gateway")
        self.assert_in(words, "--map", "10.0.2.15=0", "--map", "10.0.2.17=1")
        self.assertEqual(words[-1], "--hub")
