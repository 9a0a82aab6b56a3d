"""What guests reach through the gateway."""

from __future__ import annotations

import os
import select
import shutil
import socket
import struct
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.daemons import eventually
from tests.gateways import Gateway
from tests.hosts import other_machine
from tests.masters import Master
from tests.sites import Site
from tests.switches import mac

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]


@pytest.mark.parametrize("words", [(), ("--nat",)], ids=["", "nat"])
def test_pings(site: Site, words: tuple[str, ...]) -> None:
    """The gateway's addresses answer pings, short ones, and long ones that come in fragments."""
    site.use_gateway(*words)
    with site.machine("10.0.2.15") as machine:
        for address in ("10.0.2.16", "10.0.2.2", *(["10.0.2.3"] if words else [])):
            for size in ("0", "56", "1472", "4000", "20000"):
                ping = machine.run("ping", "-c", "2", "-i", "0.1", "-W", "5", "-s", size, address)
                assert " 0% packet loss" in ping.stdout, ping.stdout


def test_the_second_name_server(site: Site, tmp_path: Path) -> None:
    """With --nat, guests' questions go to the next name server when the first does not answer."""
    question = struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + b"\1a\0\0\1\0\1"
    with other_machine() as far:
        server = far.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((far.address, 53))
        # Nobody has the first one: RFC 5737.
        site.use_gateway("--nat", within=resolving(tmp_path, "192.0.2.1", far.address))
        with (
            server,
            site.machine("10.0.2.15") as machine,
            machine.entered(),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        ):

            def asked() -> bytes:
                near.sendto(question, ("10.0.2.3", 53))
                if select.select([server, near], [], [], 0.5)[0] == [server]:
                    data, sender = server.recvfrom(1000)
                    server.sendto(data[:2] + b"\x81\x80" + data[4:], sender)
                if select.select([near], [], [], 0.5)[0]:
                    return near.recv(1000)
                return b""

            answer = eventually("there is an answer", asked)
            assert answer[:4] == question[:2] + b"\x81\x80"


def resolving(directory: Path, *servers: str) -> list[str]:
    """A command that runs another where C{/etc/resolv.conf} names these servers."""
    path = directory / "resolv.conf"
    path.write_text("".join(f"nameserver {server}\n" for server in servers))
    mount = f'mount --bind {path} /etc/resolv.conf && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh"]


def test_no_name_server(site: Site, tmp_path: Path) -> None:
    """Where there is no name server, nobody is promised one."""
    site.use_gateway("--nat", within=resolving(tmp_path))
    assert "DNS and NAT" not in site.gateway.log()
    with site.crowd() as crowd:
        guest = crowd.join(mac(0x7000))
        guest.ask_for_address()
        crowd.until("it has an address", lambda: guest.address)
        assert 3 in guest.options
        assert 6 not in guest.options


def test_where_it_looks_for_the_master(site: Site, tmp_path: Path) -> None:
    """The log names the socket where the master was last, when it is not there any more."""
    master = Master(tmp_path, "--port", "0").start()
    try:
        gateway = Gateway(tmp_path, site.switch, "--control", master.control)
        site.end_gateway()
        gateway.start()
        try:
            with site.machine("10.0.2.15") as machine:
                with machine.connect() as kernel:
                    kernel.read_id()
                    log = gateway.wait_for_log("is node 0")
                    place = log.partition("connected to the master at ")[2].split()[0]
                    master.kill()
                    assert kernel.is_closed()
                with machine.connect():
                    log = gateway.wait_for_log("waits for the master")
                    (line,) = [line for line in log.splitlines() if "waits for" in line]
                    assert f"({place}: " in line
        finally:
            gateway.stop()
    finally:
        master.kill()
