"""Tests without sockets or waiting: C{trial tests.unit}."""

from hypothesis import HealthCheck, settings

# How fast a machine makes examples depends on what else it does.
settings.register_profile("distnet", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("distnet")
