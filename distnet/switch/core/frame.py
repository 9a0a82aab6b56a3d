"""Ethernet frames: what their first bytes say, and their 802.1Q tag. No frame check sequence."""

from __future__ import annotations

from struct import Struct

from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import MIN_FRAME

TAG_TYPE = b"\x81\x00"
"""Bytes 12 and 13 of a frame with an 802.1Q tag."""
TAG_SIZE = 4
MIN_TAGGED_FRAME = MIN_FRAME + TAG_SIZE
VLAN_MASK = 0xFFF

_U16 = Struct(">H")
_TAG = Struct(">2sH")


def problem(frame: bytes, max_frame: int) -> Reason | None:
    """Why a frame cannot be forwarded at all, or None if it can."""
    size = len(frame)
    if size > max_frame:
        return Reason.OVERSIZE
    if size < MIN_FRAME or (size < MIN_TAGGED_FRAME and frame[12:14] == TAG_TYPE):
        return Reason.RUNT
    return None


def tag_of(frame: bytes) -> int | None:
    """The VLAN in the outermost tag, 0 to 4095, or None if there is no (whole) tag."""
    if frame[12:14] != TAG_TYPE or len(frame) < MIN_TAGGED_FRAME:
        return None
    return vlan_in_tag(frame)


def vlan_in_tag(frame: bytes) -> int:
    """The VLAN in the outermost tag, 0 to 4095, of a frame that has one."""
    return int(_U16.unpack_from(frame, 14)[0]) & VLAN_MASK


def insert_tag(frame: bytes, vlan: int) -> bytes:
    """The frame with a tag for a VLAN, of priority 0, before whatever it has there."""
    return frame[:12] + _TAG.pack(TAG_TYPE, vlan) + frame[12:]


def strip_tag(frame: bytes) -> bytes:
    """The frame without its outermost tag, which it must have."""
    return frame[:12] + frame[16:]
