"""One guest's process, native: what is the same for every guest. Not thread-safe."""

from collections.abc import Iterable

OUTWARD_NONE: int
OUTWARD_SYNS: int
OUTWARD_ALL: int
"""Which frames for the guest C{outward} is called with: none, those that connect to it, or all."""

class Guest:
    """
    A guest's process. It can be made before a fork(2), and run in the child; there is one in a
    process, for as long as that lives.
    """

    def __new__(
        cls, *, own: bytes, master: bytes, port: int, network: int, mask: int, fixed: bytes
    ) -> Guest:
        """
        Make it. Raises ValueError.

        @param own: the gateway's addresses, 4 bytes each.
        @param master: where guests find the master, 4 bytes; at C{port}.
        @param network: the first address of the guests' network, with C{mask}.
        @param fixed: the addresses of guests that are fixed nodes, 4 bytes each.
        """

    @property
    def proven(self) -> bool:
        """Whether the guest has answered."""

    @property
    def connections(self) -> int:
        """How many it has to the master."""

    def callbacks(self) -> dict[str, int]:
        """What libslirp is to call, by the callback's name, and with what: C{opaque}."""

    def use(self, instance: int, input: int, fill: int, poll: int) -> None:
        """Where libslirp's network is, and its functions."""

    def run(self, rest: object, mac: bytes, frames: int, channel: int, listener: int) -> None:
        """
        Go on until there is an exception, which is raised.

        @param rest: does what is not done here: see L{distnet.gateway.native_datapath.NativeRest}.
        @param mac: the guest's, 6 bytes.
        @param frames: the descriptor that its frames come from.
        @param channel: that of the gateway's messages.
        @param listener: where libslirp connects for the guest.
        """

    def wait_for(self, descriptor: int) -> None:
        """Have C{rest.turn} called when there is something to read; before L{run}."""

    def input(self, frame: bytes) -> None:
        """Hand libslirp a frame."""

    def turn(self) -> None:
        """Let libslirp go on with what it can."""

    def put(self, frame: bytes | bytearray) -> None:
        """Send the guest a frame."""

    def flush(self) -> None:
        """Send what was put, as far as there is room."""

    def tell(self, message: bytes) -> None:
        """Send the gateway a message."""

    def read(self) -> None:
        """Deal with frames of the guest's that have come."""

    def introduce(self, address: bytes) -> None:
        """Tell libslirp whose an address of the guest's is, 4 bytes. Raises ValueError."""

    def prove(self, is_syn: bool, is_answered: bool) -> None:
        """A frame has come that was taken; whether it connects, and if the guest was answered."""

    def segment(
        self, frame: bytes, address: bytes, port: int, flags: int, start: int, end: int, ack: int, /
    ) -> None:
        """Hand libslirp a segment for the master: see L{distnet.gateway.segments.Segment}."""

    def abort_all(self, why: str, to_guest: bool) -> None:
        """End all connections to the master; C{to_guest}: the guest is to know."""

    def found(self, number: int, name: bytes, port: int, cuts: bool) -> None:
        """
        The answer to question C{number}: where the master is.

        @param name: an IP address, with a port; or, if that is 0, the path of a unix socket, or
            its name in the abstract namespace behind a NUL.
        @param cuts: the master may send a stream, which is cut into segments here.
        """

    def not_found(self, number: int, why: bytes) -> None:
        """The answer to question C{number}: why the master is nowhere."""

    def doubt(self, address: bytes) -> None:
        """Somebody else connects from an address of this guest's. Raises ValueError."""

    def take_flows(self) -> list[tuple[bytes, bytes, bytes, int, float]]:
        """
        The connections that libslirp was let begin, which are Python's to count from now on.

        @return: see L{distnet.gateway.flows.Flows}; the next time nothing.
        """

    def hold(self, descriptors: Iterable[int]) -> None:
        """Do as if nothing came from these of libslirp's descriptors, and no others."""

    def set_outward(self, how: int) -> None:
        """Which frames for the guest C{rest.outward} is to see."""

    def set_asking(self, is_asking: bool) -> None:
        """Whether C{rest.received} is to see segments that are for others than the master."""

    def change_plug(self, descriptor: int) -> None:
        """Another plug, or -1: none."""

    def dropped(self) -> list[tuple[int, int]]:
        """Frames that were not sent: an errno, 0 without a switch, -1 without room; how many."""
