"""What one master leaves to the next: ids, and what waits for them."""

from __future__ import annotations

from twisted.logger import Logger

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.mailbox import Mail
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.master.state import Remembered, StateFile

_log = Logger(namespace="distnet")


def restore(router: Router, remembered: Remembered) -> None:
    """Have a router that is new go on with what an earlier one has left."""
    registry = router.registry
    registry.restore(remembered.pinned if registry.policy is IdPolicy.LOWEST else remembered.used)
    unwanted = router.give_mail(remembered.mail)
    if unwanted.messages:
        _log.warn(
            "remembered: {unwanted} discarded, for ids that nobody can have any more",
            unwanted=str(unwanted),
        )
    if remembered.damaged:
        _log.warn(
            "remembered: {rows} rows of the state file are damaged, and left out",
            rows=remembered.damaged,
        )
    if remembered.used or remembered.mail:
        _log.info(
            "remembered: {ids} ids given out, {mail} bytes waiting, to resume: {resumable}",
            ids=len(remembered.used),
            mail=router.mailboxes.waiting,
            resumable=sorted(remembered.resumable) or "none",
        )


async def keep(state: StateFile | None, router: Router, mail: list[Mail]) -> None:
    """
    Keep what was waiting for ids that can come back; count the rest as not delivered.

    @param mail: what waited, oldest first; the router has it no more.
    """
    to_keep: list[Mail] = []
    kept, lost = 0, Tally()
    for node, data, messages in mail:
        if state is not None and router.is_awaited(node):
            to_keep.append((node, data, messages))
            kept += messages
        else:
            lost.add(messages, len(data))
    if state is not None and to_keep:
        unkept = await state.keep(to_keep)
        kept -= unkept.lost.messages
        lost.add(unkept.lost.messages, unkept.lost.bytes)
        if unkept.why:
            _log.error(
                "the state file cannot be written: {why}; lost: {lost}",
                why=unkept.why,
                lost=str(unkept.lost),
            )
    router.counters.undelivered[Reason.STOPPED].add(lost.messages, lost.bytes)
    if mail:
        _log.info(
            "the master stops: {kept} kept, {lost} discarded of what still waited",
            kept=kept,
            lost=str(lost),
        )
