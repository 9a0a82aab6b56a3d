"""What is measured of routers as they are started, and what is to be reached.

Receivers read as a QEMU does for its guest, who must find each message whole in one segment; some
as a kernel does, each message in two reads. What is split is counted: at the default pace nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.goals import Goal
from bench.messages import How, Reader, stream
from bench.records import Measured
from bench.routercases import (
    CPU,
    RATE,
    SPLIT,
    RoundTrip,
    Stream,
    count_of,
    measured_of,
    stream_name,
)
from bench.routercontestants import (
    PACED,
    PACED_CONTESTANTS,
    PACED_PURE,
    PACED_UNIX,
    TOY,
    Contestant,
    started,
)
from bench.trips import P50

SIZES = (0, 64, 1024, 65536)
PAIRS = {How.BATCHED: 8, How.INTERLEAVED: 64, How.SINGLE: 8}
STILL_SECONDS = 0.1
"""How long readers stand still: not so long that server.py has no room for a message and ends."""
LEAST_TRIPS = 100


@dataclass(frozen=True, slots=True)
class Strict:
    """
    Readers that cannot put a message together.

    @ivar reader: how they read.
    @ivar still: whether they stand still again and again.
    """

    reader: Reader
    still: bool
    amount: Amount
    pairs: int = PAIRS[How.BATCHED]
    size: int = 1024
    contestants: Sequence[Contestant] = (PACED, PACED_PURE, TOY, PACED_UNIX)

    @property
    def name(self) -> str:
        """How they read."""
        return strict_name(self.reader, self.still)

    def measure(self, contestant: Contestant) -> Measured:
        """Send batches for a while: what was split, and the rate."""
        with started(contestant) as place:
            got = stream(
                place, How.BATCHED, pairs=self.pairs, size=self.size,
                seconds=self.amount.seconds, reader=self.reader,
                count=count_of(contestant, self.amount, self.pairs),
                still=STILL_SECONDS if self.still else 0,
            )  # fmt: skip
        return measured_of(got, self.reader)


def strict_name(reader: Reader, still: bool) -> str:
    """The name of a case of strict readers, which goals name too."""
    how = "a kernel reads" if reader is Reader.STRICT else "a QEMU reads"
    return f"{how}, and stands still" if still else how


STRICT = [(reader, still) for reader in (Reader.STRICT, Reader.CHUNKS) for still in (False, True)]


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases, which do less than others: what waits in sockets in the end takes longer here."""
    less = replace(amount, seconds=amount.seconds / 2, trips=max(LEAST_TRIPS, amount.trips // 4))
    return [
        *(
            Stream(how, pairs, size, less, PACED_CONTESTANTS)
            for how, pairs in PAIRS.items()
            for size in SIZES
        ),
        *(RoundTrip(False, less, size, PACED_CONTESTANTS) for size in SIZES),
        *(Strict(reader, still, less) for reader, still in STRICT),
    ]


TIMES = 3.0
"""What is to be reached of server.py's throughput."""
GOALS = (
    *(
        Goal(stream_name(how, pairs, size), RATE, TIMES)
        for how, pairs in PAIRS.items()
        for size in SIZES
    ),
    Goal(stream_name(How.BATCHED, PAIRS[How.BATCHED], 1024), CPU, 1 / TIMES, least=False),
    *(Goal(RoundTrip(False, Amount(), size).name, P50, 1.0, least=False) for size in SIZES),
    *(
        Goal(strict_name(reader, still), SPLIT, 0, least=False, pure=0, absolute=True)
        for reader, still in STRICT
    ),
)
COMPARED = {RATE: MORE, CPU: LESS, P50: LESS}
