"""C{distnet gateway}: its arguments."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from distnet.address import BadAddress, UnixAddress, long_path, parse
from distnet.control.ask import find_vde_directory
from distnet.control.paths import default_vde_directory
from distnet.errors import LocalError
from distnet.gateway.guests import parse_maps
from distnet.gateway.hostforward import HostForward, parse_forwards
from distnet.gateway.masters import Near, NoListener, near
from distnet.guestnet import PLAN

_LONGEST_NAME: Final = ".0000000-00000"
"""Of the gateway's own socket beside the switch's, with the number of its process."""

CONSOLE_DESCRIPTOR: Final = 3
"""Where a gateway that is supervised finds the console of its switch."""
MAX_PORT: Final = 65535


class BadMap(LocalError):
    """Addresses cannot be mapped to nodes as they are given."""


class BadForward(LocalError):
    """Ports of this machine cannot lead to guests as they are given."""


def add_gateway(commands: Any) -> None:
    """Add the command C{gateway} to the subcommands of a parser."""
    about = (
        "Plug into a VDE switch, and give its guests the master at 10.0.2.16:1234, 10.0.2.2, and"
        " DHCP, until it is stopped. 'twistd distnet-vde --gateway' does the same as a part of the"
        " switch."
    )
    gateway = commands.add_parser(
        "gateway", help="Put the master on a VDE switch at 10.0.2.16:1234.", description=about
    )
    gateway.set_defaults(run=run)
    _add_arguments(gateway)


def check_words(words: Sequence[str]) -> list[str]:
    """
    Words that may follow C{distnet gateway}, with paths that do not depend on where we are.

    Raises ValueError or LocalError, in one line, if they may not.
    """
    parser = _Strict(prog="distnet gateway", add_help=False)
    _add_arguments(parser)
    arguments = parser.parse_args(words)
    _read_maps(arguments)
    _read_forwards(arguments)
    checked = [
        word for word in words if not word.startswith(("--control=", "--master=", "--sock="))
    ]
    if arguments.sock is not None:
        checked.append(f"--sock={_absolute(arguments.sock)}")
    if arguments.control is not None:
        checked.append(f"--control={_absolute(arguments.control)}")
    if arguments.master is not None:
        checked.append(f"--master={arguments.master}")
    return checked


def forwards_of(words: Sequence[str]) -> tuple[HostForward, ...]:
    """Which ports of this machine lead to guests, by words that L{check_words} has checked."""
    parser = _Strict(prog="distnet gateway", add_help=False)
    _add_arguments(parser)
    return _read_forwards(parser.parse_args(words))


def _add_arguments(gateway: argparse.ArgumentParser) -> None:
    gateway.add_argument(
        "--sock",
        type=_read_directory,
        metavar="DIRECTORY",
        help="of the switch (default: that of the only one that runs, else"
        f" {default_vde_directory()})",
    )
    gateway.add_argument(
        "--port", type=_port, default=0, metavar="N", help="of the switch (default: any)"
    )
    gateway.add_argument(
        "--mgmt",
        type=_read_path,
        metavar="PATH",
        help="the switch's management socket (-M): with it, a guest that dies is noticed",
    )
    gateway.add_argument(
        "--control",
        type=_read_path,
        metavar="PATH",
        help="the control socket of the master (default: that of the only one that runs)",
    )
    gateway.add_argument(
        "--master",
        metavar="ADDRESS",
        type=_read_master,
        help="where it listens: HOST:PORT, unix:PATH (default: ask it, else 127.0.0.1:1234)",
    )
    gateway.add_argument(
        "--map",
        metavar="IP=N",
        action="append",
        default=[],
        help="the guest with this address is node N, for which the master has --node N=...; may"
        " be repeated",
    )
    gateway.add_argument(
        "--map-zcore",
        action="store_true",
        help="the guest at 10.0.2.(15+n), a zCore with IP=n, is node n",
    )
    gateway.add_argument(
        "--nat",
        action="store_true",
        help="let guests reach the network of this machine, but not the machine's own loopback",
    )
    gateway.add_argument(
        "--forward",
        metavar="[ADDRESS:]PORT=IP:PORT[/udp]",
        action="append",
        default=[],
        help="a port of this machine leads to one of the guest with this address: of TCP unless"
        " /udp is given, and of 127.0.0.1 unless an address is; may be repeated",
    )
    # How 'distnet-vde --gateway' starts it; see supervise.
    gateway.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)


def _read_path(text: str) -> str:
    """The path of a unix socket; as it is written, since not all of them are made absolute."""
    return _fitting(text, "")


def _read_directory(text: str) -> str:
    """The directory of the switch, in which there is a socket of the gateway's own, too."""
    return _fitting(text, _LONGEST_NAME)


def _fitting(text: str, name: str) -> str:
    if (problem := long_path(_absolute(text), name)) is not None:
        raise argparse.ArgumentTypeError(f"{text}: {problem}")
    return text


def run(arguments: Any) -> None:
    """Run a gateway in this process, until a signal stops it. Raises DistnetError."""
    # Twisted is not for everybody who only wants another command.
    from distnet.gateway.process import run_gateway
    from distnet.gateway.service import Settings

    management: str | int | None = arguments.mgmt and _absolute(arguments.mgmt)
    if arguments.supervised:
        os.set_inheritable(CONSOLE_DESCRIPTOR, False)
        management = CONSOLE_DESCRIPTOR
    try:
        nodes, forwards = _read_maps(arguments), _read_forwards(arguments)
    except (BadMap, BadForward) as error:
        raise type(error)(f"{error} (see distnet gateway --help)") from None
    run_gateway(
        Settings(
            directory=_absolute(arguments.sock or find_vde_directory("--sock DIRECTORY")),
            control=arguments.control and _absolute(arguments.control),
            port=arguments.port,
            management=management,
            master=arguments.master,
            nodes=nodes,
            nat=arguments.nat,
            forwards=forwards,
        ),
        supervised=arguments.supervised,
    )


def _read_maps(arguments: Any) -> dict[bytes, int]:
    try:
        return parse_maps(arguments.map, arguments.map_zcore, PLAN)
    except ValueError as error:
        raise BadMap(f"--map: {error}") from None


def _read_forwards(arguments: Any) -> tuple[HostForward, ...]:
    try:
        return parse_forwards(arguments.forward, PLAN)
    except ValueError as error:
        raise BadForward(f"--forward: {error}") from None


def _read_master(text: str) -> Near:
    try:
        address = near(parse(text))
    except (BadAddress, NoListener) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return UnixAddress(_absolute(address.path)) if isinstance(address, UnixAddress) else address


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a port")
    return int(text)


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


class _Strict(argparse.ArgumentParser):
    """Raises what it does not like, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message.removeprefix("argument "))
