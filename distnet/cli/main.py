"""The C{distnet} command: look at a master, talk to kernels, get QEMU's options.

Exit status: 0 done; 1 not done, with the reason in one line; 2 wrong usage; 3 no master.
"""

from __future__ import annotations

import argparse
import contextlib
import http
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from distnet.address import TlsAddress, UnixAddress
from distnet.cli.arguments import (
    NotDone,
    Parser,
    ShowVersion,
    read_address,
    read_count,
    read_node,
    read_seconds,
)
from distnet.cli.qemu_args import add_qemu_arguments, qemu_args
from distnet.cli.report import show_status, show_switch
from distnet.client.blocking import Client
from distnet.cluster.cli import add_cluster
from distnet.control.ask import NoMaster, ask, find, find_switch
from distnet.control.paths import SWITCH, tools_beside
from distnet.errors import DistnetError
from distnet.gateway.cli import add_gateway

DONE: Final = 0
NOT_DONE: Final = 1
NO_MASTER: Final = 3

SAFE_PAYLOAD: Final = range(16, 4097)
"""Payloads, in bytes, on which a zCore does not panic."""

_PING: Final = b"distnet ping"
_SETTLE_SECONDS: Final = 2.0
"""How long a node that has read its id may take to settle, before it is sent to all the same."""
_LOOK_SECONDS: Final = 0.05


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = make_parser().parse_args(words)
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except NoMaster as error:
        return _fail(error, NO_MASTER)
    except BrokenPipeError:
        # Whoever read the output, like head, has enough; Python is not to try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_DONE
    except (NotDone, DistnetError, OSError) as error:
        return _fail(error, NOT_DONE)
    except KeyboardInterrupt:
        return NOT_DONE
    return DONE


def _fail(error: Exception, status: int) -> int:
    why = str(error)
    if isinstance(error, OSError) and error.strerror:
        why = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"distnet: {why}", file=sys.stderr)
    return status


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="distnet",
        description="Look at a distnet master, talk to its kernels, get QEMU's options.",
        epilog="Exit status: 0 done; 1 not done; 2 wrong usage; 3 no master.",
    )
    parser.add_argument(
        "--version",
        action=ShowVersion,
        nargs=0,
        help="show the version, and whether native code runs, and exit",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], None], help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        made.add_argument(
            "--control",
            metavar="PATH",
            help="the control socket of the master (default: that of the only one that runs)",
        )
        return made

    def talker(name: str, run: Callable[[Any], None], help: str) -> argparse.ArgumentParser:
        made = command(name, run, help)
        made.add_argument(
            "--master",
            metavar="ADDRESS",
            type=read_address,
            help="where to connect: HOST:PORT, unix:PATH (default: the master's socket for tools,"
            " beside the control socket, where no kernel's id is used up)",
        )
        return made

    status = command(
        "status",
        _status,
        "Show the nodes of a master, or what is plugged into a switch, and what was not delivered.",
    )
    status.add_argument("--json", action="store_true", help="as the control interface has it")
    status.add_argument(
        "--switch",
        nargs="?",
        const="",
        metavar="DIRECTORY",
        help="of the switch instead that clients of VDE find there (default: of the only one that"
        " runs, or that of --control)",
    )

    disconnect = command(
        "disconnect",
        _disconnect,
        "End the connection of a node, one whose machine has died, say. What becomes of its id and"
        " of what waits for it is what becomes of them whenever a connection is lost.",
    )
    disconnect.add_argument("node", type=read_node, metavar="ID")

    send = talker("send", _send, "Send a message to a node.")
    send.add_argument("dest", type=read_node, metavar="DEST", help="the id")
    send.add_argument(
        "text", nargs="?", default="-", metavar="TEXT", help="or - for standard input"
    )
    send.add_argument(
        "--force",
        action="store_true",
        help=f"also fewer than {SAFE_PAYLOAD[0]} or more than {SAFE_PAYLOAD[-1]} bytes,"
        f" on which a zCore panics",
    )

    recv = talker("recv", _recv, "Get an id, and print the messages that are sent to it.")
    recv.add_argument("--count", type=read_count, metavar="N", help="end after so many")
    recv.add_argument(
        "--timeout", type=read_seconds, metavar="SECONDS", help="end if none comes for so long"
    )
    recv.add_argument("--echo", action="store_true", help="send each back to where it came from")
    recv.add_argument("--raw", action="store_true", help="payloads alone, as they are")

    ping = talker(
        "ping",
        _ping,
        "Send a node messages of 16 bytes and time its answers. It answers if its program sends"
        " something back: 'distnet recv --echo' does, a zCore does not.",
    )
    ping.add_argument("dest", type=read_node, metavar="ID")
    ping.add_argument(
        "--count", type=read_count, default=4, metavar="N", help="(default: %(default)s)"
    )
    ping.add_argument(
        "--timeout",
        type=read_seconds,
        default=2.0,
        metavar="SECONDS",
        help="(default: %(default)s)",
    )

    add_qemu_arguments(
        command(
            "qemu-args",
            qemu_args,
            "Print the options with which QEMU finds the master, or plugs into the switch.",
        )
    )
    add_gateway(commands)
    add_cluster(commands)
    return parser


# Commands


def _status(arguments: Any) -> None:
    if arguments.switch is not None:
        _switch_status(arguments)
        return
    _, status = ask(_control(arguments), "/status")
    print(json.dumps(status, indent=1) if arguments.json else show_status(status, time.time()))


def _disconnect(arguments: Any) -> None:
    node = arguments.node
    status, answer = ask(_control(arguments), f"/nodes/{node}", method="DELETE")
    if status != http.HTTPStatus.OK:
        raise NotDone(f"node {node} is not connected")
    then = _IDS.get(answer["state"])
    print(f"node {node} is disconnected{'' if then is None else f'; its id is {then}'}")


def _switch_status(arguments: Any) -> None:
    control = arguments.control
    if control is None and arguments.switch:
        control = find_switch(arguments.switch)
    elif control is None:
        control = find(SWITCH, "--switch DIRECTORY")
    _, status = ask(control, "/status", kind=SWITCH)
    print(json.dumps(status, indent=1) if arguments.json else show_switch(status, time.time()))


def _send(arguments: Any) -> None:
    payload = sys.stdin.buffer.read() if arguments.text == "-" else os.fsencode(arguments.text)
    size = len(payload)
    if size not in SAFE_PAYLOAD and not arguments.force:
        raise NotDone(
            f"{size} bytes: a zCore panics on fewer than {SAFE_PAYLOAD[0]} and more than"
            f" {SAFE_PAYLOAD[-1]}; --force sends them all the same"
        )
    state = _state_of(arguments)
    with _client(arguments) as client:
        client.send(arguments.dest, payload)
    waits = f"; {_WAITS[state]}, so they wait for it" if state in _WAITS else ""
    print(f"{size} bytes sent to node {arguments.dest}{waits}")


def _recv(arguments: Any) -> None:
    with _client(arguments) as client:
        print(f"id {client.getid()}", file=sys.stderr, flush=True)
        received = 0
        while arguments.count is None or received < arguments.count:
            try:
                source, payload = client.recv(timeout=arguments.timeout)
            except TimeoutError:
                raise NotDone(f"no message for {arguments.timeout:g} s") from None
            received += 1
            _print_message(source, payload, arguments.raw)
            if arguments.echo:
                client.send(source, payload)


def _print_message(source: int, payload: bytes, raw: bool) -> None:
    if raw:
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
        return
    text = payload.decode(errors="replace")
    shown = text if text.isprintable() and "\ufffd" not in text else payload.hex(" ")
    print(f"from {source}, {len(payload)} bytes: {shown}", flush=True)


def _ping(arguments: Any) -> None:
    dest = arguments.dest
    state = _settled_state(arguments)
    if state == "expected":
        raise NotDone(f"node {dest} is not connected")
    note = f" ({_WAITS[state]}: it settles first)" if state in _WAITS else ""
    answers = 0
    with _client(arguments) as client:
        for number in range(1, arguments.count + 1):
            began = time.perf_counter()
            client.send(dest, _PING + number.to_bytes(4))
            with contextlib.suppress(TimeoutError):
                payload = _answer(client, dest, number, began + arguments.timeout)
                elapsed = (time.perf_counter() - began) * 1000
                print(f"{len(payload)} bytes from {dest}: {elapsed:.2f} ms{note}", flush=True)
                answers += 1
                note = ""
    print(f"{arguments.count} sent, {answers} answered")
    if not answers:
        raise NotDone(f"node {dest} did not answer within {arguments.timeout:g} s")


def _settled_state(arguments: Any) -> str:
    """
    The state of a node that is to be sent to; if it has read its id, not before it has settled,
    which is no part of how long it takes to answer. Raises L{NotDone}.
    """
    deadline = time.perf_counter() + min(_SETTLE_SECONDS, arguments.timeout)
    while (state := _state_of(arguments)) == "unsettled" and time.perf_counter() < deadline:
        # That it was asked for has it looked at.
        time.sleep(_LOOK_SECONDS)
    return state


def _answer(client: Client, source: int, number: int, deadline: float) -> bytes:
    """
    What a node sends back. Raises TimeoutError.

    @param number: of the message that is to be answered: an earlier one that comes back so late is
        no answer to this one.
    """
    earlier = {_PING + one.to_bytes(4) for one in range(1, number)}
    while (left := deadline - time.perf_counter()) > 0:
        sender, payload = client.recv(timeout=left)
        if sender == source and payload not in earlier:
            return payload
    raise TimeoutError


# What commands share


def _control(arguments: Any) -> str:
    """The control socket of the master that is meant. Raises L{SeveralRun}."""
    # Once for a command: another master may start meanwhile.
    arguments.control = arguments.control or find()
    return str(arguments.control)


def _client(arguments: Any) -> Client:
    address = arguments.master or UnixAddress(tools_beside(_control(arguments)))
    if isinstance(address, TlsAddress):
        raise NotDone("this command does not speak TLS: use a listener without it, or --control")
    return Client(address)


def _state_of(arguments: Any) -> str:
    """
    What the master says of the node that is to be sent to.

    @raise NotDone: what is sent to it would be refused.
    """
    if arguments.master is not None:
        return "settled"
    _, answer = ask(_control(arguments), f"/nodes/{arguments.dest}")
    state = str(answer["state"])
    if state in ("gone", "impossible"):
        raise NotDone(f"node {arguments.dest} {_WHY[state]}")
    return state


_WAITS: Final = {
    "expected": "it is not connected",
    "unsettled": "it has not read its id yet",
}
_IDS: Final = {
    "expected": "free for the next one",
    "gone": "not used again",
}
_WHY: Final = {
    "gone": "has left and will not come back",
    "impossible": "is not an id that a node has or can get",
}
