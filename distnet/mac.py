"""MAC addresses: how people write them, and whose they can be. No I/O."""

from __future__ import annotations

from typing import Final

MAC_SIZE: Final = 6


def is_group(mac: bytes) -> bool:
    """Whether an address, or the destination of a frame that is given, is that of a group."""
    return bool(mac[0] & 1)


def format_mac(mac: bytes) -> str:
    """Like C{00:ff:41:02:a3:04}."""
    return mac.hex(":")


def parse_mac(text: str) -> bytes:
    """The 6 bytes of six hexadecimal numbers with colons between them. Raises ValueError."""
    parts = text.split(":")
    if len(parts) != MAC_SIZE or not all(0 < len(part) <= 2 for part in parts):
        raise ValueError(f"{text!r} is not an Ethernet address")
    try:
        return bytes(int(part, 16) for part in parts)
    except ValueError:
        raise ValueError(f"{text!r} is not an Ethernet address") from None
