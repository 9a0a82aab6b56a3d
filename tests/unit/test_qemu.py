"""The options for QEMU, form by form."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import Address, TcpAddress, TlsAddress, UnixAddress
from distnet.errors import LocalError
from distnet.qemu import (
    ABOUT,
    MAX_GUEST,
    OLDEST,
    Form,
    SwitchForm,
    UdpAddress,
    Version,
    about_restrict,
    about_switch_form,
    check_mac,
    check_switch_form,
    default_form,
    dgram_netdev,
    guest_arguments,
    guest_mac,
    make_up_mac,
    parse_dgram,
    parse_version,
    stream_netdev,
    switch_arguments,
    vde_netdev,
)

TCP = TcpAddress("127.0.0.1", 1234)
SIX = TcpAddress("::1", 1234)
UNIX = UnixAddress("/run/node3")
DEVICE = ["-device", "e1000e,netdev=net1"]


def netdev(target: str) -> list[str]:
    """The options that forward to a target."""
    return ["-netdev", f"user,id=net1,restrict=on,guestfwd=tcp:10.0.2.16:1234-{target}", *DEVICE]


class ArgumentsTests(SynchronousTestCase):
    """Tests for C{guest_arguments}."""

    def refuses(self, says: str, address: Address, form: Form | None = None) -> None:
        """There is no such form, and the line that says so has a text."""
        error = self.assertRaises(LocalError, guest_arguments, address, form)
        self.assertIn(says, str(error))
        self.assertNotIn("\n", str(error))

    def test_the_documented_option(self) -> None:
        """On the documented port the option is the documented one, to the letter."""
        self.assertEqual(
            " ".join(guest_arguments(TCP)),
            "-netdev user,id=net1,restrict=on,guestfwd=tcp:10.0.2.16:1234-tcp:127.0.0.1:1234"
            " -device e1000e,netdev=net1",
        )

    def test_restrict(self) -> None:
        """A guest reaches the master alone unless more is asked for; each has its line."""
        for address in (TCP, UNIX):
            restricted = guest_arguments(address)
            self.assertEqual(guest_arguments(address, restrict=True), restricted)
            self.assertIn("user,id=net1,restrict=on,guestfwd=", restricted[1])
            free = [word.replace("restrict=on,", "") for word in restricted]
            self.assertEqual(guest_arguments(address, restrict=False), free)
        self.assertIn("--no-restrict", about_restrict(restrict=True))
        self.assertIn("10.0.2.2", about_restrict(restrict=False))

    def test_default_forms(self) -> None:
        """Without a form, a unix socket is used as one and all else as TCP."""
        self.assertEqual((default_form(TCP), default_form(UNIX)), (Form.TCP, Form.UNIX))
        self.assertEqual(guest_arguments(UNIX), guest_arguments(UNIX, Form.UNIX))

    def test_reconnect(self) -> None:
        """For pinned nodes QEMU connects again, by the name that its version has for that."""
        for version, option in ((OLDEST, "reconnect=1"), (Version(9, 1), "reconnect=1"),
                                (Version(9, 2), "reconnect-ms=1000"),
                                (Version(10, 0), "reconnect-ms=1000")):  # fmt: skip
            self.assertEqual(
                guest_arguments(TCP, Form.RECONNECT, version=version, pinned=True),
                netdev(f"tcp:127.0.0.1:1234,,{option}"),
            )
        self.assertEqual(
            guest_arguments(UNIX, Form.RECONNECT, pinned=True),
            netdev("unix:/run/node3,,reconnect=1"),
        )
        self.refuses("pinned", TCP, Form.RECONNECT)

    def test_command(self) -> None:
        """A command is run for each connection of the guest."""
        for address, target in (
            (TCP, "TCP:127.0.0.1:1234"),
            (SIX, "TCP6:[::1]:1234"),
            (UNIX, "UNIX-CONNECT:/run/node3"),
        ):
            self.assertEqual(
                guest_arguments(address, Form.COMMAND), netdev(f"cmd:socat - {target}")
            )

    def test_chardev(self) -> None:
        """The connection can be an option of its own."""
        for address, options in (
            (TCP, "host=127.0.0.1,port=1234"),
            (SIX, "host=::1,port=1234"),
            (UNIX, "path=/run/node3"),
        ):
            self.assertEqual(
                guest_arguments(address, Form.CHARDEV),
                ["-chardev", f"socket,id=distnet0,{options}", *netdev("chardev:distnet0")],
            )

    def test_what_does_not_fit(self) -> None:
        """A form that the listener does not have is refused, with what to do."""
        self.refuses("--listen unix:PATH", TCP, Form.UNIX)
        self.refuses("--port 1234", UNIX, Form.TCP)
        for form in [None, *Form]:
            self.refuses("TLS", TlsAddress("host", 1), form)

    def test_paths_that_options_cannot_hold(self) -> None:
        """A path with a character that has a meaning to QEMU is refused."""
        for character in " ,\"'\\\n":
            self.refuses("has a character", UnixAddress(f"/run/a{character}b"))

    def test_paths_that_socat_cannot_hold(self) -> None:
        """A path with a character that has a meaning to socat is refused for the command alone."""
        for character in ":!":
            address = UnixAddress(f"/run/a{character}b")
            self.assertEqual(guest_arguments(address), netdev(f"unix:/run/a{character}b"))
            self.refuses("socat", address, Form.COMMAND)

    def test_every_form_is_explained(self) -> None:
        """There is a line on what each form can and cannot do."""
        self.assertEqual(set(ABOUT), set(Form))
        self.assertFalse(any("\n" in about for about in ABOUT.values()))


class SwitchTests(SynchronousTestCase):
    """Tests for the options of a guest on the switch."""

    def refuses(self, says: str, function: Callable[..., object], *arguments: object) -> None:
        """A function refuses its arguments in one line that has a text."""
        error = self.assertRaises(LocalError, function, *arguments)
        self.assertIn(says, str(error))
        self.assertNotIn("\n", str(error))

    def test_vde(self) -> None:
        """VDE is the documented option, and a port if one is wanted."""
        self.assertEqual(vde_netdev("/tmp/myswitch"), "vde,id=net1,sock=/tmp/myswitch")
        self.assertEqual(vde_netdev("/tmp/myswitch", 7), "vde,id=net1,sock=/tmp/myswitch,port=7")
        fits = "/" + "s" * 102
        self.assertEqual(vde_netdev(fits), f"vde,id=net1,sock={fits}")
        self.refuses(
            "its path has 104 bytes, so that of a unix socket in it", vde_netdev, fits + "s"
        )

    def test_stream(self) -> None:
        """A stream connects, over TCP or to a unix socket."""
        stream = "stream,id=net1,server=off,"
        for address, options in (
            (TCP, "addr.type=inet,addr.host=127.0.0.1,addr.port=1234"),
            (SIX, "addr.type=inet,addr.host=::1,addr.port=1234"),
            (UNIX, "addr.type=unix,addr.path=/run/node3"),
        ):
            self.assertEqual(stream_netdev(address), stream + options)
        self.refuses("TLS", stream_netdev, TlsAddress("host", 1))

    def test_stream_again(self) -> None:
        """It connects again in the versions that can, and else it is said that it does not."""
        for version, option in (
            (OLDEST, ""), (Version(7, 9), ""), (Version(8, 0), ",reconnect=1"),
            (Version(9, 1), ",reconnect=1"), (Version(9, 2), ",reconnect-ms=1000"),
            (Version(10, 0), ",reconnect-ms=1000"),
        ):  # fmt: skip
            self.assertEqual(
                stream_netdev(UNIX, version),
                f"stream,id=net1,server=off,addr.type=unix,addr.path=/run/node3{option}",
            )
            about = about_switch_form(SwitchForm.STREAM, version)
            self.assertEqual("does not connect again" in about, not option)

    def test_dgram(self) -> None:
        """Datagrams come from an address that no other guest has."""
        mac = guest_mac(3)
        self.assertEqual(
            dgram_netdev(UNIX, mac),
            "dgram,id=net1,remote.type=unix,remote.path=/run/node3,"
            "local.type=unix,local.path=/run/node3.525400000003",
        )
        for host, own in (("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"),
                          ("10.0.0.1", "0.0.0.0")):  # fmt: skip
            self.assertEqual(
                dgram_netdev(UdpAddress(host, 9), mac),
                f"dgram,id=net1,remote.type=inet,remote.host={host},remote.port=9,"
                f"local.type=inet,local.host={own},local.port=0",
            )
        self.refuses("a unix socket's can have 107", dgram_netdev, UnixAddress("/" + "a" * 99), mac)

    def test_addresses_for_datagrams(self) -> None:
        """The switch's address is written as the switch takes it."""
        for text, address in (
            ("unix:/run/node3", UNIX),
            ("udp:9", UdpAddress("127.0.0.1", 9)),
            ("udp:10.0.0.1:9", UdpAddress("10.0.0.1", 9)),
        ):
            self.assertEqual(parse_dgram(text), address)
        for text in ("", "9", "tcp:9", "udp:", "udp:x", "udp:unix:/a", "udp:0", "unix:"):
            self.refuses("", parse_dgram, text)
        self.refuses("IPv4", parse_dgram, "udp:[::1]:9")

    def test_paths_that_options_cannot_hold(self) -> None:
        """A path with a character that has a meaning to QEMU is refused in every form."""
        for character in " ,\"'\\\n":
            path = f"/run/a{character}b"
            self.refuses("has a character", vde_netdev, path)
            self.refuses("has a character", stream_netdev, UnixAddress(path))
            self.refuses("has a character", dgram_netdev, UnixAddress(path), guest_mac(1))

    def test_every_guest_has_its_own_address(self) -> None:
        """The MAC is the guest's number, or is made up where no number's is."""
        macs = [guest_mac(0), guest_mac(1), guest_mac(0x123456), guest_mac(MAX_GUEST)]
        self.assertEqual(
            macs, ["52:54:00:00:00:00", "52:54:00:00:00:01", "52:54:00:12:34:56",
                   "52:54:00:7f:ff:ff"],
        )  # fmt: skip
        for number in (-1, MAX_GUEST + 1):
            self.refuses("is no number of a guest", guest_mac, number)
        made_up = {make_up_mac() for _ in range(50)}
        self.assertGreater(len(made_up), 40)
        for mac in made_up:
            self.assertEqual(check_mac(mac), mac)
            self.assertGreater(mac, "52:54:00:7f:ff:ff")
        self.assertEqual(
            switch_arguments("vde,id=net1", macs[1]),
            ["-netdev", "vde,id=net1", "-device", "e1000e,netdev=net1,mac=52:54:00:00:00:01"],
        )

    def test_addresses_that_are_given(self) -> None:
        """A MAC is that of one station, and written as QEMU takes it."""
        self.assertEqual(check_mac("2:0:0:0:0:AB"), "02:00:00:00:00:ab")
        self.refuses("is not an Ethernet address", check_mac, "52-54-00-00-00-01")
        for mac in ("01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "0:0:0:0:0:0"):
            self.refuses("that of one station", check_mac, mac)

    def test_what_a_qemu_does_not_have(self) -> None:
        """A form that a QEMU does not have is refused, with another one."""
        for form in SwitchForm:
            check_switch_form(form, OLDEST)
        old = Version(7, 1)
        check_switch_form(SwitchForm.VDE, old)
        for form in (SwitchForm.STREAM, SwitchForm.DGRAM):
            self.refuses(f"QEMU 7.1 has no -netdev {form}", check_switch_form, form, old)
        self.refuses("--stream ADDRESS", check_switch_form, SwitchForm.VDE, OLDEST, False)
        self.refuses("--vde DIRECTORY", check_switch_form, SwitchForm.STREAM, OLDEST, False)

    def test_every_form_is_explained(self) -> None:
        """There is a line on what each form can and cannot do."""
        for form in SwitchForm:
            self.assertRegex(about_switch_form(form, OLDEST), r"\A[^\n]{20,}\Z")


class VersionTests(SynchronousTestCase):
    """Tests for C{parse_version}."""

    def test_versions(self) -> None:
        """The version is found in what distributions make of it."""
        for said, version in (
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n", Version(7, 2)),
            ("QEMU emulator version 10.0.2\nCopyright", Version(10, 0)),
            ("QEMU emulator version 9.2", Version(9, 2)),
        ):
            self.assertEqual(parse_version(said), version)
        self.assertIsNone(parse_version("bash: not found"))
        self.assertEqual(str(Version(7, 2)), "7.2")
