"""The options for QEMU, form by form."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import Address, TcpAddress, TlsAddress, UnixAddress
from distnet.errors import LocalError
from distnet.qemu import (
    ABOUT,
    OLDEST,
    Form,
    Version,
    default_form,
    guest_arguments,
    parse_version,
)

TCP = TcpAddress("127.0.0.1", 1234)
SIX = TcpAddress("::1", 1234)
UNIX = UnixAddress("/run/node3")
DEVICE = ["-device", "e1000e,netdev=net1"]


def netdev(target: str) -> list[str]:
    """The options that forward to a target."""
    return ["-netdev", f"user,id=net1,guestfwd=tcp:10.0.2.16:1234-{target}", *DEVICE]


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
            "-netdev user,id=net1,guestfwd=tcp:10.0.2.16:1234-tcp:127.0.0.1:1234"
            " -device e1000e,netdev=net1",
        )

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
