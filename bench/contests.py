"""The contests that there are."""

from __future__ import annotations

from bench.gateways import GATEWAY
from bench.guests import GUESTS
from bench.paced import PACED_ROUTERS
from bench.routers import ROUTERS
from bench.scale import SCALE
from bench.switches import SWITCHES

CONTESTS = {
    contest.name: contest for contest in (PACED_ROUTERS, ROUTERS, SWITCHES, GATEWAY, SCALE, GUESTS)
}
