"""The status of a master or a switch as text, from what its control interface says."""

from __future__ import annotations

from typing import Any

from distnet.text import amount, duration, printable, table, volume


def show_status(status: dict[str, Any], now: float) -> str:
    """
    What C{distnet status} prints.

    @param status: of C{/status}.
    @param now: in seconds since the epoch.
    """
    lines = [
        f"distnet {status['distnet']}, pid {status['pid']},"
        f" up {duration(now - status['started'])}, {status['ids']} ids"
    ]
    lines += [f"  listening at {_listener(listener)}" for listener in status["listeners"]]
    nodes = status["nodes"]
    lines.append("")
    if nodes:
        lines += table(
            ["ID", "STATE", "FROM", "SINCE", "SENT", "GOT", "WAITING"],
            [_node(node, now) for node in nodes],
        )
    else:
        lines.append("no nodes are connected")
    absent = [box for box in status["mailboxes"] if not box["connected"]]
    if absent:
        lines.append("")
        lines += [f"waiting for node {box['id']}: {_amount(box['waiting'])}" for box in absent]
    counters = status["counters"]
    lines += ["", f"received {_amount(counters['received'])}"]
    lines.append(f"delivered {_amount(counters['delivered'])}")
    lines += [
        f"not delivered, {reason}: {_amount(tally)}"
        for reason, tally in counters["undelivered"].items()
        if tally["messages"]
    ]
    return "\n".join(lines)


def show_switch(status: dict[str, Any], now: float) -> str:
    """
    What C{distnet status --switch} prints.

    @param status: of C{/status}.
    @param now: in seconds since the epoch.
    """
    lines = [
        f"distnet-vde {status['distnet']}, pid {status['pid']},"
        f" up {duration(now - status['started'])}, {'hub' if status['hub'] else 'switch'}",
        f"  listening in {status['directory']} for VDE",
    ]
    # A switch that was started before an upgrade does not tell them.
    lines += [f"  listening at {_plug(listener)}" for listener in status.get("listeners", ())]
    lines.append("")
    rows = [
        _endpoint(port, endpoint, now) for port in status["ports"] for endpoint in port["endpoints"]
    ]
    if rows:
        lines += table(["PORT", "VLAN", "STATE", "WAITING", "MODULE", "WHO"], rows)
    else:
        lines.append("nothing is plugged in")
    counters = status["counters"]
    lines += ["", f"received {_frames(counters['received'])}", f"sent {_frames(counters['sent'])}"]
    lines += [
        f"not delivered, {reason}: {_frames(tally)}"
        for reason, tally in counters["undelivered"].items()
        if tally["frames"]
    ]
    if contested := status.get("contested"):
        lines.append(f"two ports took turns to send from one address: {contested} times")
    return "\n".join(lines)


def _endpoint(port: dict[str, Any], endpoint: dict[str, Any], now: float) -> list[str]:
    state = "paused" if endpoint["paused"] else "plugged in"
    if endpoint["slow_since"] is not None:
        state = f"slow for {duration(now - endpoint['slow_since'])}"
    return [
        str(port["number"]),
        "-" if port["vlan"] is None else str(port["vlan"]),
        state,
        _frames(endpoint["waiting"]) if endpoint["waiting"]["frames"] else "-",
        endpoint["module"],
        printable(endpoint["description"]) or "-",
    ]


def _plug(listener: dict[str, Any]) -> str:
    port = "" if listener["port"] is None else f", port {listener['port']}"
    return f"{listener['address']} for -netdev {listener['kind']}{port}"


def _frames(tally: dict[str, int]) -> str:
    unit = "frame" if tally["frames"] == 1 else "frames"
    return f"{tally['frames']} {unit} ({volume(tally['bytes'])})"


def _listener(listener: dict[str, Any]) -> str:
    if listener["tools"]:
        whom = "tools"
    elif listener["node"] is not None:
        whom = f"node {listener['node']}"
    else:
        whom = "kernels"
    return f"{listener['address']} for {whom}"


def _node(node: dict[str, Any], now: float) -> list[str]:
    state = node["state"]
    if state == "paused":
        state = f"paused for {node['paused_for']}"
    return [
        str(node["id"]),
        state,
        node["peer"],
        duration(now - node["since"]),
        _amount(node["received"]),
        _amount(node["delivered"]),
        _amount(node["waiting"]) if node["waiting"]["messages"] else "-",
    ]


def _amount(tally: dict[str, int]) -> str:
    return amount(tally["messages"], tally["bytes"])
