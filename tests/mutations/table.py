"""All mutations."""

from __future__ import annotations

from tests.mutations import clients, congestion, delivery, ethernet, ids, services, settling, wire
from tests.mutations.mutation import Mutation

TABLE: tuple[Mutation, ...] = (
    *wire.MUTATIONS,
    *ids.MUTATIONS,
    *settling.MUTATIONS,
    *delivery.MUTATIONS,
    *congestion.MUTATIONS,
    *services.MUTATIONS,
    *clients.MUTATIONS,
    *ethernet.MUTATIONS,
)
