"""VLANs 0 to 4094: which ports are in them, and which endpoints a flooded frame goes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distnet.switch.core.errors import AlreadyExists, InUse, InvalidValue, NoSuchThing
from distnet.switch.core.fdb import ForwardingDatabase
from distnet.switch.core.records import NO_VLAN, Port, Vlan

HIGHEST_VLAN = 4094
DEFAULT_VLAN = 0


class VlanTable:
    """The VLANs there are (C{vlan/*}), by number. 0 is always there; new ports are in it."""

    def __init__(self, fdb: ForwardingDatabase, changed: Callable[[Vlan], None]) -> None:
        """
        @param changed: told when the ports of a VLAN, or their endpoints, are others than before.
        """
        self._fdb = fdb
        self._changed = changed
        self._vlans: dict[int, Vlan] = {}
        self.create(DEFAULT_VLAN)

    def __iter__(self) -> Iterator[Vlan]:
        """All VLANs, in the order of their numbers."""
        return (self._vlans[number] for number in sorted(self._vlans))

    def __len__(self) -> int:
        return len(self._vlans)

    def __contains__(self, number: object) -> bool:
        return number in self._vlans

    def __getitem__(self, number: int) -> Vlan:
        """Raises L{NoSuchThing}."""
        try:
            return self._vlans[number]
        except KeyError:
            raise NoSuchThing(f"there is no VLAN {number}") from None

    def create(self, number: int) -> Vlan:
        """Raises L{InvalidValue}, L{AlreadyExists}."""
        if not 0 <= number <= HIGHEST_VLAN:
            raise InvalidValue(f"VLAN {number} is not between 0 and {HIGHEST_VLAN}")
        if number in self._vlans:
            raise AlreadyExists(f"there is a VLAN {number}")
        vlan = self._vlans[number] = Vlan(number, self._fdb.table(number))
        return vlan

    def remove(self, number: int) -> None:
        """Raises L{NoSuchThing}; L{InUse} while a port is in it, and for VLAN 0."""
        vlan = self[number]
        if vlan.untagged or vlan.tagged or number == DEFAULT_VLAN:
            raise InUse(f"VLAN {number} is in use")
        del self._vlans[number]

    def set_untagged(self, port: Port, number: int) -> None:
        """
        Untagged frames of this port are of this VLAN, or with L{NO_VLAN} refused.

        If it was a tagged member of that, it is so no longer. Raises L{InvalidValue},
        L{NoSuchThing}.
        """
        if not 0 <= number <= NO_VLAN:
            raise InvalidValue(f"VLAN {number} is not between 0 and {HIGHEST_VLAN}")
        home = None if number == NO_VLAN else self[number]
        if home is port.home:
            return
        self._fdb.forget_port(port)
        self._leave_home(port)
        port.home = home
        if home is not None:
            if number in port.tagged:
                port.tagged.discard(number)
                del home.tagged[port.number]
            home.untagged[port.number] = port
            self._has_changed(home)

    def add_tagged(self, number: int, port: Port) -> None:
        """
        Frames of this VLAN come and go through this port with a tag.

        Without an effect if they do, or do without a tag. Raises L{NoSuchThing}.
        """
        vlan = self[number]
        if vlan is not port.home:
            # What it carried of this tag until now was of its untagged VLAN.
            port.tagged.add(number)
            vlan.tagged[port.number] = port
            self._has_changed(vlan)

    def remove_tagged(self, number: int, port: Port) -> None:
        """This port is not a tagged member any more. Raises L{NoSuchThing} without such a VLAN."""
        vlan = self[number]
        if vlan.tagged.pop(port.number, None) is not None:
            port.tagged.discard(number)
            self._fdb.forget_port(port, number)
            self._has_changed(vlan)

    def remove_port(self, port: Port) -> None:
        """A port is in no VLAN any more."""
        self._fdb.forget_port(port)
        self._leave_home(port)
        for number in list(port.tagged):
            self.remove_tagged(number, port)

    def endpoints_changed(self, port: Port) -> None:
        """Something was plugged in or out."""
        if port.home is not None:
            self._has_changed(port.home)
        for number in port.tagged:
            self._has_changed(self._vlans[number])

    def _has_changed(self, vlan: Vlan) -> None:
        vlan.changed()
        self._changed(vlan)

    def _leave_home(self, port: Port) -> None:
        if port.home is not None:
            del port.home.untagged[port.number]
            self._has_changed(port.home)
            port.home = None
