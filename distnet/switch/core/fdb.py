"""The forwarding database: behind which port an address is, in each VLAN, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distnet.mac import is_group
from distnet.switch.core.errors import InvalidValue
from distnet.switch.core.records import FdbEntry, FdbTable, Port

DEFAULT_EXPIRE_SECONDS = 100
DEFAULT_SWEEP_SECONDS = 2
DEFAULT_MIN_PERSISTENCE_SECONDS = 3
DEFAULT_SIZE = 128
TURNS = 3
"""So often two ports must take turns in sending from an address until it is one of both."""
TURN_SECONDS = 60
"""After so long without a turn, nothing is known of turns."""

_NO_ADDRESS = bytes(6)


class ForwardingDatabase:
    """
    Addresses by VLAN; never a group address, nor the one of six zeros.

    The caller says what time it is, and calls L{sweep} as often as C{sweep_seconds} says.

    @ivar expire_seconds: an address not seen for so long is forgotten (C{hash/setexpire}).
    @ivar sweep_seconds: how often L{sweep} looks for those (C{hash/setgcint}); 0 never.
    @ivar min_persistence_seconds: an address stays so long where it was seen before it may move
        (C{hash/setminper}).
    @ivar size: buckets, as C{hash/setsize} sets them: rounded up to a power of 2, and without an
        effect on this table, which grows.
    @ivar max_addresses: no more than so many.
    @ivar refused: how often an address was not learned since there were so many.
    @ivar contested: how often a port took its turn with another in sending from one address. One
        that moves takes none: its port of before is silent then.
    """

    def __init__(
        self,
        max_addresses: int,
        learned: Callable[[FdbEntry], None],
        forgotten: Callable[[FdbEntry], None],
        full: Callable[[], None],
        contest: Callable[[FdbEntry, Port], None],
    ) -> None:
        """
        @param contest: told what is known of an address that another port sends from too, at each
            of their turns.
        """
        self.max_addresses = max_addresses
        self.expire_seconds: float = DEFAULT_EXPIRE_SECONDS
        self.sweep_seconds: float = DEFAULT_SWEEP_SECONDS
        self.min_persistence_seconds: float = DEFAULT_MIN_PERSISTENCE_SECONDS
        self.size = DEFAULT_SIZE
        self.refused = 0
        self.contested = 0
        self._learned = learned
        self._forgotten = forgotten
        self._full = full
        self._contest = contest
        self._full_said = False
        self._tables: dict[int, FdbTable] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FdbEntry]:
        """All addresses, by VLAN."""
        for vlan in sorted(self._tables):
            yield from self._tables[vlan].values()

    def table(self, vlan: int) -> FdbTable:
        """The addresses of a VLAN, to look into; L{learn} and others change it, nobody else."""
        return self._tables.setdefault(vlan, {})

    def find(self, mac: bytes, vlan: int = 0) -> FdbEntry | None:
        """What is known of an address (C{hash/find})."""
        table = self._tables.get(vlan)
        return None if table is None else table.get(mac)

    def learn(self, vlan: int, mac: bytes, port: Port, now: float) -> None:
        """A frame came from an address through a port."""
        table = self.table(vlan)
        known = table.get(mac)
        if known is None:
            self._add(table, vlan, mac, port, now)
        elif known.port is port:
            known.seen = now
        else:
            self._learn_elsewhere(known, port, now)

    def _learn_elsewhere(self, known: FdbEntry, port: Port, now: float) -> None:
        if now - known.elsewhere > TURN_SECONDS:
            known.turns = 0
        elif known.seen > known.elsewhere:
            known.turns += 1
            if known.turns >= TURNS:
                self.contested += 1
                self._contest(known, port)
        known.elsewhere = now
        if now - known.seen >= self.min_persistence_seconds:
            self._forgotten(known)
            known.elsewhere, known.port, known.seen = known.seen, port, now
            self._learned(known)

    def _add(self, table: FdbTable, vlan: int, mac: bytes, port: Port, now: float) -> None:
        if is_group(mac) or mac == _NO_ADDRESS:
            return
        if self._count >= self.max_addresses:
            self.refused += 1
            if not self._full_said:
                self._full_said = True
                self._full()
            return
        known = table[mac] = FdbEntry(mac, vlan, port, now)
        self._count += 1
        self._learned(known)

    def sweep(self, now: float) -> None:
        """Forget the addresses that were not seen for C{expire_seconds}."""
        oldest = now - self.expire_seconds
        self._forget([known for known in self if known.seen <= oldest])

    def forget_port(self, port: Port, vlan: int | None = None) -> None:
        """Forget the addresses behind a port, in one VLAN or in all."""
        self._forget([known for known in self if known.port is port and vlan in {None, known.vlan}])

    def clear(self) -> None:
        """Forget all addresses."""
        self._forget(list(self))

    def _forget(self, entries: list[FdbEntry]) -> None:
        for known in entries:
            del self._tables[known.vlan][known.mac]
            self._count -= 1
            self._forgotten(known)
        if self._count <= self.max_addresses * 3 // 4:
            self._full_said = False

    # Tunables

    def set_expire(self, seconds: float) -> None:
        """Raises L{InvalidValue} if this is negative."""
        self.expire_seconds = _seconds(seconds)

    def set_min_persistence(self, seconds: float) -> None:
        """Raises L{InvalidValue} if this is negative."""
        self.min_persistence_seconds = _seconds(seconds)

    def set_size(self, buckets: int) -> int:
        """
        Raises L{InvalidValue} if this is not positive.

        @return: the power of 2 it was rounded up to.
        """
        if buckets < 1:
            raise InvalidValue(f"a hash size of {buckets} is not positive")
        self.size = 1 << (buckets - 1).bit_length()
        return self.size


def _seconds(seconds: float) -> float:
    if not seconds >= 0:
        raise InvalidValue(f"{seconds} is not a number of seconds")
    return seconds
