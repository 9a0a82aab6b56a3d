"""All mutations."""

from __future__ import annotations

from tests.mutations import (
    bench,
    benchrouters,
    clients,
    cluster,
    congestion,
    console,
    delivery,
    ethernet,
    framestream,
    gateway,
    guests,
    ids,
    long,
    native,
    plugs,
    services,
    settling,
    switch,
    vde,
    wire,
)
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
    *gateway.MUTATIONS,
    *vde.MUTATIONS,
    *framestream.MUTATIONS,
    *plugs.MUTATIONS,
    *console.MUTATIONS,
    *switch.MUTATIONS,
    *long.MUTATIONS,
    *native.MUTATIONS,
    *guests.MUTATIONS,
    *cluster.MUTATIONS,
    *bench.MUTATIONS,
    *benchrouters.MUTATIONS,
)
