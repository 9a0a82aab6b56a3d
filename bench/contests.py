"""The contests that there are."""

from __future__ import annotations

from bench.gateways import GATEWAY
from bench.routers import ROUTERS
from bench.switches import SWITCHES

CONTESTS = {contest.name: contest for contest in (SWITCHES, ROUTERS, GATEWAY)}
