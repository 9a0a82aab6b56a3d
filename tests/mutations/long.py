"""Mistakes that the long runs must notice, in the short time that they have in the suites."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_BRIDGE = "distnet/switch/core/bridge.py"
_DELIVERY = "distnet/switch/core/delivery.py"
_VLAN = "distnet/switch/core/vlans.py"
_WIRE = "distnet/switch/core/vdewire.py"
_CONSOLE = "distnet/switch/console/machine.py"
_VDE = "distnet/switch/plugs/vde.py"

_SANS_IO = ("tests.unit.switch.core.test_long_run.LongRunTests.test_sans_io",)
_SOCKETS = ("tests/integration/test_long_run.py::test_sockets",)

MUTATIONS = (
    Mutation(
        "long-leak-by-flood",
        "10^6 random frames without a frame of a VLAN in another",
        _VLAN,
        "            del port.home.untagged[port.number]\n            port.home.changed()\n",
        "            del port.home.untagged[port.number]\n",
        _SANS_IO,
    ),
    Mutation(
        "long-leak-by-address",
        "10^6 random frames without a frame of a VLAN in another",
        _VLAN,
        "        self._fdb.forget_port(port)\n        self._leave_home(port)\n        port.home",
        "        self._leave_home(port)\n        port.home",
        _SANS_IO,
    ),
    Mutation(
        "long-leak-by-hidden-tag",
        "10^6 random frames without a frame of a VLAN in another",
        _BRIDGE,
        "        misled = [target for target in targets if shown in target.port.tagged]\n",
        "        misled: list[Endpoint] = []\n",
        _SANS_IO,
    ),
    Mutation(
        "long-wrong-form",
        "10^6 random frames without a frame of a VLAN in another: with a tag or without",
        _BRIDGE,
        "        elif known.port.home is vlan:\n            self._deliver_plain(",
        "        elif known.port.home is not None:\n            self._deliver_plain(",
        _SANS_IO,
    ),
    Mutation(
        "long-to-one-who-left",
        "10^6 random frames: nothing is sent to whoever has left",
        _BRIDGE,
        "        self.vlans.endpoints_changed(port)\n        if not port.endpoints:\n",
        "        if not port.endpoints:\n",
        _SANS_IO,
    ),
    Mutation(
        "long-not-counted",
        "10^6 random frames, each counted",
        _DELIVERY,
        "            target.port.counters.sent.add(len(frame))\n",
        "            pass\n",
        _SANS_IO,
    ),
    Mutation(
        "long-overtaken",
        "10^6 random frames, in order",
        _DELIVERY,
        "            if not target.blocked and target.link.send(frame):\n"
        "                sent = port",
        "            if target.link.send(frame):\n                sent = port",
        _SANS_IO,
    ),
    Mutation(
        "long-cut-request",
        "10^6 random control requests without a crash",
        _WIRE,
        "    if len(data) < address_at + 3:\n",
        "    if not data:\n",
        _SANS_IO,
    ),
    Mutation(
        "long-reply-with-more",
        "10^6 random control requests without a crash",
        _WIRE,
        "    return _parse_address(data[: _ADDRESS.size])\n",
        "    return _parse_address(data)\n",
        _SANS_IO,
    ),
    Mutation(
        "long-console-refusal",
        "10^6 random control requests without a crash: the console answers each line",
        _CONSOLE,
        "        except BridgeError as error:\n            raise CommandError(error.number)",
        "        except RecursionError as error:\n            raise CommandError(1)",
        _SANS_IO,
    ),
    Mutation(
        "long-descriptor-leaks",
        "10^5 through real sockets without a leak of descriptors",
        _VDE,
        "        self._socket.close()\n        if self._path is not None:\n",
        "        kept = self._bridge.__dict__.setdefault('kept', [])\n"
        "        kept.append(self._socket)\n"
        "        if self._path is not None:\n",
        _SOCKETS,
        Runner.PYTEST,
    ),
    Mutation(
        "long-client-not-forgotten",
        "10^5 through real sockets without a leak: the switch stops in good order",
        _VDE,
        "        self._clients.discard(client)\n",
        "        pass\n",
        _SOCKETS,
        Runner.PYTEST,
    ),
    Mutation(
        "long-leak-at-sockets",
        "10^5 through real sockets without a frame of a VLAN in another",
        _VLAN,
        "            del port.home.untagged[port.number]\n            port.home.changed()\n",
        "            del port.home.untagged[port.number]\n",
        _SOCKETS,
        Runner.PYTEST,
    ),
)
