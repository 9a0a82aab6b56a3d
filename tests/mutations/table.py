"""All mutations."""

from __future__ import annotations

from tests.mutations import congestion, delivery, ethernet, ids, services, settling, wire
from tests.mutations.mutation import Mutation

TABLE: tuple[Mutation, ...] = (
    *wire.MUTATIONS,
    *ids.MUTATIONS,
    *settling.MUTATIONS,
    *delivery.MUTATIONS,
    *congestion.MUTATIONS,
    *services.MUTATIONS,
    *ethernet.MUTATIONS,
)
