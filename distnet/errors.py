"""What may go wrong, as a small tree: our own misuse, a peer's bad bytes, what the machine refused.

Whatever bytes a peer sends, only a L{PeerError} comes out of the sans-IO core.
"""


class DistnetError(Exception):
    """The root of the tree."""


class LocalError(DistnetError):
    """distnet, or a program that uses it as a library, called something wrongly."""


class PeerError(DistnetError):
    """A peer broke the protocol; its connection is closed, nobody else's."""


class OversizedPayload(PeerError):
    """
    A header announced more payload than is allowed.

    @ivar length: what the header said, in bytes.
    @ivar limit: the most that is allowed, in bytes.
    """

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"a header announces {length} bytes of payload, max-payload is {limit}")
        self.length = length
        self.limit = limit


class ImplausibleResume(PeerError):
    """The first bytes of a resumed connection are not at the start of a message."""


class Refused(DistnetError):
    """A connection cannot become a node."""


class NoFreeId(Refused):
    """Every id up to the highest is taken."""


class NodeBusy(Refused):
    """A second connection came for a pinned node whose first one lives."""


class MachineError(DistnetError):
    """The machine refused something: a port in use, a directory that is not writable."""


class StartupError(MachineError):
    """The daemon cannot start; the message is one line that says what to do."""
