"""What the arguments of the C{distnet} command are, for argparse."""

from __future__ import annotations

import argparse
import math

from distnet.address import Address, BadAddress, UnixAddress, parse
from distnet.errors import LocalError
from distnet.nic import check_nic
from distnet.qemu import UdpAddress, parse_dgram
from distnet.wire import MAX_ID


class NotDone(Exception):
    """What was asked for did not happen; the message is one line."""


def read_node(text: str) -> int:
    """An id, or the number of a guest."""
    if not text.isdecimal() or int(text) > MAX_ID:
        raise argparse.ArgumentTypeError(f"{text!r} is not an id")
    return int(text)


def read_address(text: str) -> Address:
    """Where a master or a switch listens."""
    try:
        return parse(text)
    except BadAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_dgram_address(text: str) -> UdpAddress | UnixAddress:
    """Where a switch takes datagrams."""
    try:
        return parse_dgram(text)
    except BadAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_nic(text: str) -> str:
    """A network card, as QEMU's C{-device} has it."""
    try:
        return check_nic(text)
    except LocalError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_count(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def read_seconds(text: str) -> float:
    """A number of seconds, not an infinite one."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
