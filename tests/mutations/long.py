"""Mistakes that the long runs must notice, in the short time that they have in the suites."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "long-leak-by-flood",
        "10^6 random frames without a frame of a VLAN in another",
        "VlanTable._leave_home",
        "del port.home.untagged[port.number]\nself._has_changed(port.home)",
        "del port.home.untagged[port.number]",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-leak-by-address",
        "10^6 random frames without a frame of a VLAN in another",
        "VlanTable.set_untagged",
        "self._fdb.forget_port(port)\nself._leave_home(port)\nport.home",
        "self._leave_home(port)\nport.home",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-leak-by-hidden-tag",
        "10^6 random frames without a frame of a VLAN in another",
        "Bridge._deliver_plain",
        "misled = [target for target in targets if shown in target.port.tagged]",
        "misled: list[Endpoint] = []",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-wrong-form",
        "10^6 random frames without a frame of a VLAN in another: with a tag or without",
        "Bridge._forward_tagged",
        "elif known.port.home is vlan:\n    self._deliver_plain(",
        "elif known.port.home is not None:\n    self._deliver_plain(",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-to-one-who-left",
        "10^6 random frames: nothing is sent to whoever has left",
        "Bridge.detach",
        "self.vlans.endpoints_changed(port)\nif not port.endpoints:",
        "if not port.endpoints:",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-not-counted",
        "10^6 random frames, each counted",
        "Delivery._offer",
        "target.port.counters.sent.add(len(frame))",
        "pass",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-overtaken",
        "10^6 random frames, in order",
        "Delivery.deliver",
        "if not target.blocked and target.link.send(frame):\n    sent = port",
        "if target.link.send(frame):\n    sent = port",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-cut-request",
        "10^6 random control requests without a crash",
        "parse_request",
        "if len(data) < address_at + 3:",
        "if not data:",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-reply-with-more",
        "10^6 random control requests without a crash",
        "parse_reply",
        "return _parse_address(data[: _ADDRESS.size])",
        "return _parse_address(data)",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-console-refusal",
        "10^6 random control requests without a crash: the console answers each line",
        "ConsoleSession._execute",
        "except BridgeError as error:\n    raise CommandError(error.number)",
        "except RecursionError as error:\n    raise CommandError(1)",
        ("LongRunTests.test_sans_io",),
    ),
    Mutation(
        "long-descriptor-leaks",
        "10^5 through real sockets without a leak of descriptors",
        "DataSocket.release",
        "self._socket.close()\nif self._path is not None:",
        "kept = self._bridge.__dict__.setdefault('kept', [])\n"
        "kept.append(self._socket)\n"
        "if self._path is not None:",
        ("test_sockets",),
    ),
    Mutation(
        "long-client-not-forgotten",
        "10^5 through real sockets without a leak: the switch stops in good order",
        "VdeService.disconnected",
        "self._clients.discard(client)",
        "pass",
        ("test_sockets",),
    ),
    Mutation(
        "long-leak-at-sockets",
        "10^5 through real sockets without a frame of a VLAN in another",
        "VlanTable._leave_home",
        "del port.home.untagged[port.number]\nself._has_changed(port.home)",
        "del port.home.untagged[port.number]",
        ("test_sockets",),
    ),
)
