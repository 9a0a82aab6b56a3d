"""The command C{distnet qemu-args}: for a guest of the master, or on the switch."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from distnet.address import Address, TcpAddress, UnixAddress
from distnet.cli.arguments import (
    NotDone,
    read_address,
    read_count,
    read_dgram_address,
    read_nic,
    read_node,
)
from distnet.control.ask import NoMaster, ask, find, find_vde_directory, listener_for
from distnet.nic import about_bus, find_bus
from distnet.qemu import (
    ABOUT,
    DEFAULT_NIC,
    OLDEST,
    Form,
    SwitchForm,
    Version,
    about_restrict,
    about_switch_form,
    check_mac,
    check_switch_form,
    default_form,
    dgram_netdev,
    find_version,
    guest_arguments,
    guest_mac,
    has_netdev,
    make_up_mac,
    stream_netdev,
    switch_arguments,
    vde_netdev,
)


def add_qemu_arguments(qemu: argparse.ArgumentParser) -> None:
    """What C{distnet qemu-args} takes."""
    qemu.set_defaults(wrong=qemu.error)
    qemu.add_argument(
        "--node",
        "--guest",
        type=read_node,
        metavar="N",
        help="for the node that is pinned to id N; on the switch: which guest this is, for its MAC",
    )
    qemu.add_argument(
        "--form",
        choices=list(map(str, Form)),
        help="how QEMU connects to the master (default: tcp, or unix)",
    )
    qemu.add_argument(
        "--restrict",
        action=argparse.BooleanOptionalAction,
        help="let the guest reach the master alone; without, it reaches this machine, too, as"
        " 10.0.2.2, its loopback included (default: --restrict)",
    )
    qemu.add_argument("--arch", default="x86_64", help="qemu-system-ARCH (default: %(default)s)")
    qemu.add_argument(
        "--nic",
        type=read_nic,
        default=DEFAULT_NIC,
        metavar="MODEL",
        help="the guest's network card, e1000 or virtio-net-device for example, as QEMU's -device"
        " has it (default: %(default)s)",
    )
    where = qemu.add_mutually_exclusive_group()
    where.add_argument(
        "--master",
        metavar="ADDRESS",
        type=read_address,
        help="where the master listens (default: ask it, else 127.0.0.1:1234)",
    )
    where.add_argument(
        "--vde",
        nargs="?",
        const="",
        metavar="DIRECTORY",
        help="of the switch's sockets (default: that of the only switch that runs, else the usual)",
    )
    where.add_argument(
        "--stream",
        metavar="ADDRESS",
        type=read_address,
        help="where the switch listens with --stream: PORT, HOST:PORT, unix:PATH",
    )
    where.add_argument(
        "--dgram",
        metavar="ADDRESS",
        type=read_dgram_address,
        help="where the switch has --dgram: unix:PATH, udp:PORT, udp:HOST:PORT",
    )
    qemu.add_argument("--port", type=read_count, metavar="N", help="of the switch, for --vde")
    qemu.add_argument(
        "--mac",
        metavar="MAC",
        help="of the guest on the switch (default: from --guest N, else made up)",
    )


def qemu_args(arguments: Any) -> None:
    """
    Print the options.

    @raise NotDone: there is no such listener.
    @raise LocalError: they cannot be what is asked for.
    """
    form = _switch_form(arguments)
    found = find_version(arguments.arch)
    version = found or OLDEST
    if found is None:
        print(
            f"no qemu-system-{arguments.arch} here: the options are for QEMU {OLDEST}",
            file=sys.stderr,
        )
    if arguments.nic != DEFAULT_NIC:
        about = about_bus(arguments.nic, find_bus(arguments.arch, arguments.nic))
        if about is not None:
            print(about, file=sys.stderr)
    if form is not None:
        words = _on_the_switch(arguments, form, version)
    else:
        words = _to_the_master(arguments, version)
    print(shlex.join(words))


def _to_the_master(arguments: Any, version: Version) -> list[str]:
    address, pinned = _master_for_guests(arguments)
    form = Form(arguments.form) if arguments.form else default_form(address)
    restrict = arguments.restrict is not False
    words = guest_arguments(
        address, form, version=version, pinned=pinned, restrict=restrict, nic=arguments.nic
    )
    print(f"{form}: {ABOUT[form]}\n{about_restrict(restrict)}", file=sys.stderr)
    return words


def _switch_form(arguments: Any) -> SwitchForm | None:
    """How a guest plugs into the switch, if that is asked for. Ends the program on wrong usage."""
    forms = [form for form in SwitchForm if getattr(arguments, form) is not None]
    form = forms[0] if forms else None
    if form is not None and arguments.form is not None:
        arguments.wrong(f"argument --form: it is for the master, not for --{form}")
    if form is not None and arguments.restrict is not None:
        arguments.wrong(
            f"argument --restrict/--no-restrict: it is for the master, not for --{form}; on the"
            f" switch the gateway decides (its --nat)"
        )
    if form is not SwitchForm.VDE and arguments.port is not None:
        arguments.wrong(
            "argument --port: it is for --vde; elsewhere the switch gives one"
            " (twistd distnet-vde --stream N=ENDPOINT)"
        )
    if form is None and arguments.mac is not None:
        arguments.wrong("argument --mac: it is for --vde, --stream and --dgram")
    return form


def _on_the_switch(arguments: Any, form: SwitchForm, version: Version) -> list[str]:
    check_switch_form(form, version, has_netdev(arguments.arch, form))
    if arguments.mac is not None:
        mac = check_mac(arguments.mac)
    elif arguments.node is not None:
        mac = guest_mac(arguments.node)
    else:
        mac = make_up_mac()
        print(
            f"the MAC {mac} is made up: each guest needs its own, with --guest N or --mac MAC it"
            f" is the same next time",
            file=sys.stderr,
        )
    if form is SwitchForm.VDE:
        netdev = vde_netdev(_vde_directory(arguments.vde), arguments.port)
    elif form is SwitchForm.STREAM:
        netdev = stream_netdev(_absolute(arguments.stream), version)
    else:
        netdev = dgram_netdev(_absolute(arguments.dgram), mac)
    print(f"{form}: {about_switch_form(form, version)}", file=sys.stderr)
    return switch_arguments(netdev, mac, arguments.nic)


def _vde_directory(given: str) -> str:
    return str(Path(given or find_vde_directory("--vde DIRECTORY")).absolute())


def _absolute(where: Any) -> Any:
    """The same address, for a program that is started elsewhere."""
    if not isinstance(where, UnixAddress):
        return where
    return UnixAddress(str(Path(where.path).absolute()))


def _master_for_guests(arguments: Any) -> tuple[Address, bool]:
    """Where a guest finds the master, and whether that listener is for one node."""
    if arguments.master is not None:
        return arguments.master, arguments.node is not None
    try:
        _, status = ask(
            arguments.control or find(how="--control PATH or --master ADDRESS"), "/status"
        )
    except NoMaster as error:
        if arguments.node is not None:
            raise
        print(f"{error}; the options are for port 1234", file=sys.stderr)
        return TcpAddress("127.0.0.1", 1234), False
    scheme = arguments.form if arguments.form in (Form.UNIX, Form.TCP) else None
    address = listener_for(status["listeners"], arguments.node, scheme)
    if address is not None:
        return address, arguments.node is not None
    if arguments.node is not None:
        raise NotDone(
            f"the master has no such listener for node {arguments.node}:"
            f" start it with --node {arguments.node}=unix:PATH"
        )
    raise NotDone("the master has no such listener for kernels: start it with --port or --listen")
