"""Packets of IPv4."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.packets import IPV4, checksum, ipv4_header, whole_packet

ETHERNET = bytes(12) + IPV4
ADDRESSES = bytes((10, 0, 2, 15, 10, 0, 2, 2))


def with_sum(head: bytes) -> bytes:
    """A header with the checksum that it is to have."""
    head = head[:10] + bytes(2) + head[12:]
    return head[:10] + checksum(head) + head[12:]


class WholePacketTests(SynchronousTestCase):
    """L{whole_packet}"""

    def test_whole(self) -> None:
        """It is told where its data are, behind options and before padding."""
        head = ipv4_header(ADDRESSES, 17, 5)
        self.assertEqual(whole_packet(ETHERNET + head + b"datum" + bytes(21)), (34, 39))
        self.assertEqual(whole_packet(ETHERNET + ipv4_header(ADDRESSES, 17, 0)), (34, 34))
        head = with_sum(b"\x46\0" + (29).to_bytes(2) + head[4:] + b"\1\1\1\0")
        self.assertEqual(whole_packet(ETHERNET + head + b"datum"), (38, 43))

    def test_broken(self) -> None:
        """Too short, of another version, with a head that is none or another sum: it is none."""
        head = ipv4_header(ADDRESSES, 17, 5)
        for broken in (
            b"",
            head[:19],
            head + b"datu",
            with_sum(b"\x55" + head[1:]) + b"datum",
            with_sum(head[:2] + (19).to_bytes(2) + head[4:]) + b"datum",
            with_sum(b"\x46" + head[1:] + bytes(4)),
            bytes((*head[:8], head[8] - 1, *head[9:])) + b"datum",
        ):
            self.assertIsNone(whole_packet(ETHERNET + broken), broken)
        # 16 bytes that have the right sum are no head.
        short = b"\x44" + head[1:10] + bytes(2) + head[12:16]
        short = short[:10] + checksum(short) + short[12:]
        self.assertIsNone(whole_packet(ETHERNET + short + head[16:] + b"datum"))
