"""Mistakes of what plugs into the switch besides VDE: taps and datagrams; limits, failed starts."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_DGRAM = "distnet/switch/plugs/dgram.py"
_DGRAM_UDP = "distnet/switch/plugs/dgram_udp.py"
_DGRAM_UNIX = "distnet/switch/plugs/dgram_unix.py"
_TAP = "distnet/switch/plugs/tap.py"
_OPTIONS = "distnet/switch/options.py"

_UNIX = "tests.unit.switch.plugs.test_dgram.UnixPeerTests"
_UDP = "tests.unit.switch.plugs.test_dgram.UdpPeerTests"
_LISTENERS = "tests.unit.switch.plugs.test_dgram.ListenerTests"
_TUNTAP = "tests.unit.switch.plugs.test_tap"
_COMMAND_LINE = "tests.unit.switch.test_options.OptionsTests"
_REAL_DGRAM = "tests/integration/test_dgram.py"
_REAL_TAP = "tests/integration/test_tap_interface.py"

MUTATIONS = (
    Mutation(
        "tap-with-a-header",
        "frames pass whole between a tap and the switch",
        _TAP,
        "_IFF_TAP | _IFF_NO_PI",
        "_IFF_TAP",
        (f"{_REAL_TAP}::test_frames_are_whole",),
        Runner.PYTEST,
    ),
    Mutation(
        "tap-removed-unnoticed",
        "an interface that is removed is unplugged",
        _TAP,
        '        _log.warn("the interface {name} has gone", name=self.description)\n'
        "        self._service.unplug()\n",
        "        self.release()\n",
        (f"{_TUNTAP}.TapServiceTests.test_ends",),
    ),
    Mutation(
        "tap-after-the-privileges",
        "a tap is opened while there are privileges",
        _TAP,
        "    def privilegedStartService(self)",
        "    def startService(self)",
        (f"{_TUNTAP}.TapServiceTests.test_plugged_in",),
    ),
    Mutation(
        "tap-name-cut",
        "the name of an interface that is too long is refused",
        _TAP,
        "    if not 0 < len(os.fsencode(name)) <= MAX_NAME:",
        "    if not name:",
        (f"{_TUNTAP}.NameTests.test_names", f"{_COMMAND_LINE}.test_plugs"),
    ),
    Mutation(
        "tap-left-open",
        "a tap that cannot be had leaves no descriptor",
        _TAP,
        "        undo.callback(os.close, descriptor)\n",
        "",
        (f"{_TUNTAP}.OpenTests.test_advice",),
    ),
    Mutation(
        "module-of-vde-for-all",
        "port/print says what kind of link an endpoint has",
        "distnet/switch/console/ports.py",
        "{endpoint.link.module:<12}",
        "{'unix prog':<12}",
        ("tests.unit.switch.console.test_shows.PrintTests.test_port",),
    ),
    Mutation(
        "failed-start-leaves-sockets",
        "a failed start leaves no sockets and directories behind",
        "distnet/daemon/process.py",
        "            self._undo()\n",
        "",
        (f"{_REAL_TAP}::test_nothing_is_left",),
        Runner.PYTEST,
    ),
    Mutation(
        "restarted-qemu-forgotten",
        "a QEMU that was started again at its path goes on at its port",
        _DGRAM_UNIX,
        "                self._socket.connect(self.address)\n",
        "                raise error\n",
        (f"{_UNIX}.test_connected_again", f"{_UNIX}.test_connected_again_and_full"),
    ),
    Mutation(
        "unplugged-while-the-bridge-sends",
        "nothing calls back into the bridge from within a send",
        _DGRAM,
        "            self._leaving = self._reactor.callLater(0, self._leave)\n",
        "            self.ended()\n",
        (f"{_UNIX}.test_not_there", f"{_UDP}.test_refused"),
    ),
    Mutation(
        "dead-peer-stays",
        "a peer that is found gone is unplugged",
        _DGRAM_UNIX,
        "            except OSError:\n                self.leave()\n",
        "            except OSError:\n                pass\n",
        (f"{_UNIX}.test_not_there",),
    ),
    Mutation(
        "pause-of-one-forgotten",
        "a paused unix peer pauses the socket that all send to",
        _DGRAM,
        "            if not self._paused and self._socket is not None:\n",
        "            if self._socket is not None:\n",
        (f"{_UNIX}.test_pause",),
    ),
    Mutation(
        "paused-for-ever-by-one-that-left",
        "a peer that leaves while paused does not keep the others waiting",
        _DGRAM,
        "            del self.peers[peer.address]\n        self.resume(peer)\n",
        "            del self.peers[peer.address]\n",
        (f"{_UNIX}.test_pause",),
    ),
    Mutation(
        "empty-datagram-is-the-end",
        "an empty datagram is a frame that is too short",
        _DGRAM,
        "    empty_is_the_end = False\n",
        "",
        (f"{_UDP}.test_empty_datagrams",),
    ),
    Mutation(
        "overrun-not-counted",
        "what the kernel has dropped at a UDP socket is counted",
        _DGRAM_UDP,
        "        if self._open:\n            self._count_dropped()\n",
        "",
        (f"{_UDP}.test_overrun",),
    ),
    Mutation(
        "port-shared-with-thieves",
        "no other process gets datagrams of ours",
        _DGRAM_UDP,
        "            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)\n",
        "            pass\n",
        (f"{_REAL_DGRAM}::test_port_in_use",),
        Runner.PYTEST,
    ),
    Mutation(
        "unnamed-sender-not-expected",
        "a sender that cannot be answered is refused with a line in the log",
        _DGRAM_UNIX,
        "        if not address:\n            raise",
        '        if address == "":\n            raise',
        (f"{_UNIX}.test_unanswerable",),
    ),
    Mutation(
        "socket-for-everybody",
        "the socket has mode 0600 unless another is given",
        _DGRAM_UNIX,
        "            Path(self._listener.path).chmod(self._listener.mode)\n",
        "            Path(self._listener.path).chmod(0o666)\n",
        (f"{_REAL_DGRAM}::test_permissions",),
        Runner.PYTEST,
    ),
    Mutation(
        "live-socket-of-datagrams-is-something-else",
        "a path where a live switch listens is refused, with what to do",
        "distnet/sockets/listen.py",
        "            if error.errno != errno.EPROTOTYPE:\n",
        "            if error.errno:\n",
        (f"{_REAL_DGRAM}::test_stale_socket",),
        Runner.PYTEST,
    ),
    Mutation(
        "udp-on-all-interfaces",
        "UDP listens on loopback unless a host is named",
        _DGRAM_UDP,
        "        host = LOOPBACK\n",
        '        host = "0.0.0.0"\n',
        (f"{_LISTENERS}.test_udp",),
    ),
    Mutation(
        "strays-are-the-peers",
        "what others send while a peer gets its socket is theirs",
        _DGRAM,
        "                self._arrived(stray, source)\n",
        "                self.bridge.received(peer.endpoint, stray)\n",
        ("tests.unit.switch.plugs.test_dgram.StraysTests.test_strays",),
    ),
    Mutation(
        "held-less-than-a-frame",
        "the limits that have an option can be raised together",
        _OPTIONS,
        "            held_bytes=max(max_frame, _LIMITS.held_bytes),\n",
        "            held_bytes=max_frame,\n",
        (f"{_COMMAND_LINE}.test_limits",),
    ),
    Mutation(
        "limits-not-checked",
        "limits that cannot be used are refused by the line that names them",
        _OPTIONS,
        "        problem = limits.problem()\n        if problem is not None:\n"
        "            raise ValueError(problem)\n        return limits\n",
        "        return limits\n",
        (f"{_COMMAND_LINE}.test_limits",),
    ),
)
