"""The file that describes a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.cluster.config import (
    ClusterConfig,
    fill,
    from_table,
    read_config,
)
from distnet.cluster.keys import BadConfig
from distnet.qemu import Form

HERE = Path("/kernels")
LEAST = {"name": "c", "kernel": "k", "nodes": 3}


def config(**keys: Any) -> ClusterConfig:
    """The cluster of the least table that there can be, and some keys."""
    return from_table({**LEAST, **keys}, HERE, "c.toml")


class ReadTests(SynchronousTestCase):
    """What a file says."""

    def write(self, text: str) -> Path:
        """A file with a text."""
        path = Path(self.mktemp())
        path.mkdir()
        (path / "mine.toml").write_text(text)
        return path / "mine.toml"

    def test_defaults(self) -> None:
        """A kernel and a number of nodes are enough; the name is that of the file."""
        file = self.write('kernel = "sub/k"\nnodes = 2\n')
        read = read_config(file)
        self.assertEqual((read.name, read.arch, read.topology), ("mine", "riscv64", "guestfwd"))
        self.assertEqual((read.form, read.accel, read.timeout), (Form.UNIX, "tcg", 120.0))
        self.assertEqual([node.id for node in read.nodes], [0, 1])
        for node in read.nodes:
            self.assertEqual(node.kernel, file.absolute().parent / "sub/k")
            self.assertEqual((node.initrd, node.append, node.arguments), (None, "", ()))
            self.assertEqual((node.memory, node.cpus, node.symbols), ("512M", 1, node.kernel))

    def test_unreadable(self) -> None:
        """A file that is not there, or is not TOML, is named."""
        with self.assertRaisesRegex(BadConfig, "^/no/file.toml: No such file or directory$"):
            read_config("/no/file.toml")
        file = self.write("nodes = \n")
        with self.assertRaisesRegex(BadConfig, f"^{file}: it is not TOML: .*line 1"):
            read_config(file)

    def test_paths(self) -> None:
        """Paths are relative to the file's directory, unless they begin at the root or at home."""
        read = config(kernel="/k", initrd="i", symbols="~/s", logs="l")
        node = read.nodes[0]
        self.assertEqual((node.kernel, node.initrd), (Path("/k"), HERE / "i"))
        self.assertEqual((node.symbols, read.logs), (Path.home() / "s", HERE / "l"))

    def test_words(self) -> None:
        """The words of a command are a list, or a text as a shell splits it."""
        for words in (["-a", "b c"], "-a 'b c'"):
            self.assertEqual(config(master=words).master, ("-a", "b c"))
            self.assertEqual(config(arguments=words).nodes[2].arguments, ("-a", "b c"))

    def test_memory(self) -> None:
        """Memory is a number of MiB, or has its unit."""
        for value, expected in ((512, "512M"), ("64", "64M"), ("2G", "2G")):
            self.assertEqual(config(memory=value).nodes[0].memory, expected)

    def test_one_node(self) -> None:
        """A node's own table goes before; its words of QEMU are added."""
        own = {"id": 1, "kernel": "k1", "memory": "1G", "cpus": 2, "arguments": ["-S"]}
        read = config(arguments=["-a"], initrd="i", node=[own])
        one = read.nodes[1]
        self.assertEqual((one.kernel, one.initrd), (HERE / "k1", HERE / "i"))
        self.assertEqual((one.memory, one.cpus, one.arguments), ("1G", 2, ("-a", "-S")))
        self.assertEqual(read.nodes[2].arguments, ("-a",))

    def test_restrict(self) -> None:
        """A node reaches the master alone, unless the file, or its own table, says otherwise."""
        self.assertEqual([node.restrict for node in config().nodes], [True, True, True])
        free = config(restrict=False, node=[{"id": 1, "restrict": True}])
        self.assertEqual([node.restrict for node in free.nodes], [False, True, False])
        one = config(node=[{"id": 2, "restrict": False}])
        self.assertEqual([node.restrict for node in one.nodes], [True, True, False])

    def test_nic(self) -> None:
        """A node's network card is zCore's, or what the file, or its own table, says."""
        self.assertEqual([node.nic for node in config().nodes], ["e1000e"] * 3)
        own = "virtio-net-device,bus=virtio-mmio-bus.0"
        read = config(nic="e1000", node=[{"id": 1, "nic": own}])
        self.assertEqual([node.nic for node in read.nodes], ["e1000", own, "e1000"])

    def test_without_a_kernel(self) -> None:
        """What QEMU boots may be in its arguments, or with the machine."""
        for key in "arguments", "machine":
            read = from_table({"name": "c", "nodes": 1, key: "-bios b"}, HERE, "c.toml")
            self.assertEqual((read.nodes[0].kernel, read.nodes[0].symbols), (None, None))
        own = [{"id": 0, "arguments": "-hda d"}, {"id": 1, "kernel": "k"}]
        zero, one = from_table({"name": "c", "nodes": 2, "node": own}, HERE, "c.toml").nodes
        self.assertEqual((zero.kernel, one.kernel), (None, HERE / "k"))

    def test_one_append(self) -> None:
        """A node's own append is instead of the others', which it can name."""
        read = config(
            append="A={n}", node=[{"id": 1, "append": "{append}:B"}, {"id": 2, "append": "C"}]
        )
        self.assertEqual([node.append for node in read.nodes], ["A={n}", "A={n}:B", "C"])


class TemplateTests(SynchronousTestCase):
    """What is filled in."""

    def test_templates(self) -> None:
        """A template has a node's values; doubled braces are braces."""
        node = config().nodes[2]
        text = fill("{node}/{nodes} IP={n} {ip} {mac} {run}/x {{}}", node, "/run")
        self.assertEqual(text, "2/3 IP=3 10.0.2.18 54:51:9F:71:C0:03 /run/x {}")


class WrongTests(SynchronousTestCase):
    """Each mistake is one line that says where, which key, and what is right."""

    def wrong(self, line: str, **keys: Any) -> None:
        """Some keys give an error, which is a regular expression."""
        with self.assertRaisesRegex(BadConfig, f"^c\\.toml: {line}") as caught:
            config(**keys)
        self.assertNotIn("\n", str(caught.exception))

    def test_unknown(self) -> None:
        """An unknown key is answered with the nearest one, or with all."""
        self.wrong("topolgy: there is no such key: did you mean topology\\?$", topolgy="vde")
        self.wrong("zzz: there is no such key: there are name, nodes, ", zzz=1)
        self.wrong("node.nodes: there is no such key: ", node=[{"id": 1, "nodes": 1}])

    def test_words(self) -> None:
        """What is one of some words is checked."""
        self.wrong("arch: 'mips' is not riscv64 or x86_64 or aarch64$", arch="mips")
        self.wrong("topology: 'ring' is not guestfwd or vde$", topology="ring")
        self.wrong("form: 'tcp' is not unix or command or chardev$", form="tcp")
        self.wrong("form: it is for the topology guestfwd$", form="unix", topology="vde")
        self.wrong("switch: it is for the topology vde$", switch="--hub")
        only = "restrict: it is for the topology guestfwd: "
        self.wrong(only, restrict=False, topology="vde")
        self.wrong(f"node.{only}", node=[{"id": 1, "restrict": True}], topology="vde")
        self.wrong("restrict: 'on' is not true or false$", restrict="on")

    def test_types(self) -> None:
        """What is not of its type is shown."""
        self.wrong("append: 3 is not a text$", append=3)
        self.wrong("reboot: 1 is not true or false$", reboot=1)
        self.wrong("cpus: True is not a whole number$", cpus=True)
        self.wrong("arguments: 3 is neither a text nor a list of texts$", arguments=3)
        self.wrong('master: "\'": No closing quotation$', master="'")
        self.wrong("node: it is written as \\[\\[node\\]\\]", node={"id": 1})
        self.wrong("memory: '1T' is not an amount of memory", memory="1T")
        self.wrong("kernel: the path is empty$", kernel="")

    def test_numbers(self) -> None:
        """Numbers have limits."""
        self.wrong("nodes: 0 is not a number from 1 to 239$", nodes=0)
        self.wrong("nodes: 240 is not a number from 1 to 239$", nodes=240)
        self.wrong("timeout: 0 is not a number of seconds above 0$", timeout=0)
        self.wrong("timeout: nan is not", timeout=float("nan"))
        self.wrong("node.id: 3 is not a number from 0 to 2$", node=[{"id": 3}])

    def test_missing(self) -> None:
        """What must be there is asked for."""
        self.wrong("node.id: it is missing", node=[{}])
        self.wrong("node.id: there are two tables for node 1$", node=[{"id": 1}, {"id": 1}])
        for key in ("kernel", "nodes"):
            table = {name: value for name, value in LEAST.items() if name != key}
            with self.assertRaisesRegex(BadConfig, f"^c.toml: {key}: it is missing"):
                from_table(table, HERE, "c.toml")

    def test_nic(self) -> None:
        """A network card is what QEMU's C{-device} takes, but for what is given here."""
        self.wrong("nic: '' is no network card: it is like e1000 or ", nic="")
        self.wrong("nic: 3 is not a text$", nic=3)
        self.wrong("node.nic: 'a b' is no network card", node=[{"id": 0, "nic": "a b"}])
        self.wrong("nic: 'e1000,mac=1' is no .*|nic: .*: the option mac of", nic="e1000,mac=1")

    def test_nothing_to_boot(self) -> None:
        """Without a kernel there must be something else, and nothing that goes with a kernel."""
        for key in "initrd", "append":
            table = {"name": "c", "nodes": 1, "machine": "-bios b", key: "x"}
            with self.assertRaisesRegex(BadConfig, f"^c.toml: {key}: QEMU gives it to a kernel"):
                from_table(table, HERE, "c.toml")

    def test_names(self) -> None:
        """A name can be part of a path."""
        for name in ("", "a b", "../x", "-x", "x" * 33):
            self.wrong("name: .* is not letters, digits, - and _, at most 32$", name=name)

    def test_templates(self) -> None:
        """What a template cannot have is found where it stands."""
        self.wrong("append: {ipp} is none of {node}, {nodes}, {n}, ", append="IP={ipp}")
        self.wrong("append: {} is none of", append="{}")
        self.wrong("append: {n} is none of", append="{n:03}")
        self.wrong("append: Single '}' encountered", append="}")
        self.wrong("node.append: {x} is none of", node=[{"id": 0, "append": "{x}"}])
        self.wrong("node.arguments: {x} is none of", node=[{"id": 0, "arguments": "{x}"}])
